"""Tunnels that are down -> attempts to bring them up, with back-off; and one IKE SA per tunnel where both ends started.

charon starts nothing by itself (start_action none): a connection that is loaded again would start again.

An attempt is two steps: an IKE SA without a child (RFC 6023), and the child when that SA is up and the only one. Where
the branch has started at the same moment, ours goes while it has no child, so that no close action of the branch starts
a third. A branch that does not know childless SAs fails the first attempt; every second one is in one step.
"""

import asyncio
import logging
from collections.abc import Sequence, Set

from hubgw.agent.backoff import Backoff
from hubgw.agent.journal import Journal
from hubgw.agent.live import CHILD_UP, Sas
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.renewal import Renewal
from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.codec import IkeSa, by_connection, duplicates
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.plan.ipsec import IkeServer
from hubgw.plan.types import Plan, TunnelOf

FIRST_DELAY = 2.0  # seconds
LONGEST_DELAY = 30.0
BURST = 100
"""Attempts in one round: charon's worker threads serve the branches' own attempts too."""

LIST_EVERY = 15.0  # seconds, while something waits for its time: all SAs of two thousand tunnels take a while to list

CHILD_WITHIN = 20.0
"""Seconds after which an IKE SA of ours that got no child is given up: more than all retransmissions of one message."""

DUPLICATE_AGE = 45
"""Seconds for which duplicates may stand: by then dead peer detection has ended those whose branch has restarted."""

DUPLICATES_AFTER = 60.0
"""Seconds between two clean-ups of one connection: a branch that answers each with a new attempt must not be chased."""


