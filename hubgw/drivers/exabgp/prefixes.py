"""Prefixes of IPv4 as BGP has them, without the octets that are all host bits <-> `Nlri`, which has them. No I/O.

A hub may learn a hundred thousand, so this is the inner loop: tables by prefix length instead of arithmetic.
"""

from collections.abc import Iterable
from typing import Final

from hubgw.plan.bgp import Nlri

_OVERSIZE: Final = 1 << 20  # no field is so long
_SIZE: Final = tuple(1 + (bits + 7) // 8 if bits <= 32 else _OVERSIZE for bits in range(256))
_PAD: Final = tuple(bytes(4 - (bits + 7) // 8) if bits <= 32 else b"" for bits in range(256))
_HOST_BITS: Final = tuple((1 << -bits % 8) - 1 if bits <= 32 else 0 for bits in range(256))


def unpack_into(nlris: list[Nlri], octets: bytes, at: int, end: int) -> bool:
    """Appends the prefixes of a field; False where it is syntactically incorrect (RFC 7606, 5.3)."""
    append = nlris.append
    while at < end:
        bits = octets[at]
        after = at + _SIZE[bits]
        host_bits = _HOST_BITS[bits]
        if host_bits and after <= end and octets[after - 1] & host_bits:
            # RFC 4271, 4.3: the value of trailing bits is irrelevant.
            last = octets[after - 1] & ~host_bits
            append(octets[at : after - 1] + bytes((last,)) + _PAD[bits])
        else:
            append(octets[at:after] + _PAD[bits])
        at = after
    return at == end


def unpack(field: bytes) -> list[Nlri] | None:
    """Returns the prefixes of a field; None where it is syntactically incorrect."""
    nlris: list[Nlri] = []
    return nlris if unpack_into(nlris, field, 0, len(field)) else None


def pack(nlris: Iterable[Nlri]) -> list[bytes]:
    """Returns each prefix as it goes into a field.

    >>> [one.hex() for one in pack([bytes.fromhex("100a010000")])]
    ['100a01']
    """
    return [nlri[: _SIZE[nlri[0]]] for nlri in nlris]
