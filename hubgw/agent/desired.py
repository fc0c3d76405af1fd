"""The store's newest generation -> the plan of this machine, compiled once per generation."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hubgw.agent.certificates import Certificates, Needs
from hubgw.compile.allocate import owners
from hubgw.compile.credentials import Barred, Own, UserNeeds, UsersAuthority, needs, user_needs
from hubgw.compile.draft import Allocations
from hubgw.compile.plan import compile_plan
from hubgw.compile.where import Addresses
from hubgw.plan.types import Plan
from hubgw.resources.base import Resource
from hubgw.resources.inventory import Inventory
from hubgw.resources.node import Node
from hubgw.resources.parse import parse
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import Json, Snapshot, StoreError


@dataclass(frozen=True, slots=True)
class Desired:
    """One generation: its resources, and what they make of this machine where names lead to these addresses."""

    snapshot: Snapshot = field(repr=False)  # with its secrets
    inventory: Inventory
    plan: Plan
    own: Own = field(repr=False)
    needs: Needs
    revoked: Mapping[str, float]  # what was established before that ends, by identity in lower case
    addresses: Addresses
    user_needs: UserNeeds
    users: UsersAuthority | None = field(repr=False)
    standing: Mapping[str, float]  # as `revoked`, of users, with those of whom nothing is
    barred: Barred = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What was compiled last, from what."""

    resources: Mapping[str, Resource]
    numbers: Allocations
    addresses: Addresses
    own: Own = field(repr=False)
    users: UsersAuthority | None = field(repr=False)
    barred: Barred = field(repr=False)
    plan: Plan


class Compiler:
    """Reads the store and compiles; what is as it was is neither read nor compiled again."""

    def __init__(
        self,
        store: SqliteStore,
        ruleset: str,
        node_name: str | None,
        certificates: Certificates,
        addresses: Callable[[], Addresses] = dict,
    ) -> None:
        self._store = store
        self._certificates = certificates
        self._ruleset = ruleset
        self._node_name = node_name
        self._addresses = addresses
        self._latest: Desired | None = None
        self._compiling = asyncio.Lock()
        self._read: dict[str, tuple[Json, Resource]] = {}
        self._compiled: _Compiled | None = None

    async def latest(self) -> Desired:
        """Returns the newest generation's plan. Raises StoreError."""
        async with self._compiling:
            if self._latest is None or self._latest.snapshot.generation != self._store.head:
                self._latest = await asyncio.to_thread(self._compile, self._store.read())
            latest = self._latest
            found = self._found(
                {**self._certificates.ensure(latest.needs), **self._certificates.users.ensure(latest.user_needs)}
            )
            if any(getattr(latest, name) != value for name, value in found.items()):
                plan = await asyncio.to_thread(self._plan, latest.snapshot, latest.inventory)
                self._latest = latest = replace(latest, plan=plan, **found)
            return latest

    def _found(self, own: Own) -> dict[str, Any]:
        """Returns what a plan goes by, or who goes by it, that is in no resource."""
        users = self._certificates.users
        return {
            "own": own,
            "revoked": self._certificates.revoked(),
            "addresses": self._addresses(),
            "users": users.believed(),
            "standing": users.standing(),
            "barred": self._certificates.barred.known(),
        }

    def _known(self) -> Own:
        return {**self._certificates.known(), **self._certificates.users.known()}

    def preview(self, inventory: Inventory, allocations: Allocations, last: Mapping[str, int] = {}) -> Plan:
        """Compiles resources that are not stored; what has no number yet gets one as the store would give it."""
        numbers = numbered(owners(inventory), allocations, last)
        known, own, addresses = self._compiled, self._known(), self._addresses()
        users, barred = self._certificates.users.believed(), self._certificates.barred.known()
        if known is None or (known.numbers, known.own, known.users, known.barred, known.addresses, known.resources) != (
            numbers,
            own,
            users,
            barred,
            addresses,
            inventory.by_key,
        ):
            plan = compile_plan(
                inventory,
                self._node(inventory),
                numbers,
                self._ruleset,
                self._store.hmac_key,
                own=own,
                users=users,
                barred=barred,
                addresses=addresses,
            )
            self._compiled = known = _Compiled(inventory.by_key, numbers, addresses, own, users, barred, plan)
        return known.plan

    def resource(self, key: str, body: Json) -> Resource:
        """Returns a stored resource. Raises StoreError, see `from_json`."""
        known = self._read.get(key)
        if known is None or known[0] != body:
            self._read[key] = known = body, from_json(body)
        return known[1]

    def _compile(self, snapshot: Snapshot) -> Desired:
        inventory = Inventory.of(self.resource(key, body) for key, body in snapshot.resources.items())
        self._read = {key: (body, inventory.by_key[key]) for key, body in snapshot.resources.items()}
        plan, found = self._plan(snapshot, inventory), self._found(self._known())
        return Desired(snapshot, inventory, plan, needs=needs(inventory), user_needs=user_needs(inventory), **found)

    def _plan(self, snapshot: Snapshot, inventory: Inventory) -> Plan:
        return self.preview(inventory, snapshot.allocations, snapshot.last)

    def _node(self, inventory: Inventory) -> Node | None:
        """The machine's own node: the one of its name, or the only one that there is; None where there is none.

        Raises:
            StoreError: it is none of the nodes that there are. To take that for an empty plan would empty the machine.
        """
        name = self._node_name
        mine = [node for node in inventory.nodes if name is None or node.name.lower() == name.lower()]
        if len(mine) == 1:
            return mine[0]
        if not inventory.nodes:
            return None
        known = ", ".join(node.name for node in inventory.nodes)
        problem = f"no node is named {name}" if name else "there are several nodes"
        raise StoreError(f"store: {problem}; start this machine's agent with --node and one of {known}")


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


def numbered(wanted: Iterable[tuple[str, str]], allocations: Allocations, last: Mapping[str, int] = {}) -> Allocations:
    """Returns the allocations with, for each owner that has none, a number above all that its kind was ever given."""
    numbers, highest = dict(allocations), dict(last)
    for (kind, _), number in allocations.items():
        highest[kind] = max(highest.get(kind, 0), number)
    for kind, owner in sorted(wanted):
        if (kind, owner) not in numbers:
            highest[kind] = numbers[kind, owner] = highest.get(kind, 0) + 1
    return numbers
