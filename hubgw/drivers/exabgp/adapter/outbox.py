"""Octets that wait to be written, and connections that end. Nothing here ever blocks."""

import socket
import time
from collections import deque
from itertools import islice
from typing import Final

from hubgw.drivers.exabgp.adapter.messages import boundary

_BATCH: Final = 64  # buffers in one write
_LINGER: Final = 5.0  # seconds that a peer has to read our last words


class Outbox:
    """Whole messages to be written to one socket. What goes to many sockets is the same object in all of them."""

    __slots__ = ("_offset", "_queue", "size")

    def __init__(self) -> None:
        self._queue: deque[bytes | memoryview] = deque()
        self._offset = 0  # octets of the first buffer that are written
        self.size = 0  # octets that wait

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, octets: bytes) -> None:
        """Queues whole messages."""
        if octets:
            self._queue.append(octets)
            self.size += len(octets)

    def interject(self, message: bytes) -> None:
        """Queues a message to be written next, once; before it comes only what is left of one that is partly out."""
        place = 0
        if self._offset:
            first = self._queue[0]
            end = boundary(first, self._offset)
            if end < len(first):
                self._queue[0] = memoryview(first)[:end]
                self._queue.insert(1, memoryview(first)[end:])
            place = 1
        if place < len(self._queue) and self._queue[place] is message:
            return
        self._queue.insert(place, message)
        self.size += len(message)

    def unsent(self) -> bytes:
        """Returns what is left of the message that is partly out; without it nothing that follows can be read."""
        if not self._offset:
            return b""
        first = self._queue[0]
        return bytes(first[self._offset : boundary(first, self._offset)])

    def flush(self, sock: socket.socket) -> int:
        """Writes what the kernel takes at once. Returns how many octets that were. Raises OSError."""
        if not self._queue:
            return 0
        batch = [memoryview(self._queue[0])[self._offset :], *islice(self._queue, 1, _BATCH)]
        try:
            sent = sock.sendmsg(batch)
        except BlockingIOError:
            return 0
        self.size -= sent
        self._offset += sent
        while self._queue and self._offset >= len(self._queue[0]):
            self._offset -= len(self._queue.popleft())
        return sent


class Farewell:
    """A connection of which only last words are left to write.

    What still comes is read and dropped until the peer ends too: where a socket is closed with octets unread, the
    kernel sends a reset, and the peer may lose the NOTIFICATION before it reads it.
    """

    def __init__(self, sock: socket.socket, octets: bytes) -> None:
        self.socket = sock
        self.octets = octets
        self._until = time.monotonic() + _LINGER

    def turn(self, now: float) -> bool:
        """Does what can be done now; returns whether the connection is over."""
        if self._over() or now >= self._until:
            self.socket.close()
            return True
        return False

    def _over(self) -> bool:
        try:
            if self.octets:
                self.octets = self.octets[self.socket.send(self.octets) :]
                if self.octets:
                    return False
                self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True
