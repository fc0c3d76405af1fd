"""The contract of the netlink driver: on a fake everywhere, on the kernel where it can, a namespace to each test."""

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from hubgw.drivers.netlink.driver import NetlinkDriver
from hubgw.drivers.netlink.monitor import Event, Monitor
from hubgw.plan.diff import diff
from hubgw.plan.kernel import (
    Address,
    Classifier,
    Gateway,
    Group,
    Nexthop,
    OnLink,
    Port,
    Route,
    Rule,
    Sysctl,
    Translation,
    Tunnel,
    Tunnels,
    Unreachable,
    Vrf,
)
from hubgw.plan.numbers import GROUPS, LEARNED_METRIC, NO_DEFAULT_MARK, SESSIONS, UNREACHABLE_METRIC
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Update
from tests.fakes.netlink import FakeNetlink

T = TypeVar("T")
DEADLINE = 20.0  # seconds
CLONE_NEWNET = 0x40000000
SYSCTL = "net/ipv4/fib_multipath_hash_policy"
MISSING = "net/ipv4/no_such_setting"
OPERATORS = "lan0"

FIRST = 100_000_001
BOTH = ((FIRST, FIRST + 1),)
VRF = Vrf("hgv1", 10_000_001, "hubs/weu defaultRouteTable")
CLOSED = Route(VRF.table, IPv4Network("0.0.0.0/0"), Unreachable(), UNREACHABLE_METRIC)
CLOSED6 = Route(VRF.table, IPv6Network("::/0"), Unreachable(), UNREACHABLE_METRIC)


def tunnel(number: int) -> Tunnel:
    return Tunnel(f"hgt{number}", FIRST - 1 + number, VRF.name, 1400, f"vpnConnections/site link{number}")


def nexthop(number: int) -> Nexthop:
    return Nexthop(FIRST - 1 + number, f"hgt{number}")


GROUP = Group(BOTH, BOTH[0])
LEARNED = Route(VRF.table, IPv4Network("10.1.0.0/24"), Tunnels(BOTH))
PORT = Port(OPERATORS, VRF.name, "existing")
VLAN = Port("hgn1", VRF.name, "vlan", "virtualNetworks/vnet1", parent="trunk0", vlan_id=42)
BRIDGE = Port("hgn2", VRF.name, "bridge", "virtualNetworks/vnet2", ports=("leg0", "leg1"))
GATEWAY = Address(OPERATORS, IPv4Interface("10.50.0.1/24"))
CONNECTED = Route(VRF.table, IPv4Network("10.50.0.0/24"), OnLink(OPERATORS))
BEHIND = Route(VRF.table, IPv4Network("10.60.0.0/16"), Gateway(OPERATORS, IPv4Address("10.50.0.4")))

WITHOUT_DEFAULT = Rule(900, fwmark=NO_DEFAULT_MARK, l3mdev=True, suppress_prefixlength=0)
NOWHERE = Rule(901, fwmark=NO_DEFAULT_MARK)
SESSION = SESSIONS[2]
PINNED = Rule(910, source=IPv4Address("10.100.0.12"), uid=SESSION, table=SESSION)
TO_PEER = Route(SESSION, IPv4Network("10.1.0.254/32"), Tunnels(BOTH))
ENDED = Route(SESSION, IPv4Network("0.0.0.0/0"), Unreachable(), UNREACHABLE_METRIC)
HOOKS = Classifier("hgt1")
SEEN_AS, MEANT = (
    Translation("hgt1", "in", "source", IPv4Network("10.9.0.0/24"), IPv4Network("192.168.9.0/24")),
    Translation("hgt1", "out", "destination", IPv4Network("192.168.9.0/24"), IPv4Network("10.9.0.0/24")),
)
NAT = (HOOKS, SEEN_AS, MEANT)

HUB: tuple[Object, ...] = (
    Sysctl(SYSCTL, "1"),
    VRF,
    CLOSED,
    CLOSED6,
    tunnel(1),
    tunnel(2),
    PORT,
    VLAN,
    BRIDGE,
    Address(VRF.name, IPv4Interface("10.100.0.12/32")),
    GATEWAY,
    nexthop(1),
    nexthop(2),
    GROUP,
    LEARNED,
    CONNECTED,
    BEHIND,
    ENDED,
    TO_PEER,
    WITHOUT_DEFAULT,
    NOWHERE,
    PINNED,
    *NAT,
)


