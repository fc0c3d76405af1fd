"""The frame that all netlink families share: bytes -> headers and attributes, and back. Knows no message's meaning.

Numbers are the kernel's (linux/netlink.h), in the machine's byte order. rtnetlink requests are encoded by pyroute2
(`template`); what is packed here is XFRM's and the NAT of traffic control, which pyroute2 does not know.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

REQUEST: Final = 0x1
ACK: Final = 0x4
DUMP: Final = 0x300
REPLACE: Final = 0x100
CREATE: Final = 0x400
EXCL: Final = 0x200
DUMP_INTR: Final = 0x10
CAPPED: Final = 0x100
ACK_TLVS: Final = 0x200

ERROR: Final = 2
DONE: Final = 3

HEADER: Final = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence number, port id."""

_ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=HHI")
_TYPE_MASK: Final = 0x3FFF
_ERRNO: Final = struct.Struct("=i")
_ERROR_TEXT: Final = 1


class Refusal(NamedTuple):
    """What the kernel answered to a message that it did not carry out."""

    errno: int
    text: str  # the extended acknowledgement's words, empty where the kernel gave none


def message(kind: int, flags: int, header: bytes, *attributes: bytes) -> bytes:
    """Returns a request with sequence number 0, which the client sets."""
    body = b"".join(attributes)
    return HEADER.pack(16 + len(header) + len(body), kind, REQUEST | flags, 0, 0) + header + body


def attribute(kind: int, payload: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def u32(kind: int, value: int) -> bytes:
    return _U32.pack(8, kind, value)


def messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yields type, flags, sequence number and the whole message, of each message of a datagram."""
    position, end = 0, len(datagram)
    while position + 16 <= end:
        length, kind, flags, sequence, _ = HEADER.unpack_from(datagram, position)
        if length < 16:
            return
        yield kind, flags, sequence, datagram[position : position + length]
        position += (length + 3) & ~3


def attributes(buffer: bytes, start: int = 0) -> dict[int, bytes]:
    """Returns the attributes from `start` to the end of the buffer by their type; of equal types the last."""
    found: dict[int, bytes] = {}
    unpack, position, end = _ATTRIBUTE.unpack_from, start, len(buffer)
    while position + 4 <= end:
        length, kind = unpack(buffer, position)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = buffer[position + 4 : position + length]
        position += (length + 3) & ~3
    return found


def refusal(flags: int, error: bytes) -> Refusal | None:
    """Reads an NLMSG_ERROR message; None is an acknowledgement."""
    (number,) = _ERRNO.unpack_from(error, 16)
    if number == 0:
        return None
    words = b""
    if flags & ACK_TLVS:
        original = HEADER.unpack_from(error, 20)[0]
        start = 36 if flags & CAPPED else 20 + ((original + 3) & ~3)
        words = attributes(error, start).get(_ERROR_TEXT, b"")
    return Refusal(-number, words.rstrip(b"\0").decode(errors="replace"))


def done_errno(done: bytes) -> int:
    """Reads an NLMSG_DONE message: 0, or why the kernel ended the dump early."""
    return -int(_ERRNO.unpack_from(done, 16)[0]) if len(done) >= 20 else 0
