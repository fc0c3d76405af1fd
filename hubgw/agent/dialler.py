"""Tunnels that are down -> attempts to bring them up, with back-off; and one IKE SA per tunnel where both ends started.

charon starts nothing by itself (start_action none): a reload of a connection would run a start action again.
"""

import asyncio
import logging
from collections.abc import Sequence

from hubgw.agent.backoff import Backoff
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.driver import StrongswanDriver, duplicates
from hubgw.plan.types import TunnelOf

FIRST_DELAY = 2.0  # seconds
LONGEST_DELAY = 30.0
BURST = 100
"""Attempts in one round: charon's worker threads serve the branches' own attempts too."""

DUPLICATES_AFTER = 30.0
"""Seconds between two clean-ups of one connection: a branch that answers each with a new attempt must not be chased."""


class Dialler:
    """Initiates what is down and not being brought up by the branch."""

    def __init__(self, reconciler: Reconciler, strongswan: StrongswanDriver, journal: Journal) -> None:
        self._reconciler = reconciler
        self._strongswan = strongswan
        self._journal = journal
        self._attempts = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._cleanups = Backoff(DUPLICATES_AFTER, 32 * DUPLICATES_AFTER)

    async def round(self) -> None:
        """Starts what is due. Does nothing while charon cannot be asked, or holds not the whole configuration."""
        state = self._reconciler.state
        if state.desired is None or "strongswan" in state.unreachable:
            return
        now = asyncio.get_running_loop().time()
        tunnels = state.desired.plan.tunnels
        self._attempts.keep({tunnel.name for tunnel in tunnels})
        down = [tunnel for tunnel in tunnels if tunnel.nexthop not in state.up or self._only_outlived(tunnel)]
        for tunnel in tunnels:
            if tunnel.nexthop in state.up:
                self._attempts.reset(tunnel.name)
        due = [tunnel for tunnel in down if self._attempts.due(tunnel.name, now)]
        try:
            await self._dial(due, now)
            await self._clean_up(now)
        except DriverError as error:
            self._journal.record("charon.lost", level=logging.WARNING, reason=error)

    def _only_outlived(self, tunnel: TunnelOf) -> bool:
        """Tells whether the kernel carries the tunnel on SAs of a charon that is gone: they want a successor."""
        return self._reconciler.state.sas.child_of(tunnel.name) is None

    async def _dial(self, due: Sequence[TunnelOf], now: float) -> None:
        if not due:
            return
        attempted = {sa.connection for sa in await self._strongswan.sas()}
        for tunnel in [tunnel for tunnel in due if tunnel.name not in attempted][:BURST]:
            self._attempts.failed(tunnel.name, now)
            if reason := await self._strongswan.initiate(tunnel.name):
                self._journal.record("tunnel.refused", tunnel.connection, tunnel=tunnel.name, reason=reason)

    async def _clean_up(self, now: float) -> None:
        sas = self._reconciler.state.sas.ike or ()
        if len(sas) == len({sa.connection for sa in sas}):
            return
        connection_of = {sa.uniqueid: sa.connection for sa in sas}
        for uniqueid in duplicates(await self._strongswan.sas()):
            name = connection_of.get(uniqueid)
            if name is not None and self._cleanups.due(name, now):
                self._cleanups.failed(name, now)
                self._journal.record("tunnel.duplicate", tunnel=name, ike_sa=uniqueid)
                await self._strongswan.terminate(uniqueid)
