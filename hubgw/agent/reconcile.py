"""One pass: read the store, compile, observe, diff, apply; the only loop is time.

First boot, a change of configuration, drift and a restart are the same pass. What must not wait for it (a tunnel up or
down) is `follow`: the same operations through the same drivers at once, and the next pass verifies it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field

from hubgw.agent.desired import Compiler, Desired
from hubgw.agent.ends import Ends
from hubgw.agent.framed import Framed
from hubgw.agent.journal import Journal
from hubgw.agent.live import Sas, left_of_users, states, uncollected, up_tunnels
from hubgw.agent.revocation import LOADED_WITHIN, revoked_sas, without_password
from hubgw.agent.routing import Routing
from hubgw.agent.statuses import Connection
from hubgw.agent.user_sessions import NO_SUCH_USER, REVOKED
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.netlink.driver import NetlinkDriver
from hubgw.drivers.netlink.xfrm import KernelSa
from hubgw.drivers.nftables.driver import NftablesDriver
from hubgw.drivers.strongswan.codec import is_another
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.names import interface_of
from hubgw.plan.activate import activate
from hubgw.plan.bgp import Nlri
from hubgw.plan.diff import diff, driver_of, runs, target
from hubgw.plan.ipsec import IkeConnection
from hubgw.plan.kernel import Element, Group, Tiers, Tunnel
from hubgw.plan.numbers import IF_IDS
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Plan
from hubgw.plan.words import describe
from hubgw.rib.types import Admitted


@dataclass(frozen=True, slots=True)
class Drivers:
    """All that touches the machine."""

    netlink: NetlinkDriver
    nftables: NftablesDriver
    strongswan: StrongswanDriver
    exabgp: ExabgpDriver


DRIVERS = ("netlink", "nftables", "strongswan", "exabgp")


@dataclass(frozen=True, slots=True)
class Counters:
    """What is counted outside the agent, at one moment (epoch seconds). `charon`: its version, or why it is silent."""

    time: float
    charon: str
    spoofed: Mapping[str, int] = field(default_factory=dict)  # packets by tunnel interface
    replayed: Mapping[int, int] = field(default_factory=dict)  # packets by if_id, of the SAs that there are
    integrity_failed: Mapping[int, int] = field(default_factory=dict)  # packets by if_id, of the SAs that there are


@dataclass(slots=True)
class State:
    """What the last pass, and what was followed since, left behind."""

    desired: Desired | None = None
    wanted: Sequence[Object] = ()
    sas: Sas = field(default_factory=lambda: Sas(None, (), 0.0, 0.0))
    up: frozenset[int] = frozenset()
    failures: dict[str, str] = field(default_factory=dict)  # reason by full id of the resource
    unreachable: dict[str, str] = field(default_factory=dict)  # reason by name of the driver
    tunnels: dict[str, Connection] = field(default_factory=dict)  # connectionStatus by name of the tunnel
    since: dict[str, float] = field(default_factory=dict)  # epoch seconds, by name of the tunnel
    last_errors: dict[str, str] = field(default_factory=dict)  # by name of the tunnel
    in_sync: bool = False  # everything was observed in one pass since the agent started
    loaded: frozenset[str] = frozenset()  # names of the IKE connections that charon has taken
    whole: bool = False  # the last pass left nothing to do
    admitted: Set[Admitted] = frozenset()  # what learned routes admitted beside those, when `wanted` was made
    unfinished: bool = False  # what was followed since left something to do
    framed: Sequence[Object] = ()  # routes of users to whom RADIUS gave addresses; beside what is `wanted`
    passes: int = 0
    writes: int = 0


class Reconciler:
    """Brings the machine to what the store wants, one pass at a time."""

    def __init__(self, compiler: Compiler, drivers: Drivers, journal: Journal, routing: Routing) -> None:
        self._compiler = compiler
        self._drivers = drivers
        self._journal = journal
        self.routing = routing
        self._lock = asyncio.Lock()
        self.state = State()
        self._charon = 0.0  # when the one that was listed last started, epoch seconds
        self.ends = Ends(drivers.strongswan)
        self._framed = Framed(drivers.strongswan, journal, self.ends)

    async def reconcile(self) -> bool:
        """Runs one pass; tells whether all is as wanted now. Raises StoreError."""
        async with self._lock:
            state = self.state
            desired = await self._compiler.latest()
            settled = state.whole and not state.unfinished and self.routing.whole and state.desired is desired
            state.whole = state.unfinished = False
            seen = await self._observe(desired.plan)
            state.loaded = frozenset(obj.name for obj in seen if isinstance(obj, IkeConnection))
            sas = await self._sas()
            up = up_tunnels(desired.plan.tunnels, sas)
            before = [*state.wanted, *self.routing.groups(state.up), *state.framed]
            await self.routing.configure(desired.plan)
            wanted, state.admitted = self._wanted(desired.plan, up), self.routing.admitted
            state.in_sync = state.in_sync or not state.unreachable
            framed = await self._framed.routes(desired.plan, sas)
            ops = self._possible(diff([*wanted, *framed], seen))
            if stay := await self._collect(*left_of_users(desired.plan.users, sas)):
                self.state.unreachable["netlink"] = f"SAs of users whose charon is gone stay: {stay[0]}"
            errors = await self._carry_out(ops, up)
            await self._collect(*uncollected(desired.plan.tunnels, sas, desired.plan.users))
            await self._end_revoked(desired, sas)
            await self._forget_counts(ops)
            self._judge(desired.plan, errors)
            if settled:
                self._tell(ops, before)
            state.desired, state.wanted, state.framed = desired, wanted, framed
            if "strongswan" not in state.unreachable:
                refused = {target(error.op) for error in errors if isinstance(error.op, Create)}
                state.loaded = frozenset(
                    obj.name for obj in wanted if isinstance(obj, IkeConnection) and obj not in refused
                )
            self._note(sas, up)
            state.passes, state.writes = state.passes + 1, len(ops)
            state.whole = not (errors or state.unreachable or self._framed.failure) and self.routing.whole
            return state.whole

    async def follow(self) -> None:
        """Takes tunnels that came up or went down into, or out of, the routes that they serve. Raises DriverError."""
        state = self.state
        if state.desired is None:
            return
        if self._lock.locked():
            await self._follow_at_once(state.desired.plan)
        async with self._lock:
            away = set(state.unreachable)
            sas = await self._sas()
            framed = await self._framed.routes(state.desired.plan, sas)
            errors = await self._apply(diff(framed, state.framed))
            state.framed = framed
            up = up_tunnels(state.desired.plan.tunnels, sas)
            if up != state.up or state.admitted is not self.routing.admitted:
                wanted, state.admitted = self._wanted(state.desired.plan, up), self.routing.admitted
                ops = diff(wanted, state.wanted)
                # A group that learned routes no longer use is the pass's to delete.
                idle = [op.old for op in ops if isinstance(op, Delete) and isinstance(op.old, Group)]
                errors += await self._apply([op for op in ops if target(op) not in idle])
                state.wanted = [*wanted, *idle]
                await self.routing.set_up(up)
            failed = bool(errors or self._framed.failure)
            state.unfinished = state.unfinished or failed or not state.unreachable.keys() <= away
            self._note(sas, up)

    async def _follow_at_once(self, plan: Plan) -> None:
        """Gives the groups their members while a pass is under way, which may be long; what both write is verified
        when it has ended."""
        up = up_tunnels(plan.tunnels, await self._sas())
        if up != self.state.up:
            groups = [obj for obj in self._wanted(plan, up) if isinstance(obj, Group)]
            before = {obj.tiers: obj.active for obj in self.state.wanted if isinstance(obj, Group)}
            changed = [group for group in groups if before.get(group.tiers, group.active) != group.active]
            await self._drivers.netlink.set_active(changed)
            await self.routing.set_up(up)

    def _wanted(self, plan: Plan, up: Set[int]) -> list[Object]:
        return [*activate(plan, up, self.routing.admitted), *self.routing.groups(up)]

    async def counters(self) -> Counters:
        """Returns what the kernel and charon count, as far as they answer."""
        spoofed: Mapping[str, int] = {}
        with suppress(DriverError):
            spoofed = await self._drivers.nftables.spoofed()
        replayed: Counter[int] = Counter()
        integrity_failed: Counter[int] = Counter()
        with suppress(DriverError):
            for sa in await self._drivers.netlink.xfrm_states():
                replayed[sa.if_id] += sa.replayed
                integrity_failed[sa.if_id] += sa.integrity_failed
        try:
            charon = await self._drivers.strongswan.version()
        except DriverError as error:
            charon = str(error)
        return Counters(time.time(), charon, spoofed, replayed, integrity_failed)

    async def octets(self) -> Mapping[str, tuple[int, int]]:
        """Returns what each tunnel interface has received and sent, since it was made. Raises DriverError."""
        return await self._drivers.netlink.octets()

    async def has_lost_connections(self) -> bool:
        """Tells whether somebody unloaded a connection of ours from charon, which sends no event for it."""
        if self.state.desired is None or "strongswan" in self.state.unreachable:
            return False
        return bool(self.state.loaded - await self._drivers.strongswan.connections())

    async def observe_kernel(self) -> list[Object]:
        """Returns links, addresses, nexthops and routes as they are now. Raises DriverError."""
        return await self._drivers.netlink.observe()

    async def observe_learned(self) -> dict[int, dict[Nlri, Tiers]]:
        """Returns the routes that BGP taught as the kernel has them now, by table. Raises DriverError."""
        return await self._drivers.netlink.observe_learned()

    async def _observe(self, plan: Plan) -> list[Object]:
        """Everything that is ours, of the drivers that can be asked; the others are left alone in this pass."""
        self.state.unreachable.clear()
        self._drivers.strongswan.expect(plan.objects)
        self._drivers.exabgp.expect(plan.objects)
        observed = await asyncio.gather(
            *(getattr(self._drivers, name).observe() for name in DRIVERS), return_exceptions=True
        )
        seen: list[Object] = []
        for name, result in zip(DRIVERS, observed, strict=True):
            if isinstance(result, DriverError):
                self.state.unreachable[name] = str(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                seen.extend(result)
        return seen

    async def _sas(self) -> Sas:
        kernel = [sa for sa in await self._drivers.netlink.xfrm_states() if sa.if_id in IF_IDS]
        try:
            ike = await self._drivers.strongswan.sas()
            started = await self._drivers.strongswan.started()
        except DriverError as error:
            self.state.unreachable["strongswan"] = str(error)
            self.state.loaded = frozenset()
            return Sas(None, kernel, 0.0, time.time())
        if is_another(started, self._charon):
            # It may have come after what it holds was observed: there is another pass.
            self.state.loaded = frozenset()
            self.state.unfinished = self.state.unfinished or bool(self._charon)
        self._charon = started
        self.ends.of(started)
        return Sas(ike, kernel, started, time.time())

    def _possible(self, ops: Sequence[Op]) -> list[Op]:
        """Leaves out what cannot be done now: of a driver that is away; to open IKE while charon is, or while the
        kernel may have SAs of another's users; and, until everything was observed once, to delete."""
        away = self.state.unreachable

        def possible(op: Op) -> bool:
            obj = target(op)
            if isinstance(op, Delete) and not self.state.in_sync:
                return False
            opens = isinstance(obj, Element) and obj.set == "ike_open" and not isinstance(op, Delete)
            return driver_of(op) not in away and not (opens and away.keys() & {"strongswan", "netlink"})

        return [op for op in ops if possible(op)]

    async def _carry_out(self, ops: Sequence[Op], up: Set[int]) -> list[OpError]:
        """Makes what is new, then learned routes, then takes away what nothing uses any longer."""
        makes = max((number for number, op in enumerate(ops, 1) if not isinstance(op, Delete)), default=0)
        errors = await self._apply(ops[:makes])
        if "netlink" not in self.state.unreachable:
            try:
                await self.routing.verify(up)
            except DriverError as error:
                self.state.unreachable["netlink"] = str(error)
        async with self.routing.still() as used:
            breaks = [op for op in ops[makes:] if not (isinstance(old := target(op), Group) and old.tiers in used)]
            return errors + await self._apply(breaks)

    async def _apply(self, ops: Sequence[Op]) -> list[OpError]:
        errors: list[OpError] = []
        for name, run in runs(ops):
            # A driver may have been lost in the run before.
            if possible := self._possible(run):
                try:
                    errors += await getattr(self._drivers, name).apply(possible)
                except DriverError as error:
                    self.state.unreachable[name] = str(error)
        return errors

    async def _collect(self, doomed: Sequence[KernelSa], policies: Set[int]) -> list[str]:
        """Deletes SAs and policies; returns what the kernel refused, in its words."""
        refused: list[str] = []
        try:
            if doomed:
                refused += await self._drivers.netlink.delete_states(doomed)
                spis = " ".join(f"{sa.spi:08x}" for sa in doomed)
                self._journal.record("sa.collected", spis=spis, refused=len(refused))
            if policies:
                refused += await self._drivers.netlink.delete_policies(policies)
        except DriverError as error:
            self.state.unreachable["netlink"] = str(error)
        return refused

    async def _end_revoked(self, desired: Desired, sas: Sas) -> None:
        """Ends what was established by a certificate that is revoked, or may have been, or a password that is gone.

        Who signed on by it since the SAs were listed is ended by the next pass.
        """
        strongswan, users = self._drivers.strongswan, {one.name for one in desired.plan.users}
        ends = [(sa, REVOKED) for sa in revoked_sas(desired, sas, strongswan.fresh, strongswan.made_by)]
        ends += [(sa, NO_SUCH_USER) for sa in without_password(desired, sas)]
        for sa, why in ends:
            is_users = interface_of(sa.connection) in users
            try:
                refusal = await (self.ends.end(sa, why) if is_users else strongswan.terminate(sa.uniqueid))
            except DriverError as error:
                self.state.unreachable["strongswan"] = str(error)
                return
            # What charon does not have any longer has ended by itself.
            if not refusal:
                self._journal.record("sa.revoked", connection=sa.connection, identity=sa.remote_id)
        if sas.ike is not None:
            strongswan.judged(sas.now - LOADED_WITHIN)

    async def forget_peers(self) -> None:
        """Has charon forget by what branches proved themselves; where it cannot be asked, more SAs end than have to."""
        with suppress(DriverError):
            await self._drivers.strongswan.forget_peers()

    def _note(self, sas: Sas, up: frozenset[int]) -> None:
        """Keeps the state of every tunnel, since when, and tells each that came up or went down."""
        state = self.state
        before, state.sas, state.up = state.up, sas, up
        tunnels = state.desired.plan.tunnels if state.desired else ()
        now, installed = states(tunnels, sas, up), sas.installed
        for tunnel in tunnels:
            new = now[tunnel.name]
            if state.tunnels.get(tunnel.name) != new:
                state.since[tunnel.name] = sas.now
            # A charon that cannot be asked leaves the state unknown, and the tunnel up.
            whole = tunnel.nexthop in up and len(installed.get(tunnel.name, ())) in {0, len(tunnel.selectors)}
            if whole and tunnel.name not in self._drivers.strongswan.changed:
                state.last_errors.pop(tunnel.name, None)
            if (tunnel.nexthop in up) != (tunnel.nexthop in before):
                self._journal.record(
                    "tunnel.up" if tunnel.nexthop in up else "tunnel.down",
                    tunnel.connection,
                    tunnel=tunnel.name,
                    link=tunnel.link,
                    instance=tunnel.instance,
                    state=new,
                )
        state.tunnels = now
        state.since = {name: since for name, since in state.since.items() if name in now}

    async def _forget_counts(self, ops: Sequence[Op]) -> None:
        """The counts of spoofed packets are state of the ruleset, by tunnel: they go with their tunnels."""
        gone = [op.old.name for op in ops if isinstance(op, Delete) and isinstance(op.old, Tunnel)]
        if gone:
            with suppress(DriverError):
                await self._drivers.nftables.forget(gone)

    def _judge(self, plan: Plan, errors: Sequence[OpError]) -> None:
        """A refusal belongs to the resource that the object exists for; the others are as wanted."""
        failures: dict[str, str] = {}
        for error in errors:
            for owner in plan.owners.get(target(error.op).key, ("",))[:1]:
                failures.setdefault(owner, f"{describe(error.op)}: {error.reason}")
        for owner, reason in failures.items():
            if self.state.failures.get(owner) != reason:
                self._journal.record("resource.failed", owner, logging.WARNING, reason=reason)
        for owner in self.state.failures.keys() - failures.keys():
            self._journal.record("resource.recovered", owner)
        self.state.failures = failures

    def _tell(self, ops: Sequence[Op], before: Sequence[Object]) -> None:
        """Tells drift object by object: what is wanted as it was `before`, or was not wanted then either. The rest
        follows tunnels and learned routes that have moved."""
        wanted = {obj.key: obj for obj in before}
        for op in ops:
            was = wanted.get(target(op).key)
            if was is None if isinstance(op, Delete) else was == op.new:
                self._journal.record("drift.repaired", level=logging.WARNING, object=describe(op))
