"""Tunnels whose IKE or IPsec terms have changed -> the same tunnels on SAs by the new terms, make before break.

charon rekeys an SA by the terms that it was made under. So the hub starts another beside it, where it is the hub's to
start, and the old one ends when the new carries. Where the branch refuses, the old one goes on, and why is told.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from hubgw.agent.backoff import Backoff
from hubgw.agent.journal import Journal
from hubgw.agent.live import CHILD_UP
from hubgw.drivers.strongswan.codec import ChildSa, IkeSa, by_connection
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.plan.types import TunnelOf

FIRST_DELAY = 20.0
"""Seconds between the first two attempts: longer than all retransmissions of one message."""

LONGEST_DELAY = 960.0

BEGINS = 3.0
"""Seconds after a change in which nothing is started: charon tells whole seconds, and what is made in that of the
change cannot be told from what was there before."""

SETTLED = 3
"""Seconds for which a new child SA must have stood before the old one ends: the branch sends on it by then, and what
it has sent on the old one has come."""

BURST = 20
"""Attempts in one round: a changed default concerns every tunnel."""

_REPLACED = frozenset({"REKEYED", "DELETED"})
"""States of a child SA that was rekeyed, while charon still receives on it, in its words."""

Initiate = Callable[..., Awaitable[None]]
"""Starts children of a tunnel, and tells what charon refuses."""


@dataclass(frozen=True, slots=True)
class _Sas:
    """The SAs of one tunnel, with the children that carry and are of the `old` terms, and those of the `new`."""

    ike: Sequence[IkeSa]
    old: Sequence[ChildSa]
    new: Sequence[ChildSa]

    def missing(self, tunnel: TunnelOf) -> list[str]:
        """Returns the names of the old that have no successor."""
        there = {child.name for child in self.new}
        return [name for name in tunnel.children if name in {child.name for child in self.old} - there]

    @property
    def succeeded(self) -> bool:
        """Tells whether each of the old has a successor that has settled."""
        return {child.name for child in self.old} <= {child.name for child in self.new if child.installed >= SETTLED}

    @property
    def childless(self) -> Iterator[IkeSa]:
        """Yields what an attempt left of which the branch took the IKE SA alone."""
        return (sa for sa in self.ike if sa.state == "ESTABLISHED" and sa.initiator and not sa.children)


class Renewal:
    """Renews what stands on terms that have changed."""

    def __init__(self, strongswan: StrongswanDriver, journal: Journal, initiate: Initiate) -> None:
        self._strongswan = strongswan
        self._journal = journal
        self._initiate = initiate
        self._attempts = Backoff(FIRST_DELAY, LONGEST_DELAY)  # by tunnel and change
        self._heirs: dict[str, set[int]] = {}  # what an old child was rekeyed to, by tunnel and change

    def begun(self, name: str) -> bool:
        """Tells whether a tunnel may have SAs of both terms now."""
        return name in self._strongswan.changed

    async def round(self, tunnels: Sequence[TunnelOf], sas: Sequence[IkeSa], now: float) -> None:
        """Does what is due; `now` is of the monotonic clock. Raises DriverError."""
        changed = self._strongswan.changed
        changes = {name: f"{name} {when}" for name, when in changed.items()}
        self._attempts.keep(set(changes.values()))
        self._heirs = {change: self._heirs.get(change, set()) for change in changes.values()}
        left = BURST
        of_connection = by_connection(sas if changed else ())
        for tunnel in (tunnel for tunnel in tunnels if tunnel.name in changed):
            change, changed_ago = changes[tunnel.name], now - changed[tunnel.name]
            mine = _sorted(of_connection.get(tunnel.name, []), changed_ago, self._heirs[change])
            if not mine.old:
                if not mine.ike or mine.new:
                    await self._strongswan.settled(tunnel.name)
            elif mine.succeeded:
                await self._end(tunnel, mine)
            elif not tunnel.initiates or changed_ago < BEGINS or not (missing := mine.missing(tunnel)):
                continue
            elif left and self._attempts.due(change, now):
                left -= 1
                self._attempts.failed(change, now)
                for sa in mine.childless:
                    await self._strongswan.terminate(sa.uniqueid)
                self._journal.record("tunnel.renewing", tunnel.connection, tunnel=tunnel.name)
                await self._initiate(tunnel, *missing)

    async def _end(self, tunnel: TunnelOf, mine: _Sas) -> None:
        """Ends the old children, and each IKE SA that has none of the new."""
        self._journal.record("tunnel.renewed", tunnel.connection, tunnel=tunnel.name)
        for sa in mine.ike:
            if not any(child in mine.new for child in sa.children):
                await self._strongswan.terminate(sa.uniqueid)
            else:
                for child in sa.children:
                    if child in mine.old:
                        await self._strongswan.terminate_child(child.uniqueid)


def _sorted(ike: Sequence[IkeSa], changed_ago: float, heirs: set[int]) -> _Sas:
    """Sorts a tunnel's children; what an old one was rekeyed to is old, and is added to its `heirs`.

    charon tells of no child what it was rekeyed from: it is beside it on the IKE SA for some seconds.
    """
    old: list[ChildSa] = []
    new: list[ChildSa] = []

    def is_old(child: ChildSa) -> bool:
        return child.uniqueid in heirs or child.installed >= changed_ago - 1

    for sa in ike:
        children = sorted(sa.children, key=lambda child: child.uniqueid)
        replaced = {child.name for child in children if child.state in _REPLACED and is_old(child)}
        for child in (child for child in children if child.state in CHILD_UP):
            if child.name in replaced:
                heirs.add(child.uniqueid)
            (old if is_old(child) else new).append(child)
    return _Sas(ike, old, new)
