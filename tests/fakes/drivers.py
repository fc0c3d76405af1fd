"""The four drivers in memory, for whoever runs passes: kernel, nftables, charon and ExaBGP, with their constraints.

`away` holds why one cannot be asked, `fail_next` refuses the next operation on an object, `fail_calls` the next calls
of a method; `log` is every operation of all of them in the order in which they were carried out.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from itertools import groupby
from typing import cast

from hubgw.agent.reconcile import Drivers
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.exabgp.events import Began, Event, Lost
from hubgw.drivers.exabgp.frames import Routes
from hubgw.drivers.netlink.driver import NetlinkDriver
from hubgw.drivers.netlink.xfrm import KernelSa
from hubgw.drivers.nftables.driver import NftablesDriver
from hubgw.drivers.strongswan.codec import ChildSa, IkeSa
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.faults import Ended, Fault
from hubgw.drivers.strongswan.heard import Moved
from hubgw.drivers.strongswan.held import Held
from hubgw.drivers.strongswan.ledger import Fresh
from hubgw.drivers.strongswan.log import Missed
from hubgw.drivers.strongswan.logins import Login
from hubgw.drivers.strongswan.users import Leases
from hubgw.pki.reading import Certificate, revocation_list_of
from hubgw.plan.bgp import Nlri
from hubgw.plan.diff import target
from hubgw.plan.ipsec import IkeCertificate, IkeConnection, IkeSecret, IkeServer
from hubgw.plan.kernel import Element, Group, Key, Port, Ruleset, Tiers
from hubgw.plan.numbers import IF_IDS
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Update
from tests.fakes.netlink import FakeNetlink


class Reach:
    """Whether a driver can be asked, and how often it was for what."""

    def __init__(self) -> None:
        self.away = ""
        self.fail_calls: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def ask(self, call: str) -> None:
        self.calls[call] += 1
        if self.fail_calls[call]:
            self.fail_calls[call] -= 1
            raise DriverError(f"{call}: refused by the test")
        if self.away:
            raise DriverError(self.away)


class Netlink(FakeNetlink):
    """The fake kernel, with a state of reach, and with bridges that lose a port that is given back."""

    def __init__(self, interfaces: Collection[str], log: list[Op]) -> None:
        super().__init__(interfaces)
        self.log = log
        self.reach = Reach()

    async def observe(self) -> list[Object]:
        self.reach.ask("observe")
        return await super().observe()

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        self.reach.ask("apply")
        errors = []
        for _, neighbours in groupby(ops, key=lambda op: (type(op), type(target(op)))):
            batch = list(neighbours)
            self.log += batch
            # Interfaces go, and are given back, before any of the batch is made.
            for op in batch:
                self._unmake(op)
                self._move_ports(op)
            for op in batch:
                errors += await super().apply([op])
        return errors

    async def make_groups(self, new: Sequence[Group]) -> list[OpError]:
        self.reach.ask("make_groups")
        return await super().make_groups(new)

    async def observe_learned(self) -> dict[int, dict[Nlri, Tiers]]:
        self.reach.ask("observe_learned")
        return await super().observe_learned()

    async def program_learned(self, table: int, ways: Mapping[Nlri, Tiers | None]) -> dict[Nlri, str]:
        self.reach.ask("program_learned")
        known = len(self.applied)
        refused = await super().program_learned(table, ways)
        self.log += self.applied[known:]
        return refused

    async def xfrm_states(self) -> list[KernelSa]:
        self.reach.ask("xfrm_states")
        return await super().xfrm_states()

    async def delete_states(self, sas: Iterable[KernelSa]) -> list[str]:
        self.reach.ask("delete_states")
        return await super().delete_states(sas)

    def _unmake(self, op: Op) -> None:
        """A port of another kind is another device: what was on the old is gone."""
        match op:
            case Update(Port() as old, Port() as new) if _device(old) != _device(new):
                self.delete_link(old.name)

    def _move_ports(self, op: Op) -> None:
        """An interface has one master: given back, or taken by another, it leaves its bridge."""
        moved: set[str] = set()
        keeper: Key = ()
        match op:
            case Delete(Port(name=name, kind="existing")):
                moved = {name}
            case Update(Port() as old, Port() as new):
                moved, keeper = set(old.ports) ^ set(new.ports), new.key
            case Create(Port() as new):
                moved, keeper = {*new.ports, new.name}, new.key
        for obj in list(self.objects.values()):
            if isinstance(obj, Port) and obj.key != keeper:
                if obj.name in moved and obj.kind == "existing":
                    del self.objects[obj.key]
                elif moved & set(obj.ports):
                    self.objects[obj.key] = replace(obj, ports=tuple(p for p in obj.ports if p not in moved))


def _device(port: Port) -> tuple[str, str, int]:
    return port.kind, port.parent, port.vlan_id


class FakeNftables:
    """The table: elements need it, and intervals of one interface may not lie inside one that is there."""

    def __init__(self, log: list[Op]) -> None:
        self.objects: dict[Key, Object] = {}
        self.log = log
        self.reach = Reach()
        self.spoofs: dict[str, int] = {}
        self._failures: list[tuple[Key, str]] = []

    def fail_next(self, key: Key, reason: str = "Operation not permitted") -> None:
        self._failures.append((key, reason))

    async def observe(self) -> list[Object]:
        self.reach.ask("observe")
        return list(self.objects.values())

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        self.reach.ask("apply")
        self.log += ops
        # One transaction: what goes is first.
        ordered = sorted(ops, key=lambda op: not isinstance(op, Delete))
        return [OpError(op, reason) for op in ordered if (reason := self._carry_out(op))]

    async def spoofed(self) -> dict[str, int]:
        self.reach.ask("spoofed")
        return dict(self.spoofs)

    async def forget(self, tunnels: Collection[str]) -> None:
        self.reach.ask("forget")
        for tunnel in tunnels:
            self.spoofs.pop(tunnel, None)

    def _carry_out(self, op: Op) -> str:
        obj = op.old if isinstance(op, Delete) else op.new
        for failure in self._failures:
            if failure[0] == obj.key:
                self._failures.remove(failure)
                return failure[1]
        if isinstance(op, Delete):
            if isinstance(obj, Ruleset):
                self.objects.clear()
            self.objects.pop(obj.key, None)
            return ""
        if isinstance(obj, Element) and ("Ruleset",) not in self.objects:
            return "No such file or directory"
        if isinstance(obj, Element) and obj.set == "not_in_fib" and self._inside_another(obj):
            return "File exists"
        self.objects[obj.key] = obj
        return ""

    def _inside_another(self, new: Element) -> bool:
        prefix = IPv4Network(new.item[1])
        return any(
            prefix.subnet_of(IPv4Network(old.item[1]))
            for old in self.objects.values()
            if isinstance(old, Element) and old.set == new.set and old.item[0] == new.item[0] and old != new
        )


class FakeStrongswan:
    """charon: `ike` are its SAs, `initiated` and `terminated` what it was told; `restart` forgets what was loaded,
    `back` is set while its socket can be connected to."""

    def __init__(self, log: list[Op]) -> None:
        self.objects: dict[Key, Object] = {}
        self.log = log
        self.reach = Reach()
        self.ike: list[IkeSa] = []
        self.since = 1_000.0
        self.initiated: list[tuple[str, ...]] = []
        self.terminated: list[int] = []
        self.terminated_children: list[int] = []
        self.changed: dict[str, float] = {}
        self.refuses_to_terminate = ""
        self.fresh: dict[str, Fresh] = {}
        self.proved: dict[int, tuple[Certificate, ...]] = {}
        self.forgotten = 0
        self.remembers: tuple[Certificate, ...] = ()
        self.remembers_besides: frozenset[str] = frozenset()  # digests
        self.forgot = 0.0  # when it was told to
        self.asked_for: list[str] = []  # whose certificates, "" of everybody's
        self.by_its_own_rules: dict[str, tuple[Certificate, ...]] = {}  # by identity
        self.refuses_to_initiate = ""
        self.expected: tuple[Object, ...] = ()
        self.told: asyncio.Queue[Moved | Login | Exception] = asyncio.Queue()
        self.failed: asyncio.Queue[Fault | Ended | Missed | Exception] = asyncio.Queue()
        self.pools: list[Leases] = []
        self.leased_by: set[tuple[str, str]] | None = set()  # addresses, of whatever pool, and whose each is
        self.back = asyncio.Event()
        self._failures: list[tuple[Key, str]] = []

    def fail_next(self, key: Key, reason: str = "loading failed") -> None:
        self._failures.append((key, reason))

    def restart(self, since: float) -> None:
        self.objects.clear()
        self.ike.clear()
        self.since = since

    async def close(self) -> None:
        pass

    def expect(self, objects: Iterable[Object]) -> None:
        self.expected = tuple(objects)

    async def observe(self) -> list[Object]:
        self.reach.ask("observe")
        return list(self.objects.values())

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        self.reach.ask("apply")
        errors = []
        for op in ops:
            self.log.append(op)
            obj = op.old if isinstance(op, Delete) else op.new
            failure = next((one for one in self._failures if one[0] == obj.key), None)
            if failure:
                self._failures.remove(failure)
                errors.append(OpError(op, failure[1]))
            elif isinstance(op, Delete):
                self.objects.pop(obj.key, None)
            else:
                if isinstance(obj, IkeCertificate) and obj.revokes:
                    self.fresh[obj.digest] = Fresh(time.time(), revocation_list_of(obj.der).serials)
                self.objects[obj.key] = obj
        return errors

    async def connections(self) -> set[str]:
        self.reach.ask("connections")
        return {obj.name for obj in self.objects.values() if isinstance(obj, IkeConnection)}

    async def sas(self) -> list[IkeSa]:
        self.reach.ask("sas")
        return list(self.ike)

    async def started(self) -> float:
        self.reach.ask("started")
        return self.since

    async def version(self) -> str:
        self.reach.ask("version")
        return "charon 6"

    async def initiate(self, name: str, *children: str) -> str:
        self.reach.ask("initiate")
        self.initiated.append((name, *children))
        return self.refuses_to_initiate

    async def terminate(self, ike_sa: int) -> str:
        self.reach.ask("terminate")
        self.terminated.append(ike_sa)
        return self.refuses_to_terminate

    def made_by(self, sa: IkeSa) -> tuple[Certificate, ...]:
        return self.proved.get(sa.uniqueid, ())

    async def remembered(self, identity: str = "") -> Held:
        self.reach.ask("remembered")
        self.asked_for.append(identity)
        shown = self.by_its_own_rules.get(identity, ()) if identity else self.remembers
        held = Held.of([{"type": b"X509", "data": one.der} for one in shown], 0.0)
        return replace(held, digests=held.digests | self.remembers_besides, since=self.forgot)

    def bars(self, names: Iterable[str], digest: str) -> bool:
        given = [obj for obj in self.objects.values() if isinstance(obj, IkeServer) and digest in obj.barred]
        return set(names) <= {one.name for one in given}

    async def forget_peers(self) -> None:
        self.reach.ask("forget_peers")
        self.forgotten += 1

    def judged(self, before: float) -> None:
        self.fresh = {digest: one for digest, one in self.fresh.items() if one.since >= before}

    async def terminate_child(self, child_sa: int) -> str:
        self.reach.ask("terminate_child")
        self.terminated_children.append(child_sa)
        return ""

    async def settled(self, name: str) -> None:
        self.reach.ask("settled")
        self.changed.pop(name, None)

    async def reachable(self) -> None:
        await self.back.wait()

    async def events(self, take: Callable[[Moved | Login], None]) -> None:
        self.reach.ask("events")
        while True:
            told = await self.told.get()
            if isinstance(told, Exception):
                raise told
            take(told)

    async def leases(self) -> list[Leases]:
        self.reach.ask("leases")
        return list(self.pools)

    async def leased(self, pool: str) -> set[tuple[str, str]] | None:
        self.reach.ask("leased")
        return self.leased_by and set(self.leased_by)

    async def faults(self) -> AsyncIterator[Fault | Ended | Missed]:
        self.reach.ask("faults")
        while True:
            failed = await self.failed.get()
            if isinstance(failed, Exception):
                raise failed
            yield failed

    def secrets(self) -> set[str]:
        return {obj.id for obj in self.objects.values() if isinstance(obj, IkeSecret)}


class FakeExabgp:
    """ExaBGP: a neighbor needs its speaker, and goes with it. `told` is what its helpers tell next, batch by batch;
    `out` is Adj-RIB-Out by speaker, `replayed` how often each was told that all was advertised, `withdrawn` what each
    was told to withdraw, `asked_anew` the speakers that were to tell all once more; `deaf` are those that are lost
    again while they begin.

    A helper hears the agent from the `Began` on that the agent has taken, until it is lost.
    """

    def __init__(self, log: list[Op]) -> None:
        self.objects: dict[Key, Object] = {}
        self.log = log
        self.reach = Reach()
        self.expected: tuple[Object, ...] = ()
        self.told: asyncio.Queue[list[Event]] = asyncio.Queue()
        self.out: dict[str, dict[Nlri, tuple[bytes, tuple[str, ...]]]] = {}
        self.replayed: Counter[str] = Counter()
        self.withdrawn: defaultdict[str, list[Nlri]] = defaultdict(list)
        self.asked_anew: list[str] = []
        self.deaf: set[str] = set()
        self._unconfirmed: dict[str, set[Nlri]] = {}
        self._hearing: set[str] = set()
        self._failures: list[tuple[Key, str]] = []

    def fail_next(self, key: Key, reason: str = "ExaBGP: syntax error") -> None:
        self._failures.append((key, reason))

    async def close(self) -> None:
        pass

    def expect(self, objects: Iterable[Object]) -> None:
        self.expected = tuple(objects)

    async def observe(self) -> list[Object]:
        self.reach.ask("observe")
        return list(self.objects.values())

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        self.reach.ask("apply")
        self.log += ops
        return [OpError(op, reason) for op in ops if (reason := self._carry_out(op))]

    async def events(self) -> AsyncIterator[list[Event]]:
        self.reach.ask("events")
        while True:
            batch = await self.told.get()
            for event in batch:
                match event:
                    case Began(speaker):
                        self._hearing |= {speaker} - self.deaf
                        self._unconfirmed[speaker] = set(self.out.setdefault(speaker, {}))
                    case Lost(speaker):
                        self._hearing.discard(speaker)
            yield batch
            self.told.task_done()

    def hang_up(self, *speakers: str) -> None:
        """The agent has ended, or the connections to these: nobody hears what is said before it is told to begin."""
        self._hearing.difference_update(speakers or set(self._hearing))

    async def tell(self, *events: Event) -> None:
        """Tells a batch, and returns when it has been taken in."""
        self.told.put_nowait(list(events))
        await self.told.join()

    def advertise(self, speaker: str, excluded: Sequence[str], routes: Routes) -> None:
        for attributes, nlris in routes if speaker in self._hearing else ():
            self.out[speaker].update(dict.fromkeys(nlris, (attributes, tuple(excluded))))
            self._unconfirmed.get(speaker, set()).difference_update(nlris)

    def withdraw(self, speaker: str, nlris: Sequence[Nlri]) -> None:
        if speaker in self._hearing:
            self.withdrawn[speaker] += nlris
            self._sweep(speaker, nlris)

    def advertised(self, speaker: str) -> None:
        if speaker in self._hearing:
            self._sweep(speaker, self._unconfirmed.pop(speaker, ()))
            self.replayed[speaker] += 1

    def ask_anew(self, speaker: str) -> None:
        self.asked_anew.append(speaker)

    async def drain(self, speaker: str) -> bool:
        await asyncio.sleep(0)
        return True

    def _sweep(self, speaker: str, nlris: Iterable[Nlri]) -> None:
        for nlri in nlris:
            self.out[speaker].pop(nlri, None)

    def _carry_out(self, op: Op) -> str:
        obj = target(op)
        for failure in self._failures:
            if failure[0] == obj.key:
                self._failures.remove(failure)
                return failure[1]
        if isinstance(obj, Neighbor) and ("Speaker", obj.speaker) not in self.objects:
            return "" if isinstance(op, Delete) else "its speaker is not there"
        if not isinstance(op, Delete):
            # No password can be read back.
            self.objects[obj.key] = replace(obj, password=None) if isinstance(obj, Neighbor) else obj
            return ""
        self.objects.pop(obj.key, None)
        if isinstance(obj, Speaker):
            self.objects = {
                key: one
                for key, one in self.objects.items()
                if not (isinstance(one, Neighbor) and one.speaker == obj.name)
            }
        return ""


@dataclass
class Machine:
    """A machine's four drivers with one log."""

    interfaces: Collection[str] = ("lo", "eth0", "eth1", "eth2", "trunk")
    log: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.netlink = Netlink(self.interfaces, self.log)
        self.nftables = FakeNftables(self.log)
        self.strongswan = FakeStrongswan(self.log)
        self.exabgp = FakeExabgp(self.log)

    @property
    def drivers(self) -> Drivers:
        return Drivers(
            cast(NetlinkDriver, self.netlink),
            cast(NftablesDriver, self.nftables),
            cast(StrongswanDriver, self.strongswan),
            cast(ExabgpDriver, self.exabgp),
        )

    @property
    def seen(self) -> dict[Key, Object]:
        return self.netlink.objects | self.nftables.objects | self.strongswan.objects | self.exabgp.objects

    def groups(self) -> dict[tuple[tuple[int, ...], ...], tuple[int, ...]]:
        return {obj.tiers: obj.active for obj in self.seen.values() if isinstance(obj, Group)}

    def bring_up(self, *names: str, add_time: int = 2_000, uniqueid: int = 0) -> None:
        """Puts an IKE SA with a child into charon, and both of its SAs into the kernel."""
        for name in names:
            number = uniqueid or len(self.strongswan.ike) + 1
            self.strongswan.ike.append(ike_sa(name, uniqueid=number, children=(child_sa(name, uniqueid=number),)))
            self.netlink.sas += [kernel_sa(name, spi, add_time) for spi in (number * 2, number * 2 + 1)]

    def take_down(self, *names: str) -> None:
        """Takes a tunnel's SAs away from charon and the kernel."""
        if_ids = {int(name[3:]) + IF_IDS.start for name in names}
        self.strongswan.ike = [sa for sa in self.strongswan.ike if sa.connection not in names]
        self.netlink.sas = [sa for sa in self.netlink.sas if sa.if_id not in if_ids]


