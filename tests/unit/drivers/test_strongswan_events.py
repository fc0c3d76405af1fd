"""Which events of charon are decoded, and which make the agent look at its tunnels."""

import socket
from collections.abc import Iterator

import pytest

from hubgw.drivers.strongswan import logins
from hubgw.drivers.strongswan.events import EventTransport
from hubgw.drivers.strongswan.heard import moved
from tests.vici import framed, packet


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("", [], [""]),
        ("ike-updown", ["up", "hgt1"], ["hgt1"]),
        ("child-updown", ["hgt1"], ["hgt1"]),
        ("ike-rekey", ["hgt1"], []),
        ("child-rekey", ["hgt1"], []),
        ("child-rekey", ["hgt2"], ["hgt2"]),
        ("ike-updown", ["up", "hgt7"], []),
        ("child-updown", ["up", "hgt7-eap"], []),
        ("child-updown", ["up", "hgt77"], ["hgt77"]),
    ],
)
def test_what_moves_a_tunnel(kind: str, message: list[str], expected: list[str]) -> None:
    assert moved(kind, message, {"hgt2"}, {"hgt7"}) == expected


UP = packet("ike-updown", {"up": "yes", "hgt7-eap": {"uniqueid": "7"}})
DOWN = packet("ike-updown", {"hgt7-eap": {"uniqueid": "7"}})
CHILD = packet("child-updown", {"up": "yes", "hgt7": {"uniqueid": "7"}})
BRANCH = packet("child-updown", {"up": "yes", "hgt77": {"uniqueid": "8"}})
REKEYED = packet("ike-rekey", {"hgt7": {"old": {}, "new": {}}})
BARRED = packet("ike-updown", {"up": "yes", "hgt7-barred": {"uniqueid": "7"}})
ANSWER = b"\x05"


@pytest.mark.parametrize(
    ("event", "is_login", "is_child"),
    [
        (UP, False, False),
        (DOWN, True, False),
        (CHILD, True, True),
        (BRANCH, False, False),
        (REKEYED, True, False),
        (BARRED, True, False),
        (ANSWER, True, False),
    ],
)
def test_what_is_worth_decoding(event: bytes, is_login: bool, is_child: bool) -> None:
    assert logins.says_something(event, {"hgt7"}) is is_login
    assert logins.is_child(event, {"hgt7"}) is is_child


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, charons = socket.socketpair()
    with ours, charons:
        yield ours, charons


def test_packets_are_cut_wherever_they_were_torn(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, charons = ends
    transport = EventTransport(ours, lambda one: one != BRANCH)
    octets = framed(CHILD, BRANCH, DOWN, b"", UP)
    for at in range(0, len(octets), 3):
        charons.sendall(octets[at : at + 3])
    assert [transport.receive() for _ in range(4)] == [CHILD, DOWN, b"", UP]
    charons.close()
    with pytest.raises(OSError, match="closed"):
        transport.receive()


def test_silence_is_told_after_its_time(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, charons = ends
    ours.settimeout(30)
    transport = EventTransport(ours, lambda one: one != BRANCH)
    charons.sendall(framed(BRANCH, CHILD))
    assert transport.receive(0.01) == CHILD
    with pytest.raises(TimeoutError):
        transport.receive(0.01)
    assert ours.gettimeout() == 30
