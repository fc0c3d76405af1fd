"""Whatever happens in whatever order, kernel and helpers end where a RIB made anew of what the peers say is."""

import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hubgw.agent.untold import PATIENCE
from hubgw.drivers.exabgp.attributes import exported, parsed
from hubgw.drivers.exabgp.events import EndOfRib, Event, Flushed, Lost
from hubgw.plan.activate import activate
from hubgw.plan.bgp import Nlri, PeerKey
from hubgw.plan.diff import diff
from hubgw.plan.kernel import Group, Route
from hubgw.rib.rib import Rib
from tests.unit.agent.bgp import PEERS, opening, restarted, says, up, with_tunnels, withdraws
from tests.unit.agent.rig import BRANCH1, FIRST, SECOND, SPEAKERS, TABLE, THIRD, prefixes, run, wire

PREFIXES = ("10.8.0.0/16", "10.9.0.0/16", "10.77.0.0/16", "0.0.0.0/0", "10.50.0.0/25")
TUNNELS = (*FIRST, *SECOND, *THIRD)
STEPS = 40

Step = Callable[[], Coroutine[Any, Any, None]]


class World:
    """An agent, its helpers with what the peers told them, and who of them has told all."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.peers: dict[PeerKey, dict[str, tuple[int, ...]]] = {peer: {} for peer in PEERS}
        self.complete: set[PeerKey] = set()
        self.connected: set[str] = set()
        self.up = set(TUNNELS)
        self.awaited: set[PeerKey] = set()
        self.started = 0.0

    async def begin(self, path: Path) -> None:
        self.rig = await with_tunnels(path)
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        self.awaited, self.started = set(PEERS) if self.kernel() else set(), self.rig.clock.now

    def steps(self) -> list[Step]:
        often = [self.learn, self.withdraw, self.end_of_rib, self.connect, self.tunnel]
        return [
            *often,
            *often,
            self.flush,
            self.disconnect,
            self.afresh,
            self.run_pass,
            self.wait,
            self.restart,
            self.fail,
        ]

    async def tell(self, peer: PeerKey, *events: Event) -> None:
        if peer[0] in self.connected:
            await self.rig.tell(*events)

    async def learn(self) -> None:
        peer, some = self.random.choice(PEERS), self.random.sample(PREFIXES, 2)
        asn = 65010 if peer in BRANCH1 else 65020
        path = (asn, *[65100] * self.random.randrange(3))
        self.peers[peer].update(dict.fromkeys(some, path))
        await self.tell(peer, says(peer, *some, path=path))

    async def withdraw(self) -> None:
        peer = self.random.choice(PEERS)
        some = [prefix for prefix in self.random.sample(PREFIXES, 2) if self.peers[peer].pop(prefix, None)]
        if some:
            await self.tell(peer, withdraws(peer, *some))

    async def end_of_rib(self) -> None:
        peer = self.random.choice(PEERS)
        self.complete.add(peer)
        await self.tell(peer, EndOfRib(peer))
        self._told_all(peer)

    async def flush(self) -> None:
        peer = self.random.choice(PEERS)
        self.peers[peer].clear()
        self.complete.add(peer)
        await self.tell(peer, Flushed(peer))
        self._told_all(peer)

    def _told_all(self, peer: PeerKey) -> None:
        if peer[0] in self.connected:
            self.awaited.discard(peer)

    async def connect(self) -> None:
        for speaker in sorted(set(SPEAKERS) - self.connected)[:1]:
            self.connected.add(speaker)
            told = opening(speaker)
            for peer in (peer for peer in PEERS if peer[0] == speaker):
                told.append(up(peer))
                told += [says(peer, prefix, path=path) for prefix, path in self.peers[peer].items()]
                if peer in self.complete:
                    told.append(EndOfRib(peer))
                    self._told_all(peer)
            await self.rig.tell(*told)

    async def disconnect(self) -> None:
        for speaker in sorted(self.connected)[:1]:
            self.connected.discard(speaker)
            await self.rig.tell(Lost(speaker))

    async def afresh(self) -> None:
        """A helper's process ends: what it was told it forgets, and its peers tell some of it again."""
        speaker = self.random.choice(SPEAKERS)
        if speaker in self.connected:
            self.connected.discard(speaker)
            await self.rig.tell(Lost(speaker))
        self.rig.machine.exabgp.out.get(speaker, {}).clear()
        for peer in (peer for peer in PEERS if peer[0] == speaker):
            self.complete.discard(peer)
            for prefix in self.random.sample(PREFIXES, 2):
                self.peers[peer].pop(prefix, None)

    async def tunnel(self) -> None:
        name = self.random.choice(TUNNELS)
        if name in self.up:
            self.rig.machine.take_down(name)
        else:
            self.rig.machine.bring_up(name)
        self.up ^= {name}
        if self.random.randrange(3):
            await self.rig.reconciler.follow()

    async def run_pass(self) -> None:
        await self.rig.reconciler.reconcile()

    async def wait(self) -> None:
        self.rig.clock.now += self.random.choice((1, 20, 100))
        await self.rig.routing.tick()

    async def restart(self) -> None:
        self.rig.machine.netlink.reach.fail_calls.clear()
        assert self.rig.events("drift.repaired") == []
        self.connected.clear()
        self.rig = await restarted(self.rig)
        self._wait_for_all()

    async def fail(self) -> None:
        if self.random.randrange(2):
            self.rig.machine.netlink.fail_next(self.random.choice((Route, Group)))
        else:
            self.rig.machine.netlink.reach.fail_calls[self.random.choice(("make_groups", "program_learned"))] = 1

    async def settle(self) -> None:
        """Everybody is there and has told all; passes until one has nothing to do."""
        self.rig.machine.netlink._failures.clear()
        self.rig.machine.netlink.reach.fail_calls.clear()
        while self.connected != set(SPEAKERS):
            await self.connect()
        for peer in PEERS:
            await self.rig.tell(EndOfRib(peer))
        await self.rig.routing.tick()
        await self.rig.reconciler.follow()
        for _ in range(3):
            whole = await self.rig.reconciler.reconcile()
        assert whole

    @property
    def holds_back(self) -> bool:
        return bool(self.awaited) and self.rig.clock.now - self.started <= PATIENCE

    def kernel(self) -> set[Nlri]:
        return set(self.rig.machine.netlink.learned.get(TABLE, {}))


