"""The adapter's way to the helper: frames over a Unix socket that may be slow, silent or away, and never blocks."""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from hubgw.drivers.exabgp.adapter.outbox import Outbox
from hubgw.drivers.exabgp.frames import FrameError, Kind, Reader

_LOG: Final = logging.getLogger(__name__)

_FULL: Final = 16 * 1024 * 1024  # octets that wait before peers are no longer read from
_STALL: Final = 10.0  # seconds without taking anything, after which a helper counts as away
_RETRY: Final = 0.2  # seconds
_READ: Final = 1024 * 1024


class Channel:
    """The connection to the helper, made again for ever. `welcome` gives the frames that each one begins with."""

    def __init__(self, path: Path, welcome: Callable[[], Iterable[bytes]]) -> None:
        self.due = 0.0  # monotonic: when `upkeep` has something to do
        self._path = path
        self._welcome = welcome
        self._socket: socket.socket | None = None
        self._outbox = Outbox()
        self._reader = Reader()
        self._moved = 0.0

    @property
    def full(self) -> bool:
        """Whether more waits for the helper than should; it is taken up again or cut off within seconds."""
        return self._outbox.size > _FULL

    @property
    def waiting(self) -> bool:
        return bool(self._outbox)

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket else -1

    def send(self, octets: bytes) -> bool:
        """Queues a frame; returns False, and drops it, where the helper is away."""
        if self._socket is None:
            return False
        if not self._outbox:
            self._moved = time.monotonic()
        self._outbox.put(octets)
        return True

    def receive(self) -> list[tuple[Kind, bytes]]:
        """Returns the frames that came."""
        if self._socket is None:
            return []
        try:
            octets = self._socket.recv(_READ)
            if octets:
                return list(self._reader.feed(octets))
            self.lose("it closed the connection")
        except BlockingIOError:
            pass
        except (OSError, FrameError) as error:
            self.lose(str(error))
        return []

    def upkeep(self, now: float) -> None:
        """Connects where it is time to, writes what can be written, and cuts a helper off that takes nothing."""
        if self._socket is None and now >= self.due:
            self._connect(now)
        if self._socket is None:
            return
        try:
            while self._outbox.flush(self._socket):
                self._moved = now
        except OSError as error:
            self.lose(str(error))
            return
        self.due = self._moved + _STALL if self._outbox else float("inf")
        if now >= self.due:
            self.lose(f"it took nothing for {_STALL:g} s")

    def lose(self, reason: str) -> None:
        """Ends the connection; what waited is dropped, for the next one begins anew."""
        _LOG.warning("helper-lost reason=%r", reason)
        self.close()
        self.due = time.monotonic() + _RETRY

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None
        self._outbox = Outbox()
        self._reader = Reader()
        self.due = float("inf")

    def _connect(self, now: float) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(str(self._path))
        except OSError:
            sock.close()
            self.due = now + _RETRY
            return
        _LOG.info("helper-connected")
        self._socket = sock
        for frame in self._welcome():
            self.send(frame)