class Machine(Protocol):
    """A driver, and what happens to its kernel besides hubgw."""

    @property
    def driver(self) -> NetlinkDriver | FakeNetlink: ...

    def delete_link(self, name: str) -> None: ...
    def set_down(self, name: str) -> None: ...
    def lose_ledger(self) -> None: ...
    def run(self, work: Coroutine[Any, Any, T]) -> T: ...


class FakeMachine:
    def __init__(self) -> None:
        self.driver = FakeNetlink({"lo", OPERATORS, "trunk0", "leg0", "leg1"})
        self.driver.objects[("Sysctl", SYSCTL)] = Sysctl(SYSCTL, "0")

    def delete_link(self, name: str) -> None:
        self.driver.delete_link(name)

    def set_down(self, name: str) -> None:
        self.driver.set_down(name)

    def lose_ledger(self) -> None:
        self.driver.forget_groups()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)


class RealMachine:
    """Must be made, and used, in a thread that has a network namespace to itself."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "groups.json"
        # A namespace begins with what the first one has.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        for name in (OPERATORS, "trunk0", "leg0", "leg1"):
            self.ip(f"link add {name} type dummy")
        self.ip("link set lo up")
        self.ip("link set trunk0 up")
        self.runner = asyncio.Runner()
        self.driver = self.make_driver()

    def make_driver(self) -> NetlinkDriver:
        return NetlinkDriver(self.ledger, (SYSCTL, MISSING))

    def delete_link(self, name: str) -> None:
        self.ip(f"link del {name}")

    def set_down(self, name: str) -> None:
        self.ip(f"link set {name} down")

    def lose_ledger(self) -> None:
        self.ledger.unlink()
        self.driver.close()
        self.driver = self.make_driver()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def ip(self, command: str) -> str:
        return subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True).stdout

    def tc(self, command: str) -> str:
        return subprocess.run(["tc", *command.split()], check=True, capture_output=True, text=True).stdout

    def close(self) -> None:
        self.driver.close()
        self.runner.close()


def lacks() -> str:
    """Says what the kernel driver's cases lack here; empty where they can run."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "needs root and iproute2"
    made = "ip link add hgv1 type vrf table 5 && ip link add hgt1 type xfrm if_id 5"
    done = subprocess.run(["unshare", "-n", "sh", "-c", made], capture_output=True, text=True, check=False)
    return f"this kernel has no VRF or no xfrm interfaces: {done.stderr.strip()}" if done.returncode else ""


LACKS = lacks()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[RealMachine]:
    if LACKS:
        pytest.skip(LACKS)
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    assert libc.unshare(CLONE_NEWNET) == 0
    try:
        machine = RealMachine(tmp_path)
        try:
            yield machine
        finally:
            machine.close()
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)


@pytest.fixture(params=["fake", "kernel"])
def machine(request: pytest.FixtureRequest) -> Machine:
    if request.param == "fake":
        return FakeMachine()
    real: RealMachine = request.getfixturevalue("kernel")
    return real


def observe(machine: Machine) -> set[Object]:
    return {obj for obj in machine.run(machine.driver.observe()) if not isinstance(obj, Sysctl)}


def apply(machine: Machine, *ops: Op) -> list[OpError]:
    return machine.run(machine.driver.apply(ops))


def left(machine: Machine, wanted: tuple[Object, ...]) -> list[Op]:
    return diff(wanted, machine.run(machine.driver.observe()))


def converge(machine: Machine, *wanted: Object, passes: int = 1) -> None:
    for _ in range(passes):
        assert apply(machine, *left(machine, wanted)) == []
    assert left(machine, wanted) == []


def kernel_objects(*objects: Object) -> set[Object]:
    return {obj for obj in objects if not isinstance(obj, Sysctl)}


# --- every type: made, seen as wanted, changed, deleted, deleted again

