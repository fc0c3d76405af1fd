"""By which certificate an IKE SA was made: known only where it cannot have been by another."""

from collections.abc import Sequence
from dataclasses import replace

from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.held import Held
from hubgw.drivers.strongswan.peers import Peers
from hubgw.pki.reading import read_certificates
from tests.certificates import Pair, make

OLD, NEW, OTHER = (make("CN=branch1", ["branch1.example.com"]) for _ in range(3))
SA = IkeSa("hgt1", 7, "ESTABLISHED", False, "", "", "", "Branch1.Example.com", "", "", 10, ())


def held(at: float, *pairs: Pair, more: int = 0) -> Held:
    told = [*(read_certificates(one.pem)[0].der for one in pairs), *(bytes([one]) for one in range(more))]
    return Held.of([{"type": b"X509", "data": one} for one in told], at)


def up(peers: Peers, uniqueid: int, now: float, *, is_up: bool = True) -> None:
    change = {"up": b"yes"} if is_up else {}
    peers.hear("ike-updown", {**change, "hgt1": {"uniqueid": str(uniqueid).encode()}}, now)


def known(peers: Peers, uniqueid: int = 7) -> Sequence[str]:
    sa = IkeSa("hgt1", uniqueid, "ESTABLISHED", False, "", "", "", SA.remote_id, "", "", 10, ())
    return [one.serial for one in peers.of(sa)]


def serials(*pairs: Pair) -> list[str]:
    return [read_certificates(one.pem)[0].serial for one in pairs]


def test_what_charon_remembers_of_an_identity_is_among_it() -> None:
    peers = Peers()
    up(peers, 7, 100.0)
    peers.look([SA], held(101.0, OLD, NEW))
    assert known(peers) == serials(OLD, NEW)
    peers.look([SA], held(102.0, OTHER))
    assert known(peers) == serials(OLD, NEW), "what came later did not make it"
    assert known(peers, 8) == []


def test_by_eap_it_is_the_eap_identity_that_was_proved() -> None:
    peers, own = Peers(), make("CN=alice", ["alice@example.com"])
    up(peers, 7, 100.0)
    peers.look([replace(SA, eap_identity="alice@example.com")], held(101.0, NEW, own))
    assert known(peers) == serials(own), "not that of whom the client calls itself in IKE"


def test_nothing_is_known_of_what_was_not_heard_or_may_be_forgotten() -> None:
    peers = Peers()
    peers.look([SA], held(101.0, NEW))
    assert known(peers) == [], "older than the agent"
    up(peers, 7, 100.0)
    peers.look([SA], held(99.0, NEW))
    assert known(peers) == [], "asked before it was made"
    peers.look([SA], held(101.0, NEW, more=31))
    assert known(peers) == [], "charon has forgotten some"
    peers.forget(96.0)
    peers.look([SA], held(101.0, NEW))
    assert known(peers) == [], "charon was told to forget since"
    peers.look([SA], held(101.0))
    assert known(peers) == []


def test_a_rekeyed_sa_is_by_the_same() -> None:
    peers = Peers()
    up(peers, 7, 100.0)
    peers.look([SA], held(101.0, NEW))
    for old, new in ((7, 8), (8, 9)):
        ids = {"old": {"uniqueid": str(old).encode()}, "new": {"uniqueid": str(new).encode()}}
        peers.hear("ike-rekey", {"hgt1": ids}, 200.0)
    assert (known(peers), known(peers, 8), known(peers, 9)) == ([], [], serials(NEW))
    up(peers, 9, 300.0, is_up=False)
    assert known(peers, 9) == []


def test_what_was_before_the_events_began_is_not_known() -> None:
    peers = Peers()
    up(peers, 7, 100.0)
    peers.look([SA], held(101.0, NEW))
    peers.hear("child-updown", {"up": b"yes", "hgt1": {"uniqueid": b"7"}}, 102.0)
    assert known(peers) == serials(NEW)
    peers.hear("", {}, 103.0)
    peers.look([SA], held(104.0, NEW))
    assert known(peers) == []
