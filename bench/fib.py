"""The kernel's routes of one table and namespace, as a dump has them: no more of each than its destination."""

import errno
import os
import socket
import struct
from typing import Final

_HEADER: Final = struct.Struct("=IHHII")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=HHI")
_SOL_NETLINK: Final = 270
_GET_STRICT_CHK: Final = 12
_SO_RCVBUFFORCE: Final = 33
_GETROUTE: Final = 26
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_FIB_MATCH: Final = 0x2000
_DST, _TABLE = 1, 15


class Fib:
    """Routes of the namespace that the calling thread is in when this is made."""

    def __init__(self, table: int) -> None:
        self._table = table
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.settimeout(60)
        self._socket.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        self._socket.bind((0, 0))

    def close(self) -> None:
        self._socket.close()

    def has(self, address: bytes) -> bool:
        """Tells whether some route leads to an address, by a look-up as packets have it: a rule must name the table."""
        body = _ROUTE.pack(socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, _FIB_MATCH) + _ATTRIBUTE.pack(8, _DST) + address
        self._send(_REQUEST, body)
        answer = self._socket.recv(65536)
        if _HEADER.unpack_from(answer)[1] != _ERROR:
            return True
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number not in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            raise OSError(number, os.strerror(number))
        return False

    def dump(self) -> list[bytes]:
        """Returns the datagrams of a dump of the table, unread: what takes time is the kernel's."""
        body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0) + _U32.pack(8, _TABLE, self._table)
        self._send(_REQUEST | _DUMP, body)
        found: list[bytes] = []
        while True:
            datagram = self._socket.recv(65536)
            kind = _HEADER.unpack_from(datagram)[1]
            if kind == _ERROR:
                number = -struct.unpack_from("=i", datagram, 16)[0]
                raise OSError(number, os.strerror(number))
            found.append(datagram)
            # The end of a dump comes in a datagram of its own, or after the last route.
            if kind == _DONE or _ends(datagram):
                return found

    def _send(self, flags: int, body: bytes) -> None:
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), _GETROUTE, flags, 0, 0) + body)


def _ends(datagram: bytes) -> bool:
    return len(datagram) >= 20 and _HEADER.unpack_from(datagram, len(datagram) - 20)[:2] == (20, _DONE)


def destinations(datagrams: list[bytes]) -> set[bytes]:
    """Returns the network addresses of all /24 of a dump."""
    found: set[bytes] = set()
    for datagram in datagrams:
        at = 0
        while at + _HEADER.size <= len(datagram):
            length, kind, *_ = _HEADER.unpack_from(datagram, at)
            if kind not in (_ERROR, _DONE) and datagram[at + 17] == 24:
                found.add(_destination(datagram, at + 28, at + length))
            at += (length + 3) & ~3
    return found


def _destination(datagram: bytes, at: int, end: int) -> bytes:
    while at < end:
        length, kind = _ATTRIBUTE.unpack_from(datagram, at)
        if kind == _DST:
            return datagram[at + 4 : at + 8]
        at += (length + 3) & ~3
    return bytes(4)


def size(datagrams: list[bytes]) -> int:
    """Returns about how many routes a dump has, at no cost: all of the table are alike, so of one length."""
    first = _HEADER.unpack_from(datagrams[0])
    return 0 if first[1] == _DONE else sum(map(len, datagrams)) // int(first[0])
