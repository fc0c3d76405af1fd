"""Peers that speak octets, ExaBGP with our adapter, the helper, and who listens as the agent does: all at once."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from hubgw.drivers.exabgp.attributes import exported, parsed
from hubgw.drivers.exabgp.codec import Decoder, Update
from hubgw.drivers.exabgp.directory import encode
from hubgw.drivers.exabgp.events import ADVERTISED, advertise
from hubgw.drivers.exabgp.frames import Kind, pack_peer, take_block
from hubgw.drivers.exabgp.message import message
from hubgw.drivers.exabgp.updates import END_OF_RIB, announcements, route_refresh
from hubgw.plan.bgp import Nlri
from tests.unit.exabgp.bgp import ENHANCED, IPV4_UNICAST, REFRESH, RawPeer, Rig, asn4, graceful, rig, wait_for
from tests.unit.exabgp.exchanged import nlris
from tests.unit.exabgp.test_helper_process import Far, Running

CAPABILITIES = [IPV4_UNICAST, REFRESH, ENHANCED, asn4(65010), graceful()]


@dataclass
class Everything:
    """Two peers with graceful restart, and all that is between them and the agent."""

    rig: Rig
    helper: Running
    one: RawPeer
    two: RawPeer
    agent: Far

    def establish(self, peer: RawPeer) -> None:
        wait_for(lambda: _dials(peer), "the adapter listens")
        peer.establish()
        self.agent.until(Kind.PEER, lambda body: _shown(body) == (peer.address, "established"))


@pytest.fixture
def all_(tmp_path: Path) -> Iterator[Everything]:
    with rig(tmp_path / "hgv1-0") as r:
        one = r.neighbor(2, site="/s/1", maximum_prefixes=100)
        two = r.neighbor(3, site="/s/2")
        one.capabilities = two.capabilities = CAPABILITIES
        r.write()
        speaker = replace(r.speaker, vrf="hgv1")
        (r.directory / "neighbors.json").write_text(encode(speaker, r.neighbors))
        helper = Running(r.directory, configured=True)
        r.run()
        everything = Everything(r, helper, one, two, helper.agent())
        try:
            everything.agent.until(Kind.SPEAKER, lambda body: json.loads(body)["connected"])
            yield everything
        finally:
            helper.kill()


def _dials(peer: RawPeer) -> bool:
    with suppress(ConnectionRefusedError):
        peer.dial()
        return True
    return False


def _shown(body: bytes) -> tuple[str, str]:
    shown = json.loads(body)
    return shown["peer"], shown["state"]


def _announced(prefixes: list[Nlri]) -> bytes:
    # Not the peer's address, for that is a loopback one, which is no next hop.
    return b"".join(announcements(exported(None, 65010) or b"", prefixes, IPv4Address("192.0.2.2"), True))


def _next_update(peer: RawPeer) -> Update:
    body = peer.until(2).replace(bytes((127, 0, 0, 1)), bytes((192, 0, 2, 1)))
    (said,) = Decoder([], True).decode(message(2, body))
    assert isinstance(said, Update)
    return said


def test_what_one_peer_announces_another_learns(all_: Everything) -> None:
    for peer in (all_.one, all_.two):
        all_.establish(peer)
    all_.one.send(_announced(nlris(3)) + END_OF_RIB)
    learned = all_.agent.until(Kind.LEARNED)
    wire, _ = take_block(learned, 5)
    all_.agent.until(Kind.END_OF_RIB, lambda body: body == pack_peer(all_.one.address))
    all_.agent.say(advertise(["/s/1"], [(exported(parsed(wire), 65515) or b"", nlris(3))]), ADVERTISED)
    said = _next_update(all_.two)
    assert said.announced == nlris(3)
    assert parsed(said.wire).as_path == ((2, (65515, 65010)),)
    for peer in (all_.two, all_.one):
        assert _next_update(peer).end_of_rib


def test_a_malformed_update_and_too_many_prefixes_end_that_session_with_a_notification(all_: Everything) -> None:
    for peer in (all_.one, all_.two):
        all_.establish(peer)
    all_.two.send(message(2, b"\0\x09\0\0"))
    assert all_.two.until(3) == b"\x03\x01"
    all_.one.send(_announced(nlris(101)))
    assert all_.one.until(3) == bytes.fromhex("0601" + "00010100000064")
    all_.agent.until(Kind.PEER, lambda body: _shown(body) == (all_.one.address, "held"))
    all_.one.dial()
    assert all_.one.until(3)[:2] == b"\x06\x05"


def test_a_helper_that_is_killed_costs_no_session_and_learns_all_again(all_: Everything) -> None:
    all_.establish(all_.one)
    all_.one.send(_announced(nlris(3)) + END_OF_RIB)
    all_.agent.until(Kind.END_OF_RIB)
    all_.helper.kill()
    all_.helper.start()
    all_.agent = all_.helper.agent()
    assert all_.one.until(5) == b"\0\x01\0\x01"
    all_.one.send(route_refresh(1) + _announced(nlris(2)) + route_refresh(2))
    assert all_.agent.until(Kind.LEARNED).endswith(b"".join(nlris(2)))
    all_.agent.until(Kind.END_OF_RIB)


def test_an_exabgp_that_is_killed_costs_no_route(all_: Everything) -> None:
    all_.establish(all_.one)
    all_.agent.say(ADVERTISED)
    all_.one.send(_announced(nlris(3)) + END_OF_RIB)
    all_.agent.until(Kind.END_OF_RIB)
    assert all_.rig.process
    all_.rig.process.kill()
    all_.rig.process.join()
    all_.agent.until(Kind.SPEAKER, lambda body: not json.loads(body)["connected"])
    all_.rig.run()
    all_.agent.until(Kind.SPEAKER, lambda body: json.loads(body)["connected"])
    all_.establish(all_.one)
    all_.one.send(_announced(nlris(2)) + END_OF_RIB)
    all_.agent.until(Kind.WITHDRAWN, lambda body: body.endswith(nlris(3)[2]))
    all_.agent.until(Kind.END_OF_RIB)
