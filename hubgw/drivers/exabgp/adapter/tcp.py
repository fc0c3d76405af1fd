"""TCP sockets of a speaker: in its VRF, with TCP MD5 (RFC 2385), never blocking; and where it listens.

Sockets are bound to the VRF's device, which needs no privilege since Linux 5.7. IPv4.
"""

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

_IP_FREEBIND: Final = 15  # linux/in.h; Python has no name for it
_TCP_MD5SIG: Final = 14  # linux/tcp.h
_MD5: Final = struct.Struct("=H2x4s120x2xH4x80s")  # struct tcp_md5sig: __kernel_sockaddr_storage, keylen, key
_TTL: Final = 255  # RFC 5082, 3; also of the SYN-ACK, which no session's own setting reaches
_BACKLOG: Final = 256


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One neighbor as sockets know it: `device` is the VRF's, "" without one; `secret` is the MD5 key, b"" without."""

    address: str
    local: str
    port: int
    device: str
    secret: bytes


def opened(device: str) -> socket.socket:
    """Returns a socket for TCP over IPv4. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, _TTL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


def set_key(sock: socket.socket, address: str, secret: bytes) -> None:
    """Sets or removes the MD5 key for a peer. Raises OSError."""
    key = _MD5.pack(socket.AF_INET, IPv4Address(address).packed, len(secret), secret)
    if secret:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, key)
    else:
        with suppress(FileNotFoundError):  # there was none
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, key)


class Listener:
    """The listening sockets: one for each local address, whether the machine has it yet or not."""

    def __init__(self) -> None:
        self.sockets: dict[tuple[str, int], socket.socket] = {}
        self._device = ""
        self._index = 0

    def follow(self, endpoints: Iterable[Endpoint]) -> None:
        """Listens for these, and for no others any longer. Raises OSError: some may not be listened for."""
        wanted = list(endpoints)
        self._device = wanted[0].device if wanted else ""
        index = socket.if_nametoindex(self._device) if self._device else 0
        if index != self._index:
            self.close()
        self._index = index
        for place in self.sockets.keys() - {(one.local, one.port) for one in wanted}:
            self.sockets.pop(place).close()
        for one in wanted:
            place = (one.local, one.port)
            if place not in self.sockets:
                self.sockets[place] = self._listening(place)
            set_key(self.sockets[place], one.address, one.secret)

    @property
    def stale(self) -> bool:
        """Whether the VRF was made anew since."""
        try:
            return bool(self._device) and socket.if_nametoindex(self._device) != self._index
        except OSError:
            return True

    def close(self) -> None:
        for sock in self.sockets.values():
            sock.close()
        self.sockets.clear()

    def _listening(self, place: tuple[str, int]) -> socket.socket:
        sock = opened(self._device)
        try:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            sock.bind(place)
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        return sock
