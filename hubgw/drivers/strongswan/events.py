"""VICI's stream of events -> the packets among them that are worth decoding.

A login makes charon log some fifty lines, of which a handful say something: decoding them all would cost as much as the
login itself.
"""

import socket
import struct
from collections.abc import Callable
from typing import Final

from vici.protocol import RECV_TIMEOUT_DEFAULT, Transport

_LENGTH: Final = struct.Struct("!I")
_AT_ONCE: Final = 1 << 16  # bytes


class EventTransport(Transport):  # type: ignore[misc]
    """The library's transport, which reads many packets at once and leaves out those that are not `wanted`."""

    def __init__(self, sock: socket.socket, wanted: Callable[[bytes], bool]) -> None:
        super().__init__(sock)
        self._wanted = wanted
        self._unread = bytearray()

    def receive(self, timeout: object = RECV_TIMEOUT_DEFAULT) -> bytes:
        """Returns the next packet. `timeout` is in seconds of silence. Raises OSError."""
        seconds = self.socket.gettimeout() if timeout is RECV_TIMEOUT_DEFAULT else timeout
        while True:
            packet = self._next()
            if packet is None:
                self._read(seconds)
            elif self._wanted(packet):
                return packet

    def _next(self) -> bytes | None:
        """Returns a packet that was read whole, None where there is none."""
        start = _LENGTH.size
        if len(self._unread) < start:
            return None
        end = start + _LENGTH.unpack_from(self._unread)[0]
        if len(self._unread) < end:
            return None
        packet = bytes(self._unread[start:end])
        del self._unread[:end]
        return packet

    def _read(self, seconds: object) -> None:
        before = self.socket.gettimeout()
        # Within a packet charon is not silent.
        self.socket.settimeout(None if self._unread else seconds)
        try:
            octets = self.socket.recv(_AT_ONCE)
        finally:
            self.socket.settimeout(before)
        if not octets:
            raise OSError("the connection was closed")
        self._unread += octets
