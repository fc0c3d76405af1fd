"""Routes that BGP taught, in bulk: a table's changes -> rtnetlink requests, and the kernel's dump back.

A hub may learn a hundred thousand: there is no object a route here, a prefix is the octets that the wire had, and a
route's message is a template with those octets in it.
"""

import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hubgw.drivers.netlink import encode, shapes, uapi
from hubgw.drivers.netlink.client import words
from hubgw.drivers.netlink.decode import ROUTE_HEADER, number_of
from hubgw.drivers.netlink.kernel import ABSENT, Kernel
from hubgw.drivers.netlink.template import Template
from hubgw.drivers.netlink.wire import CREATE, REPLACE, attributes
from hubgw.plan.bgp import Nlri
from hubgw.plan.kernel import Tiers
from hubgw.plan.numbers import LEARNED_METRIC, LEARNED_PROTOCOL, TABLES

Ways = Mapping[Nlri, Tiers | None]
"""The tiers that serve each prefix; None for a route that goes."""

_LENGTHS: Final = {5: socket.AF_INET, 17: socket.AF_INET6}

# Where the kernel, and `shapes.route`, have them in a message: rtmsg after nlmsghdr, then RTA_TABLE and RTA_DST.
_FAMILY_AT: Final = 16
_LENGTH_AT: Final = 17
_ADDRESS_AT: Final = 40
_IPV4_DST: Final = struct.pack("=HH", 8, uapi.RTA_DST)


async def program(kernel: Kernel, groups: Mapping[Tiers, int], table: int, ways: Ways) -> dict[Nlri, str]:
    """Makes, replaces and deletes routes of one table; returns what the kernel refused, in its words, by prefix."""
    alike: dict[tuple[Tiers | None, int], list[Nlri]] = {}
    for prefix, tiers in ways.items():
        alike.setdefault((tiers, len(prefix)), []).append(prefix)
    refused: dict[Nlri, str] = {}
    for (tiers, length), prefixes in alike.items():
        if tiers is not None and tiers not in groups:
            refused.update(dict.fromkeys(prefixes, f"nexthop group {tiers}: not there"))
            continue
        if tiers is None:
            # The kernel's trie looks for the first child that is left after each: from the front, in seconds.
            prefixes.sort(reverse=True)
        size, messages = _messages(table, None if tiers is None else groups[tiers], _LENGTHS[length], prefixes)
        for number, answer in (await kernel.client.request_alike(messages, size)).items():
            if tiers is not None or answer.errno not in ABSENT:
                refused[prefixes[number]] = words(answer)
    return refused


def _messages(
    table: int, group: int | None, family: socket.AddressFamily, prefixes: Sequence[Nlri]
) -> tuple[int, bytes]:
    """Returns the size of each message, and the messages, which differ in the prefix alone: octet by octet of all."""
    width = len(prefixes[0])
    blank = (0, table, bytes(width - 1), LEARNED_METRIC)
    message = _gone(family).pack(*blank) if group is None else _replaced(family).pack(*blank, group)
    size, octets = len(message), b"".join(prefixes)
    messages = bytearray(message) * len(prefixes)
    messages[_LENGTH_AT::size] = octets[::width]
    for place in range(1, width):
        messages[_ADDRESS_AT + place - 1 :: size] = octets[place::width]
    return size, bytes(messages)


async def observe(kernel: Kernel, names: Mapping[int, Tiers]) -> dict[int, dict[Nlri, Tiers]]:
    """Returns the routes of tables of ours that BGP taught, by table; `names` are the groups' tiers by their number.

    A route whose group has no name is returned with no tiers, which no plan wants.
    """
    found: dict[int, dict[Nlri, Tiers]] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        messages = await kernel.client.dump(encode.dump_routes(family, LEARNED_PROTOCOL))
        _read(messages, names, found)
    return found


def _read(messages: Iterable[bytes], names: Mapping[int, Tiers], found: dict[int, dict[Nlri, Tiers]]) -> None:
    alike: dict[bytes, tuple[dict[Nlri, Tiers], Tiers]] = {}
    for message in messages:
        # Most differ in the prefix alone: where it lies in the others, and what they all say, is read once.
        rest = message[_FAMILY_AT:_LENGTH_AT] + message[_LENGTH_AT + 1 : _ADDRESS_AT] + message[_ADDRESS_AT + 4 :]
        if known := alike.get(rest):
            routes, tiers = known
            routes[message[_LENGTH_AT : _LENGTH_AT + 1] + message[_ADDRESS_AT : _ADDRESS_AT + 4]] = tiers
        elif route := _route(message, names):
            table, prefix, tiers = route
            routes = found.setdefault(table, {})
            routes[prefix] = tiers
            if message[_ADDRESS_AT - len(_IPV4_DST) : _ADDRESS_AT] == _IPV4_DST:
                alike[rest] = routes, tiers


def _route(message: bytes, names: Mapping[int, Tiers]) -> tuple[int, Nlri, Tiers] | None:
    """Returns table, prefix and tiers of a route; None where BGP did not teach it."""
    family, length, _, _, _, protocol, _, _, _ = ROUTE_HEADER.unpack_from(message)
    values = attributes(message, 28)
    table = number_of(values, uapi.RTA_TABLE)
    if protocol != LEARNED_PROTOCOL or table not in TABLES:
        return None
    address = values.get(uapi.RTA_DST) or bytes(4 if family == socket.AF_INET else 16)
    intact = number_of(values, uapi.RTA_PRIORITY) == LEARNED_METRIC
    tiers = names.get(number_of(values, uapi.RTA_NH_ID), ()) if intact else ()
    return table, bytes((length,)) + address, tiers


def _replaced(family: socket.AddressFamily) -> Template:
    ways = (uapi.RTN_UNICAST, uapi.RT_SCOPE_UNIVERSE)
    more = ("RTA_PRIORITY", "RTA_NH_ID")
    return shapes.route(uapi.RTM_NEWROUTE, CREATE | REPLACE, family, ways, more, protocol=LEARNED_PROTOCOL)


def _gone(family: socket.AddressFamily) -> Template:
    ways = (uapi.RTN_UNICAST, uapi.RT_SCOPE_NOWHERE)
    return shapes.route(uapi.RTM_DELROUTE, 0, family, ways, ("RTA_PRIORITY",), protocol=LEARNED_PROTOCOL)
