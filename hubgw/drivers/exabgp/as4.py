"""AS4_PATH and AS4_AGGREGATOR of a peer whose AS numbers have two octets -> AS_PATH and AGGREGATOR of four, and back.

RFC 6793. No I/O.
"""

import struct
from typing import Final

from hubgw.drivers.exabgp.as_path import (
    AS_CONFED,
    AS_TRANS,
    MAX_ASN_OF_TWO_OCTETS,
    MalformedPathError,
    in_two_octets,
    merged,
    packed,
    unpacked,
)
from hubgw.drivers.exabgp.attributes import OPTIONAL, TRANSITIVE, Code
from hubgw.plan.bgp import AS_SEQUENCE, AS_SET

_ALLOWED: Final = (AS_SET, AS_SEQUENCE, *AS_CONFED)


def aggregator_fault(value: bytes, asn_size: int) -> str:
    """Returns why an AGGREGATOR, or AS4_AGGREGATOR, is malformed; "" where it is not."""
    if len(value) != asn_size + 4:
        return f"of {len(value)} octets, not {asn_size + 4}"
    return "" if any(value[:asn_size]) else "with AS 0"


def path4_fault(value: bytes) -> str:
    """Returns why an AS4_PATH is malformed (RFC 6793, 6); "" where it is not."""
    try:
        return "" if unpacked(value, 4, _ALLOWED) else "of 0 octets"
    except MalformedPathError as error:
        return f"with {error}"


def widen(values: dict[int, bytes]) -> None:
    """Merges well-formed values of a two-octet peer, by type code, into those of a four-octet one (RFC 6793, 4.2.3)."""
    aggregator, aggregator4 = values.get(Code.AGGREGATOR), values.pop(Code.AS4_AGGREGATOR, None)
    path4 = values.pop(Code.AS4_PATH, None)
    if aggregator:
        (asn,) = struct.unpack_from("!H", aggregator)
        values[Code.AGGREGATOR] = struct.pack("!I", asn) + aggregator[2:]
        if aggregator4 and asn == AS_TRANS:
            values[Code.AGGREGATOR] = aggregator4
        elif aggregator4:
            # Who aggregated knew nothing of four octets: what they say is of the routes before it.
            path4 = None
    if (value := values.get(Code.AS_PATH)) is None:
        return
    path = unpacked(value, 2)
    if path4:
        # Segments of a confederation do not leave it: from here they are to be discarded (RFC 6793, 3).
        segments = unpacked(path4, 4, _ALLOWED)
        path = merged(path, [segment for segment in segments if segment[0] not in AS_CONFED])
    values[Code.AS_PATH] = packed(path, 4)


def narrowed(flags: int, code: int, value: bytes) -> list[tuple[int, int, bytes]]:
    """Returns what a peer of two-octet AS numbers gets for an attribute (RFC 6793, 4.2.2)."""
    if code == Code.AS_PATH:
        path = unpacked(value, 4)
        result = [(flags, code, packed(path, 2))]
        if any(asn > MAX_ASN_OF_TWO_OCTETS for _, asns in path for asn in asns):
            result.append((OPTIONAL | TRANSITIVE, Code.AS4_PATH, value))
        return result
    if code == Code.AGGREGATOR:
        (asn,) = struct.unpack_from("!I", value)
        result = [(flags, code, struct.pack("!H", in_two_octets(asn)) + value[4:])]
        if asn > MAX_ASN_OF_TWO_OCTETS:
            result.append((OPTIONAL | TRANSITIVE, Code.AS4_AGGREGATOR, value))
        return result
    return [(flags, code, value)]
