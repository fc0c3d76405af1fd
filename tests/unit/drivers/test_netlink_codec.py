"""What the encoder writes is what pyroute2's decoder, which knows nothing of it, and our own read."""

import socket
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from hubgw.drivers.netlink import decode, encode, uapi, wire
from hubgw.plan.kernel import (
    Address,
    Gateway,
    Group,
    Nexthop,
    OnLink,
    Port,
    Route,
    Tiers,
    Tunnel,
    Tunnels,
    Unreachable,
    Vrf,
)
from hubgw.plan.numbers import GROUPS, IF_IDS, TABLES, UNREACHABLE_METRIC

TIERS: Tiers = ((IF_IDS[1], IF_IDS[2]),)
INDEX = {"lo": 1, "hgv1": 7, "hgt1": 8, "lan0": 9}
NUMBERS = {TIERS: GROUPS[3]}
NAMES = {GROUPS[3]: TIERS}


def link(name: str, **more: Any) -> decode.Link:
    return decode.Link(INDEX[name], name, True, more.get("master", 0), 0, {})


LINKS = {INDEX[name]: link(name, master=7 if name == "lan0" else 0) for name in INDEX}


def parsed(class_: Any, message: bytes) -> Any:
    found = class_(message)
    found.decode()
    return found


@given(
    st.integers(TABLES.start, TABLES.stop - 1),
    st.ip_addresses(v=4),
    st.integers(0, 32),
    st.sampled_from(
        [Unreachable(), OnLink("hgt1"), Gateway("lan0", IPv4Address("10.50.0.4")), Tunnels(TIERS)],
    ),
    st.sampled_from([0, 5, UNREACHABLE_METRIC]),
)
def test_route(table: int, address: IPv4Address, length: int, via: Any, metric: int) -> None:
    route = Route(table, IPv4Network((address, length), strict=False), via, metric)
    message = encode.new_route(route, INDEX, NUMBERS)
    assert decode.our_routes([message], LINKS, NAMES) == [route]
    seen = parsed(rtmsg, message)
    assert (seen["dst_len"], seen["proto"], seen.get_attr("RTA_TABLE")) == (length, 250, table)
    assert seen.get_attr("RTA_DST") == str(route.prefix.network_address)
    assert seen.get_attr("RTA_PRIORITY") == (metric or None)


def test_route_of_ipv6() -> None:
    route = Route(TABLES[1], IPv6Network("::/0"), Unreachable(), UNREACHABLE_METRIC)
    assert decode.our_routes([encode.new_route(route, INDEX, NUMBERS)], LINKS, NAMES) == [route]


def test_routes_of_others_are_not_ours() -> None:
    message = bytearray(encode.new_route(Route(5, IPv4Network("10.0.0.0/8"), Unreachable()), INDEX, NUMBERS))
    assert decode.our_routes([bytes(message)], LINKS, NAMES) == [], "another table"
    ours = encode.new_route(Route(TABLES[1], IPv4Network("10.0.0.0/8"), Unreachable()), INDEX, NUMBERS)
    assert decode.our_routes([ours[:21] + b"\x04" + ours[22:]], LINKS, NAMES) == [], "another protocol"


def test_a_route_that_no_plan_makes_is_unknown() -> None:
    route = Route(TABLES[1], IPv4Network("10.0.0.0/8"), Tunnels(TIERS))
    message = encode.new_route(route, INDEX, NUMBERS)
    assert decode.our_routes([message], LINKS, {}) == [replace(route, via=decode.UNKNOWN)]


def test_the_deletion_of_a_route_names_its_type() -> None:
    route = Route(TABLES[1], IPv4Network("0.0.0.0/0"), OnLink("hgt1"))
    assert parsed(rtmsg, encode.delete_route(route))["type"] == uapi.RTN_UNICAST
    assert parsed(rtmsg, encode.delete_route(replace(route, via=Unreachable())))["type"] == uapi.RTN_UNREACHABLE
    assert parsed(rtmsg, encode.delete_route(replace(route, via=decode.UNKNOWN)))["type"] == uapi.RTN_UNSPEC


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(encode.UnencodableError, match="hgt9: no such interface"):
        encode.new_nexthop(Nexthop(IF_IDS[9], "hgt9"), INDEX)
    with pytest.raises(encode.UnencodableError, match=r"nexthop group .*: not there"):
        encode.new_route(Route(TABLES[1], IPv4Network("10.0.0.0/8"), Tunnels(((5,),))), INDEX, NUMBERS)
    with pytest.raises(encode.UnencodableError, match=r"2001:db8::/32 via 10.0.0.1: not of one address family"):
        gateway = Gateway("lan0", IPv4Address("10.0.0.1"))
        encode.new_route(Route(TABLES[1], IPv6Network("2001:db8::/32"), gateway), INDEX, NUMBERS)


