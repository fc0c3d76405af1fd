"""Tunnels whose IKE or IPsec terms have changed -> the same tunnels on SAs by the new terms, make before break.

charon rekeys an SA by the terms that it was made under. So the hub starts another beside it, where it is the hub's to
start, and the old one ends when the new carries. Where the branch refuses, the old one goes on, and why is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hubgw.agent.backoff import Backoff
from hubgw.agent.journal import Journal
from hubgw.agent.live import CHILD_UP
from hubgw.drivers.strongswan.codec import ChildSa, IkeSa
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


@dataclass(frozen=True, slots=True)
class _Sas:
    """The SAs of one tunnel, with the children that carry and were made under the `old` terms, and the `new`."""

    ike: Sequence[IkeSa]
    old: Sequence[ChildSa]
    new: Sequence[ChildSa]

    @staticmethod
    def of(ike: Sequence[IkeSa], changed_ago: float) -> "_Sas":
        children = [child for sa in ike for child in sa.children if child.state in CHILD_UP]
        old = [child for child in children if child.installed >= changed_ago - 1]
        return _Sas(ike, old, [child for child in children if child not in old])

    @property
    def succeeded(self) -> bool:
        """Tells whether each of the old has a successor that has settled."""
        return {child.name for child in self.old} <= {child.name for child in self.new if child.installed >= SETTLED}


class Renewal:
    """Renews what stands on terms that have changed."""

    def __init__(self, strongswan: StrongswanDriver, journal: Journal) -> None:
        self._strongswan = strongswan
        self._journal = journal
        self._attempts = Backoff(FIRST_DELAY, LONGEST_DELAY)  # by tunnel and change

    def begun(self, name: str) -> bool:
        """Tells whether a tunnel may have SAs of both terms now."""
        return name in self._strongswan.changed

    async def round(self, tunnels: Sequence[TunnelOf], sas: Sequence[IkeSa], now: float, wall: float) -> None:
        """Does what is due; `now` is of the loop's clock, `wall` in epoch seconds. Raises DriverError."""
        changed = self._strongswan.changed
        attempts = {name: f"{name} {when}" for name, when in changed.items()}
        self._attempts.keep(set(attempts.values()))
        left = BURST
        of_connection: dict[str, list[IkeSa]] = {}
        for sa in sas if changed else ():
            of_connection.setdefault(sa.connection, []).append(sa)
        for tunnel in (tunnel for tunnel in tunnels if tunnel.name in changed):
            ike = of_connection.get(tunnel.name, [])
            changed_ago = wall - changed[tunnel.name]
            mine = _Sas.of(ike, changed_ago)
            if not mine.old:
                if not ike or mine.new:
                    await self._strongswan.settled(tunnel.name)
            elif mine.succeeded:
                await self._end(tunnel, mine)
            elif mine.new or not tunnel.initiates or changed_ago < BEGINS:
                continue
            elif left and self._attempts.due(attempts[tunnel.name], now):
                left -= 1
                self._attempts.failed(attempts[tunnel.name], now)
                self._journal.record("tunnel.renewing", tunnel.connection, tunnel=tunnel.name)
                await self._strongswan.initiate(tunnel.name, *tunnel.children)

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
