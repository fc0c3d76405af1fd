"""Canonical wire and prefixes -> whole UPDATE messages, as few as their size lets. No I/O."""

import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Final

from hubgw.drivers.exabgp.as4 import narrowed
from hubgw.drivers.exabgp.attributes import TRANSITIVE, Code, canonical, items
from hubgw.drivers.exabgp.message import HEADER, LONGEST, ROUTE_REFRESH, UPDATE, message
from hubgw.drivers.exabgp.prefixes import pack
from hubgw.plan.bgp import Nlri

REQUEST: Final = 0  # subtypes of ROUTE-REFRESH (RFC 7313)
BEGIN_OF_REFRESH: Final = 1
END_OF_REFRESH: Final = 2

_LARGEST_NLRI: Final = 5


END_OF_RIB: Final = message(UPDATE, bytes(4))
"""End-of-RIB of IPv4 unicast (RFC 4724, 2)."""


def route_refresh(subtype: int = REQUEST) -> bytes:
    """Returns a ROUTE-REFRESH for IPv4 unicast."""
    return message(ROUTE_REFRESH, bytes((0, 1, subtype, 1)))


def announcements(wire: bytes, nlris: Sequence[Nlri], next_hop: IPv4Address, asn4: bool) -> list[bytes]:
    """Returns the UPDATEs that announce prefixes with canonical attributes and this NEXT_HOP.

    `asn4` tells whether the peer's AS numbers have four octets. Attributes that no message has room for cannot be
    announced: what the peer knows of these prefixes is withdrawn instead.
    """
    attributes = [one for one in items(wire) if one[1] != Code.NEXT_HOP]
    if not asn4:
        attributes = [narrow for one in attributes for narrow in narrowed(*one)]
    block = canonical((*attributes, (TRANSITIVE, Code.NEXT_HOP, next_hop.packed)))
    room = LONGEST - HEADER - 4 - len(block)
    if room < _LARGEST_NLRI:
        return withdrawals(nlris)
    before = struct.pack("!HH", 0, len(block)) + block
    return [message(UPDATE, before + field) for field in _fields(nlris, room)]


def withdrawals(nlris: Sequence[Nlri]) -> list[bytes]:
    """Returns the UPDATEs that withdraw prefixes."""
    fields = _fields(nlris, LONGEST - HEADER - 4)
    return [message(UPDATE, struct.pack("!H", len(field)) + field + bytes(2)) for field in fields]


def _fields(nlris: Sequence[Nlri], room: int) -> Iterator[bytes]:
    """Yields the prefixes in fields of at most `room` octets."""
    field = bytearray()
    for one in pack(nlris):
        if len(field) + len(one) > room:
            yield bytes(field)
            field.clear()
        field += one
    if field:
        yield bytes(field)
