"""The shapes of our rtnetlink requests -> templates, each made once: what a function takes is what decides the layout.

A name's length is part of the shape, and so is what hardly varies: message types, flags, a route's scope.
"""

import socket
from functools import cache
from typing import Final

from hubgw.drivers.netlink import uapi
from hubgw.drivers.netlink.template import AddressMessage, LinkMessage, NexthopMessage, RouteMessage, Template
from hubgw.drivers.netlink.wire import CREATE, EXCL, REPLACE
from hubgw.plan.numbers import PROTOCOL

Conf = tuple[tuple[str, int], ...]
"""IPv4 settings of an interface, by the kernel's name of each."""

_ADDRESS: Final = {socket.AF_INET: "192.0.2.0", socket.AF_INET6: "2001:db8::"}


@cache
def new_link(length: int, kind: str, settings: tuple[str, ...], kind_settings: tuple[str, ...]) -> Template:
    """Places: name, `settings`, `kind_settings`. `length` is the name's, in bytes."""
    link_info: list[tuple[str, object]] = [("IFLA_INFO_KIND", kind)]
    link_info.append(("IFLA_INFO_DATA", {"attrs": [(setting, 0) for setting in kind_settings]}))
    attributes = [_name(length), *((setting, 0) for setting in settings), ("IFLA_LINKINFO", {"attrs": link_info})]
    nested = [("IFLA_LINKINFO", "IFLA_INFO_DATA", setting) for setting in kind_settings]
    return Template(LinkMessage, uapi.RTM_NEWLINK, CREATE | EXCL, attributes, ["IFLA_IFNAME", *settings, *nested])


@cache
def set_link(length: int, settings: tuple[str, ...] = (), conf: Conf = (), *, bare: bool = False) -> Template:
    """Places: name, `settings`. `bare` keeps the kernel from giving the interface an IPv6 address."""
    spec: list[tuple[str, object]] = []
    if conf:
        spec.append(("AF_INET", {"attrs": [("IFLA_INET_CONF", {"attrs": list(conf)})]}))
    if bare:
        spec.append(("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", uapi.IN6_ADDR_GEN_MODE_NONE)]}))
    attributes = [_name(length), *((setting, 0) for setting in settings)]
    if spec:
        attributes.append(("IFLA_AF_SPEC", {"attrs": spec}))
    return Template(LinkMessage, uapi.RTM_SETLINK, 0, attributes, ["IFLA_IFNAME", *settings])


@cache
def bring_up(length: int, settings: tuple[str, ...] = ()) -> Template:
    """Places: name, `settings`."""
    attributes = [_name(length), *((setting, 0) for setting in settings)]
    places = ["IFLA_IFNAME", *settings]
    fields = {"flags": uapi.IFF_UP, "change": uapi.IFF_UP}
    return Template(LinkMessage, uapi.RTM_SETLINK, 0, attributes, places, fields=fields)


@cache
def alias(length: int) -> Template:
    """Place: the alias. Apart from `set_link`, since there are as many lengths of it as there are of names of sites."""
    return Template(LinkMessage, uapi.RTM_SETLINK, 0, [("IFLA_IFALIAS", "x" * length)], ["IFLA_IFALIAS"])


@cache
def delete_link(length: int) -> Template:
    """Place: name."""
    return Template(LinkMessage, uapi.RTM_DELLINK, 0, [_name(length)], ["IFLA_IFNAME"])


@cache
def address(kind: int, flags: int, family: socket.AddressFamily) -> Template:
    """Places: prefix length, ifindex, the address as local and as peer address."""
    any_ = _ADDRESS[family]
    attributes = [("IFA_LOCAL", any_), ("IFA_ADDRESS", any_), ("IFA_FLAGS", uapi.IFA_F_NOPREFIXROUTE)]
    places = ["prefixlen", "index", "IFA_LOCAL", "IFA_ADDRESS"]
    return Template(AddressMessage, kind, flags, attributes, places, fields={"family": family})


@cache
def new_nexthop() -> Template:
    """Places: id, ifindex."""
    places = ["NHA_ID", "NHA_OIF"]
    attributes = [(place, 0) for place in places]
    fields = {"family": socket.AF_INET, "protocol": PROTOCOL}
    return Template(NexthopMessage, uapi.RTM_NEWNEXTHOP, CREATE | REPLACE, attributes, places, fields=fields)


@cache
def new_group(flags: int, length: int) -> Template:
    """Places: id, members, which take `length` bytes."""
    attributes = [("NHA_ID", 0), ("NHA_GROUP", bytes(length))]
    places = ["NHA_ID", "NHA_GROUP"]
    return Template(NexthopMessage, uapi.RTM_NEWNEXTHOP, flags, attributes, places, fields={"protocol": PROTOCOL})


@cache
def delete_nexthop() -> Template:
    """Place: id."""
    return Template(NexthopMessage, uapi.RTM_DELNEXTHOP, 0, [("NHA_ID", 0)], ["NHA_ID"])


@cache
def route(
    kind: int,
    flags: int,
    family: socket.AddressFamily,
    ways: tuple[int, int],
    more: tuple[str, ...],
    *,
    protocol: int = PROTOCOL,
) -> Template:
    """Places: prefix length, table, prefix, `more`. `ways` are the route's type and scope."""
    type_, scope = ways
    attributes: list[tuple[str, object]] = [("RTA_TABLE", 0), ("RTA_DST", _ADDRESS[family])]
    attributes += [(name, _ADDRESS[family] if name == "RTA_GATEWAY" else 0) for name in more]
    fields = {"family": family, "proto": protocol, "scope": scope, "type": type_}
    return Template(RouteMessage, kind, flags, attributes, ["dst_len", "RTA_TABLE", "RTA_DST", *more], fields=fields)


def _name(length: int) -> tuple[str, object]:
    return "IFLA_IFNAME", "x" * length
