"""Each message is, byte for byte, what pyroute2 encodes of it, or, where pyroute2 does not know it, what we lay out."""

import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from hubgw.drivers.netlink import encode, uapi
from hubgw.drivers.netlink.template import LinkMessage, RouteMessage, Template, extended
from hubgw.plan.kernel import (
    Address,
    Gateway,
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
from hubgw.plan.numbers import GROUPS, IF_IDS, PROTOCOL, TABLES, UNREACHABLE_METRIC

TIERS: Tiers = ((IF_IDS[1], IF_IDS[2]),)
INDEX = {"lo": 1, "hgv1": 7, "hgt1": 8, "lan0": 9, "trunk0": 10, "hgn2": 11}
NUMBERS = {TIERS: GROUPS[3]}
MAKE, REPLACE, REPLACE_ONLY = 0x601, 0x501, 0x101
"""Request with create and exclusive; with create and replace; with replace."""

VRF = Vrf("hgv1", TABLES[1], "hubs/weu defaultRouteTable")
TUNNEL = Tunnel("hgt1", IF_IDS[1], "hgv1", 1400, "vpnConnections/site link1")
VLAN = Port("hgn1", "hgv1", "vlan", "Zürich ✓", "trunk0", 42)
BRIDGE = Port("hgn2", "hgv1", "bridge", "x" * 255, ports=("a", "leg0"))
EXISTING = Port("lan0", "hgv1", "existing")


def plain(class_: Any, kind: int, flags: int, attributes: Sequence[tuple[str, Any]], /, **fields: int) -> bytes:
    message = class_()
    message["header"].update(type=kind, flags=flags)
    message.update(fields)
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data)


def attribute(kind: int, *values: bytes) -> bytes:
    value = b"".join(values)
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def laid_out(kind: int, flags: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def link_info(kind: str, **values: int) -> tuple[str, Any]:
    return "IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", {"attrs": list(values.items())})]}


@pytest.mark.parametrize(
    ("link", "attributes"),
    [
        (VRF, [link_info("vrf", IFLA_VRF_TABLE=TABLES[1])]),
        (
            TUNNEL,
            [
                ("IFLA_MTU", 1400),
                ("IFLA_MASTER", 7),
                link_info("xfrm", IFLA_XFRM_LINK=1, IFLA_XFRM_IF_ID=IF_IDS[1]),
            ],
        ),
        (VLAN, [("IFLA_LINK", 10), link_info("vlan", IFLA_VLAN_ID=42)]),
        (BRIDGE, [link_info("bridge")]),
    ],
)
def test_new_link(link: Vrf | Tunnel | Port, attributes: list[tuple[str, Any]]) -> None:
    expected = plain(ifinfmsg, uapi.RTM_NEWLINK, MAKE, [("IFLA_IFNAME", link.name), *attributes])
    assert encode.create_link(link, INDEX) == [expected]


NESTED = 0x8000
UNADDRESSED = attribute(socket.AF_INET6 | NESTED, attribute(uapi.IFLA_INET6_ADDR_GEN_MODE, b"\1"))


def devconf(*settings: tuple[int, int]) -> bytes:
    values = [attribute(number, u32(value)) for number, value in settings]
    return attribute(socket.AF_INET | NESTED, attribute(uapi.IFLA_INET_CONF | NESTED, *values))


SLAVE = devconf(
    (uapi.IPV4_DEVCONF_FORWARDING, 1), (uapi.IPV4_DEVCONF_RP_FILTER, 0), (uapi.IPV4_DEVCONF_PROMOTE_SECONDARIES, 1)
)


def up(name: str, *attributes: tuple[str, Any]) -> bytes:
    return plain(ifinfmsg, uapi.RTM_SETLINK, 1, [("IFLA_IFNAME", name), *attributes], flags=1, change=1)


@pytest.mark.parametrize(
    ("link", "settings", "spec", "more"),
    [
        (VRF, [], devconf((uapi.IPV4_DEVCONF_RP_FILTER, 0)) + UNADDRESSED, []),
        (TUNNEL, [("IFLA_MTU", 1400), ("IFLA_MASTER", 7)], SLAVE + UNADDRESSED, []),
        (VLAN, [("IFLA_MASTER", 7)], SLAVE + UNADDRESSED, []),
        (
            BRIDGE,
            [("IFLA_MASTER", 7)],
            SLAVE + UNADDRESSED,
            [up("a", ("IFLA_MASTER", 11)), up("leg0", ("IFLA_MASTER", 11))],
        ),
        (EXISTING, [("IFLA_MASTER", 7)], SLAVE, []),
    ],
)
def test_settings_of_a_link(
    link: Vrf | Tunnel | Port, settings: list[tuple[str, Any]], spec: bytes, more: list[bytes]
) -> None:
    head = plain(ifinfmsg, uapi.RTM_SETLINK, 1, [("IFLA_IFNAME", link.name), *settings])
    tail = attribute(uapi.IFLA_IFALIAS, link.alias.encode()) if link.alias else b""
    expected = laid_out(uapi.RTM_SETLINK, 1, head[16:], attribute(uapi.IFLA_AF_SPEC | NESTED, spec), tail)
    assert encode.configure_link(link, INDEX) == [expected, up(link.name), *more]


