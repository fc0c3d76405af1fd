"""The store's newest generation -> the plan of this machine, compiled once per generation."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from hubgw.compile.allocate import owners
from hubgw.compile.draft import Allocations
from hubgw.compile.plan import compile_plan
from hubgw.plan.types import Plan
from hubgw.resources.base import Resource
from hubgw.resources.inventory import Inventory
from hubgw.resources.node import Node
from hubgw.resources.parse import parse
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import Json, Snapshot, StoreError


@dataclass(frozen=True, slots=True)
class Desired:
    """One generation: its resources, and what they make of this machine."""

    snapshot: Snapshot
    inventory: Inventory
    plan: Plan


class Compiler:
    """Reads the store and compiles; nothing is compiled twice."""

    def __init__(self, store: SqliteStore, ruleset: str, node_name: str | None) -> None:
        self._store = store
        self._ruleset = ruleset
        self._node_name = node_name
        self._latest: Desired | None = None

    async def latest(self) -> Desired:
        """Returns the newest generation's plan. Raises StoreError."""
        head = self._store.head
        if self._latest is None or self._latest.snapshot.generation != head:
            self._latest = await asyncio.to_thread(self._compile, self._store.read())
        return self._latest

    def preview(self, inventory: Inventory, allocations: Allocations) -> Plan:
        """Compiles resources that are not stored; what has no number yet gets one as the store would give it."""
        return compile_plan(
            inventory,
            self._node(inventory),
            numbered(owners(inventory), allocations),
            self._ruleset,
            self._store.hmac_key,
        )

    def _compile(self, snapshot: Snapshot) -> Desired:
        inventory = Inventory.of(from_json(body) for body in snapshot.resources.values())
        return Desired(snapshot, inventory, self.preview(inventory, snapshot.allocations))

    def _node(self, inventory: Inventory) -> Node | None:
        """The machine's own node: the one of its name, or the only one that there is."""
        for node in inventory.nodes:
            if self._node_name is not None and node.name.lower() == self._node_name.lower():
                return node
        return inventory.nodes[0] if self._node_name is None and len(inventory.nodes) == 1 else None


def from_json(body: Json) -> Resource:
    """Returns a stored resource.

    Raises:
        StoreError: this version cannot read it, though some version stored it.
    """
    parsed = parse(body)
    if parsed.resource is None:
        said = "; ".join(f"{'.'.join(map(str, finding.path))}: {finding.message}" for finding in parsed.findings)
        raise StoreError(f"store: {body.get('id')}: {said}; it was stored by another version of hubgw")
    return parsed.resource


def numbered(wanted: Iterable[tuple[str, str]], allocations: Allocations) -> Allocations:
    """Returns the allocations with a number above all known ones of its kind for each owner that has none."""
    numbers = dict(allocations)
    last: dict[str, int] = {}
    for (kind, _), number in allocations.items():
        last[kind] = max(last.get(kind, 0), number)
    for kind, owner in sorted(wanted):
        if (kind, owner) not in numbers:
            last[kind] = numbers[kind, owner] = last.get(kind, 0) + 1
    return numbers
