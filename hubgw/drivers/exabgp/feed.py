"""Adj-RIB-In of one peer, and what the agent is told of each change to it. Pure state."""

from collections import defaultdict
from collections.abc import Iterable

from hubgw.drivers.exabgp.adj_in import AdjRibIn
from hubgw.drivers.exabgp.frames import Kind, Routes, pack_nlris, pack_routes
from hubgw.drivers.exabgp.outgoing import Outgoing
from hubgw.plan.bgp import Nlri


class Feed:
    """What one peer announced; `packed` is its address as frames have it."""

    def __init__(self, packed: bytes, outgoing: Outgoing) -> None:
        self.rib = AdjRibIn()
        self._packed = packed
        self._outgoing = outgoing
        self._complete = False
        self._untold: list[tuple[bytes, list[Nlri]]] = []

    def began(self) -> None:
        """A session came up: what the peer announced before is stale, until the peer tells it again."""
        self.rib.mark_stale()
        self._complete = False

    def announce(self, nlris: list[Nlri], wire: bytes, maximum: int) -> bool:
        """Takes prefixes with their canonical attributes, which wait for `tell`; False where the peer has more than
        `maximum` now (0: any number)."""
        if told := self.rib.announce(nlris, wire):
            self._untold.append((wire, told))
        return not maximum or self.rib.fresh <= maximum

    def tell(self) -> None:
        """Tells the agent what was announced, each attributes once."""
        if len(self._untold) > 1:
            last = {nlri: wire for wire, nlris in self._untold for nlri in nlris}
            groups: defaultdict[bytes, list[Nlri]] = defaultdict(list)
            for nlri, wire in last.items():
                groups[wire].append(nlri)
            self._untold = list(groups.items())
        self._learned(self._untold)
        self._untold = []

    def withdraw(self, nlris: Iterable[Nlri]) -> None:
        """Takes what the peer does not announce any longer."""
        self.tell()
        if told := self.rib.withdraw(nlris):
            self._outgoing.to_agent(Kind.WITHDRAWN, self._packed, pack_nlris(told))

    def sweep(self) -> None:
        """Removes what is stale."""
        self.tell()
        if told := self.rib.sweep():
            self._outgoing.to_agent(Kind.WITHDRAWN, self._packed, pack_nlris(told))

    def complete(self) -> None:
        """The peer has told all: removes what is stale, and lets the agent do the same."""
        self.sweep()
        if not self._complete:
            self._complete = True
            self._outgoing.to_agent(Kind.END_OF_RIB, self._packed)

    def flush(self) -> None:
        """Removes all."""
        self.rib.flush()
        self._untold = []
        self._complete = True
        self._outgoing.to_agent(Kind.FLUSHED, self._packed)

    def tell_all(self, established: bool) -> None:
        """Tells an agent that knows nothing; `established` whether the peer has a session."""
        self._learned(self.rib.grouped())
        if established and self._complete:
            self._outgoing.to_agent(Kind.END_OF_RIB, self._packed)

    def _learned(self, routes: Routes) -> None:
        for piece in pack_routes(routes):
            self._outgoing.to_agent(Kind.LEARNED, self._packed, piece)
