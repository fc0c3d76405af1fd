"""The parts of the BGP rows that touch no kernel: what branches say, what is read of the answers, the dumps' counts."""

import json
import socket
import struct
from ipaddress import IPv4Address

import pytest

from bench import feed, fib, routing_agent
from bench.feed import Branch
from bench.table import Machine, Row, to_json
from hubgw.drivers.exabgp.attributes import parsed
from hubgw.drivers.exabgp.codec import Decoder, Update
from hubgw.drivers.exabgp.directory import fault
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.rib.policy import Policy

BRANCH = Branch(0, IPv4Address("10.255.1.1"))
MACHINE = Machine("a processor", 2, "none", "6.12", "3.13.5", 0.5)


@pytest.mark.parametrize(("size", "paths"), [(1, 1), (1, 300), (10, 30)])
def test_a_hub_takes_all_that_a_branch_announces(size: int, paths: int) -> None:
    octets = b"".join(feed.updates(BRANCH, feed.prefixes(0, 300), size, paths))
    plan = routing_agent.plan(1)
    policy = Policy(plan.route_tables[0], plan.peers)
    updates = [said for said in Decoder([IPv4Address("10.255.0.1")], True).decode(octets) if isinstance(said, Update)]
    assert sum(update.messages for update in updates) == 300 // size
    assert len({update.wire for update in updates}) == paths
    nlris = [nlri for update in updates for nlri in update.announced]
    assert [(nlri[0], nlri[1:]) for nlri in nlris] == [(24, address) for address in sorted(feed.addresses(0, 300))]
    refusals = {policy.judge(plan.peers[0], parsed(update.wire)).refusal for update in updates}
    assert refusals | {policy.prefix_refusal(nlri) for nlri in nlris} == {""}


def test_no_path_of_a_hundred_thousand_is_refused_or_there_twice() -> None:
    plan = routing_agent.plan(1)
    policy = Policy(plan.route_tables[0], plan.peers)
    wires = set()
    for update in feed.updates(BRANCH, feed.prefixes(0, 100_000), 1, 100_000):
        wire = update[23:-4]
        wires.add(wire)
        assert policy.judge(plan.peers[0], parsed(wire)).refusal == ""
    assert len(wires) == 100_000


def test_speaker_and_neighbors_are_such_as_the_driver_takes() -> None:
    objects = [obj for obj in routing_agent.plan(100).objects if isinstance(obj, Speaker | Neighbor)]
    assert len(objects) == 101
    assert {fault(obj) for obj in objects} == {""}


def test_an_answer_is_counted_wherever_it_is_cut() -> None:
    octets = b"".join(feed.updates(BRANCH, feed.prefixes(7, 40), 10, 2)) + feed.END_OF_RIB
    octets += feed.message(feed.KEEPALIVE)
    reader = feed.Reader()
    kinds = [kind for at in range(len(octets)) for kind in reader.feed(octets[at : at + 1])]
    assert kinds == [feed.UPDATE] * 5 + [feed.KEEPALIVE]
    assert (reader.count, reader.ended, reader.addresses()) == (40, True, feed.addresses(7, 40))
    with pytest.raises(ValueError, match="NOTIFICATION"):
        reader.feed(feed.message(3, b"\6\2"))


def _route(address: bytes, bits: int = 24) -> bytes:
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, bits, 0, 0, 0, 251, 0, 1, 0)
    body += struct.pack("=HHI", 8, 15, 10_000_001) + struct.pack("=HH", 8, 1) + address
    return struct.pack("=IHHII", 16 + len(body), 24, 2, 0, 0) + body


def test_a_dump_is_counted_and_read() -> None:
    done = struct.pack("=IHHIIi", 20, 3, 2, 0, 0, 0)
    addresses = sorted(feed.addresses(0, 5))
    dump = [b"".join(map(_route, addresses[:3])), b"".join(map(_route, addresses[3:])), done]
    assert fib.size(dump) == 5
    assert fib.destinations(dump) == set(addresses)
    assert fib.destinations([_route(addresses[0], 16), done]) == set()
    assert fib.size([done]) == 0


def test_rows_of_other_letters_are_kept() -> None:
    before = to_json([Row("a", "w", 1.0), Row("e.1", "w", 2.0), Row("e.old", "w", 2.0)], MACHINE)
    after = json.loads(to_json([Row("e.1", "w", 3.0)], MACHINE, before))
    assert [(entry["row"], entry["ours"]) for entry in after] == [("a", 1.0), ("e.1", 3.0)]