LIFE: list[tuple[tuple[Object, ...], Object, Object | None]] = [
    ((), VRF, replace(VRF, alias="another")),
    ((), VRF, replace(VRF, table=VRF.table + 1)),
    ((VRF,), tunnel(1), replace(tunnel(1), mtu=1380, alias="")),
    ((VRF,), tunnel(1), replace(tunnel(1), if_id=FIRST + 70)),
    ((VRF, Vrf("hgv2", 10_000_002, "")), tunnel(1), replace(tunnel(1), vrf="hgv2")),
    ((VRF, Vrf("hgv2", 10_000_002, "")), PORT, replace(PORT, vrf="hgv2")),
    ((VRF,), VLAN, replace(VLAN, vlan_id=43, alias="x")),
    ((VRF,), BRIDGE, replace(BRIDGE, ports=("leg1",))),
    ((VRF,), BRIDGE, replace(VLAN, name=BRIDGE.name)),
    ((VRF,), Address(VRF.name, IPv4Interface("10.100.0.12/32")), None),
    ((VRF, PORT), GATEWAY, None),
    ((VRF, tunnel(1), tunnel(2)), nexthop(1), replace(nexthop(1), interface="hgt2")),
    ((VRF, tunnel(1), tunnel(2), nexthop(1), nexthop(2)), GROUP, replace(GROUP, active=(FIRST,))),
    ((VRF, tunnel(1), tunnel(2), nexthop(1), nexthop(2)), replace(GROUP, active=()), GROUP),
    ((VRF,), CLOSED, None),
    ((VRF,), CLOSED6, None),
    ((VRF, tunnel(1), tunnel(2), nexthop(1), nexthop(2), GROUP), LEARNED, replace(LEARNED, via=Unreachable())),
    ((VRF, PORT, GATEWAY), CONNECTED, replace(CONNECTED, via=Unreachable())),
    ((VRF, PORT, GATEWAY, CONNECTED), BEHIND, replace(BEHIND, via=Gateway(OPERATORS, IPv4Address("10.50.0.5")))),
    ((VRF, CLOSED, PORT, GATEWAY), replace(CONNECTED, prefix=CLOSED.prefix), None),
    ((VRF, PORT, GATEWAY, CONNECTED), replace(CONNECTED, metric=LEARNED_METRIC), None),
    ((), ENDED, None),
    ((), WITHOUT_DEFAULT, replace(WITHOUT_DEFAULT, suppress_prefixlength=None)),
    ((WITHOUT_DEFAULT,), NOWHERE, replace(NOWHERE, table=SESSION)),
    ((VRF, tunnel(1)), HOOKS, None),
    ((VRF, tunnel(1), HOOKS), SEEN_AS, None),
    ((VRF, tunnel(1), HOOKS, SEEN_AS), replace(SEEN_AS, new=IPv4Network("192.168.8.0/24")), None),
    ((VRF, tunnel(1), HOOKS, SEEN_AS), MEANT, None),
    ((PINNED,), replace(PINNED, source=IPv4Address("10.100.0.13")), None),
    ((PINNED,), replace(PINNED, uid=SESSION + 1), replace(PINNED, uid=SESSION + 1, table=SESSION + 1)),
]


@pytest.mark.parametrize(("base", "obj", "other"), LIFE, ids=lambda value: type(value).__name__)
def test_life(machine: Machine, base: tuple[Object, ...], obj: Object, other: Object | None) -> None:
    converge(machine, *base)
    assert apply(machine, Create(obj)) == []
    assert observe(machine) == {*base, obj}
    assert apply(machine, Create(obj)) == [], "made again"
    assert observe(machine) == {*base, obj}
    if other is not None:
        assert apply(machine, Update(obj, other)) == []
        assert observe(machine) == {*base, other}
        obj = other
    assert apply(machine, Delete(obj)) == []
    assert observe(machine) == {*base}
    assert apply(machine, Delete(obj)) == [], "deleted again"
    assert observe(machine) == {*base}


def test_a_whole_hub_is_made_in_one_pass_and_deleted_in_one(machine: Machine) -> None:
    converge(machine, *HUB)
    assert observe(machine) == kernel_objects(*HUB)
    converge(machine, Sysctl(SYSCTL, "1"))
    assert observe(machine) == set()


