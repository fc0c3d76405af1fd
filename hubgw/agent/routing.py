"""What BGP peers tell -> the kernel's tables, and what the others hear: events of helpers in, deltas of the RIB out.

A prefix that is learned or withdrawn waits for no pass; the pass verifies the kernel against the RIB. After a start of
the agent nothing is taken back, from the kernel or from a peer, until each peer of the table has told all that it has,
or a deadline has passed.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

from hubgw.agent.journal import Journal
from hubgw.agent.sessions import Sessions
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.attributes import exported, parsed
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
from hubgw.plan.types import Group, Plan, Tiers
from hubgw.rib.rib import Rib
from hubgw.rib.types import Admitted, Delta, Out, merge

PATIENCE = 180.0
"""Seconds for which routes are kept of a speaker that is away, and of a peer that has not told all since our start."""

_attributes = lru_cache(65536)(parsed)
_exported = lru_cache(65536)(exported)


@dataclass(slots=True)
class _Speaker:
    """A speaker as it was last heard of. `lost` is when its helper went, or None; `replaying` is true until it has been
    told that all was advertised; `held` is what is advertised no longer, and it was not told yet."""

    table: int
    connected: bool = False  # its ExaBGP is there
    lost: float | None = None
    replaying: bool = False
    held: set[Nlri] = field(default_factory=set)


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
        self._started = clock()
        self._asns: dict[int, int] = {}  # the hub's own, by table
        self._speakers: dict[str, _Speaker] = {}
        self._awaited: dict[int, set[PeerKey]] | None = None  # by table, who has not told all since the agent's start
        self._planned: Set[Tiers] = frozenset()  # groups that are a pass's to make
        self._groups: set[Tiers] = set()  # those that learned routes use
        self._refused: dict[tuple[int, Nlri], str] = {}
        self._sessions = Sessions(journal)
        self.rib = Rib()
        self.peers: Mapping[PeerKey, PeerOf] = {}
        self.admitted: Set[Admitted] = frozenset()

    def groups(self, up: Set[int]) -> list[Group]:
        """Returns the nexthop groups that learned routes use, with their members that are up."""
        return [Group(tiers, first_tier_up(tiers, up)) for tiers in sorted(self._groups)]

    def session(self, peer: PeerKey) -> PeerState | None:
        """Returns what was last said of a session; None while nobody says anything of it."""
        speaker = self._speakers.get(peer[0])
        return self._sessions.get(peer) if speaker and speaker.lost is None else None

    async def configure(self, plan: Plan) -> None:
        """Takes over what the peers and tables of a plan mean; what follows for the kernel, `verify` carries out.

        Raises:
            DriverError: the kernel could not be asked for what stands from before the agent's start.
        """
        async with self._lock:
            if self._awaited is None:
                await self._begin(plan)
            self.peers = {peer.key: peer for peer in plan.peers}
            self._asns = {table.table: table.asn for table in plan.route_tables}
            self._planned = {obj.tiers for obj in plan.objects if isinstance(obj, Group)}
            self._awaited = {
                table: keys & self.peers.keys() for table, keys in (self._awaited or {}).items() if table in self._asns
            }
            self._sessions.configure(self.peers)
            known, self._speakers = self._speakers, {}
            for peer in plan.peers:
                self._speakers.setdefault(peer.speaker, known.get(peer.speaker) or _Speaker(peer.table))
            self._announce(self._noted(self.rib.configure(plan.route_tables, plan.peers)).out)
            if not self._awaited:
                # What nothing leads to any longer goes in the pass that takes its routes away.
                self._groups &= self._used()
            self._end_replays()
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
                for table in sorted(seen.keys() | self._asns.keys()):
                    there = seen.get(table, {})
                    changes = self._differences(table, there)
                    moved = changes.keys() - await self._program(table, changes)
                    kept |= {tiers for prefix, tiers in there.items() if tiers and prefix not in moved}
                self._groups = kept | self._used()
            finally:
                self._announce(out)

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
                await self._carry_out(self._noted(merge(self._take_all(events))))
                for event in events:
                    if isinstance(event, Began) and event.speaker in self._speakers:
                        self._replay(event.speaker)
                self._end_replays()

    async def tick(self) -> None:
        """Gives up what was waited for in vain. To be called every second or so."""
        async with self._lock:
            now = self._clock()
            deltas = []
            for name, speaker in self._speakers.items():
                if speaker.lost is not None and now - speaker.lost > PATIENCE:
                    speaker.lost = math.inf
                    self._journal.record("bgp.given-up", level=logging.WARNING, speaker=name, seconds=int(PATIENCE))
                    deltas += [self.rib.flush(peer) for peer in self.peers if peer[0] == name]
            if deltas:
                await self._carry_out(self._noted(merge(deltas)))
            self._end_replays()

    async def _begin(self, plan: Plan) -> None:
        """Finds what stands from before: it stays until each peer has told all, and so do its groups.

        Of a peer that has nothing to tell its helper says Flushed as soon as it knows. Where nothing stands, nobody is
        waited for.
        """
        seen = await self._netlink.observe_learned()
        self._groups = {tiers for table in plan.route_tables for tiers in seen.get(table.table, {}).values() if tiers}
        self._awaited = {}
        for peer in plan.peers:
            if seen.get(peer.table):
                self._awaited.setdefault(peer.table, set()).add(peer.key)

    def _take_all(self, events: Iterable[Event]) -> Iterator[Delta]:
        # A peer may announce a hundred thousand prefixes of as many attributes: what follows is derived once.
        for peer, run in groupby(events, key=lambda event: event.peer if isinstance(event, Learned) else None):
            if peer is None:
                for event in run:
                    yield from self._take(event)
            else:
                learned = (event for event in run if isinstance(event, Learned))
                yield self.rib.learn_all(peer, ((_attributes(one.attributes), one.nlris) for one in learned))

    def _take(self, event: Event) -> Iterable[Delta]:
        match event:
            case Withdrawn(peer, nlris):
                yield self.rib.withdraw(peer, nlris)
            case EndOfRib(peer):
                yield self.rib.end_of_rib(peer)
                self._has_told_all(peer)
            case Flushed(peer):
                yield self.rib.flush(peer)
                self._has_told_all(peer)
                self._sessions.flushed(peer)
            case PeerState():
                self._note_session(event)
            case SpeakerState(name, connected):
                if (speaker := self._speakers.get(name)) is not None:
                    speaker.connected = connected
            case Began(name):
                self.rib.begin(name)
                if (speaker := self._speakers.get(name)) is not None:
                    speaker.lost, speaker.replaying = None, True
            case Lost(name):
                if (speaker := self._speakers.get(name)) is not None:
                    speaker.lost, speaker.connected = self._clock(), False

    def _note_session(self, state: PeerState) -> None:
        if (speaker := self._speakers.get(state.peer[0])) is None:
            return
        self._sessions.note(state, certain=speaker.connected)

    def _has_told_all(self, peer: PeerKey) -> None:
        for waiting in (self._awaited or {}).values():
            waiting.discard(peer)

    def _in_sync(self, table: int) -> bool:
        """Tells whether what a table's peers have not told since the agent's start is gone indeed."""
        if self._awaited is None:
            return False
        if not self._awaited.get(table) or self._clock() - self._started > PATIENCE:
            if self._awaited.pop(table, None) is not None:
                # What was held back is left to do.
                self._fire()
            return True
        return False

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
                kept = (
                    ways if self._in_sync(table) else {prefix: way for prefix, way in ways.items() if way is not None}
                )
                await self._program(table, {prefix: (way,) if way else None for prefix, way in kept.items()})
        except DriverError:
            self._fire()
        if whole and not self.whole:
            self._fire()
        self._announce(delta.out)

    def _differences(self, table: int, seen: Mapping[Nlri, Tiers]) -> dict[Nlri, Tiers | None]:
        wanted = self.rib.fib(table)
        changes: dict[Nlri, Tiers | None] = {
            prefix: (way,) for prefix, way in wanted.items() if seen.get(prefix) != (way,)
        }
        if self._in_sync(table):
            changes.update((prefix, None) for prefix in seen if prefix not in wanted)
        return changes

    def _used(self) -> set[Tiers]:
        """Returns the groups of all routes that there should be."""
        return {(way,) for table in self._asns for way in set(self.rib.fib(table).values())}

    async def _program(self, table: int, ways: Mapping[Nlri, Tiers | None]) -> Set[Nlri]:
        """Brings routes about; returns the prefixes that the kernel refused."""
        if not ways:
            return frozenset()
        used = {tiers for tiers in ways.values() if tiers is not None}
        # Which members of the others serve is the reconciler's to say, and it may know better by now.
        if new := used - self._groups - self._planned:
            errors = await self._netlink.make_groups([Group(tiers, tiers[0]) for tiers in sorted(new)])
            for error in errors:
                self._journal.record("route.refused", level=logging.WARNING, reason=error.reason)
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

    def _announce(self, out: Mapping[int, Mapping[Nlri, Out | None]]) -> None:
        for table, outs in out.items():
            self._tell([name for name, speaker in self._speakers.items() if speaker.table == table], table, outs)

    def _tell(self, speakers: Collection[str], table: int, outs: Mapping[Nlri, Out | None]) -> None:
        """Tells these speakers of a table what they announce now, and no longer."""
        groups: dict[Out, list[Nlri]] = {}
        gone: list[Nlri] = []
        for prefix, entry in outs.items():
            if entry is None:
                gone.append(prefix)
            else:
                groups.setdefault(entry, []).append(prefix)
        advertised: list[tuple[bytes, list[str], list[Nlri]]] = []
        for out, prefixes in groups.items():
            wire = _exported(out.attributes, self._asns[table])
            if wire is None:
                gone += prefixes
            else:
                advertised.append((wire, sorted(out.excluded), prefixes))
        for name in speakers:
            for wire, excluded, prefixes in advertised:
                self._exabgp.advertise(name, wire, excluded, prefixes)
                self._speakers[name].held.difference_update(prefixes)
            self._withdraw(name, gone)

    def _withdraw(self, name: str, prefixes: Collection[Nlri]) -> None:
        speaker = self._speakers[name]
        if not self._in_sync(speaker.table):
            speaker.held.update(prefixes)
        elif prefixes:
            self._exabgp.withdraw(name, sorted(prefixes))

    def _replay(self, speaker: str) -> None:
        """A helper that has just come knows nothing of what we advertise, or what of it holds no longer."""
        self._speakers[speaker].held.clear()
        table = self._speakers[speaker].table
        self._tell([speaker], table, self.rib.out(table))

    def _end_replays(self) -> None:
        """Tells what was held back, and that all was advertised, to who waits for it: what was not is gone by that."""
        for name, speaker in self._speakers.items():
            if speaker.lost is None and self._in_sync(speaker.table):
                held, speaker.held = speaker.held, set()
                self._withdraw(name, held)
                if speaker.replaying:
                    speaker.replaying = False
                    self._exabgp.advertised(name)
