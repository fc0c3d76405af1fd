"""AS paths: the value of AS_PATH and AS4_PATH <-> segments, and what RFC 6793 makes of both. No I/O."""

import struct
from collections.abc import Sequence
from typing import Final

from hubgw.plan.bgp import AS_SEQUENCE, AS_SET, Segment, path_length

AS_CONFED: Final = (3, 4)  # AS_CONFED_SEQUENCE and AS_CONFED_SET (RFC 5065, 3)
AS_TRANS: Final = 23456
MAX_SEGMENT: Final = 255
MAX_ASN_OF_TWO_OCTETS: Final = 0xFFFF


class MalformedPathError(ValueError):
    """An AS path is none: why, in words."""


def unpacked(value: bytes, size: int, allowed: tuple[int, ...] = (AS_SET, AS_SEQUENCE)) -> tuple[Segment, ...]:
    """Returns the segments of a path whose AS numbers have `size` octets.

    Raises:
        MalformedPathError: as RFC 7606, 7.2 has it, RFC 5065, 5 for confederations, or AS 0 (RFC 7607).
    """
    segments: list[Segment] = []
    at = 0
    while at < len(value):
        if len(value) - at < 2:
            raise MalformedPathError("a single octet after the last segment")
        kind, count = value[at], value[at + 1]
        end = at + 2 + count * size
        if kind not in allowed:
            raise MalformedPathError(f"segment of type {kind}")
        if not count:
            raise MalformedPathError("a segment without AS numbers")
        if end > len(value):
            raise MalformedPathError(f"a segment of {count} AS numbers in {len(value) - at - 2} octets")
        asns = struct.unpack_from(f"!{count}{'I' if size == 4 else 'H'}", value, at + 2)
        if 0 in asns:
            raise MalformedPathError("AS 0")
        segments.append((kind, asns))
        at = end
    return tuple(segments)


def packed(segments: Sequence[Segment], size: int) -> bytes:
    """Returns the value of segments, those AS numbers that `size` octets cannot hold as AS_TRANS.

    >>> packed(((2, (65515, 70000)),), 2).hex()
    '0202ffeb5ba0'
    """
    octets = bytearray()
    for kind, asns in segments:
        octets += bytes((kind, len(asns)))
        if size == 4:
            octets += struct.pack(f"!{len(asns)}I", *asns)
        else:
            octets += struct.pack(f"!{len(asns)}H", *map(in_two_octets, asns))
    return bytes(octets)


def in_two_octets(asn: int) -> int:
    """Returns what stands for an AS number where there is room for two octets (RFC 6793, 4.2.2).

    >>> in_two_octets(65515), in_two_octets(70000)
    (65515, 23456)
    """
    return asn if asn <= MAX_ASN_OF_TWO_OCTETS else AS_TRANS


def prepended(value: bytes, asn: int) -> bytes:
    """Returns the value of a path of four-octet AS numbers with one more in front (RFC 4271, 5.1.2)."""
    first = struct.pack("!I", asn)
    if value and value[0] == AS_SEQUENCE and value[1] < MAX_SEGMENT:
        return bytes((AS_SEQUENCE, value[1] + 1)) + first + value[2:]
    return bytes((AS_SEQUENCE, 1)) + first + value


def merged(path: Sequence[Segment], path4: Sequence[Segment]) -> tuple[Segment, ...]:
    """Returns the path that AS_PATH of a two-octet speaker and AS4_PATH make together (RFC 6793, 4.2.3).

    AS4_PATH lacks what speakers of two octets prepended later; if it is the longer one it is of no use.

    >>> merged(((2, (65001, 23456)),), ((2, (70000,)),))
    ((2, (65001, 70000)),)
    """
    leading = path_length(path) - path_length(path4)
    if leading < 0:
        return tuple(path)
    result: list[Segment] = []
    for kind, asns in path:
        if leading <= 0:
            break
        taken = asns if kind == AS_SET else asns[:leading]
        result.append((kind, taken))
        leading -= 1 if kind == AS_SET else len(taken)
    for kind, asns in path4:
        if (
            result
            and kind == AS_SEQUENCE
            and result[-1][0] == AS_SEQUENCE
            and len(result[-1][1]) + len(asns) <= MAX_SEGMENT
        ):
            result[-1] = (AS_SEQUENCE, result[-1][1] + asns)
        else:
            result.append((kind, asns))
    return tuple(result)
