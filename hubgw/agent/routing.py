"""What BGP peers tell -> the kernel's tables, and what the others hear: events of helpers in, deltas of the RIB out.

A prefix that is learned or withdrawn waits for no pass; the pass verifies the kernel against the RIB. After a start of
the agent nothing is taken back, from the kernel or from a peer, until each peer of the table has told all that it has,
or a deadline has passed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from contextlib import asynccontextmanager

from hubgw.agent.journal import Journal
from hubgw.agent.sessions import Sessions
from hubgw.agent.speakers import Speakers
from hubgw.agent.untold import PATIENCE, Untold
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.attributes import parsed
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.exabgp.events import (
    Began,
    EndOfRib,
    Event,
    Flushed,
    Learned,
    Lost,
    PeerState,
    SpeakerState,
    Withdrawn,
)
from hubgw.drivers.netlink.driver import NetlinkDriver
from hubgw.plan.activate import first_tier_up
from hubgw.plan.bgp import Nlri, PeerKey, PeerOf, network
from hubgw.plan.diff import target
from hubgw.plan.kernel import Group, Tiers
from hubgw.plan.types import Plan
from hubgw.rib.rib import Rib
from hubgw.rib.types import Admitted, Delta, merge


class Routing:
    """The RIB of this machine, and the ways into it and out of it. One lock orders all that happens to it."""

    def __init__(
        self,
        netlink: NetlinkDriver,
        exabgp: ExabgpDriver,
        journal: Journal,
        *,
        fire: Callable[[], None],
        moved: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fire` asks for a pass, `moved` for a look at `admitted`."""
        self._netlink = netlink
        self._exabgp = exabgp
        self._journal = journal
        self._fire = fire
        self._moved = moved
        self._clock = clock
        self._lock = asyncio.Lock()
        self._configured = asyncio.Event()
        self._untold = Untold(fire, clock)
        self._speakers = Speakers(exabgp, self._untold)
        self._tables: Set[int] = frozenset()
        self._planned: Set[Tiers] = frozenset()  # groups that are a pass's to make
        self._groups: set[Tiers] = set()  # those that learned routes use
        self._refused: dict[tuple[int, Nlri], str] = {}
        self._sessions = Sessions(journal)
        self._ignored: set[PeerKey] = set()  # peers of no plan, whose helper may have told of them
        self.rib = Rib()
        self.peers: Mapping[PeerKey, PeerOf] = {}
        self.admitted: Set[Admitted] = frozenset()

    def groups(self, up: Set[int]) -> list[Group]:
        """Returns the nexthop groups that learned routes use, with their members that are up."""
        return [Group(tiers, first_tier_up(tiers, up)) for tiers in sorted(self._groups)]

    def session(self, peer: PeerKey) -> PeerState | None:
        """Returns what was last said of a session; None while nobody says anything of it."""
        return self._sessions.get(peer) if self._speakers.answers(peer[0]) else None

    async def configure(self, plan: Plan) -> None:
        """Takes over what the peers and tables of a plan mean; what follows for the kernel, `verify` carries out.

        Raises:
            DriverError: the kernel could not be asked for what stands from before the agent's start.
        """
        async with self._lock:
            standing = {} if self._untold.begun else await self._begin(plan)
            before, self.peers = self.peers, {peer.key: peer for peer in plan.peers}
            self._ask_anew()
            self._ignored |= before.keys() - self.peers.keys()
            self._tables = {table.table for table in plan.route_tables}
            self._planned = {obj.tiers for obj in plan.objects if isinstance(obj, Group)}
            self._untold.configure(self._tables, self.peers.keys())
            self._sessions.configure(self.peers)
            self._speakers.configure(plan)
            self._speakers.hold(standing)
            self._speakers.announce(self._noted(self.rib.configure(plan.route_tables, plan.peers)).out)
            if not self._untold:
                # What nothing leads to any longer goes in the pass that takes its routes away.
                self._groups &= self._used()
            self._speakers.end_replays()
            self._configured.set()

    @property
    def whole(self) -> bool:
        """Whether the kernel took all that it was told."""
        return not self._refused

    async def verify(self, up: Set[int]) -> None:
        """Brings the kernel's learned routes to what the RIB has.

        Raises:
            DriverError: the kernel could not be asked.
        """
        async with self._lock:
            out = self._noted(self.rib.set_up(up)).out
            try:
                seen = await self._netlink.observe_learned()
                self._refused.clear()
                kept: set[Tiers] = set()
                for table in sorted(seen.keys() | self._tables):
                    there = seen.get(table, {})
                    changes = self._differences(table, there)
                    moved = changes.keys() - await self._program(table, changes)
                    kept |= {tiers for prefix, tiers in there.items() if tiers and prefix not in moved}
                self._groups = kept | self._used()
            finally:
                self._speakers.announce(out)

    async def set_up(self, up: Set[int]) -> None:
        """Tunnels came up or went down."""
        async with self._lock:
            await self._carry_out(self._noted(self.rib.set_up(up)))

    @asynccontextmanager
    async def still(self) -> AsyncIterator[Set[Tiers]]:
        """Holds learned routes as they are for the time of the block, and yields the groups that they use."""
        async with self._lock:
            yield self._groups

    async def follow(self) -> None:
        """Takes in what the helpers tell, for ever."""
        # Of a peer that is not known yet nothing is kept, and nobody tells it again.
        await self._configured.wait()
        async for events in self._exabgp.events():
            async with self._lock:
                await self._carry_out(self._noted(merge(delta for event in events for delta in self._take(event))))
                for event in events:
                    if isinstance(event, Began):
                        self._speakers.replay(event.speaker, self.rib.out)
                self._speakers.end_replays()

    async def tick(self) -> None:
        """Gives up what was waited for in vain. To be called every second or so."""
        async with self._lock:
            deltas = []
            for name in self._speakers.given_up():
                self._journal.record("bgp.given-up", level=logging.WARNING, speaker=name, seconds=int(PATIENCE))
                deltas += [self.rib.flush(peer) for peer in self.peers if peer[0] == name]
            if deltas:
                await self._carry_out(self._noted(merge(deltas)))
            self._speakers.end_replays()
            self._speakers.age(self._clock())

    async def _begin(self, plan: Plan) -> Mapping[int, Iterable[Nlri]]:
        """Finds, and returns by table, what stands from before: it stays until each peer has told all, and so do its
        groups."""
        seen = await self._netlink.observe_learned()
        self._groups = {tiers for table in plan.route_tables for tiers in seen.get(table.table, {}).values() if tiers}
        self._untold.begin(plan.peers, {table for table, routes in seen.items() if routes})
        return seen

    def _ask_anew(self) -> None:
        """Asks for what was told of peers while they were of no plan: one that could not be deleted may come back."""
        missed, self._ignored = self._ignored & self.peers.keys(), self._ignored - self.peers.keys()
        for speaker in sorted({name for name, _ in missed}):
            self._exabgp.ask_anew(speaker)

    def _take(self, event: Event) -> Iterable[Delta]:
        match event:
            case Learned(peer, routes):
                yield self.rib.learn_all(peer, ((parsed(attributes), nlris) for attributes, nlris in routes))
            case Withdrawn(peer, nlris):
                yield self.rib.withdraw(peer, nlris)
            case EndOfRib(peer):
                yield self.rib.end_of_rib(peer)
                self._untold.told(peer)
            case Flushed(peer):
                yield self.rib.flush(peer)
                self._untold.told(peer)
                self._sessions.flushed(peer)
                self._ignored.discard(peer)
            case PeerState():
                self._sessions.note(event, certain=self._speakers.connected(event.peer[0]))
                if event.peer not in self.peers:
                    self._ignored.add(event.peer)
            case SpeakerState(name, connected):
                self._speakers.note(name, connected)
            case Began(name):
                self.rib.begin(name)
                self._speakers.began(name)
            case Lost(name):
                self._speakers.went(name, self._clock())

    def _noted(self, delta: Delta) -> Delta:
        if delta.admitted or delta.dismissed:
            self.admitted = (self.admitted | delta.admitted) - delta.dismissed
            self._moved()
        return delta

    async def _carry_out(self, delta: Delta) -> None:
        """Changes the kernel first: nobody is to send here what has no route yet."""
        whole = self.whole
        try:
            for table, ways in delta.fib.items():
                final = self._untold.nobody(table)
                await self._program(
                    table, {prefix: (way,) if way else None for prefix, way in ways.items() if way or final}
                )
        except DriverError:
            self._fire()
        if whole and not self.whole:
            self._fire()
        self._speakers.announce(delta.out)

    def _differences(self, table: int, seen: Mapping[Nlri, Tiers]) -> dict[Nlri, Tiers | None]:
        wanted = self.rib.fib(table)
        changes: dict[Nlri, Tiers | None] = {
            prefix: (way,) for prefix, way in wanted.items() if seen.get(prefix) != (way,)
        }
        if self._untold.nobody(table):
            changes.update((prefix, None) for prefix in seen if prefix not in wanted)
        return changes

    def _used(self) -> set[Tiers]:
        """Returns the groups of all routes that there should be."""
        return {(way,) for table in self._tables for way in set(self.rib.fib(table).values())}

    async def _program(self, table: int, ways: Mapping[Nlri, Tiers | None]) -> Set[Nlri]:
        """Brings routes about; returns the prefixes that the kernel refused."""
        if not ways:
            return frozenset()
        used = {tiers for tiers in ways.values() if tiers is not None}
        # Which members of the others serve is the reconciler's to say, and it may know better by now.
        if new := [Group(tiers, tiers[0]) for tiers in sorted(used - self._groups - self._planned)]:
            errors = await self._netlink.make_groups(new)
            for error in errors:
                self._journal.record("route.refused", level=logging.WARNING, reason=error.reason)
            unmade = {target(error.op) for error in errors}
            used -= {group.tiers for group in new if group in unmade}
        self._groups |= used
        refused = await self._netlink.program_learned(table, ways)
        for prefix, reason in refused.items():
            self._refused[table, prefix] = reason
        if refused:
            prefix, reason = next(iter(refused.items()))
            self._journal.record(
                "route.refused", level=logging.WARNING, prefix=network(prefix), reason=reason, routes=len(refused)
            )
        return refused.keys()