def check(world: World) -> None:
    desired = world.rig.reconciler.state.desired
    assert desired
    tunnels = {tunnel.name: tunnel.nexthop for tunnel in desired.plan.tunnels}
    rib = Rib()
    rib.configure(desired.plan.route_tables, desired.plan.peers)
    rib.set_up({tunnels[name] for name in world.up})
    for peer, told in world.peers.items():
        for text, path in told.items():
            rib.learn(peer, parsed(wire(*path)), prefixes(text))
    machine = world.rig.machine
    assert machine.netlink.learned.get(TABLE, {}) == {prefix: (way,) for prefix, way in rib.fib(TABLE).items()}
    wanted = {}
    for prefix, entry in rib.out(TABLE).items():
        if attributes := exported(entry.attributes, 65515):
            wanted[prefix] = attributes, tuple(sorted(entry.excluded))
    for speaker in SPEAKERS:
        assert machine.exabgp.out[speaker] == wanted
    up_ = {tunnels[name] for name in world.up}
    objects = [*activate(desired.plan, up_, rib.exceptions()), *world.rig.routing.groups(up_)]
    assert diff(objects, machine.seen.values()) == []
    ways = {(way,) for way in rib.fib(TABLE).values()}
    assert machine.groups().keys() == {obj.tiers for obj in desired.plan.objects if isinstance(obj, Group)} | ways
    assert world.rig.events("drift.repaired") == []


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_whatever_happens_all_ends_as_the_peers_say(random: Random) -> None:
    async def case(path: Path) -> None:
        world = World(random)
        await world.begin(path)
        for _ in range(random.randrange(STEPS)):
            before, step = world.kernel(), random.choice(world.steps())
            held = world.holds_back
            await step()
            if (held and world.holds_back) or step == world.restart:
                assert before <= world.kernel(), "taken back before every peer has told all"
        await world.settle()
        check(world)
        world.rig.store.close()

    with tempfile.TemporaryDirectory() as directory:
        run(case(Path(directory)))
