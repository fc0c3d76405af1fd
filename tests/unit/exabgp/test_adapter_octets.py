"""Messages cut from a stream, NOTIFICATIONs in words, octets that wait to be written."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubgw.drivers.exabgp.adapter.messages import Notification, boundary, cut
from hubgw.drivers.exabgp.adapter.outbox import Outbox
from tests.unit.exabgp.bgp import KEEPALIVE, MARKER, message, take_message

UPDATES = st.binary(min_size=4, max_size=60).map(lambda body: message(2, body))
MESSAGES = st.lists(UPDATES | st.just(KEEPALIVE) | st.just(message(5, b"\0\1\0\1")), max_size=12)


@given(MESSAGES, st.lists(st.integers(1, 50), min_size=1))
def test_however_it_is_cut_up_the_same_messages_come_out(messages: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(messages)
    rest, came, turn = b"", b"", 0
    while stream:
        size = sizes[turn % len(sizes)]
        piece, stream, turn = stream[:size], stream[size:], turn + 1
        some = cut(rest + piece)
        assert some.fault is some.notification is None
        came, rest = came + some.updates, some.rest
    assert (came, rest) == (b"".join(one for one in messages if one != KEEPALIVE), b"")


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (b"\xff" * 15 + b"\0" + KEEPALIVE[16:], Notification(1, 1)),
        (MARKER + b"\x00\x12\x04", Notification(1, 2, b"\x00\x12")),
        (MARKER + b"\x00\x14\x04" + b"\0", Notification(1, 2, b"\x00\x14")),
        (MARKER + b"\x10\x01\x02", Notification(1, 2, b"\x10\x01")),
        (MARKER + b"\x00\x16\x02", Notification(1, 2, b"\x00\x16")),
        (MARKER + b"\x00\x18\x05", Notification(1, 2, b"\x00\x18")),
        (message(9, b"abc"), Notification(1, 3, b"\x09")),
        (message(1, bytes(10)), Notification(5, 3, b"\x01")),
    ],
)
def test_what_is_no_message_ends_the_session(octets: bytes, fault: Notification) -> None:
    before = message(2, bytes(4))
    came = cut(before + octets)
    assert (came.updates, came.fault) == (before, fault)


def test_nothing_is_read_after_a_notification() -> None:
    came = cut(message(3, b"\x06\x02") + message(2, bytes(4)))
    assert (came.updates, came.notification) == (b"", Notification(6, 2))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Notification(4, 0), "Hold Timer Expired"),
        (Notification(6, 2, b"\x04tnt!trailing"), "Cease, Administrative Shutdown: tnt!"),
        (Notification(6, 4, b"\xc8" + b"x" * 200), "Cease, Administrative Reset: " + "x" * 200),
        (Notification(6, 2, b"\x06a\x1b[2J\n"), "Cease, Administrative Shutdown: a [2J"),
        (Notification(6, 2, b"\x02\xff\xfe"), "Cease, Administrative Shutdown: \ufffd\ufffd"),
        (Notification(6, 1, b"\0\1\1\0\0\0\x64"), "Cease, Maximum Number of Prefixes Reached"),
        (Notification(2, 2, b"ASN 7"), "OPEN Message Error, Bad Peer AS: ASN 7"),
        (Notification(6, 9, b"\x06\x02\x02ab"), "Cease, Hard Reset: Cease, Administrative Shutdown: ab"),
        (Notification(6, 9, b"\x06\x09\x06\x09"), "Cease, Hard Reset"),
        (Notification(77, 5), "error code 77, subcode 5"),
    ],
)
def test_words(told: Notification, words: str) -> None:
    assert told.words == words


def test_notification_on_the_wire() -> None:
    assert take_message(Notification(6, 1, b"abc").message) == (3, b"\x06\x01abc", b"")


@given(st.lists(UPDATES, min_size=1, max_size=8), st.integers(0, 500))
def test_boundary_is_where_a_message_ends(messages: list[bytes], offset: int) -> None:
    octets = b"".join(messages)
    offset = min(offset, len(octets))
    ends = [0]
    for one in messages:
        ends.append(ends[-1] + len(one))
    assert boundary(octets, offset) == next(end for end in ends if end >= offset)


class Narrow:
    """A socket that takes so many octets each time."""

    def __init__(self, *takes: int) -> None:
        self.takes = list(takes)
        self.taken = b""

    def sendmsg(self, buffers: list[bytes]) -> int:
        if not self.takes:
            raise BlockingIOError
        octets = b"".join(buffers)[: self.takes.pop(0)]
        self.taken += octets
        return len(octets)


@given(st.lists(st.lists(UPDATES, min_size=1, max_size=5), min_size=1, max_size=5), st.lists(st.integers(1, 99)))
def test_outbox_keeps_the_order_and_interjects_between_messages(queued: list[list[bytes]], takes: list[int]) -> None:
    outbox, narrow = Outbox(), Narrow(*takes, *[10_000] * 9)
    for some in queued:
        outbox.put(b"".join(some))
    while outbox:
        outbox.interject(KEEPALIVE)
        outbox.interject(KEEPALIVE)
        outbox.flush(narrow)  # type: ignore[arg-type]
        assert (outbox.size == 0) is not bool(outbox)
    came, rest = [], narrow.taken
    while rest:
        kind, body, rest = take_message(rest)
        came.append(message(kind, body))
    assert [one for one in came if one != KEEPALIVE] == [one for some in queued for one in some]


@given(st.lists(UPDATES, min_size=1, max_size=5), st.integers(1, 300))
def test_what_is_partly_out_can_be_ended(messages: list[bytes], taken: int) -> None:
    outbox, narrow = Outbox(), Narrow(taken)
    outbox.put(b"".join(messages))
    outbox.flush(narrow)  # type: ignore[arg-type]
    ended, whole = narrow.taken + outbox.unsent(), 0
    while ended:
        kind, body, ended = take_message(ended)
        assert message(kind, body) == messages[whole]
        whole += 1


def test_outbox_is_not_held_up() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        outbox, octets = Outbox(), message(2, bytes(4000)) * 1000
        outbox.put(octets)
        while outbox.flush(here):
            pass
        assert 0 < outbox.size < len(octets)
