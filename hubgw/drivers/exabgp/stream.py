"""A connected Unix socket that never blocks: frames that come, octets that wait to leave, a bound for these."""

import socket
from collections.abc import Iterable, Iterator
from typing import Final

from hubgw.drivers.exabgp.frames import FrameError, Kind, Reader

_READ: Final = 256 * 1024


class StreamLostError(Exception):
    """The connection is of no use any longer: why, in words."""


class Stream:
    """One connection. `bound` is how many octets may wait beyond what `put` was told to allow for."""

    def __init__(self, connected: socket.socket, bound: int) -> None:
        connected.setblocking(False)
        self.socket = connected
        self._bound = bound
        self._reader = Reader()
        self._unsent = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether octets wait to leave."""
        return bool(self._unsent)

    def receive(self) -> Iterator[tuple[Kind, bytes]]:
        """Reads once and yields the frames that are whole.

        Raises:
            StreamLostError: it was closed, or what came is no frame.
        """
        try:
            octets = self.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            raise StreamLostError(str(error)) from error
        if not octets:
            raise StreamLostError("it was closed")
        try:
            yield from self._reader.feed(octets)
        except FrameError as error:
            raise StreamLostError(str(error)) from error

    def allow(self, octets: int) -> None:
        """Lets so many more octets wait: what begins a connection is as long as it is."""
        self._bound += octets

    def put(self, frames: Iterable[bytes]) -> None:
        """Queues octets, and sends what goes without waiting.

        Raises:
            StreamLostError: the other end is gone, or reads too slowly.
        """
        self._unsent += b"".join(frames)
        self.flush()
        if len(self._unsent) > self._bound:
            raise StreamLostError(f"it is too slow: {len(self._unsent)} octets wait for it")

    def flush(self) -> None:
        """Sends what goes without waiting.

        Raises:
            StreamLostError: the other end is gone.
        """
        sent = 0
        try:
            with memoryview(self._unsent) as view:
                while sent < len(view):
                    sent += self.socket.send(view[sent:])
        except BlockingIOError:
            pass
        except OSError as error:
            raise StreamLostError(str(error)) from error
        finally:
            del self._unsent[:sent]

    def close(self) -> None:
        """Ends the connection."""
        self.socket.close()