def test_a_setting_is_seen_written_and_never_deleted(machine: Machine) -> None:
    converge(machine, Sysctl(SYSCTL, "1"))
    converge(machine, Sysctl(SYSCTL, "2"))
    assert apply(machine, Delete(Sysctl(SYSCTL, "2"))) == []
    assert left(machine, (Sysctl(SYSCTL, "2"),)) == []


# --- groups


def test_a_group_goes_to_the_blackhole_and_back_and_its_routes_stay(machine: Machine) -> None:
    converge(machine, *HUB)
    for active in ((FIRST,), (), (FIRST + 1,), BOTH[0]):
        assert machine.run(machine.driver.set_active([replace(GROUP, active=active)])) == []
        changed = replace(GROUP, active=active)
        assert observe(machine) == kernel_objects(*HUB) - {GROUP} | {changed}


def test_set_active_makes_no_group(machine: Machine) -> None:
    assert machine.run(machine.driver.set_active([GROUP])) == []
    assert observe(machine) == set()


def test_groups_with_the_same_members_and_other_tiers_are_two(machine: Machine) -> None:
    backup = Group((*BOTH, (FIRST + 2,)), BOTH[0])
    base: tuple[Object, ...] = (VRF, *(tunnel(n) for n in (1, 2, 3)), *(nexthop(n) for n in (1, 2, 3)))
    converge(machine, *base, GROUP, backup, LEARNED, replace(LEARNED, metric=1, via=Tunnels(backup.tiers)))


def test_ledger_lost_while_all_tunnels_are_up_writes_nothing(machine: Machine) -> None:
    converge(machine, *HUB)
    machine.lose_ledger()
    assert left(machine, HUB) == []


@pytest.mark.parametrize("active", [(), (FIRST,)])
def test_ledger_lost_while_a_tunnel_is_down_makes_the_group_anew_before_it_deletes_the_old(
    machine: Machine, active: tuple[int, ...]
) -> None:
    wanted = tuple(replace(GROUP, active=active) if obj == GROUP else obj for obj in HUB)
    converge(machine, *wanted)
    machine.lose_ledger()
    ops = left(machine, wanted)
    assert [type(op) for op in ops] == [Create, Update, Update, Delete]
    converge(machine, *wanted)


# --- what the kernel takes along, and repairs


def test_a_deleted_tunnel_takes_its_nexthop_along_and_comes_back(machine: Machine) -> None:
    converge(machine, *HUB)
    machine.delete_link("hgt1")
    changed = replace(GROUP, active=(FIRST + 1,))
    assert observe(machine) == kernel_objects(*HUB) - {tunnel(1), nexthop(1), GROUP, *NAT} | {changed}
    converge(machine, *HUB)


def test_the_last_tunnel_takes_the_group_and_its_routes_along(machine: Machine) -> None:
    converge(machine, *HUB)
    assert apply(machine, Delete(tunnel(1)), Delete(tunnel(2))) == []
    gone = {tunnel(1), tunnel(2), nexthop(1), nexthop(2), GROUP, LEARNED, TO_PEER, *NAT}
    assert observe(machine) == kernel_objects(*HUB) - gone
    converge(machine, *HUB)


def test_a_deleted_vrf_comes_back(machine: Machine) -> None:
    converge(machine, *HUB)
    machine.delete_link(VRF.name)
    converge(machine, *HUB, passes=2)


def test_a_tunnel_that_is_down_is_not_intact_and_is_brought_up(machine: Machine) -> None:
    converge(machine, *HUB)
    machine.set_down("hgt1")
    assert replace(tunnel(1), intact=False) in observe(machine)
    converge(machine, *HUB)


# --- refusals


def test_what_fails_is_said_and_the_rest_is_done(machine: Machine) -> None:
    lost: tuple[Object, ...] = (replace(tunnel(3), vrf="hgv9"), nexthop(3), Group(((FIRST + 2,),), (FIRST + 2,)))
    errors = apply(machine, *diff((*HUB, *lost), machine.run(machine.driver.observe())))
    assert {error.op for error in errors} == {Create(obj) for obj in lost}
    reasons = {type(error.op.new): error.reason for error in errors if isinstance(error.op, Create)}
    assert reasons == {
        Tunnel: "hgv9: no such interface",
        Nexthop: "hgt3: no such interface",
        Group: "Invalid argument: Invalid nexthop id",
    }
    assert left(machine, HUB) == []


