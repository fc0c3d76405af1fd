"""What charon's events say, from the thread that reads them to the event loop; so many, and the rest is counted."""

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST_WAITING: Final = 1024
"""Anybody can make charon speak, faster than an agent that is at something else listens."""


@dataclass(frozen=True, slots=True)
class Missed:
    """So many that nobody took in time."""

    count: int


class Inbox(Generic[T]):
    """Whoever puts never waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._filled = asyncio.Event()
        self._waiting: list[T] = []
        self._missed = 0
        self._woken = False
        self._lost: Exception | None = None

    def put(self, items: Iterable[T]) -> None:
        """Adds what there is room for."""
        with self._lock:
            for item in items:
                if len(self._waiting) < MOST_WAITING:
                    self._waiting.append(item)
                else:
                    self._missed += 1
            # What waits is taken whole, so the loop, which may be busy, is woken once for all of it.
            wake, self._woken = bool(self._waiting) and not self._woken, bool(self._waiting)
        if wake:
            self._wake()

    def end(self, lost: Exception) -> None:
        """Says that no more will come, and why."""
        self._lost = lost
        self._wake()

    async def take(self) -> Sequence[T | Missed]:
        """Returns all that waits, in order, when something does. Raises what it was ended with, after the last."""
        await self._filled.wait()
        with self._lock:
            taken: list[T | Missed] = [*self._waiting]
            if self._missed:
                taken.append(Missed(self._missed))
            self._waiting, self._missed, self._woken = [], 0, False
            if not self._lost:
                self._filled.clear()
        if not taken and self._lost:
            raise self._lost
        return taken

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._filled.set)
