"""An agent without a machine: a real store, fake drivers, and passes when the test says so."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hubgw.agent.desired import Compiler
from hubgw.agent.hub import Hub
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.service import Applied
from hubgw.plan.types import Op, TunnelOf
from hubgw.plan.words import describe
from hubgw.store.sqlite import SqliteStore
from tests.fakes.drivers import Machine

T = TypeVar("T")

BRANCHES = Path(__file__).parents[2].joinpath("golden/compile/two-branches/input.yaml").read_bytes()
"""A WAN, its hub, a virtual network on eth1, and two branches with two tunnels each: hgt1 and hgt2, hgt3 and hgt4."""

FIRST, SECOND = ("hgt1", "hgt2"), ("hgt3", "hgt4")
DEADLINE = 20.0


class Rig:
    """`hub` is what the socket shows, `settle` runs one pass."""

    def __init__(self, path: Path, machine: Machine | None = None, node: str | None = None) -> None:
        self.machine = machine or Machine()
        self.store = SqliteStore(path / "store.db")
        self.journal = Journal()
        self.compiler = Compiler(self.store, "digest", node)
        self.reconciler = Reconciler(self.compiler, self.machine.drivers, self.journal)
        self.hub = Hub(self.store, self.compiler, self.reconciler, self.journal, self.settle)

    async def settle(self) -> None:
        await self.reconciler.reconcile()

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

    def events(self, name: str) -> list[str]:
        return [event.text for event in self.journal.events() if event.event == name]

    def tunnel(self, name: str) -> TunnelOf:
        assert self.reconciler.state.desired
        return next(tunnel for tunnel in self.reconciler.state.desired.plan.tunnels if tunnel.name == name)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a test's coroutine, with a deadline for what never comes."""
    return asyncio.run(asyncio.wait_for(work, DEADLINE))


def said(ops: Sequence[Op]) -> list[str]:
    return [describe(op) for op in ops]


async def until(condition: Any) -> None:
    """Returns when a condition holds; the deadline is `run`'s."""
    while not condition():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0)
