"""RFC 7606, row by row: what is malformed costs its own routes, and the session only where the RFC says so.

Each row announces a victim well-formed, then once more malformed, and a sentinel last: once the hub has the sentinel,
it has dealt with all before it.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pytest

from tests.lab.bgp_topology import RAW, BgpLab
from tests.lab.raw_peer import ASN, GOOD, MARKER, NEXT_HOP, ORIGIN, RawPeer, attribute, message, path, prefixes, update
from tests.lab.waiting import wait_for

_OPTIONAL, _TRANSITIVE = 0x80, 0xC0
PATH = path(ASN)


def _ases(*segments: bytes) -> bytes:
    return attribute(2, b"".join(segments))


def _segment(kind: int, count: int, *asns: int) -> bytes:
    return struct.pack(f"!BB{len(asns)}I", kind, count, *asns)


WITHDRAWN: Final[dict[str, Sequence[bytes]]] = {
    "ORIGIN of two octets": (attribute(1, b"\0\0"), PATH, NEXT_HOP),
    "ORIGIN of none": (attribute(1, b""), PATH, NEXT_HOP),
    "ORIGIN of an undefined value": (attribute(1, b"\x03"), PATH, NEXT_HOP),
    "ORIGIN missing": (PATH, NEXT_HOP),
    "ORIGIN with the flags of an optional": (attribute(1, b"\0", _TRANSITIVE), PATH, NEXT_HOP),
    "AS_PATH with a segment of an unknown type": (ORIGIN, _ases(_segment(9, 1, ASN)), NEXT_HOP),
    "AS_PATH with a confederation's segment": (ORIGIN, _ases(_segment(3, 1, ASN)), NEXT_HOP),
    "AS_PATH with a segment that overruns it": (ORIGIN, _ases(_segment(2, 5, ASN)), NEXT_HOP),
    "AS_PATH with an octet after its last segment": (ORIGIN, _ases(_segment(2, 1, ASN), b"\x02"), NEXT_HOP),
    "AS_PATH with a segment of no AS": (ORIGIN, _ases(_segment(2, 0)), NEXT_HOP),
    "AS_PATH with AS 0 (RFC 7607)": (ORIGIN, path(ASN, 0), NEXT_HOP),
    "AS_PATH missing": (ORIGIN, NEXT_HOP),
    "NEXT_HOP of five octets": (ORIGIN, PATH, attribute(3, bytes(5))),
    "NEXT_HOP missing": (ORIGIN, PATH),
    "MULTI_EXIT_DISC of three octets": (*GOOD, attribute(4, bytes(3), _OPTIONAL)),
    "COMMUNITIES of five octets": (*GOOD, attribute(8, bytes(5), _TRANSITIVE)),
    "COMMUNITIES of none": (*GOOD, attribute(8, b"", _TRANSITIVE)),
    "EXTENDED COMMUNITIES of seven octets": (*GOOD, attribute(16, bytes(7), _TRANSITIVE)),
    "an attribute that overruns the others": (*GOOD, struct.pack("!BBB", _TRANSITIVE, 8, 200) + bytes(4)),
    "an attribute without a length": (*GOOD, struct.pack("!BB", _TRANSITIVE, 8)),
}

DISCARDED: Final[dict[str, Sequence[bytes]]] = {
    "LOCAL_PREF from outside": (*GOOD, attribute(5, struct.pack("!I", 900))),
    "ATOMIC_AGGREGATE of one octet": (*GOOD, attribute(6, b"\0")),
    "AGGREGATOR of six octets": (*GOOD, attribute(7, bytes(6), _TRANSITIVE)),
    "ORIGINATOR_ID from outside": (*GOOD, attribute(9, bytes(4), _OPTIONAL)),
    "CLUSTER_LIST from outside": (*GOOD, attribute(10, bytes(4), _OPTIONAL)),
    "ORIGIN twice": (*GOOD, attribute(1, b"\x02")),
}

_REACH = attribute(14, struct.pack("!HBB4sB", 1, 1, 4, bytes((10, 254, 0, 7)), 0), _OPTIONAL)

RESET: Final[dict[str, tuple[bytes, tuple[int, int]]]] = {
    "NLRI of 33 bits": (update(GOOD, bytes((33, 172, 30, 0, 0, 0))), (3, 10)),
    "withdrawn prefix of 33 bits": (update((), b"", bytes((33, 172, 30, 0, 0, 0))), (3, 10)),
    "attributes longer than the message": (message(2, struct.pack("!HH", 0, 900) + b"".join(GOOD)), (3, 1)),
    "withdrawn routes longer than the message": (message(2, struct.pack("!HH", 900, 0)), (3, 1)),
    "MP_REACH_NLRI twice": (update((*GOOD, _REACH, _REACH)), (3, 1)),
    "a marker that is not all ones": (message(4, marker=b"\0" + MARKER[1:]), (1, 1)),
    "a message of 18 octets": (message(4, length=18), (1, 2)),
    "a message of an unknown type": (message(9), (1, 3)),
}
# Each reset of a session counts as a flap, and the hub holds a peer that flaps back for longer each time.
_SLOW: Final = {name for number, name in enumerate(RESET) if number >= 4}


@contextmanager
def _others_live(bgp: BgpLab) -> Iterator[None]:
    """Every session but those of the raw peer is after the block the one that it was before."""

    def sessions() -> dict[tuple[str, int], float]:
        peers = [peer for peer in bgp.lab.hub.bgp("peers") if not peer["connection"].endswith(RAW)]
        assert {peer["state"] for peer in peers} == {"Established"}
        return {(peer["connection"], peer["instance"]): peer["since"] for peer in peers}

    before = sessions()
    yield
    assert sessions() == before


@pytest.fixture(scope="module")
def peer(bgp_branches: BgpLab) -> Iterator[list[RawPeer]]:
    """At most one session with instance 0, kept from row to row for as long as it lives."""
    kept: list[RawPeer] = []
    yield kept
    for one in kept:
        one.close()


def _opened(bgp: BgpLab, kept: list[RawPeer]) -> RawPeer:
    if not kept or kept[0].closed:
        kept[:] = [bgp.raw_session(0)]
    return kept[0]


@pytest.mark.parametrize(
    ("row", "expected"),
    [*((row, "treatedAsWithdraw") for row in WITHDRAWN), *((row, "discarded") for row in DISCARDED)],
)
def test_a_malformed_attribute_costs_at_most_its_routes(
    bgp: BgpLab, peer: list[RawPeer], row: str, expected: str
) -> None:
    hub, raw = bgp.lab.hub, _opened(bgp, peer)
    number = [*WITHDRAWN, *DISCARDED].index(row)
    victim, sentinel = f"172.30.{number}.0/24", f"172.31.{number}.0/24"
    counted = hub.peer(RAW, 0)[expected]
    with _others_live(bgp):
        raw.announce(victim)
        raw.announce(victim, attributes=WITHDRAWN.get(row) or DISCARDED[row])
        raw.announce(sentinel)
        learned = wait_for("the sentinel is learned", lambda: _with(bgp, sentinel))
        assert (victim in learned) == (row in DISCARDED)
        assert not raw.closed, f"the session was reset: {raw.notification}"
        wait_for(f"counted as {expected}", lambda: hub.peer(RAW, 0)[expected] > counted)
        assert hub.peer(RAW, 0)["lastMalformed"]
        assert hub.peer(RAW, 0)["state"] == "Established"
    raw.withdraw(victim, sentinel)


def _with(bgp: BgpLab, sentinel: str) -> dict[str, dict[str, object]]:
    """Returns what is learned from the raw peer once the sentinel is, and nothing before."""
    learned = bgp.lab.hub.routes_of("learned", RAW, 0)
    return learned if sentinel in learned else {}


@pytest.mark.parametrize("row", [pytest.param(row, marks=[pytest.mark.slow] * (row in _SLOW)) for row in RESET])
def test_what_cannot_be_read_resets_its_session_alone(bgp: BgpLab, peer: list[RawPeer], row: str) -> None:
    octets, notification = RESET[row]
    hub, instance = bgp.lab.hub, [*RESET].index(row) % 2
    if instance == 0 and peer:
        peer.pop().close()
    with _others_live(bgp), bgp.raw_session(instance) as raw:
        raw.announce("172.30.200.0/24")
        wait_for("learned", lambda: "172.30.200.0/24" in hub.routes_of("learned", RAW, instance))
        raw.send(octets)
        wait_for("the session is reset", lambda: raw.closed)
        assert raw.notification == notification
        wait_for("its routes are gone", lambda: not hub.routes_of("learned", RAW, instance))


def test_an_error_in_an_update_that_announces_nothing_resets_the_session(bgp: BgpLab, peer: list[RawPeer]) -> None:
    """RFC 7606, 5.2: the prefixes may be what is malformed, so that there is nothing to withdraw."""
    with _others_live(bgp), bgp.raw_session(1) as raw:
        raw.send(update((attribute(1, b"\0\0"), PATH, NEXT_HOP), b"", prefixes("172.30.201.0/24")))
        wait_for("the session is reset", lambda: raw.closed)
        assert raw.notification is not None and raw.notification[0] == 3
