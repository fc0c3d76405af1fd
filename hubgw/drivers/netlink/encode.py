"""Plan types -> rtnetlink requests. No I/O, and no choice of what is to be done.

An interface takes three messages: the kernel reads IFLA_AF_SPEC only after it has brought the interface up, too late to
keep the link-local IPv6 address away; and of a new interface it reads neither that nor an alias.
"""

import socket
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from ipaddress import IPv4Network
from typing import Final

from hubgw.drivers.netlink import shapes, uapi
from hubgw.drivers.netlink.template import (
    AddressMessage,
    LinkMessage,
    NexthopMessage,
    RouteMessage,
    Template,
    extended,
)
from hubgw.drivers.netlink.wire import CREATE, EXCL, REPLACE
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
from hubgw.plan.numbers import GROUPS, PROTOCOL

_LOOPBACK: Final = 1  # the ifindex that each network namespace gives to lo
_LINK_HEADER: Final = 32  # bytes
_MEMBER: Final = struct.Struct("=IBxxx")  # nexthop_grp: id, weight - 1
_VRF_CONF: Final[shapes.Conf] = (("IPV4_DEVCONF_RP_FILTER", 0),)
_SLAVE_CONF: Final[shapes.Conf] = (
    ("IPV4_DEVCONF_FORWARDING", 1),
    ("IPV4_DEVCONF_RP_FILTER", 0),
    # An operator's address in the subnet of ours would go with ours.
    ("IPV4_DEVCONF_PROMOTE_SECONDARIES", 1),
)

Index = Mapping[str, int]
"""ifindex by interface name."""


class UnencodableError(Exception):
    """What the operation names is not there (``hgv1: no such interface``), or does not go together."""


def create_link(link: Vrf | Tunnel | Port, index: Index) -> list[bytes]:
    """Returns the message that makes the interface, down; none for an interface of the operator's."""
    name = link.name.encode()
    match link:
        case Vrf():
            return [shapes.new_link(len(name), "vrf", (), ("IFLA_VRF_TABLE",)).pack(name, link.table)]
        case Tunnel():
            # Made as a slave: enslaved later it would be cycled, should it be up by then.
            ids = ("IFLA_XFRM_LINK", "IFLA_XFRM_IF_ID")
            template = shapes.new_link(len(name), "xfrm", ("IFLA_MTU", "IFLA_MASTER"), ids)
            return [template.pack(name, link.mtu, _ifindex(index, link.vrf), _LOOPBACK, link.if_id)]
        case Port(kind="vlan"):
            template = shapes.new_link(len(name), "vlan", ("IFLA_LINK",), ("IFLA_VLAN_ID",))
            return [template.pack(name, _ifindex(index, link.parent), link.vlan_id)]
        case Port(kind="bridge"):
            return [shapes.new_link(len(name), "bridge", (), ()).pack(name)]
    return []


def configure_link(link: Vrf | Tunnel | Port, index: Index) -> list[bytes]:
    """Returns the messages that give an interface all our settings and bring it up. Equal ones change nothing."""
    name = link.name.encode()
    match link:
        case Vrf():
            settings = shapes.set_link(len(name), (), _VRF_CONF, bare=True).pack(name)
        case Tunnel():
            template = shapes.set_link(len(name), ("IFLA_MTU", "IFLA_MASTER"), _SLAVE_CONF, bare=True)
            settings = template.pack(name, link.mtu, _ifindex(index, link.vrf))
        case Port():
            template = shapes.set_link(len(name), ("IFLA_MASTER",), _SLAVE_CONF, bare=link.kind != "existing")
            settings = template.pack(name, _ifindex(index, link.vrf))
    if not (isinstance(link, Port) and link.kind == "existing"):
        alias = link.alias.encode()
        settings = extended(settings, shapes.alias(len(alias)).pack(alias)[_LINK_HEADER:])
    messages = [settings, shapes.bring_up(len(name)).pack(name)]
    if isinstance(link, Port) and link.ports:
        master = _ifindex(index, link.name)
        ports = [port.encode() for port in link.ports]
        messages += [shapes.bring_up(len(port), ("IFLA_MASTER",)).pack(port, master) for port in ports]
    return messages


def release_link(name: str, forwarding: int, rp_filter: int) -> bytes:
    """Gives an interface of the operator's back: out of its VRF or bridge, set as a new interface is."""
    conf = (("IPV4_DEVCONF_FORWARDING", forwarding), ("IPV4_DEVCONF_RP_FILTER", rp_filter))
    packed = name.encode()
    return shapes.set_link(len(packed), ("IFLA_MASTER",), conf).pack(packed, 0)


def delete_link(name: str) -> bytes:
    packed = name.encode()
    return shapes.delete_link(len(packed)).pack(packed)


def doom_link(name: str) -> bytes:
    packed = name.encode()
    return shapes.set_link(len(packed), ("IFLA_GROUP",)).pack(packed, uapi.DOOMED)


