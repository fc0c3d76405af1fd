"""rtnetlink dumps -> plan types: what is ours, as it is. No I/O.

A walk over the attributes with struct, since pyroute2's decoder takes 80 times as long and 100,000 routes are a size of
ours. What the kernel holds otherwise than any plan could want is returned so that it differs from every wanted object.
"""

import socket
import struct
import sys
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Final, NamedTuple

from hubgw import names
from hubgw.drivers.netlink import uapi
from hubgw.drivers.netlink.wire import attributes
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
    Via,
    Vrf,
)
from hubgw.plan.numbers import GROUPS, IF_IDS, PROTOCOL, SESSIONS, TABLES

_ORDER: Final = sys.byteorder
_LINK_HEADER: Final = struct.Struct("=16xBxHiII")
_ADDRESS_HEADER: Final = struct.Struct("=16xBBBBI")
ROUTE_HEADER: Final = struct.Struct("=16xBBBBBBBBI")
_NEXTHOP_HEADER: Final = struct.Struct("=16xBBBBI")
_GROUP_ENTRY: Final = struct.Struct("=I4x")
_U32: Final = struct.Struct("=I")
_EMPTY: Final = bytes(4)
_STATS: Final = struct.Struct("=16xQQ")  # of rtnl_link_stats64: octets, behind packets

UNKNOWN: Final = Tunnels(())
"""Where a route goes that none of our plans could have made."""


class Link(NamedTuple):
    """An interface of the machine, with as much of it as ours are made of."""

    ifindex: int
    name: str
    up: bool
    master: int  # ifindex, 0 for none
    group: int
    attributes: dict[int, bytes]


def link(message: bytes) -> Link:
    _, _, index, flags, _ = _LINK_HEADER.unpack_from(message)
    found = attributes(message, 32)
    return Link(
        index,
        _text(found, uapi.IFLA_IFNAME),
        bool(flags & uapi.IFF_UP),
        number_of(found, uapi.IFLA_MASTER),
        number_of(found, uapi.IFLA_GROUP),
        found,
    )


def our_links(links: Mapping[int, Link]) -> list[Vrf | Tunnel | Port]:
    """Returns the interfaces that bear our names, and those of others that are enslaved to a VRF of ours.

    `links` is by ifindex. An interface of ours of another kind than its name says is returned as one that differs.
    """
    members: dict[int, list[str]] = {}
    for seen in links.values():
        if seen.master:
            members.setdefault(seen.master, []).append(seen.name)
    found: list[Vrf | Tunnel | Port] = []
    for seen in links.values():
        master = links[seen.master].name if seen.master in links else ""
        vrf = master if _is_vrf(master) else ""
        if not names.is_ours(seen.name):
            if vrf:
                found.append(Port(seen.name, vrf, "existing", intact=_is_intact(seen, forwards=True, ours=False)))
            continue
        alias = _text(seen.attributes, uapi.IFLA_IFALIAS)
        kind, kind_attributes = _kind(seen)
        prefix = seen.name[:3]
        intact = _is_intact(seen, forwards=prefix != names.VRF_PREFIX, ours=True)
        if prefix == names.VRF_PREFIX:
            table = number_of(kind_attributes, uapi.IFLA_VRF_TABLE) if kind == "vrf" else 0
            found.append(Vrf(seen.name, table, alias, intact and not seen.master))
        elif prefix == names.TUNNEL_PREFIX:
            if_id = number_of(kind_attributes, uapi.IFLA_XFRM_IF_ID) if kind == "xfrm" else 0
            found.append(Tunnel(seen.name, if_id, vrf, number_of(seen.attributes, uapi.IFLA_MTU), alias, intact))
        else:
            parent, vlan_id = "", 0
            ports: tuple[str, ...] = ()
            if kind == "vlan":
                parent_index = number_of(seen.attributes, uapi.IFLA_LINK)
                parent = links[parent_index].name if parent_index in links else ""
                vlan_id = int.from_bytes(kind_attributes.get(uapi.IFLA_VLAN_ID, b"\0\0")[:2], _ORDER)
            if kind == "bridge":
                ports = tuple(sorted(members.get(seen.ifindex, ())))
            found.append(Port(seen.name, vrf, kind, alias, parent, vlan_id, ports, intact))
    return found


def octets(messages: Iterable[bytes]) -> dict[str, tuple[int, int]]:
    """Returns what each tunnel interface has received and sent."""
    found: dict[str, tuple[int, int]] = {}
    for seen in map(link, messages):
        if seen.name[:3] == names.TUNNEL_PREFIX and names.is_ours(seen.name) and uapi.IFLA_STATS64 in seen.attributes:
            received, sent = _STATS.unpack_from(seen.attributes[uapi.IFLA_STATS64])
            found[seen.name] = received, sent
    return found


def our_addresses(messages: Iterable[bytes], links: Mapping[int, Link]) -> list[Address]:
    """Returns the addresses on our interfaces, and on those of others in our VRFs the ones that carry our flag."""
    found: list[Address] = []
    for message in messages:
        family, length, _, scope, index = _ADDRESS_HEADER.unpack_from(message)
        seen = links.get(index)
        if seen is None:
            continue
        ours = names.is_ours(seen.name)
        if not ours and not (seen.master in links and _is_vrf(links[seen.master].name)):
            continue
        values = attributes(message, 24)
        flagged = bool(number_of(values, uapi.IFA_FLAGS) & uapi.IFA_F_NOPREFIXROUTE)
        packed = values.get(uapi.IFA_LOCAL, values.get(uapi.IFA_ADDRESS, _EMPTY))
        if family == socket.AF_INET and scope == uapi.RT_SCOPE_UNIVERSE and (ours or flagged):
            found.append(Address(seen.name, IPv4Interface((packed, length)), flagged))
        elif family == socket.AF_INET6 and ours:
            found.append(Address(seen.name, IPv6Interface((packed, length)), flagged))
    return found