def test_a_rule_changes_alone(machine: Machine) -> None:
    rules = (WITHOUT_DEFAULT, NOWHERE, PINNED, replace(PINNED, source=IPv4Address("10.100.0.13")))
    converge(machine, *rules)
    changed = replace(PINNED, table=SESSION + 1)
    assert left(machine, (*rules[:2], changed, rules[3])) == [Update(PINNED, changed)]
    converge(machine, *rules[:2], changed, rules[3])


def test_a_learned_route_and_a_declared_one_to_a_prefix_are_two(machine: Machine) -> None:
    learned = replace(CONNECTED, metric=LEARNED_METRIC)
    base: tuple[Object, ...] = (VRF, PORT, GATEWAY)
    converge(machine, *base, CONNECTED, learned)
    assert left(machine, (*base, learned)) == [Delete(CONNECTED)]
    converge(machine, *base, learned)
    converge(machine, *base, CONNECTED, learned)
    converge(machine, *base, CONNECTED)


def test_an_absent_interface_of_the_operators(machine: Machine) -> None:
    converge(machine, VRF)
    (error,) = apply(machine, Create(replace(PORT, name="lan9")))
    assert error.reason == "No such device"


@pytest.mark.parametrize("alias", ["a b'c\"d;e|f`g$h\\", "Zürich ✓", "x" * 255, "-"])
def test_alias(machine: Machine, alias: str) -> None:
    converge(machine, VRF, replace(tunnel(1), alias=alias))


def test_two_thousand_tunnels(machine: Machine) -> None:
    wanted: list[Object] = [VRF, CLOSED, CLOSED6]
    for number in range(1, 2001, 2):
        members = (FIRST - 1 + number, FIRST + number)
        wanted += [tunnel(number), tunnel(number + 1), nexthop(number), nexthop(number + 1), Group((members,), members)]
        prefix = IPv4Network((0x0A000000 + 256 * number, 24))
        wanted.append(Route(VRF.table, prefix, Tunnels((members,))))
    converge(machine, *wanted)
    converge(machine)
    assert observe(machine) == set()


# --- the kernel alone


def test_what_is_not_ours_is_neither_seen_nor_touched(kernel: RealMachine) -> None:
    converge(kernel, *HUB)
    for command in (
        "link set trunk0 up",
        "link add hgvx type vrf table 77",
        "link set hgvx up",
        "link add hgt-mine type dummy",
        f"link add x0 type xfrm dev lo if_id {FIRST + 5}",
        "addr add 192.0.2.1/24 dev trunk0",
        f"addr add 10.50.0.9/24 dev {OPERATORS}",
        "nexthop add id 5 blackhole",
        f"nexthop add id {GROUPS[5]} dev trunk0",
        f"route add 203.0.113.0/24 dev trunk0 table {VRF.table} protocol static",
        "route add 203.0.113.0/24 dev trunk0 table 77 protocol 250",
        "rule add pref 77 lookup 77",
        f"rule add pref 910 from 10.100.0.12 uidrange {SESSION}-{SESSION} lookup {SESSION} protocol static",
        f"rule add pref 900 fwmark {NO_DEFAULT_MARK} lookup 77 protocol static",
    ):
        kernel.ip(command)
    assert left(kernel, HUB) == []
    shown = (
        "-d link show hgvx",
        "link show hgt-mine",
        "link show x0",
        "addr show trunk0",
        "nexthop show id 5",
        f"nexthop show id {GROUPS[5]}",
        f"route show table {VRF.table} protocol static",
        "route show table 77",
        "rule list pref 77",
    )
    before = [kernel.ip(command) for command in shown]
    converge(kernel)
    assert [kernel.ip(command) for command in shown] == before
    assert "10.50.0.9/24" in kernel.ip(f"addr show {OPERATORS}")
    rules = kernel.ip("rule")
    assert (rules.count("proto static"), rules.count("proto 250")) == (2, 0)


