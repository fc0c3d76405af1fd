"""Frames between ExaBGP's adapter, the helper and the agent: bytes <-> frames. No I/O.

A frame is the length of what follows in four octets, its kind in one, its body. Integers are in network order. `peer`
is the peer's address: its length in one octet, then its octets. `nlris` are the octets of prefixes, each as
`hubgw.plan.bgp.Nlri` has it, one after the other; the octet before them is the length of each (5 or 17). `routes` are
prefixes by their attributes, again and again: length of attributes in two octets, attributes, length of a prefix in one
octet, count of prefixes in four, prefixes.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from ipaddress import ip_address
from typing import Any, Final

FORMAT: Final = 2
"""What these frames are like between a helper and the agent; another's cannot be read."""

MAX_FRAME: Final = 64 * 1024 * 1024  # octets; more is a fault of ours, not a peer's
_PIECE: Final = 1024 * 1024  # octets of routes in one frame


class Kind(IntEnum):
    """The kinds of frames, by who sends them to whom."""

    # adapter -> helper
    # JSON {"pid", "digest", "refused"}: once connected, where a SESSION for each peer follows, and after each reload;
    # "refused" says why the configuration was not taken, or is "".
    HELLO = 1
    # JSON {"peer", "state": "connected" | "up" | "down", "since", "reason", "notification", "negotiated", "complete"};
    # "complete", after HELLO alone, says whether no UPDATE of the session was missed.
    SESSION = 2
    RECEIVED = 3  # peer, whole BGP messages as they came: UPDATE and ROUTE-REFRESH
    # helper -> adapter
    SEND = 16  # count of peers in two octets, peers, whole BGP messages for each of them
    CLOSE = 17  # peer, NOTIFICATION code and subcode, seconds to hold the peer down in four octets, NOTIFICATION data
    RELOAD = 18  # (empty): the configuration file has changed; also from the agent to the helper
    # helper -> agent
    BEGIN = 32  # JSON {"format", "speaker", "incarnation"}: all that the helper holds follows, as if it was learned now
    SPEAKER = 33  # JSON {"connected", "digest"}: whether ExaBGP is there, and which configuration it has loaded
    PEER = 34  # JSON, see `hubgw.drivers.exabgp.shown`: the state of a session
    LEARNED = 35  # peer, routes
    WITHDRAWN = 36  # peer, nlris
    END_OF_RIB = 37  # peer: what was not learned from it since BEGIN, or since its session came up, is gone
    FLUSHED = 38  # peer: nothing of what it announced holds any longer
    # agent -> helper
    ADVERTISE = 48  # length of JSON in two octets, JSON list of sites that they do not go to, routes
    WITHDRAW = 49  # nlris
    ADVERTISED = 50  # (empty): all was advertised; what was not since the agent connected is withdrawn


class FrameError(Exception):
    """What was read is no frame."""


_HEADER: Final = struct.Struct("!IB")
_U16: Final = struct.Struct("!H")
_PREFIXES: Final = struct.Struct("!BI")

Routes = Sequence[tuple[bytes, Sequence[bytes]]]
"""Attributes, and the prefixes of one address family that have them, at least one; of each attributes."""


def frame(kind: Kind, *parts: bytes) -> bytes:
    """Returns one frame.

    >>> frame(Kind.RELOAD).hex()
    '0000000112'
    """
    return b"".join((_HEADER.pack(1 + sum(map(len, parts)), kind), *parts))


def document(kind: Kind, content: Any) -> bytes:
    """Returns one frame whose body is JSON."""
    return frame(kind, json.dumps(content, separators=(",", ":")).encode())


class Reader:
    """Cuts a stream of octets into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> Iterator[tuple[Kind, bytes]]:
        """Yields the frames that are whole with these octets.

        Raises:
            FrameError: no frame can follow; the stream is of no use any longer.
        """
        rest = self._rest + octets
        start = 0
        try:
            while len(rest) - start >= _HEADER.size:
                length, kind = _HEADER.unpack_from(rest, start)
                if not 1 <= length <= MAX_FRAME:
                    raise FrameError(f"a frame of {length} octets")
                end = start + 4 + length
                if end > len(rest):
                    break
                body = rest[start + _HEADER.size : end]
                start = end
                yield Kind(kind), body
        except ValueError as error:
            raise FrameError(str(error)) from error
        finally:
            self._rest = rest[start:]


def pack_peer(address: str) -> bytes:
    """Returns a peer's address as frames have it.

    >>> pack_peer("10.1.0.1").hex()
    '040a010001'
    """
    packed = ip_address(address).packed
    return bytes((len(packed),)) + packed


def take_peer(body: bytes) -> tuple[str, int]:
    """Returns the peer's address at the start of a body, and where the body goes on.

    >>> take_peer(bytes.fromhex("040a010001"))
    ('10.1.0.1', 5)
    """
    end = 1 + body[0]
    return str(ip_address(body[1:end])), end


def pack_nlris(nlris: Sequence[bytes]) -> bytes:
    """Returns prefixes of one address family, at least one, as frames have them.

    >>> pack_nlris([bytes.fromhex("100a010000")]).hex()
    '05100a010000'
    """
    return bytes((len(nlris[0]),)) + b"".join(nlris)


def take_nlris(body: bytes, start: int) -> list[bytes]:
    """Returns the prefixes from `start` on to the end of a body."""
    size = body[start]
    return [body[at : at + size] for at in range(start + 1, len(body), size)]


def pack_routes(routes: Routes) -> Iterator[bytes]:
    """Yields routes as frames have them, in as many pieces as keep each frame short.

    >>> [piece.hex() for piece in pack_routes([(b"abc", [bytes.fromhex("100a010000")])])]
    ['00036162630500000001100a010000']
    """
    parts: list[bytes] = []
    room = _PIECE
    for attributes, nlris in routes:
        size, count = len(nlris[0]), len(nlris)
        parts += (_U16.pack(len(attributes)), attributes, _PREFIXES.pack(size, count), *nlris)
        room -= len(attributes) + size * count
        if room <= 0:
            yield b"".join(parts)
            parts, room = [], _PIECE
    if parts:
        yield b"".join(parts)


def take_routes(body: bytes, start: int) -> list[tuple[bytes, list[bytes]]]:
    """Returns the routes from `start` on to the end of a body. Raises ValueError where it ends too soon."""
    routes = []
    while start < len(body):
        attributes, at = take_block(body, start)
        size, count = _PREFIXES.unpack_from(body, at)
        at += _PREFIXES.size
        start = at + size * count
        if start > len(body):
            raise ValueError(f"{count} prefixes of {size} octets in a frame of {len(body)}")
        routes.append((attributes, [body[one : one + size] for one in range(at, start, size)]))
    return routes


def pack_block(block: bytes) -> bytes:
    """Returns octets with their length in two octets before them."""
    return _U16.pack(len(block)) + block


def take_block(body: bytes, start: int) -> tuple[bytes, int]:
    """Returns the octets of a block, and where the body goes on."""
    (length,) = _U16.unpack_from(body, start)
    end = start + _U16.size + length
    return body[start + _U16.size : end], end
