"""Path attributes in canonical wire <-> what routes are decided by, and what leaves with our AS in front. No I/O.

Canonical wire is what `hubgw.plan.bgp.Attributes` says. It never holds an attribute that is malformed.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Final

from hubgw.drivers.exabgp.as_path import packed, prepended, unpacked
from hubgw.plan.bgp import AS_SEQUENCE, NOT_ADVERTISED, Attributes

REMEMBERED: Final = 256
"""Octets of the longest wire that is remembered: a peer may send ever new ones of 4,096."""

OPTIONAL: Final = 0x80
TRANSITIVE: Final = 0x40
PARTIAL: Final = 0x20
EXTENDED_LENGTH: Final = 0x10


class Code(IntEnum):
    """Type codes of the attributes that are recognised."""

    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MULTI_EXIT_DISC = 4
    LOCAL_PREF = 5
    ATOMIC_AGGREGATE = 6
    AGGREGATOR = 7
    COMMUNITIES = 8
    ORIGINATOR_ID = 9
    CLUSTER_LIST = 10
    MP_REACH_NLRI = 14
    MP_UNREACH_NLRI = 15
    EXTENDED_COMMUNITIES = 16
    AS4_PATH = 17
    AS4_AGGREGATOR = 18
    IPV6_EXTENDED_COMMUNITIES = 25
    LARGE_COMMUNITIES = 32


FLAGS: Final[Mapping[int, int]] = {
    Code.ORIGIN: TRANSITIVE,
    Code.AS_PATH: TRANSITIVE,
    Code.NEXT_HOP: TRANSITIVE,
    Code.MULTI_EXIT_DISC: OPTIONAL,
    Code.LOCAL_PREF: TRANSITIVE,
    Code.ATOMIC_AGGREGATE: TRANSITIVE,
    Code.AGGREGATOR: OPTIONAL | TRANSITIVE,
    Code.COMMUNITIES: OPTIONAL | TRANSITIVE,
    Code.ORIGINATOR_ID: OPTIONAL,
    Code.CLUSTER_LIST: OPTIONAL,
    Code.MP_REACH_NLRI: OPTIONAL,
    Code.MP_UNREACH_NLRI: OPTIONAL,
    Code.EXTENDED_COMMUNITIES: OPTIONAL | TRANSITIVE,
    Code.AS4_PATH: OPTIONAL | TRANSITIVE,
    Code.AS4_AGGREGATOR: OPTIONAL | TRANSITIVE,
    Code.IPV6_EXTENDED_COMMUNITIES: OPTIONAL | TRANSITIVE,
    Code.LARGE_COMMUNITIES: OPTIONAL | TRANSITIVE,
}
"""Optional and Transitive as each attribute's own RFC has them."""

_NON_TRANSITIVE_COMMUNITY: Final = 0x40
_ORIGIN_IGP: Final = b"\0"


def attribute(flags: int, code: int, value: bytes) -> bytes:
    """Returns one attribute; whether its length takes two octets is its own affair.

    >>> attribute(TRANSITIVE, Code.ORIGIN, bytes((0,))).hex()
    '40010100'
    """
    if len(value) > 255:
        return struct.pack("!BBH", flags | EXTENDED_LENGTH, code, len(value)) + value
    return bytes((flags & ~EXTENDED_LENGTH, code, len(value))) + value


def items(wire: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields (flags, type code, value) of each attribute of canonical wire."""
    at = 0
    while at < len(wire):
        flags, code = wire[at], wire[at + 1]
        if flags & EXTENDED_LENGTH:
            start, length = at + 4, wire[at + 2] << 8 | wire[at + 3]
        else:
            start, length = at + 3, wire[at + 2]
        at = start + length
        yield flags & ~EXTENDED_LENGTH, code, wire[start:at]


def canonical(attributes: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Returns the wire of (flags, type code, value) of attributes that are each there once."""
    return b"".join(attribute(*one) for one in sorted(attributes, key=lambda one: one[1]))


def parsed(wire: bytes) -> Attributes:
    """Returns what canonical wire says that routes are decided by."""
    return _remembered(wire) if len(wire) <= REMEMBERED else _parsed(wire)


def _parsed(wire: bytes) -> Attributes:
    values = {code: value for _, code, value in items(wire)}
    return Attributes(
        wire=wire,
        as_path=unpacked(values.get(Code.AS_PATH, b""), 4),
        communities=_communities(values.get(Code.COMMUNITIES, b"")),
    )


_remembered = lru_cache(65536)(_parsed)


def exported(attributes: Attributes | None, asn: int) -> bytes | None:
    """Returns a route's canonical wire as it leaves `asn` for another AS: without NEXT_HOP, which each session adds.

    None stands for a route that is originated here. A route that must not leave is None (RFC 1997).
    """
    short = attributes is None or len(attributes.wire) <= REMEMBERED
    return _exported_before(attributes, asn) if short else _exported(attributes, asn)


def _exported(attributes: Attributes | None, asn: int) -> bytes | None:
    if attributes is None:
        path = packed(((AS_SEQUENCE, (asn,)),), 4)
        return canonical(((TRANSITIVE, Code.ORIGIN, _ORIGIN_IGP), (TRANSITIVE, Code.AS_PATH, path)))
    if not NOT_ADVERTISED.isdisjoint(attributes.communities):
        return None
    return canonical(_leaving(attributes.wire, asn))


_exported_before = lru_cache(65536)(_exported)


def _leaving(wire: bytes, asn: int) -> Iterator[tuple[int, int, bytes]]:
    for flags, code, value in items(wire):
        match code:
            case Code.NEXT_HOP | Code.MULTI_EXIT_DISC | Code.LOCAL_PREF:
                continue
            case Code.AS_PATH:
                yield flags, code, prepended(value, asn)
            case Code.EXTENDED_COMMUNITIES | Code.IPV6_EXTENDED_COMMUNITIES:
                # A non-transitive one is for the AS that it was sent to alone (RFC 4360, 6).
                size = 8 if code == Code.EXTENDED_COMMUNITIES else 20
                each = (value[at : at + size] for at in range(0, len(value), size))
                if kept := b"".join(one for one in each if not one[0] & _NON_TRANSITIVE_COMMUNITY):
                    yield flags, code, kept
            case _ if code in FLAGS:
                yield flags, code, value
            case _:
                # RFC 4271, 5: whoever passes on what it does not recognise says so.
                yield flags | PARTIAL, code, value


def _communities(value: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(value) // 4}I", value)