@pytest.mark.parametrize(
    ("kind", "forwards"),
    [
        (Vrf("hgv1", TABLES[1], "a'b"), False),
        (Tunnel("hgt1", IF_IDS[1], "hgv1", 1400, "a'b"), True),
        (Port("hgn1", "hgv1", "vlan", "a'b", "lan0", 42), True),
    ],
)
def test_link(kind: Vrf | Tunnel | Port, forwards: bool) -> None:
    (made,) = encode.create_link(kind, INDEX)
    seen = parsed(ifinfmsg, made)
    assert seen.get_attr("IFLA_IFNAME") == kind.name
    info = seen.get_attr("IFLA_LINKINFO")
    values = dict(info.get_attr("IFLA_INFO_DATA")["attrs"])
    assert (info.get_attr("IFLA_INFO_KIND"), values) in [
        ("vrf", {"IFLA_VRF_TABLE": TABLES[1]}),
        ("xfrm", {"IFLA_XFRM_LINK": 1, "IFLA_XFRM_IF_ID": IF_IDS[1]}),
        ("vlan", {"IFLA_VLAN_ID": 42}),
    ]
    settings, up = (parsed(ifinfmsg, message) for message in encode.configure_link(kind, INDEX))
    assert settings.get_attr("IFLA_IFALIAS") == "a'b"
    assert (settings["flags"], up["flags"], up["change"]) == (0, 1, 1)
    spec = wire.attributes(wire.attributes(encode.configure_link(kind, INDEX)[0], 32)[uapi.IFLA_AF_SPEC])
    conf = wire.attributes(wire.attributes(spec[socket.AF_INET])[uapi.IFLA_INET_CONF])
    assert (uapi.IPV4_DEVCONF_FORWARDING in conf) is forwards
    assert wire.attributes(spec[socket.AF_INET6]) == {uapi.IFLA_INET6_ADDR_GEN_MODE: b"\x01"}


def test_an_interface_of_the_operators_is_not_made_nor_named() -> None:
    port = Port("lan0", "hgv1", "existing", "an alias")
    assert encode.create_link(port, INDEX) == []
    settings, _ = encode.configure_link(port, INDEX)
    values = wire.attributes(settings, 32)
    assert uapi.IFLA_IFALIAS not in values
    assert socket.AF_INET6 not in wire.attributes(values[uapi.IFLA_AF_SPEC])


def test_address() -> None:
    address = Address("hgv1", IPv4Interface("10.100.0.12/32"))
    message = encode.new_address(address, INDEX)
    assert decode.our_addresses([message], LINKS) == [address]
    seen = parsed(ifaddrmsg, message)
    assert (seen["index"], seen["prefixlen"], seen.get_attr("IFA_LOCAL")) == (7, 32, "10.100.0.12")
    assert seen.get_attr("IFA_FLAGS") == uapi.IFA_F_NOPREFIXROUTE


def test_addresses_of_the_operators_are_not_ours() -> None:
    message = encode.new_address(Address("lan0", IPv4Interface("10.50.0.1/24")), INDEX)
    flag = wire.u32(uapi.IFA_FLAGS, uapi.IFA_F_NOPREFIXROUTE)
    assert decode.our_addresses([message], LINKS) != []
    assert decode.our_addresses([message.replace(flag, wire.u32(uapi.IFA_FLAGS, 0))], LINKS) == []
    assert decode.our_addresses([encode.new_address(Address("lo", IPv4Interface("10.0.0.1/32")), INDEX)], LINKS) == []


def test_nexthop_and_group() -> None:
    nexthop = Nexthop(IF_IDS[1], "hgt1")
    messages = [
        encode.new_nexthop(nexthop, INDEX),
        encode.new_group(GROUPS[3], TIERS[0], create=True),
        encode.new_group(GROUPS[4], (), create=True),
        encode.blackhole(),
    ]
    expected = {GROUPS[3]: list(TIERS[0]), GROUPS[4]: [GROUPS[0]]}
    assert decode.our_nexthops(messages, LINKS) == ([nexthop], expected)
    assert Group(TIERS, TIERS[0]).key == ("Group", TIERS)


def test_a_refusal_is_read_with_and_without_the_kernels_words() -> None:
    original = struct.pack("=IHHII", 60, 24, 5, 9, 0)
    words = struct.pack("=HH28s4x", 33, 1, b"Device for nexthop is not up")
    capped = wire.HEADER.pack(36 + len(words), wire.ERROR, wire.CAPPED | wire.ACK_TLVS, 9, 0)
    assert wire.refusal(wire.CAPPED | wire.ACK_TLVS, capped + struct.pack("=i", -100) + original + words) == (
        100,
        "Device for nexthop is not up",
    )
    assert wire.refusal(0, bytes(16) + struct.pack("=i", -3) + original) == (3, "")
    assert wire.refusal(0, bytes(20) + original) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_the_walk(garbage: bytes) -> None:
    wire.attributes(garbage)
    list(wire.messages(garbage))


def test_octets_are_those_of_our_tunnels() -> None:
    counted = struct.pack("=24Q", 3, 4, 300, 400, *range(20))

    def seen(name: str, *more: bytes) -> bytes:
        text = wire.attribute(uapi.IFLA_IFNAME, name.encode() + b"\0")
        return wire.message(uapi.RTM_NEWLINK, 0, bytes(16), text, *more)

    stats = wire.attribute(uapi.IFLA_STATS64, counted)
    messages = [seen("hgt7", stats), seen("hgv1", stats), seen("eth0", stats), seen("hgtx", stats), seen("hgt8")]
    assert decode.octets(messages) == {"hgt7": (300, 400)}
