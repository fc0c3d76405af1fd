"""The kernel's links, addresses and main table -> `Machine`. The only file of the command line that speaks netlink."""

import socket
from ipaddress import IPv4Interface
from typing import Final

from pyroute2 import IPRoute

from hubgw.cli.init_node import Interface, Machine

_MAIN: Final = 254
_GLOBAL: Final = 0  # RT_SCOPE_UNIVERSE


def observe() -> Machine:
    """Reads what there is; loopback, and interfaces that are down, are left out."""
    with IPRoute() as kernel:
        addresses: dict[int, list[IPv4Interface]] = {}
        for address in kernel.get_addr(family=socket.AF_INET):
            if address["scope"] == _GLOBAL:
                text = address.get("IFA_LOCAL") or address.get("IFA_ADDRESS")
                addresses.setdefault(address["index"], []).append(IPv4Interface((text, address["prefixlen"])))
        names: dict[int, str] = {}
        interfaces: list[Interface] = []
        for link in kernel.get_links():
            names[link["index"]] = link.get("IFLA_IFNAME")
            if link.get("IFLA_OPERSTATE") != "DOWN" and link.get("IFLA_IFNAME") != "lo":
                found = tuple(addresses.get(link["index"], ()))
                interfaces.append(Interface(link.get("IFLA_IFNAME"), link.get("IFLA_MTU"), found))
        routes = [
            (route.get("RTA_PRIORITY") or 0, route.get("RTA_OIF"))
            for route in kernel.get_routes(family=socket.AF_INET, table=_MAIN)
            if route["dst_len"] == 0 and route.get("RTA_OIF")
        ]
    return Machine(tuple(interfaces), names.get(min(routes)[1], "") if routes else "")
