"""A kernel in memory, for whoever drives the netlink driver: same surface, same cascades, `fail_next` for refusals."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from hubgw import names
from hubgw.drivers.netlink.monitor import Event
from hubgw.drivers.netlink.xfrm import KernelSa
from hubgw.plan.bgp import Nlri, network
from hubgw.plan.kernel import (
    Address,
    Classifier,
    Gateway,
    Group,
    Key,
    Nexthop,
    OnLink,
    Port,
    Route,
    Sysctl,
    Tiers,
    Translation,
    Tunnel,
    Tunnels,
    Vrf,
)
from hubgw.plan.numbers import GROUPS, LEARNED_METRIC
from hubgw.plan.types import Create, Delete, Object, Op, OpError


class FakeMonitor:
    """Yields the events that a test puts in."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        self._events.put_nowait(event)

    async def changes(self) -> list[Event]:
        events = [await self._events.get()]
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events

    def close(self) -> None:
        pass


class FakeNetlink:
    """`objects` is what is there by key, `interfaces` are the operator's, `applied` is every operation so far.

    `learned` are the routes that BGP taught, by table; to `fail_next` and in `applied` one is a `Route` of its metric.
    """

    def __init__(self, interfaces: Collection[str] = ("lo",)) -> None:
        self.objects: dict[Key, Object] = {}
        self.interfaces = set(interfaces)
        self.applied: list[Op] = []
        self.activated: list[Group] = []
        self.sas: list[KernelSa] = []
        self.events = FakeMonitor()
        self.carried: dict[str, tuple[int, int]] = {}
        self.learned: dict[int, dict[Nlri, Tiers]] = {}
        self._failures: list[tuple[type[Object] | Key, str]] = []
        self._numbers: dict[Tiers, int] = {}

    def fail_next(self, what: type[Object] | Key, reason: str = "Operation not permitted") -> None:
        """Refuses the next operation on an object of this class or with this key."""
        self._failures.append((what, reason))

    def close(self) -> None:
        pass

    def monitor(self, nftables_table: str) -> FakeMonitor:
        return self.events

    async def observe(self) -> list[Object]:
        return list(self.objects.values())

    async def octets(self) -> dict[str, tuple[int, int]]:
        return dict(self.carried)

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        self.applied += ops
        errors = []
        for op in ops:
            reason = self._refusal(op) or self._carry_out(op)
            if reason:
                errors.append(OpError(op, reason))
        return errors

    async def set_active(self, changed: Sequence[Group]) -> list[OpError]:
        self.activated += changed
        return await self.apply([Create(group) for group in changed if group.key in self.objects])

    async def make_groups(self, new: Sequence[Group]) -> list[OpError]:
        return await self.apply([Create(group) for group in new])

    async def observe_learned(self) -> dict[int, dict[Nlri, Tiers]]:
        return {table: dict(routes) for table, routes in self.learned.items() if routes}

    async def program_learned(self, table: int, ways: Mapping[Nlri, Tiers | None]) -> dict[Nlri, str]:
        refused: dict[Nlri, str] = {}
        routes = self.learned.setdefault(table, {})
        for prefix, tiers in ways.items():
            way = Route(table, network(prefix), Tunnels(tiers or ()), LEARNED_METRIC)
            op = Create(way) if tiers else Delete(way)
            self.applied.append(op)
            if reason := self._refusal(op):
                refused[prefix] = reason
            elif tiers:
                routes[prefix] = tiers
            else:
                routes.pop(prefix, None)
        return refused

    async def xfrm_states(self) -> list[KernelSa]:
        return list(self.sas)

    async def delete_states(self, sas: Iterable[KernelSa]) -> list[str]:
        gone = set(sas)
        self.sas = [sa for sa in self.sas if sa not in gone]
        return []

    async def delete_policies(self, if_ids: Collection[int]) -> list[str]:
        return []

    def delete_link(self, name: str) -> None:
        """What the kernel does when an interface goes: all that is on it goes too."""
        for obj in list(self.objects.values()):
            match obj:
                case (
                    Vrf(name=name_)
                    | Tunnel(name=name_)
                    | Port(name=name_)
                    | Address(interface=name_)
                    | Classifier(interface=name_)
                    | Translation(interface=name_)
                ) if name_ == name:
                    self.objects.pop(obj.key, None)
                case Tunnel(vrf=vrf) | Port(vrf=vrf) if vrf == name:
                    self._cycle(obj.name)
                    self.objects.pop(obj.key, None)
                    if names.is_ours(obj.name):
                        self.objects[obj.key] = replace(obj, vrf="")
        self._cycle(name)

    def set_down(self, name: str) -> None:
        """What the kernel does when an interface is taken down."""
        self._cycle(name)
        for obj in list(self.objects.values()):
            if isinstance(obj, Vrf | Tunnel | Port) and obj.name == name:
                self.objects[obj.key] = replace(obj, intact=False)

    def forget_groups(self) -> None:
        """What is seen once the ledger is lost: groups under their members, or else under their numbers."""
        for group in [obj for obj in self.objects.values() if isinstance(obj, Group)]:
            number = self._numbers.pop(group.tiers)
            by_members = group.active and (group.active,) not in self._numbers
            self._rename(group, (group.active,) if by_members else ((number,),), number)

    def _rename(self, group: Group, tiers: Tiers, number: int) -> None:
        self._numbers[tiers] = number
        del self.objects[group.key]
        self.objects[("Group", tiers)] = replace(group, tiers=tiers)
        for route in list(self.objects.values()):
            if isinstance(route, Route) and route.via == Tunnels(group.tiers):
                self.objects[route.key] = replace(route, via=Tunnels(tiers))
        for routes in self.learned.values():
            routes.update((prefix, tiers) for prefix, way in routes.items() if way == group.tiers)

    def _cycle(self, name: str) -> None:
        for obj in list(self.objects.values()):
            match obj:
                case Nexthop(interface=interface) if interface == name:
                    self._delete_nexthop(obj)
                case Route(via=OnLink(interface) | Gateway(interface)) if interface == name:
                    self.objects.pop(obj.key, None)

    def _delete_nexthop(self, nexthop: Nexthop) -> None:
        self.objects.pop(nexthop.key, None)
        for group in [obj for obj in self.objects.values() if isinstance(obj, Group)]:
            if nexthop.id in group.active:
                rest = tuple(id_ for id_ in group.active if id_ != nexthop.id)
                if rest:
                    self.objects[group.key] = replace(group, active=rest)
                else:
                    self._delete_group(group)

    def _delete_group(self, group: Group) -> None:
        self.objects.pop(group.key, None)
        for route in list(self.objects.values()):
            if isinstance(route, Route) and route.via == Tunnels(group.tiers):
                del self.objects[route.key]
        for routes in self.learned.values():
            for prefix in [prefix for prefix, tiers in routes.items() if tiers == group.tiers]:
                del routes[prefix]

    def _delete_translations(self, name: str) -> None:
        for obj in list(self.objects.values()):
            if isinstance(obj, Translation) and obj.interface == name:
                del self.objects[obj.key]

    def _refusal(self, op: Op) -> str:
        obj = op.old if isinstance(op, Delete) else op.new
        for position, (what, reason) in enumerate(self._failures):
            if what == obj.key or (isinstance(what, type) and isinstance(obj, what)):
                del self._failures[position]
                return reason
        return "" if isinstance(op, Delete) else self._missing(obj)

    def _missing(self, obj: Object) -> str:
        match obj:
            case Translation(interface=name) if ("Classifier", name) not in self.objects:
                return f"{name}: no such interface" if not self._has(name) else "Parent Qdisc doesn't exists"
            case (
                Tunnel(vrf=name)
                | Port(vrf=name)
                | Address(interface=name)
                | Classifier(interface=name)
                | Nexthop(interface=name)
            ):
                return "" if self._has(name) else f"{name}: no such interface"
            case Route(via=OnLink(name) | Gateway(name)):
                return "" if self._has(name) else f"{name}: no such interface"
            case Route(via=Tunnels(tiers)) if ("Group", tiers) not in self.objects:
                return f"nexthop group {tiers}: not there"
            case Group(active=active) if any(("Nexthop", id_) not in self.objects for id_ in active):
                return "Invalid argument: Invalid nexthop id"
        return ""

    def _has(self, name: str) -> bool:
        return name in self.interfaces or any((kind, name) in self.objects for kind in ("Vrf", "Tunnel", "Port"))

    def _carry_out(self, op: Op) -> str:
        if isinstance(op, Delete):
            self._delete(op.old)
            return ""
        old, new = self.objects.get(op.new.key), op.new
        match old, new:
            case Tunnel() as was, Tunnel() as is_ if was.if_id != is_.if_id:
                self.delete_link(was.name)
            case Vrf() as was, Vrf() as is_ if was.table != is_.table:
                self.delete_link(was.name)
            case (Tunnel() | Port()) as was, (Tunnel() | Port()) as is_ if was.vrf not in {"", is_.vrf}:
                self._cycle(was.name)
            case _, Port(kind="existing", name=name) if name not in self.interfaces:
                return "No such device"
            case _, Group(tiers=tiers):
                self._numbers.setdefault(tiers, GROUPS[len(self._numbers) + 1])
        self.objects[new.key] = new
        return ""

    def _delete(self, obj: Object) -> None:
        match obj:
            case Vrf(name=name) | Tunnel(name=name) | Port(name=name):
                self.delete_link(name)
            case Nexthop():
                self._delete_nexthop(obj)
            case Group():
                self._delete_group(obj)
            case Classifier(interface=name):
                self._delete_translations(name)
                self.objects.pop(obj.key, None)
            case Sysctl():
                pass
            case _:
                self.objects.pop(obj.key, None)