@cache
def delete_doomed() -> bytes:
    return Template(LinkMessage, uapi.RTM_DELLINK, 0, [("IFLA_GROUP", uapi.DOOMED)]).pack()


def new_address(address: Address, index: Index) -> bytes:
    return _address(uapi.RTM_NEWADDR, CREATE | REPLACE, address, index)


def delete_address(address: Address, index: Index) -> bytes:
    return _address(uapi.RTM_DELADDR, 0, address, index)


def new_nexthop(nexthop: Nexthop, index: Index) -> bytes:
    return shapes.new_nexthop().pack(nexthop.id, _ifindex(index, nexthop.interface))


def new_group(number: int, active: Sequence[int], *, create: bool) -> bytes:
    """Returns the message that replaces a group, or makes it; without members it holds the blackhole nexthop."""
    members = b"".join([_MEMBER.pack(member, 0) for member in active or (GROUPS[0],)])
    return shapes.new_group(CREATE | REPLACE if create else REPLACE, len(members)).pack(number, members)


@cache
def blackhole() -> bytes:
    fields = {"family": socket.AF_INET, "protocol": PROTOCOL}
    attributes = [("NHA_ID", GROUPS[0]), ("NHA_BLACKHOLE", None)]
    return Template(NexthopMessage, uapi.RTM_NEWNEXTHOP, CREATE | EXCL, attributes, fields=fields).pack()


def delete_nexthop(number: int) -> bytes:
    return shapes.delete_nexthop().pack(number)


def new_route(route: Route, index: Index, groups: Mapping[Tiers, int]) -> bytes:
    """Returns the message that makes the route, or replaces the one of its table, prefix and metric."""
    kind, flags = uapi.RTM_NEWROUTE, CREATE | REPLACE
    match route.via:
        case Tunnels(tiers):
            if tiers not in groups:
                raise UnencodableError(f"nexthop group {tiers}: not there")
            return _route(kind, flags, route, uapi.RT_SCOPE_UNIVERSE, ("RTA_NH_ID",), groups[tiers])
        case OnLink(interface):
            return _route(kind, flags, route, uapi.RT_SCOPE_LINK, ("RTA_OIF",), _ifindex(index, interface))
        case Gateway(interface, gateway):
            if route.prefix.version != gateway.version:
                raise UnencodableError(f"{route.prefix} via {gateway}: not of one address family")
            via = ("RTA_OIF", "RTA_GATEWAY")
            ifindex = _ifindex(index, interface)
            return _route(kind, flags, route, uapi.RT_SCOPE_UNIVERSE, via, ifindex, gateway.packed)
        case Unreachable():
            return _route(kind, flags, route, uapi.RT_SCOPE_UNIVERSE, ())


def delete_route(route: Route) -> bytes:
    return _route(uapi.RTM_DELROUTE, 0, route, uapi.RT_SCOPE_NOWHERE, ())


@cache
def dump_links() -> bytes:
    return Template(LinkMessage, uapi.RTM_GETLINK, 0, [("IFLA_EXT_MASK", uapi.RTEXT_FILTER_SKIP_STATS)]).pack()


@cache
def dump_counted_links() -> bytes:
    return Template(LinkMessage, uapi.RTM_GETLINK, 0, []).pack()


@cache
def dump_addresses() -> bytes:
    return Template(AddressMessage, uapi.RTM_GETADDR, 0, []).pack()


@cache
def dump_nexthops() -> bytes:
    return Template(NexthopMessage, uapi.RTM_GETNEXTHOP, 0, []).pack()


@cache
def dump_routes(family: int, protocol: int = PROTOCOL) -> bytes:
    """The kernel filters by the protocol; a table of ours may have outlived its VRF, so there is no filter by table."""
    return Template(RouteMessage, uapi.RTM_GETROUTE, 0, [], fields={"family": family, "proto": protocol}).pack()


def _address(kind: int, flags: int, address: Address, index: Index) -> bytes:
    interface = address.address
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    ifindex, packed = _ifindex(index, address.interface), interface.packed
    return shapes.address(kind, flags, family).pack(interface.network.prefixlen, ifindex, packed, packed)


def _route(kind: int, flags: int, route: Route, scope: int, via: tuple[str, ...], *values: int | bytes) -> bytes:
    prefix = route.prefix
    match route.via:
        case Unreachable():
            type_ = uapi.RTN_UNREACHABLE
        case Tunnels(()):
            type_ = uapi.RTN_UNSPEC
        case _:
            # Without its type a deletion with metric 0 would take the default route of last resort.
            type_ = uapi.RTN_UNICAST
    family = socket.AF_INET if isinstance(prefix, IPv4Network) else socket.AF_INET6
    if route.metric:
        via, values = ("RTA_PRIORITY", *via), (route.metric, *values)
    template = shapes.route(kind, flags, family, (type_, scope), via)
    return template.pack(prefix.prefixlen, route.table, prefix.network_address.packed, *values)


def _ifindex(index: Index, name: str) -> int:
    try:
        return index[name]
    except KeyError:
        raise UnencodableError(f"{name}: no such interface") from None