def test_an_interface_of_the_operators_is_given_back_as_it_was(kernel: RealMachine) -> None:
    kernel.ip(f"addr add 10.9.9.1/24 dev {OPERATORS}")
    before = forwarding(OPERATORS)
    converge(kernel, VRF, PORT)
    assert (before, forwarding(OPERATORS)) == ("0", "1")
    converge(kernel)
    assert forwarding(OPERATORS) == before
    shown = kernel.ip(f"addr show {OPERATORS}")
    assert "10.9.9.1/24" in shown
    assert "master" not in shown


def forwarding(interface: str) -> str:
    return Path(f"/proc/sys/net/ipv4/conf/{interface}/forwarding").read_text().strip()


def test_forwarding_is_on_for_slaves_alone_and_no_ipv6_address_appears(kernel: RealMachine) -> None:
    converge(kernel, *HUB)
    names = ("all", "default", "lo", "trunk0", "hgt1", "hgn1", "hgn2", OPERATORS)
    assert {name: forwarding(name) for name in names} == {
        "all": "0",
        "default": "0",
        "lo": "0",
        "trunk0": "0",
        "hgt1": "1",
        "hgn1": "1",
        "hgn2": "1",
        OPERATORS: "1",
    }
    for name in ("hgv1", "hgt1", "hgn1", "hgn2"):
        assert "inet6" not in kernel.ip(f"addr show {name}")


@pytest.mark.parametrize(
    "command",
    [
        "link set hgt1 down",
        "link set hgt1 nomaster",
        "link set hgt1 mtu 1300",
        "link set hgt1 alias x",
        "link set hgt1 addrgenmode eui64",
        "link set hgv1 down",
        "link set leg0 nomaster",
        f"link set {OPERATORS} nomaster",
        f"link set {OPERATORS} down",
        "addr add 2001:db8::1/64 dev hgt1",
        "addr add 192.0.2.1/32 dev hgt1",
        "addr del 10.100.0.12/32 dev hgv1",
        f"addr flush dev {OPERATORS}",
        f"nexthop del id {FIRST}",
        f"nexthop del id {GROUPS[1]}",
        f"nexthop replace id {GROUPS[1]} group {FIRST} protocol 250",
        f"nexthop replace id {FIRST} dev hgt2 protocol 250",
        f"route del unreachable default table {VRF.table}",
        f"-6 route del unreachable default table {VRF.table}",
        f"route add 10.77.0.0/16 dev hgt1 table {VRF.table} protocol 250",
        f"route add 10.77.0.0/16 nhid {GROUPS[1]} table {VRF.table} protocol 250",
        f"route add blackhole 10.77.0.0/16 table {VRF.table} protocol 250",
        "route add unreachable 10.77.0.0/16 table 10000077 protocol 250",
        f"route replace 10.1.0.0/24 dev hgt2 table {VRF.table} protocol 250",
        f"route replace 10.1.0.0/24 nhid {FIRST} table {VRF.table} protocol 250",
        f"route change 10.60.0.0/16 dev {OPERATORS} table {VRF.table} protocol 250",
        "link add hgt77 type dummy",
        "link add hgn77 type dummy",
        "rule del pref 900",
        "rule del pref 901",
        "rule del pref 910",
        "rule add pref 910 from 10.100.0.77 lookup 77 protocol 250",
        f"rule add pref 910 from 10.100.0.12 uidrange {SESSION}-{SESSION} lookup 77 protocol 250",
        f"rule add pref 910 from 10.100.0.12 uidrange {SESSION}-{SESSION + 1} lookup {SESSION} protocol 250",
        f"rule add pref 910 from 10.100.0.0/24 uidrange {SESSION}-{SESSION} lookup {SESSION} protocol 250",
        f"rule add not fwmark {NO_DEFAULT_MARK} pref 902 unreachable protocol 250",
        f"rule add pref 901 fwmark {NO_DEFAULT_MARK}/0xff unreachable protocol 250",
        "rule add pref 899 iif hgt1 dport 80 blackhole protocol 250",
        f"route del unreachable default table {SESSION}",
        f"route replace 10.1.0.254 dev hgt2 table {SESSION} protocol 250",
    ],
)
def test_what_an_operator_changes_is_seen_told_and_repaired(kernel: RealMachine, command: str) -> None:
    converge(kernel, *HUB)
    monitor = kernel.run(listening(kernel))
    kernel.ip(command)
    kernel.run(told(monitor))
    assert left(kernel, HUB) != []
    for _ in range(4):
        apply(kernel, *left(kernel, HUB))
    assert left(kernel, HUB) == []


