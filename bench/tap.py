"""A network namespace -> the netlink requests that anybody in it sends, counted by kind, for as long as it runs.

The kernel copies every netlink message to an nlmon device, so this counts what was asked, not what hubgw says of
itself. Each line on standard input asks for the counts since the last one, which come as one line of JSON.
"""

import json
import select
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Final

DEVICE: Final = "nlmon0"
READY: Final = "ready"

_EVERY_PROTOCOL: Final = 3
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 256 << 20
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_ROUTE, _XFRM, _NETFILTER = 0, 6, 12
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = 1
_FIRST_FAMILY: Final = 16  # what is below are control messages: acknowledgements, the ends of dumps and batches
_NFTABLES: Final = 10
_NFT_WRITES: Final = {
    0: "table",
    2: "table",
    3: "chain",
    5: "chain",
    6: "rule",
    8: "rule",
    9: "set",
    11: "set",
    12: "element",
    14: "element",
}
_ROUTE_KINDS: Final = {16: "link", 20: "address", 24: "route", 32: "rule", 104: "nexthop"}
_XFRM_READS: Final = frozenset({0x12, 0x15, 0x1D, 0x1E, 0x1F})


def requests(protocol: int, datagram: bytes) -> Iterator[str]:
    """Yields each request's name: ``read``, or what it writes: ``link``, ``route``, ``element``, ``xfrm``..."""
    position = 0
    while position + _HEADER.size <= len(datagram):
        length, kind, flags, _, _ = _HEADER.unpack_from(datagram, position)
        if length < _HEADER.size:
            return
        if flags & _REQUEST and kind >= _FIRST_FAMILY and (name := _name(protocol, kind)):
            yield name
        position += (length + 3) & ~3


def _name(protocol: int, kind: int) -> str | None:
    match protocol:
        case 0:
            # New, delete, get and set of a family follow each other.
            return "read" if kind % 4 == 2 else _ROUTE_KINDS.get(kind & ~3, "other")
        case 6:
            return "read" if kind in _XFRM_READS else "xfrm"
        case 12:
            if kind >> 8 != _NFTABLES:
                return None
            return _NFT_WRITES.get(kind & 0xFF, "read")
    return None


def main() -> int:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL))
    tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    tap.bind((DEVICE, _EVERY_PROTOCOL))
    tap.setblocking(False)
    print(READY, flush=True)
    counts: Counter[str] = Counter()
    while True:
        readable, _, _ = select.select([tap, sys.stdin], [], [])
        _drain(tap, counts)
        if sys.stdin in readable:
            if not sys.stdin.readline():
                return 0
            # What was sent before this was asked for is in the socket's queue by now.
            _drain(tap, counts)
            _, dropped = struct.unpack("=II", tap.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
            print(json.dumps(dict(counts) | ({"dropped": dropped} if dropped else {})), flush=True)
            counts.clear()


def _drain(tap: socket.socket, counts: Counter[str]) -> None:
    while True:
        try:
            datagram, (_, protocol, *_) = tap.recvfrom(1 << 20)
        except BlockingIOError:
            return
        counts.update(requests(protocol, datagram))


if __name__ == "__main__":
    sys.exit(main())