def test_a_link_given_back() -> None:
    head = plain(ifinfmsg, uapi.RTM_SETLINK, 1, [("IFLA_IFNAME", "lan0"), ("IFLA_MASTER", 0)])
    spec = devconf((uapi.IPV4_DEVCONF_FORWARDING, 0), (uapi.IPV4_DEVCONF_RP_FILTER, 2))
    expected = laid_out(uapi.RTM_SETLINK, 1, head[16:], attribute(uapi.IFLA_AF_SPEC | NESTED, spec))
    assert encode.release_link("lan0", 0, 2) == expected


@pytest.mark.parametrize("name", ["a", "hgt1", "fifteen-letters"])
def test_deletion_of_links(name: str) -> None:
    assert encode.delete_link(name) == plain(ifinfmsg, uapi.RTM_DELLINK, 1, [("IFLA_IFNAME", name)])
    doomed = ("IFLA_GROUP", uapi.DOOMED)
    assert encode.doom_link(name) == plain(ifinfmsg, uapi.RTM_SETLINK, 1, [("IFLA_IFNAME", name), doomed])
    assert encode.delete_doomed() == plain(ifinfmsg, uapi.RTM_DELLINK, 1, [doomed])


@pytest.mark.parametrize(
    "interface", [IPv4Interface("10.100.0.12/32"), IPv4Interface("10.50.0.1/24"), IPv6Interface("2001:db8::1/64")]
)
def test_address(interface: IPv4Interface | IPv6Interface) -> None:
    text, length = str(interface.ip), interface.network.prefixlen
    attributes = [("IFA_LOCAL", text), ("IFA_ADDRESS", text), ("IFA_FLAGS", uapi.IFA_F_NOPREFIXROUTE)]
    fields = {"family": socket.AF_INET if interface.version == 4 else socket.AF_INET6, "prefixlen": length, "index": 8}
    address = Address("hgt1", interface)
    assert encode.new_address(address, INDEX) == plain(ifaddrmsg, uapi.RTM_NEWADDR, REPLACE, attributes, **fields)
    assert encode.delete_address(address, INDEX) == plain(ifaddrmsg, uapi.RTM_DELADDR, 1, attributes, **fields)


@given(
    st.integers(TABLES.start, TABLES.stop - 1),
    st.ip_addresses(),
    st.integers(0, 32),
    st.sampled_from([Unreachable(), OnLink("hgt1"), Gateway("lan0", IPv4Address("10.50.0.4"))]),
    st.sampled_from([0, 5, UNREACHABLE_METRIC]),
)
def test_route(table: int, address: Any, length: int, via: Any, metric: int) -> None:
    network: Any = IPv4Network if address.version == 4 else IPv6Network
    prefix = network((address, length), strict=False)
    attributes: list[tuple[str, Any]] = [("RTA_TABLE", table), ("RTA_DST", str(prefix.network_address))]
    fields = {"family": socket.AF_INET if address.version == 4 else socket.AF_INET6, "dst_len": length}
    fields |= {"proto": PROTOCOL, "type": 7 if via == Unreachable() else 1}
    if metric:
        attributes.append(("RTA_PRIORITY", metric))
    route = Route(table, prefix, via, metric)
    gone = plain(rtmsg, uapi.RTM_DELROUTE, 1, attributes, scope=255, **fields)
    assert encode.delete_route(route) == gone
    scope = 0
    match via:
        case OnLink():
            attributes.append(("RTA_OIF", 8))
            scope = 253
        case Gateway():
            if address.version == 6:
                return
            attributes += [("RTA_OIF", 9), ("RTA_GATEWAY", "10.50.0.4")]
    made = plain(rtmsg, uapi.RTM_NEWROUTE, REPLACE, attributes, scope=scope, **fields)
    assert encode.new_route(route, INDEX, NUMBERS) == made