@pytest.mark.parametrize(
    "command",
    [
        "qdisc del dev hgt1 clsact",
        "filter del dev hgt1 ingress",
        "qdisc add dev hgt2 clsact",
        "filter add dev hgt1 egress matchall action nat egress 10.9.0.0/24 192.168.9.0 continue",
        "filter add dev hgt1 ingress protocol ip matchall action nat ingress 10.9.0.1/32 192.168.9.1 continue",
    ],
)
def test_nat_that_an_operator_changes_is_seen_told_and_repaired(kernel: RealMachine, command: str) -> None:
    converge(kernel, *HUB)
    monitor = kernel.run(listening(kernel))
    kernel.tc(command)
    kernel.run(told_of(monitor, "classifier"))
    assert left(kernel, HUB) != []
    converge(kernel, *HUB)


def test_own_writes_of_nat_are_no_news_and_a_filter_of_others_stays(kernel: RealMachine) -> None:
    converge(kernel, VRF, tunnel(1), HOOKS)
    kernel.tc("filter add dev hgt1 ingress protocol ip pref 7 matchall action drop")
    monitor = kernel.run(listening(kernel))
    converge(kernel, VRF, tunnel(1), HOOKS, SEEN_AS, MEANT)
    converge(kernel, VRF, tunnel(1), HOOKS)
    kernel.ip("link set trunk0 down")
    assert [event.kind for event in kernel.run(told(monitor))] == ["link"]
    assert "action drop" in kernel.tc("filter show dev hgt1 ingress")


async def listening(kernel: RealMachine) -> Monitor:
    assert isinstance(kernel.driver, NetlinkDriver)
    return kernel.driver.monitor("hubgw")


async def told(monitor: Monitor) -> list[Event]:
    return await asyncio.wait_for(monitor.changes(), DEADLINE)


async def told_of(monitor: Monitor, kind: str) -> None:
    """Waits for an event of a kind; one of an interface that was just made may come before it."""

    async def comes() -> None:
        while kind not in {event.kind for event in await monitor.changes()}:
            pass

    await asyncio.wait_for(comes(), DEADLINE)


def test_own_writes_of_routes_nexthops_and_addresses_are_no_news(kernel: RealMachine) -> None:
    base: tuple[Object, ...] = (VRF, tunnel(1), tunnel(2))
    converge(kernel, *base)
    monitor = kernel.run(listening(kernel))
    converge(kernel, *base, Address(VRF.name, IPv4Interface("10.100.0.12/32")), nexthop(1), nexthop(2), GROUP, LEARNED)
    kernel.ip("route add 203.0.113.0/24 dev trunk0")
    kernel.ip(f"route add 203.0.113.0/24 dev trunk0 table {VRF.table} protocol static")
    kernel.ip(f"nexthop del id {GROUPS[1]}")
    events = kernel.run(told(monitor))
    assert events == [Event("nexthop", str(GROUPS[1]), gone=True)]


def test_others_transactions_on_our_nftables_table_are_news(kernel: RealMachine) -> None:
    monitor = kernel.run(listening(kernel))
    for table in ("other", "hubgw"):
        subprocess.run(["nft", "add", "table", "inet", table], check=True)
    assert kernel.run(told(monitor)) == [Event("nftables", "hubgw")]


def test_lost_events_ask_for_a_resync(kernel: RealMachine) -> None:
    monitor = kernel.run(listening(kernel))
    monitor._route.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for number in range(20):
        kernel.ip(f"link set trunk0 alias {number}")
    assert Event("resync") in kernel.run(told(monitor))


