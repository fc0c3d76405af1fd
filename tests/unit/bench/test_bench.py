"""The parts of the benchmark that touch no kernel: the generator, the table, the counts, the anchor's files."""

import json
import struct
from ipaddress import IPv4Interface, IPv4Network

import pytest

from bench import anchor, pure, sites, tap
from bench.table import Machine, Row, machine, render, to_json
from hubgw.names import Secret
from hubgw.plan.ipsec import IkeConnection, IkeSecret
from hubgw.plan.kernel import (
    Address,
    Element,
    Group,
    Nexthop,
    Route,
    Tunnel,
    Tunnels,
    Unreachable,
    Vrf,
)
from hubgw.plan.types import Object
from hubgw.resources.load import load
from hubgw.resources.validate import validate

MACHINE = Machine("a processor", 2, "tcg", "6.12", "3.13.5", 0.5)


@pytest.mark.parametrize("text", [sites.hub(1), sites.hub(300), f"{sites.hub(3)}---\n{sites.site(3, more=True)}"])
def test_what_is_generated_is_valid(text: str) -> None:
    loaded = load([("bench.yaml", text.encode())])
    assert [str(problem) for problem in (*loaded.problems, *validate(loaded.resources, loaded.where))] == []


def test_the_last_site_has_addresses_too() -> None:
    loaded = load([("bench.yaml", sites.site(sites.MOST - 1, more=True).encode())])
    assert loaded.problems == ()
    with pytest.raises(ValueError, match="60001; expected 1 to 60000"):
        sites.hub(sites.MOST + 1)


def test_every_stage_is_timed() -> None:
    rows = pure.rows(2, 1)
    assert [row.row for row in rows] == ["c", "c.load", "c.validate", "c.compile", "c.plan"]
    assert all(row.ours > 0 and row.anchor for row in rows)


@pytest.mark.parametrize(
    ("ours", "anchor", "ratio", "met"),
    [
        (2.0, 1.0, 2.0, True),
        (2.1, 1.0, 2.1, False),
        (0, 0, 1.0, True),
        (1, 0, float("inf"), False),
        (1, None, None, None),
    ],
)
def test_a_ratio_meets_its_goal_or_not(
    ours: float, anchor: float | None, ratio: float | None, met: bool | None
) -> None:
    row = Row("a", "work", ours, anchor, 2.0)
    assert row.ratio == ratio
    assert row.met is met


def test_the_table_and_the_json_tell_the_same() -> None:
    rows = [
        Row("a", "first apply", 3.0, 1.0, 2.0, detail="of what"),
        Row("a.part", "a part", 0.5),
        Row("d", "w", 3, 3, 1),
    ]
    text = render(rows)
    assert text.splitlines()[1].split() == [
        "a",
        "first",
        "apply",
        "3.000",
        "s",
        "1.000",
        "s",
        "3.00x",
        "<=",
        "2x",
        "NO",
    ]
    assert "of what" in text
    first, part, last = json.loads(to_json(rows, MACHINE))
    assert {key: first[key] for key in ("row", "work", "ours", "anchor", "ratio", "goal", "met")} == {
        "row": "a",
        "work": "first apply",
        "ours": 3.0,
        "anchor": 1.0,
        "ratio": 3.0,
        "goal": 2.0,
        "met": False,
    }
    assert (part["anchor"], part["ratio"], part["goal"], part["met"]) == (None, None, None, None)
    assert last["met"] is True
    assert first["machine"]["accel"] == "tcg"


def test_the_machine_is_named() -> None:
    assert machine().cores > 0
    assert str(MACHINE) == "a processor, 2 cores, accel tcg, Linux 6.12, Python 3.13.5, load 0.50 before"


def _message(kind: int, flags: int, body: bytes = b"") -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def test_the_tap_counts_what_writes_by_its_kind() -> None:
    datagram = b"".join(
        (
            _message(16, 0x5),  # RTM_NEWLINK
            _message(19, 0x1, bytes(4)),  # RTM_SETLINK
            _message(26, 0x301),  # RTM_GETROUTE, a dump
            _message(24, 0x405),  # RTM_NEWROUTE
            _message(24, 0x400),  # the kernel's event of it
            _message(2, 0x1),  # NLMSG_ERROR
        )
    )
    assert list(tap.requests(0, datagram)) == ["link", "link", "read", "route"]
    batch = _message(16, 0x1) + _message(10 << 8 | 12, 0x1) + _message(10 << 8 | 16, 0x1) + _message(17, 0x1)
    assert list(tap.requests(12, batch)) == ["element", "read"]
    assert list(tap.requests(6, _message(0x12, 0x1) + _message(0x11, 0x1))) == ["read", "xfrm"]


def test_the_anchor_makes_every_object() -> None:
    tiers = ((100_000_001, 100_000_002),)
    objects: list[Object] = [
        Vrf("hgv1", 10_000_001, "hub1"),
        Tunnel("hgt1", 100_000_001, "hgv1", 1422, "gw1/branch1 link1"),
        Address("hgv1", IPv4Interface("10.100.0.12/32")),
        Nexthop(100_000_001, "hgt1"),
        Group(tiers),
        Route(10_000_001, IPv4Network("10.1.0.0/24"), Tunnels(tiers)),
        Route(10_000_001, IPv4Network("0.0.0.0/0"), Unreachable(), 7),
    ]
    assert anchor.ip_batch(objects, {tiers: 200_000_001}) == [
        "nexthop add id 200000000 blackhole protocol 250",
        "link add name hgv1 type vrf table 10000001",
        'link set dev hgv1 addrgenmode none alias "hub1"',
        "link set dev hgv1 up",
        "link add name hgt1 mtu 1422 master hgv1 type xfrm dev lo if_id 100000001",
        'link set dev hgt1 addrgenmode none alias "gw1/branch1 link1"',
        "link set dev hgt1 up",
        "address add 10.100.0.12/32 dev hgv1 noprefixroute",
        "nexthop add id 100000001 dev hgt1 protocol 250",
        "nexthop add id 200000001 group 200000000 protocol 250",
        "route add 10.1.0.0/24 nhid 200000001 table 10000001 protocol 250",
        "route add unreachable 0.0.0.0/0 table 10000001 protocol 250 metric 7",
    ]
    assert 'add element inet hubgw ports {\n"vnet1" }\n' in anchor.nft_file([Element("ports", ("vnet1",))])


def test_the_anchors_connections_and_secrets_are_swanctls() -> None:
    connection = IkeConnection("hgt1", 1, "192.0.2.1", "192.0.2.2", "a", "b", ("aes256",), ("aes256",), 10, 20, 30, 40)
    text = anchor.swanctl_conf([connection, IkeSecret("hgt1-ab", ("a", "b"), Secret("example-key"))])
    assert "connections {\n  hgt1 {\n" in text
    assert "    local_addrs = 192.0.2.1\n" in text
    assert '  ike-hgt1-ab {\n    id0 = a\n    id1 = b\n    secret = "example-key"\n' in text
    assert text.count("{") == text.count("}")
