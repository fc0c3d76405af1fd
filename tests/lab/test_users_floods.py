"""Who floods the gateway of users, and who guesses: an honest user still gets in, and nobody loses a packet."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import vici
from scapy.layers.inet import IP, UDP
from scapy.utils import rdpcap

from tests.certificates import Pair
from tests.lab.capture import capture
from tests.lab.node import Node
from tests.lab.probes import traffic
from tests.lab.reach import pings
from tests.lab.topology import WAN1, Lab
from tests.lab.users import Client, client, gateway_of_users, root_of_users, server, user

_FLOOD = 3000
_GUESSES = 1000
_COOKIE = (16390).to_bytes(2, "big")  # the type of a notification, where it is a message's first payload (RFC 7296)


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def clients(running_lab: Lab, root: Pair) -> Iterator[list[Client]]:
    """Three clients; the first is logged in at instance 0."""
    made = [client(running_lab, number) for number in (59, 60, 61)]
    with gateway_of_users(running_lab, server(root)):
        assert made[0].login(running_lab.hub.run("user", "ca").stdout, user(root, "honest"))
        yield made
    for one in made:
        one.node.destroy()


def test_a_flood_of_half_open_sas_costs_nobody_a_packet(lab: Lab, root: Pair, clients: list[Client]) -> None:
    honest, newcomer, flooder = clients
    authority = lab.hub.run("user", "ca").stdout
    first = _first_message(lab, flooder, authority, root)
    with (
        capture(lab.isp, "uhub", "udp src port 500", to_the_last=True) as answers,
        traffic(lab.vnets["vnet1"], "10.50.0.4", honest.node, honest.virtual, rate=50) as outcome,
    ):
        _flood(flooder.node, first, _FLOOD)
        assert newcomer.login(authority, user(root, "newcomer")), "who answers for his address gets in"
    assert outcome.lost == 0, str(outcome)
    notified = [bytes(packet[UDP].payload)[34:36] for packet in rdpcap(str(answers.pcap)) if UDP in packet]
    assert _COOKIE in notified, "the hub asks whoever starts to answer first"
    newcomer.logout()
    assert pings(honest.node, honest.virtual, "10.50.0.4")


@pytest.mark.slow
def test_a_thousand_foreign_certificates_change_nothing_for_others(lab: Lab, root: Pair, clients: list[Client]) -> None:
    honest, newcomer, guesser = clients
    authority = lab.hub.run("user", "ca").stdout
    assert not guesser.login(authority, user(root_of_users(), "honest"))
    with traffic(lab.vnets["vnet1"], "10.50.0.4", honest.node, honest.virtual, rate=20) as outcome:
        with guesser.charon.session() as session:
            for _ in range(_GUESSES):
                with pytest.raises(vici.exception.CommandException):
                    list(session.initiate({"child": "hub", "timeout": "10000"}))
        assert newcomer.login(authority, user(root, "newcomer"))
    assert outcome.lost == 0, str(outcome)
    newcomer.logout()
    assert len(lab.hub.agent_log) < 1_000_000 and lab.hub.sas(guesser.address) == []


def _first_message(lab: Lab, one: Client, authority: str, root: Pair) -> bytes:
    """Returns the first message of a login as it is on the wire, without its UDP header."""
    with capture(lab.isp, f"u{one.node.name}", "udp dst port 500", to_the_last=True) as seen:
        assert one.login(authority, user(root, "flooder"))
    one.logout()
    packets = rdpcap(str(seen.pcap))
    return bytes(packets[0][UDP].payload)


def _flood(node: Node, message: bytes, count: int) -> None:
    """Sends a first message again and again, each from another address and with another SPI."""
    code = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_RAW)\n"
        "for line in open(sys.argv[1]): s.sendto(bytes.fromhex(line),(sys.argv[2],0))\n"
    )
    path = Path(node.directory) / "flood"
    chance = random.Random(1)
    with path.open("w") as file:
        for number in range(count):
            source = f"203.0.113.{64 + number % 128}"
            payload = chance.randbytes(8) + message[8:]  # the initiator's SPI comes first
            file.write(bytes(IP(src=source, dst=WAN1[0]) / UDP(sport=500, dport=500) / payload).hex() + "\n")
    node.run("python3", "-c", code, str(path), WAN1[0])
