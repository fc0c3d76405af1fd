"""An agent without a machine: a real store, fake drivers, and passes when the test says so."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from hubgw.agent.certificates import Certificates
from hubgw.agent.desired import Compiler
from hubgw.agent.hub import Hub
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.routing import Routing
from hubgw.agent.service import Applied
from hubgw.agent.users import Users
from hubgw.drivers.exabgp.as_path import packed
from hubgw.drivers.exabgp.attributes import OPTIONAL, TRANSITIVE, Code, canonical
from hubgw.drivers.exabgp.events import Event
from hubgw.plan.bgp import AS_SEQUENCE, Nlri, PeerKey, network, nlri
from hubgw.plan.numbers import tunnel_interface
from hubgw.plan.types import Op, TunnelOf
from hubgw.plan.words import describe
from hubgw.store.sqlite import SqliteStore
from tests.fakes.drivers import Machine

T = TypeVar("T")

BRANCHES = Path(__file__).parents[2].joinpath("golden/compile/two-branches/input.yaml").read_bytes()
"""A WAN, its hub, a virtual network on eth1, and two branches with two tunnels each: hgt1 and hgt2, hgt3 and hgt4."""

BGP = Path(__file__).with_name("bgp.yaml").read_bytes()
"""Two branches with BGP, AS 65010 and AS 65020, and a static one, hgt5 and hgt6; else as `BRANCHES`."""

FIRST, SECOND, THIRD = ("hgt1", "hgt2"), ("hgt3", "hgt4"), ("hgt5", "hgt6")
TABLE = 10_000_001
SPEAKERS = ("hgv1-0", "hgv1-1")
BRANCH1: tuple[PeerKey, PeerKey] = (("hgv1-0", "10.1.0.254"), ("hgv1-1", "10.1.0.254"))
BRANCH2: tuple[PeerKey, PeerKey] = (("hgv1-0", "10.2.0.254"), ("hgv1-1", "10.2.0.254"))
"""The sessions of each branch: the first rides its first tunnel, the second its second."""

DEADLINE = 20.0


class Clock:
    """Stands in for the monotonic clock."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """`hub` is what the socket shows, `settle` runs one pass; `fired` counts the passes that routing asked for."""

    def __init__(
        self, path: Path, machine: Machine | None = None, node: str | None = None, clock: Clock | None = None
    ) -> None:
        self.machine = machine or Machine()
        self.store = SqliteStore(path / "store.db")
        self.journal = Journal()
        self.certificates = Certificates(self.store, self.journal)
        self.compiler = Compiler(self.store, "digest", node, self.certificates)
        self.clock = clock or Clock()
        self.fired = 0
        self.moved = 0
        drivers = self.machine.drivers
        self.routing = Routing(
            drivers.netlink, drivers.exabgp, self.journal, fire=self._fire, moved=self._move, clock=self.clock
        )
        self.reconciler = Reconciler(self.compiler, drivers, self.journal, self.routing)
        self._following: asyncio.Task[None] | None = None
        self.users = Users(self.reconciler, drivers.strongswan, self.journal, self.clock)
        self.hub = Hub(
            self.store,
            self.compiler,
            self.reconciler,
            self.journal,
            self.settle,
            certificates=self.certificates,
            users=self.users,
        )

    def _fire(self) -> None:
        self.fired += 1

    def _move(self) -> None:
        self.moved += 1

    async def settle(self) -> None:
        await self.reconciler.reconcile()

    async def tell(self, *events: Event) -> None:
        """Has the helpers tell something, and returns when it has been taken in."""
        self._following = self._following or asyncio.create_task(self.routing.follow())
        told = asyncio.create_task(self.machine.exabgp.tell(*events))
        await asyncio.wait({told, self._following}, return_when=asyncio.FIRST_COMPLETED)
        if self._following.done():
            self._following.result()

    async def apply(self, content: bytes = BRANCHES, **options: Any) -> Applied:
        options = {"prune": False, "dry_run": False, "if_generation": None, "who": "test"} | options
        return await self.hub.apply([("input.yaml", content)], **options)

    async def delete(self, *names: str, **options: Any) -> Applied:
        defaults = {"everything": False, "cascade": False, "dry_run": False, "if_generation": None, "who": "test"}
        return await self.hub.delete(names, [], **(defaults | options))

    async def connected(self) -> "Rig":
        """Applies the branches and brings every tunnel up."""
        await self.apply()
        self.machine.bring_up(*FIRST, *SECOND)
        await self.reconciler.follow()
        self.machine.log.clear()
        return self

    async def end(self) -> None:
        """Ends the agent; the machine goes on."""
        if self._following:
            self._following.cancel()
        self.machine.exabgp.hang_up()
        self.store.close()

    def learned(self, table: int = TABLE) -> dict[str, str]:
        """Returns the routes of the kernel that BGP taught: the tunnels by prefix."""
        routes = self.machine.netlink.learned.get(table, {})
        return {str(network(prefix)): _tunnels(tiers) for prefix, tiers in sorted(routes.items())}

    def out(self, speaker: str) -> set[str]:
        """Returns the prefixes that a speaker has to advertise."""
        return {str(network(prefix)) for prefix in self.machine.exabgp.out.get(speaker, {})}

    def events(self, name: str) -> list[str]:
        return [event.text for event in self.journal.events() if event.event == name]

    def tunnel(self, name: str) -> TunnelOf:
        assert self.reconciler.state.desired
        return next(tunnel for tunnel in self.reconciler.state.desired.plan.tunnels if tunnel.name == name)


def prefixes(*texts: str) -> list[Nlri]:
    return [nlri(IPv4Network(text)) for text in texts]


def wire(*asns: int, communities: Iterable[int] = ()) -> bytes:
    """Returns the attributes of a path with these AS numbers, the nearest first."""
    values = [
        (TRANSITIVE, int(Code.ORIGIN), b"\0"),
        (TRANSITIVE, int(Code.AS_PATH), packed(((AS_SEQUENCE, asns),), 4)),
        (OPTIONAL | TRANSITIVE, int(Code.COMMUNITIES), b"".join(one.to_bytes(4, "big") for one in communities)),
    ]
    return canonical(values if communities else values[:2])


def _tunnels(tiers: Sequence[Sequence[int]]) -> str:
    return ", else ".join(" ".join(map(tunnel_interface, tier)) for tier in tiers)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a test's coroutine, with a deadline for what never comes."""
    return asyncio.run(asyncio.wait_for(work, DEADLINE))


def said(ops: Sequence[Op]) -> list[str]:
    return [describe(op) for op in ops]


async def until(condition: Any) -> None:
    """Returns when a condition holds; the deadline is `run`'s."""
    while not condition():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0)