def test_a_file_of_the_ledger_that_is_no_ledger_is_as_none(kernel: RealMachine) -> None:
    converge(kernel, *HUB)
    assert kernel.ledger.stat().st_mode & 0o777 == 0o600
    kernel.driver.close()
    kernel.ledger.write_text("{")
    kernel.driver = kernel.make_driver()
    assert left(kernel, HUB) == []


def test_the_ledger_keeps_a_groups_name_over_a_restart(kernel: RealMachine) -> None:
    wanted = tuple(replace(GROUP, active=()) if obj == GROUP else obj for obj in HUB)
    converge(kernel, *wanted)
    kernel.driver.close()
    kernel.driver = kernel.make_driver()
    assert left(kernel, wanted) == []


def test_nothing_of_ours_is_left(kernel: RealMachine) -> None:
    shown = ("link", "nexthop", "route show table all", "-6 route show table all", "addr", "rule")
    # The kernel's own rule of VRFs stays once there was one.
    converge(kernel, VRF)
    converge(kernel)
    before = [kernel.ip(command) for command in shown]
    converge(
        kernel, VRF, CLOSED, CLOSED6, tunnel(1), nexthop(1), Group(((FIRST,),), ()), WITHOUT_DEFAULT, NOWHERE, PINNED
    )
    assert kernel.ip(f"nexthop show id {GROUPS[0]}") != ""
    converge(kernel)
    assert [kernel.ip(command) for command in shown] == before


def test_a_setting_that_the_kernel_lacks_is_refused_in_words(kernel: RealMachine) -> None:
    (error,) = apply(kernel, Create(Sysctl(MISSING, "1")))
    assert error.reason == f"/proc/sys/{MISSING} = 1: No such file or directory"


def test_deletion_of_many_spares_what_others_put_into_our_link_group(kernel: RealMachine) -> None:
    converge(kernel, *HUB)
    kernel.ip(f"link set trunk0 group {0x68676464}")
    converge(kernel)
    assert "trunk0" in kernel.ip("link show trunk0")


def test_sas_and_policies_are_seen_and_deleted(kernel: RealMachine) -> None:
    driver = kernel.driver
    assert isinstance(driver, NetlinkDriver)
    key = "0x" + "00" * 20
    ends = "src 192.0.2.1 dst 198.51.100.1"
    encap = "encap espinudp 4500 4500 0.0.0.0"
    for spi, if_id in ((0x1001, FIRST), (0x1002, FIRST + 1), (0x1003, 7)):
        subprocess.run(
            [
                "ip",
                "xfrm",
                "state",
                "add",
                *ends.split(),
                "proto",
                "esp",
                "spi",
                str(spi),
                "mode",
                "tunnel",
                "if_id",
                str(if_id),
                "aead",
                "rfc4106(gcm(aes))",
                key,
                "128",
                *(encap.split() if spi == 0x1002 else ()),
            ],
            check=True,
        )
        for direction in ("in", "fwd", "out"):
            selector = f"src 0.0.0.0/0 dst 0.0.0.0/0 dir {direction} if_id {if_id}"
            kernel.ip(f"xfrm policy add {selector} tmpl {ends} proto esp mode tunnel")
    seen = {sa.spi: sa for sa in kernel.run(driver.xfrm_states())}
    assert {spi: (sa.if_id, sa.encap, sa.proto) for spi, sa in seen.items()} == {
        0x1001: (FIRST, False, 50),
        0x1002: (FIRST + 1, True, 50),
        0x1003: (7, False, 50),
    }
    assert (seen[0x1001].src, seen[0x1001].dst) == (IPv4Address("192.0.2.1"), IPv4Address("198.51.100.1"))
    assert (seen[0x1001].bytes, seen[0x1001].packets, seen[0x1001].use_time) == (0, 0, 0)
    assert seen[0x1001].add_time > 0
    assert kernel.run(driver.delete_states([seen[0x1001], seen[0x1002]])) == []
    assert kernel.run(driver.delete_states([seen[0x1001]])) == []
    assert [sa.spi for sa in kernel.run(driver.xfrm_states())] == [0x1003]
    assert kernel.run(driver.delete_policies({FIRST, FIRST + 1})) == []
    assert kernel.ip("xfrm policy").count("if_id 0x7") == 3
    assert hex(FIRST) not in kernel.ip("xfrm policy")