class Dialler:
    """Initiates what is down and not being brought up by the branch."""

    def __init__(self, reconciler: Reconciler, strongswan: StrongswanDriver, journal: Journal) -> None:
        self._reconciler = reconciler
        self._strongswan = strongswan
        self._journal = journal
        self._attempts = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._completions = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._renewal = Renewal(strongswan, journal, self._initiate)
        self._cleanups = Backoff(DUPLICATES_AFTER, 16 * DUPLICATES_AFTER)
        self._asked: dict[int, float] = {}  # when a child was asked for lately, or in vain, by unique id of its IKE SA
        self._looked: Sas | None = None
        self._unsettled = False  # whether some SA is not as it is to be
        self._listed = 0.0
        self._busy = asyncio.Lock()

    async def round(self) -> None:
        """Does what is due, and what the SAs that the reconciler saw last call for. Does nothing while charon cannot be
        asked."""
        async with self._busy:
            await self._round()

    async def _round(self) -> None:
        state = self._reconciler.state
        if state.desired is None or "strongswan" in state.unreachable:
            return
        now = asyncio.get_running_loop().time()
        plan = state.desired.plan
        tunnels = plan.tunnels
        carried = state.sas.installed
        # A tunnel that the kernel carries on SAs of a charon that is gone is up, and wants successors.
        down = [tunnel for tunnel in tunnels if not set(tunnel.children) <= carried.get(tunnel.name, {}).keys()]
        names = {tunnel.name for tunnel in tunnels}
        partly = {tunnel.name for tunnel in down if carried.get(tunnel.name)}
        for name in names.difference(tunnel.name for tunnel in down):
            self._attempts.reset(name)
            self._completions.reset(name)
        self._attempts.keep(names)
        self._completions.keep(names)
        # What charon has not been given it cannot start; a refusal would only put the tunnel off.
        down = [tunnel for tunnel in down if tunnel.name in state.loaded]
        due = any(
            tunnel.initiates and (self._completions if tunnel.name in partly else self._attempts).due(tunnel.name, now)
            for tunnel in down
        )
        is_new, self._looked = state.sas is not self._looked, state.sas
        if is_new:
            self._unsettled = self._calls(_of_tunnels(state.sas.ike or (), plan), names)
        if not (due or self._asked or (self._unsettled and (is_new or now - self._listed >= LIST_EVERY))):
            return
        self._listed = now
        try:
            # Anew: the numbers of what was seen may be another charon's by now.
            sas = await self._strongswan.sas()
            of_tunnels = _of_tunnels(sas, plan)
            self._unsettled = self._calls(of_tunnels, names)
            if {sa.connection for sa in sas if any(child.state in CHILD_UP for child in sa.children)} != set(carried):
                await self._reconciler.follow()
            self._asked = {
                sa.uniqueid: self._asked[sa.uniqueid]
                for sa in sas
                if sa.uniqueid in self._asked and (_lacks_child(sa) or now - self._asked[sa.uniqueid] <= CHILD_WITHIN)
            }
            await self._dial(down, sas, now)
            await self._renewal.round(tunnels, sas, now)
            await self._clean_up(of_tunnels, names, now)
        except DriverError as error:
            self._journal.record("charon.lost", level=logging.WARNING, reason=error)

    def _calls(self, sas: Sequence[IkeSa], wanted: Set[str]) -> bool:
        """Tells whether SAs call for something, now or when they are older."""
        return (
            bool(self._strongswan.changed or duplicates(sas, 0))
            or any(sa.state == "ESTABLISHED" and not sa.children for sa in sas)
            or any(sa.connection and sa.connection not in wanted for sa in sas)
        )

    async def _dial(self, down: Sequence[TunnelOf], sas: Sequence[IkeSa], now: float) -> None:
        of_connection = by_connection(sas)
        half_open = {(sa.local_address, sa.remote_address) for sa in of_connection.get("", ())}
        left = BURST
        for tunnel in down:
            mine = of_connection.get(tunnel.name, [])
            if not mine:
                self._completions.reset(tunnel.name)
            coming = (tunnel.local_address, tunnel.remote_address) in half_open
            if (waiting := [sa for sa in mine if _lacks_child(sa)]) and tunnel.initiates:
                await self._second_step(tunnel, waiting, alone=len(mine) == 1 and not coming, now=now)
            elif [sa.state for sa in mine] == ["ESTABLISHED"] and mine[0].children:
                await self._complete(tunnel, mine[0], now)
            elif tunnel.initiates and not mine and not coming and left and self._attempts.due(tunnel.name, now):
                left -= 1
                in_one = self._attempts.failures(tunnel.name) % 2 == 1
                self._attempts.failed(tunnel.name, now)
                await self._initiate(tunnel, *(tunnel.children if in_one else ()))

    async def _complete(self, tunnel: TunnelOf, sa: IkeSa, now: float) -> None:
        """Asks for the children that an IKE SA lacks of several: a branch may bring up those alone that it needs."""
        there = {child.name for child in sa.children}
        missing = [name for name in tunnel.children if name not in there]
        if any(child.state in CHILD_UP for child in sa.children):
            # A pair that the branch never takes must not delay the tunnel's next start.
            self._attempts.reset(tunnel.name)
        if missing and tunnel.initiates and self._completions.due(tunnel.name, now):
            self._completions.failed(tunnel.name, now)
            await self._initiate(tunnel, *missing)

    async def _second_step(self, tunnel: TunnelOf, waiting: Sequence[IkeSa], *, alone: bool, now: float) -> None:
        for sa in waiting:
            asked = self._asked.get(sa.uniqueid)
            beaten = sa.initiator and not alone
            if beaten or (asked is not None and now - asked > CHILD_WITHIN):
                await self._strongswan.terminate(sa.uniqueid)
            elif asked is None and alone:
                self._asked[sa.uniqueid] = now
                await self._initiate(tunnel, *tunnel.children)

    async def _initiate(self, tunnel: TunnelOf, *children: str) -> None:
        if reason := await self._strongswan.initiate(tunnel.name, *children):
            self._reconciler.state.last_errors[tunnel.name] = reason
            self._journal.record("tunnel.refused", tunnel.connection, tunnel=tunnel.name, reason=reason)

    async def _clean_up(self, sas: Sequence[IkeSa], wanted: Set[str], now: float) -> None:
        """Ends SAs of connections that are gone: a peer's attempt may have chosen one just before; and duplicates."""
        self._cleanups.keep(set(wanted))
        for sa in sas:
            if sa.connection and sa.connection not in wanted:
                self._journal.record("tunnel.stray", tunnel=sa.connection, ike_sa=sa.uniqueid)
                await self._strongswan.terminate(sa.uniqueid)
        connection_of = {sa.uniqueid: sa.connection for sa in sas}
        for uniqueid in duplicates(sas, DUPLICATE_AGE):
            name = connection_of[uniqueid]
            if self._cleanups.due(name, now) and not self._renewal.begun(name):
                self._cleanups.failed(name, now)
                self._journal.record("tunnel.duplicate", tunnel=name, ike_sa=uniqueid)
                await self._strongswan.terminate(uniqueid)


def _of_tunnels(sas: Sequence[IkeSa], plan: Plan) -> list[IkeSa]:
    """Returns the SAs without those of users, who come and go by themselves."""
    of_users = {obj.name for obj in plan.objects if isinstance(obj, IkeServer)}
    return [sa for sa in sas if sa.connection not in of_users]


def _lacks_child(sa: IkeSa) -> bool:
    """Tells whether an IKE SA waits for a child: one of ours at once, one of the branch's when it had its time."""
    return sa.state == "ESTABLISHED" and not sa.children and (sa.initiator or sa.established >= CHILD_WITHIN)
