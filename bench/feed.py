"""What branches announce, as octets that are the same in every run; and how many prefixes an answer has. No I/O."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

HUB_ASN: Final = 65515
FIRST_ASN: Final = 64600
HOLD_TIME: Final = 180

UPDATE: Final = 2
KEEPALIVE: Final = 4
HEADER: Final = 19  # octets
_MARKER: Final = b"\xff" * 16
_LENGTH: Final = struct.Struct("!H")
_FIRST_PREFIX: Final = 40 << 24  # 40.0.0.0/24 and so on: nobody's martians
_NLRI: Final = 4  # octets of a /24
_UPSTREAMS: Final = range(1000, 23000)  # 23456 is AS_TRANS, which no path may hold


@dataclass(frozen=True, slots=True)
class Branch:
    """A peer of the hub: its number from 0, and its address on the link to the hub."""

    number: int
    address: IPv4Address

    @property
    def asn(self) -> int:
        return FIRST_ASN + self.number


def message(kind: int, body: bytes = b"") -> bytes:
    """Returns one BGP message."""
    return _MARKER + struct.pack("!HB", HEADER + len(body), kind) + body


def opening(branch: Branch) -> bytes:
    """Returns a branch's OPEN: IPv4 unicast, route refresh, AS numbers of four octets, graceful restart, by which the
    other end knows that End-of-RIB is understood."""
    capabilities = (
        b"\x01\x04\0\x01\0\x01",
        b"\x02\x00",
        b"\x41\x04" + struct.pack("!I", branch.asn),
        b"\x40\x06\0\x78\0\x01\x01\0",
    )
    parameters = b"".join(bytes((2, len(one))) + one for one in capabilities)
    fixed = struct.pack("!BHH4sB", 4, branch.asn, HOLD_TIME, branch.address.packed, len(parameters))
    return message(1, fixed + parameters)


END_OF_RIB: Final = message(UPDATE, bytes(4))


def prefixes(first: int, count: int) -> list[bytes]:
    """Returns the field of each of `count` /24 from the `first`th on."""
    return [bytes((24,)) + (_FIRST_PREFIX + (number << 8)).to_bytes(4)[:3] for number in range(first, first + count)]


def addresses(first: int, count: int) -> set[bytes]:
    """Returns the network addresses of the same prefixes."""
    return {one[1:] + b"\0" for one in prefixes(first, count)}


def updates(branch: Branch, fields: Sequence[bytes], size: int, paths: int) -> Iterator[bytes]:
    """Yields UPDATEs of `size` prefixes each. `paths` is how many different AS paths take turns in them."""
    for number, start in enumerate(range(0, len(fields), size)):
        yield message(UPDATE, _body(_attributes(branch, number % paths), fields[start : start + size]))


def _attributes(branch: Branch, path: int) -> bytes:
    upstream = len(_UPSTREAMS)
    asns = (branch.asn, _UPSTREAMS[path % upstream], _UPSTREAMS[7 * path % upstream], 50000 + path // upstream)
    segment = struct.pack(f"!BB{len(asns)}I", 2, len(asns), *asns)
    return b"".join(
        (b"\x40\x01\x01\0", bytes((0x40, 2, len(segment))), segment, b"\x40\x03\x04", branch.address.packed)
    )


def _body(attributes: bytes, fields: Sequence[bytes]) -> bytes:
    return b"".join((_LENGTH.pack(0), _LENGTH.pack(len(attributes)), attributes, *fields))


def announced(update: bytes) -> bytes:
    """Returns the field of announced prefixes of an UPDATE."""
    (withdrawn,) = _LENGTH.unpack_from(update, HEADER)
    at = HEADER + 2 + withdrawn
    (attributes,) = _LENGTH.unpack_from(update, at)
    return update[at + 2 + attributes :]


class Reader:
    """A stream of octets -> messages; counts the /24 that were announced, and keeps the octets to look at later."""

    def __init__(self) -> None:
        self.count = 0
        self.ended = False
        self.fields: list[bytes] = []
        self._rest = b""

    def feed(self, octets: bytes) -> list[int]:
        """Takes octets; returns the types of the messages that are whole with them.

        Raises:
            ValueError: a NOTIFICATION came.
        """
        octets = self._rest + octets
        at, kinds = 0, []
        while len(octets) - at >= HEADER:
            length, kind = struct.unpack_from("!HB", octets, at + 16)
            if len(octets) - at < length:
                break
            if kind == UPDATE:
                self._update(octets[at : at + length])
            elif kind == 3:
                raise ValueError(f"a NOTIFICATION: {octets[at + HEADER : at + length]!r}")
            kinds.append(kind)
            at += length
        self._rest = octets[at:]
        return kinds

    def _update(self, update: bytes) -> None:
        if update == END_OF_RIB:
            self.ended = True
        elif field := announced(update):
            self.count += len(field) // _NLRI
            self.fields.append(field)

    def addresses(self) -> set[bytes]:
        """Returns the network addresses of all that was announced. Raises ValueError where one is no /24."""
        found: set[bytes] = set()
        for field in self.fields:
            if any(length != 24 for length in field[::_NLRI]):
                raise ValueError(f"a prefix that is no /24 in {field!r}")
            found.update(field[at + 1 : at + _NLRI] + b"\0" for at in range(0, len(field), _NLRI))
        return found
