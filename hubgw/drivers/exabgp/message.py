"""What all BGP messages have in common: their header and types (RFC 4271, 4.1; RFC 2918). No I/O."""

import struct
from typing import Final

MARKER: Final = b"\xff" * 16
HEADER: Final = 19  # octets
LONGEST: Final = 4096  # octets; extended messages are not negotiated

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = range(1, 6)

CEASE: Final = 6
"""The error code of a NOTIFICATION that no fault of the peer's led to."""


def message(kind: int, body: bytes = b"") -> bytes:
    """Returns one BGP message."""
    return MARKER + struct.pack("!HB", HEADER + len(body), kind) + body
