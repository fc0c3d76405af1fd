"""Prefixes that were withdrawn a short while ago: what was said to who is found gone may never have arrived."""

from collections.abc import Iterable
from typing import Final

from hubgw.plan.bgp import Nlri

KEPT: Final = 30.0  # seconds at least; twice as many at most


class Recent:
    """Ages only when told to: who cannot hear for longer is remembered for that time."""

    def __init__(self, now: float) -> None:
        self._newer: set[Nlri] = set()
        self._older: set[Nlri] = set()
        self._turned = now

    def add(self, nlris: Iterable[Nlri]) -> None:
        """Takes what was withdrawn now."""
        self._newer.update(nlris)

    def discard(self, nlris: Iterable[Nlri]) -> None:
        """Forgets what is announced again."""
        if self._newer:
            self._newer.difference_update(nlris)
        if self._older:
            self._older.difference_update(nlris)

    def all(self) -> set[Nlri]:
        """Returns what was withdrawn and not announced since."""
        return self._newer | self._older

    def age(self, now: float) -> None:
        """Lets go of what is old; `now` is of a monotonic clock."""
        if now >= self._turned + KEPT:
            self._older, self._newer, self._turned = self._newer, set(), now