def child_sa(name: str, *, uniqueid: int = 1, state: str = "INSTALLED", installed: int = 100) -> ChildSa:
    """A child SA of the connection of this name; its SPIs come from its unique id."""
    spi_in, spi_out = f"{uniqueid * 2:08x}", f"{uniqueid * 2 + 1:08x}"
    return ChildSa(name, uniqueid, state, spi_in, spi_out, 0, 0, 0, 0, installed, False, "AES_GCM_16-256")


def ike_sa(
    name: str,
    *,
    uniqueid: int = 1,
    children: tuple[ChildSa, ...] = (),
    state: str = "ESTABLISHED",
    spi: str = "a1",
    initiator: bool = True,
    ends: tuple[str, str] = ("198.51.100.10", "192.0.2.2"),
    established: int = 100,
) -> IkeSa:
    """An IKE SA of the connection of this name."""
    return IkeSa(name, uniqueid, state, initiator, *ends, "", "", spi, "b1", established, children)


def kernel_sa(name: str, spi: int, add_time: int) -> KernelSa:
    """One direction of a child SA of the tunnel of this name."""
    ends = IPv4Address("192.0.2.2"), IPv4Address("198.51.100.10")
    return KernelSa(IF_IDS.start + int(name[3:]), spi, *ends, 50, False, 0, 0, add_time, 0, 0, 0, "in")