def our_nexthops(messages: Iterable[bytes], links: Mapping[int, Link]) -> tuple[list[Nexthop], dict[int, list[int]]]:
    """Returns our nexthop objects, and the members of our groups by the group's number."""
    nexthops: list[Nexthop] = []
    groups: dict[int, list[int]] = {}
    for message in messages:
        if _NEXTHOP_HEADER.unpack_from(message)[2] != PROTOCOL:
            continue
        values = attributes(message, 24)
        number = number_of(values, uapi.NHA_ID)
        if number in IF_IDS:
            index = number_of(values, uapi.NHA_OIF)
            plain = uapi.NHA_GATEWAY not in values and index in links
            nexthops.append(Nexthop(number, links[index].name if plain else ""))
        elif number in GROUPS and uapi.NHA_GROUP in values:
            groups[number] = [entry[0] for entry in _GROUP_ENTRY.iter_unpack(values[uapi.NHA_GROUP])]
    return nexthops, groups


def our_routes(messages: Iterable[bytes], links: Mapping[int, Link], groups: Mapping[int, Tiers]) -> list[Route]:
    """Returns the routes of our protocol in tables of ours; `links` is by ifindex, `groups` by nexthop id."""
    found: list[Route] = []
    # The ranges follow one upon the other.
    first, end = TABLES.start, SESSIONS.stop
    for message in messages:
        family, length, _, _, _, protocol, _, type_, _ = ROUTE_HEADER.unpack_from(message)
        values = attributes(message, 28)
        table = number_of(values, uapi.RTA_TABLE)
        if protocol != PROTOCOL or not first <= table < end:
            continue
        prefix: IPv4Network | IPv6Network
        if family == socket.AF_INET:
            prefix = IPv4Network((values.get(uapi.RTA_DST, _EMPTY), length))
        elif family == socket.AF_INET6:
            prefix = IPv6Network((values.get(uapi.RTA_DST, bytes(16)), length))
        else:
            continue
        found.append(Route(table, prefix, _via(type_, values, links, groups), number_of(values, uapi.RTA_PRIORITY)))
    return found


def _via(type_: int, values: dict[int, bytes], links: Mapping[int, Link], groups: Mapping[int, Tiers]) -> Via:
    # The type comes after it: the kernel shows a route whose group holds the blackhole nexthop as a blackhole.
    if uapi.RTA_NH_ID in values:
        return Tunnels(groups.get(number_of(values, uapi.RTA_NH_ID), ()))
    if type_ == uapi.RTN_UNREACHABLE:
        return Unreachable()
    if type_ != uapi.RTN_UNICAST:
        return UNKNOWN
    seen = links.get(number_of(values, uapi.RTA_OIF))
    if seen is None:
        return UNKNOWN
    gateway = values.get(uapi.RTA_GATEWAY)
    if gateway is None:
        return OnLink(seen.name)
    return Gateway(seen.name, IPv4Address(gateway)) if len(gateway) == 4 else UNKNOWN


def _kind(seen: Link) -> tuple[str, dict[int, bytes]]:
    info = attributes(seen.attributes.get(uapi.IFLA_LINKINFO, b""))
    return _text(info, uapi.IFLA_INFO_KIND), attributes(info.get(uapi.IFLA_INFO_DATA, b""))


def _is_vrf(name: str) -> bool:
    return name.startswith(names.VRF_PREFIX) and names.is_ours(name)


def _is_intact(seen: Link, *, forwards: bool, ours: bool) -> bool:
    """Tells whether an interface is up and its per-family settings are those of `encode.configure_link`."""
    spec = attributes(seen.attributes.get(uapi.IFLA_AF_SPEC, b""))
    conf = attributes(spec.get(socket.AF_INET, b"")).get(uapi.IFLA_INET_CONF, b"")
    if not seen.up or len(conf) < 4 * uapi.IPV4_DEVCONF_RP_FILTER:
        return False
    if _setting(conf, uapi.IPV4_DEVCONF_RP_FILTER) or (forwards and not _setting(conf, uapi.IPV4_DEVCONF_FORWARDING)):
        return False
    mode = attributes(spec.get(socket.AF_INET6, b"")).get(uapi.IFLA_INET6_ADDR_GEN_MODE)
    return not ours or mode is None or mode[0] == uapi.IN6_ADDR_GEN_MODE_NONE


def _setting(conf: bytes, number: int) -> int:
    """Reads one of the kernel's array of 32-bit settings, which is numbered from 1."""
    return int(_U32.unpack_from(conf, 4 * (number - 1))[0])


def _text(values: Mapping[int, bytes], kind: int) -> str:
    return values.get(kind, b"").rstrip(b"\0").decode(errors="replace")


def number_of(values: Mapping[int, bytes], kind: int) -> int:
    return int(_U32.unpack_from(values.get(kind, _EMPTY))[0])
