"""Who has not told all since the agent's start: nothing that stands from before is taken back for a silence. No I/O."""

from collections.abc import Callable, Container, Iterable, Set
from typing import Final

from hubgw.plan.bgp import PeerKey, PeerOf

PATIENCE: Final = 180.0
"""Seconds for which routes are kept of a speaker that is away, and of a peer that has not told all since our start."""


class Untold:
    """By routing table, the peers that are waited for; true while there are any.

    `fire` is called when a table's wait has ended: what was held back is left to do.
    """

    def __init__(self, fire: Callable[[], None], clock: Callable[[], float]) -> None:
        self._fire = fire
        self._clock = clock
        self._started = clock()
        self._peers: dict[int, set[PeerKey]] | None = None

    def __bool__(self) -> bool:
        return bool(self._peers)

    @property
    def begun(self) -> bool:
        """Whether it is known for whom to wait."""
        return self._peers is not None

    def begin(self, peers: Iterable[PeerOf], standing: Container[int]) -> None:
        """Waits for the peers of the tables in which learned routes stand; where nothing stands, for nobody."""
        self._peers = {}
        for peer in peers:
            if peer.table in standing:
                self._peers.setdefault(peer.table, set()).add(peer.key)

    def configure(self, tables: Container[int], peers: Set[PeerKey]) -> None:
        """Waits for nobody who is not among these any longer."""
        self._peers = {table: keys & peers for table, keys in (self._peers or {}).items() if table in tables}

    def told(self, peer: PeerKey) -> None:
        """The peer has told all. Of one that has nothing to tell its helper says so as soon as it knows."""
        for waiting in (self._peers or {}).values():
            waiting.discard(peer)

    def over(self, since: float) -> bool:
        """Tells whether patience since a moment (monotonic) is over."""
        return self._clock() - since > PATIENCE

    def nobody(self, table: int) -> bool:
        """Tells whether nobody of a table is waited for: what its peers have not told is gone indeed."""
        if self._peers is None:
            return False
        if self._peers.get(table) and not self.over(self._started):
            return False
        if self._peers.pop(table, None) is not None:
            self._fire()
        return True