@pytest.mark.parametrize("metric", [0, 5])
def test_route_through_a_nexthop_group(metric: int) -> None:
    fields = {"family": socket.AF_INET, "dst_len": 24, "proto": PROTOCOL, "type": 1}
    attributes = [("RTA_TABLE", TABLES[1]), ("RTA_DST", "10.1.0.0"), *([("RTA_PRIORITY", metric)] if metric else [])]
    known = plain(rtmsg, uapi.RTM_NEWROUTE, REPLACE, attributes, **fields)
    expected = laid_out(uapi.RTM_NEWROUTE, REPLACE, known[16:], attribute(uapi.RTA_NH_ID, u32(GROUPS[3])))
    route = Route(TABLES[1], IPv4Network("10.1.0.0/24"), Tunnels(TIERS), metric)
    assert encode.new_route(route, INDEX, NUMBERS) == expected


def nhmsg(family: int = 0, protocol: int = PROTOCOL) -> bytes:
    return struct.pack("=BBBxI", family, 0, protocol, 0)


def test_nexthop() -> None:
    values = attribute(uapi.NHA_ID, u32(IF_IDS[1])) + attribute(uapi.NHA_OIF, u32(8))
    made = laid_out(uapi.RTM_NEWNEXTHOP, REPLACE, nhmsg(socket.AF_INET), values)
    assert encode.new_nexthop(Nexthop(IF_IDS[1], "hgt1"), INDEX) == made
    gone = laid_out(uapi.RTM_DELNEXTHOP, 1, nhmsg(protocol=0), attribute(uapi.NHA_ID, u32(77)))
    assert encode.delete_nexthop(77) == gone
    values = attribute(uapi.NHA_ID, u32(GROUPS[0])) + attribute(uapi.NHA_BLACKHOLE)
    assert encode.blackhole() == laid_out(uapi.RTM_NEWNEXTHOP, MAKE, nhmsg(socket.AF_INET), values)


@pytest.mark.parametrize(("create", "flags"), [(True, REPLACE), (False, REPLACE_ONLY)])
@pytest.mark.parametrize("active", [(), (5,), (5, 6), tuple(range(1, 65))])
def test_group(active: tuple[int, ...], create: bool, flags: int) -> None:
    members = b"".join(struct.pack("=IBBH", member, 0, 0, 0) for member in active or (GROUPS[0],))
    values = attribute(uapi.NHA_ID, u32(GROUPS[3])) + attribute(uapi.NHA_GROUP, members)
    expected = laid_out(uapi.RTM_NEWNEXTHOP, flags, nhmsg(), values)
    assert encode.new_group(GROUPS[3], active, create=create) == expected


def test_dumps() -> None:
    assert encode.dump_links() == plain(ifinfmsg, uapi.RTM_GETLINK, 1, [("IFLA_EXT_MASK", 8)])
    assert encode.dump_addresses() == plain(ifaddrmsg, uapi.RTM_GETADDR, 1, [])
    assert encode.dump_nexthops() == laid_out(uapi.RTM_GETNEXTHOP, 1, nhmsg(protocol=0))
    for family in (socket.AF_INET, socket.AF_INET6):
        expected = plain(rtmsg, uapi.RTM_GETROUTE, 1, [], family=family, proto=PROTOCOL)
        assert encode.dump_routes(family) == expected


@pytest.mark.parametrize(
    ("places", "error"),
    [
        (["RTA_PRIORITY"], "RouteMessage RTA_PRIORITY: 0 times in the message"),
        (["RTA_MARK"], "RouteMessage RTA_MARK: 2 times in the message"),
        (["RTA_OIF", "RTA_TABLE"], "RouteMessage RTA_TABLE: named after a place that comes later"),
        (["RTA_OIF", "dst_len"], "RouteMessage dst_len: named after a place that comes later"),
        (["RTA_OIF", "RTA_OIF"], "RouteMessage RTA_OIF: named after a place that comes later"),
    ],
)
def test_places_are_in_the_message_and_in_its_order(places: list[str], error: str) -> None:
    attributes = [("RTA_TABLE", 0), ("RTA_OIF", 0), ("RTA_MARK", 0), ("RTA_MARK", 0)]
    with pytest.raises(ValueError, match=error):
        Template(RouteMessage, uapi.RTM_NEWROUTE, 0, attributes, places)


def test_values_are_as_many_as_places() -> None:
    template = Template(RouteMessage, uapi.RTM_NEWROUTE, 0, [("RTA_TABLE", 0)], ["dst_len", "RTA_TABLE"])
    for values in ((), (1,), (1, 2, 3)):
        with pytest.raises(ValueError, match="size"):
            template.pack(*values)


def test_an_extended_message_is_one_message() -> None:
    short = Template(LinkMessage, uapi.RTM_SETLINK, 0, [("IFLA_MTU", 1400)]).pack()
    both = [("IFLA_MTU", 1400), ("IFLA_GROUP", 5)]
    assert extended(short, attribute(uapi.IFLA_GROUP, u32(5))) == plain(ifinfmsg, uapi.RTM_SETLINK, 1, both)
