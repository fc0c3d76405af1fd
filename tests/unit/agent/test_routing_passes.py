"""Passes that verify what BGP taught the kernel, and what becomes of what it refuses."""

import logging
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from hubgw.agent.statuses import Provisioning
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.events import Flushed, Learned
from hubgw.plan.bgp import nlri
from hubgw.plan.diff import target
from hubgw.plan.kernel import Group, Route, Tunnels
from hubgw.plan.numbers import IF_IDS, LEARNED_METRIC
from hubgw.plan.types import Create, Delete
from tests.unit.agent.bgp import OWN, P, Q, begin, says, settled, with_tunnels, withdraws
from tests.unit.agent.rig import BGP, BRANCH1, BRANCH2, SPEAKERS, TABLE, prefixes, run, wire

A, B, C = IF_IDS[1], IF_IDS[2], IF_IDS[3]
SITES = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/hubgw/providers/Microsoft.Network/vpnSites/"
BRANCH3 = b"addressSpace: {addressPrefixes: [10.3.0.0/24]}"
TAKES_P = BGP.replace(BRANCH3, b"addressSpace: {addressPrefixes: [10.3.0.0/24, 10.9.0.0/16]}")


@pytest.mark.parametrize("change", ["deleted", "other way", "no way", "foreign"])
def test_a_pass_repairs_learned_routes(tmp_path: Path, change: str) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, Q))
        routes = rig.machine.netlink.learned[TABLE]
        match change:
            case "deleted":
                del routes[prefixes(P)[0]]
            case "other way":
                routes[prefixes(P)[0]] = ((C,),)
            case "no way":
                routes[prefixes(P)[0]] = ()
            case "foreign":
                routes[prefixes("10.77.0.0/16")[0]] = ((C,),)
        assert await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt1", Q: "hgt1"}
        assert len(rig.machine.log) == 1
        rig.machine.log.clear()
        assert await rig.reconciler.reconcile()
        assert rig.machine.log == []

    run(case())


def test_a_pass_deletes_learned_routes_of_tables_that_nobody_wants(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        rig.machine.netlink.learned[TABLE + 7] = {prefixes(P)[0]: ((A,),)}
        await rig.reconciler.reconcile()
        assert rig.learned(TABLE + 7) == {}

    run(case())


def test_a_group_that_somebody_deletes_comes_back_with_its_routes(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], P))
        rig.machine.netlink._delete(Group(((A, C),)))
        assert rig.learned() == {}
        assert await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt1 hgt3"}
        assert rig.events("drift.repaired") == ["object='nexthop group over hgt1 hgt3: add'"]

    run(case())


def test_a_pass_deletes_no_group_that_learned_routes_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        stray = Group(((A, C),), (A, C))
        await rig.machine.netlink.make_groups([stray])
        verify = rig.routing.verify

        async def meanwhile(up_: frozenset[int]) -> None:
            await verify(up_)
            # The pass has decided already that the group goes.
            await rig.tell(says(BRANCH1[0], P), says(BRANCH2[0], P))

        monkeypatch.setattr(rig.routing, "verify", meanwhile)
        await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt1 hgt3"}
        assert stray.tiers in rig.machine.groups()
        monkeypatch.undo()
        assert await rig.reconciler.reconcile()
        await rig.tell(Flushed(BRANCH1[0]))
        assert await rig.reconciler.reconcile()
        assert (rig.learned(), stray.tiers in rig.machine.groups()) == ({P: "hgt3"}, False)

    run(case())


@pytest.mark.parametrize("followed", [False, True])
def test_groups_that_learned_routes_have_left_are_no_drift(tmp_path: Path, followed: bool) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        await rig.tell(says(BRANCH1[0], P), says(BRANCH2[0], P))
        await rig.tell(Flushed(BRANCH1[0]))
        if followed:
            # A follow-up leaves the group to the pass.
            rig.machine.take_down("hgt6")
            await rig.reconciler.follow()
        assert ((A, C),) in rig.machine.groups()
        assert await rig.reconciler.reconcile()
        assert ((A, C),) not in rig.machine.groups()
        assert rig.events("drift.repaired") == []

    run(case())


def test_groups_that_a_pass_has_emptied_are_no_drift_in_the_next(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], P))
        rig.machine.take_down("hgt1")
        # It comes before the follow-up, and finds only in the end that nothing uses the group.
        await rig.reconciler.reconcile()
        assert ((A, C),) in rig.machine.groups()
        rig.machine.take_down("hgt6")
        await rig.reconciler.follow()
        assert await rig.reconciler.reconcile()
        assert ((A, C),) not in rig.machine.groups()
        assert rig.events("drift.repaired") == []

    run(case())


def test_what_was_refused_before_a_pass_is_no_drift(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        rig.machine.netlink.fail_next(("Group", ((A, B),)), "Device or resource busy")
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        assert await rig.reconciler.reconcile()
        rig.machine.bring_up("hgt1")
        await rig.reconciler.follow()
        rig.machine.netlink.fail_next(("Group", ((A, C),)), "Device or resource busy")
        await rig.tell(says(BRANCH1[0], P), says(BRANCH2[0], P))
        assert await rig.reconciler.reconcile()
        assert (rig.learned(), rig.machine.groups()[((A, B),)]) == ({P: "hgt1 hgt3"}, (A, B))
        assert rig.events("drift.repaired") == []

    run(case())


def test_a_learned_prefix_becomes_static_and_back_without_a_moment_between(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        static = Route(TABLE, IPv4Network(P), Tunnels(((IF_IDS[5], IF_IDS[6]),)))
        learned = Route(TABLE, IPv4Network(P), Tunnels(((A,),)), LEARNED_METRIC)
        await rig.apply(TAKES_P)
        routes = [op for op in rig.machine.log if isinstance(target(op), Route)]
        assert [(type(op), target(op).key) for op in routes] == [
            (Create, static.key),
            (Delete, learned.key),
        ]
        assert rig.machine.exabgp.out[SPEAKERS[0]][prefixes(P)[0]][1] == (f"{SITES}branch3",)
        rig.machine.log.clear()
        await rig.apply(BGP)
        routes = [op for op in rig.machine.log if isinstance(target(op), Route)]
        assert routes == [Create(learned), Delete(static)]
        assert rig.machine.exabgp.out[SPEAKERS[0]][prefixes(P)[0]][1] == (f"{SITES}branch1",)

    run(case())


def test_a_peer_that_is_deleted_takes_its_routes_along(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], P, Q))
        await rig.delete("vpnConnections/gw1/branch2")
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({P: "hgt1"}, {*OWN, P})
        assert [key for key in rig.machine.seen if key[0] == "Neighbor"] == [
            ("Neighbor", speaker, IPv4Network("10.1.0.254/32").network_address) for speaker in SPEAKERS
        ]
        assert rig.routing.session(BRANCH2[0]) is None

    run(case())


def test_a_delete_of_everything_leaves_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], P), says(BRANCH2[1], Q))
        await rig.delete(everything=True)
        assert rig.learned() == {}
        assert {key[0] for key in rig.machine.seen} == {"Sysctl"}
        # By a deletion, not with the last nexthop: only so the driver sees that no group is left.
        removed = {target(op) for op in rig.machine.log if isinstance(op, Delete)}
        assert {obj.tiers for obj in removed if isinstance(obj, Group)} >= {((A, C),), ((A, B),)}
        assert rig.machine.exabgp.expected == ()

    run(case())


def test_nothing_waits_for_a_pass_that_is_away(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        rig.machine.exabgp.reach.away = "bgp: no such directory"
        assert not await rig.reconciler.reconcile()
        assert rig.reconciler.state.unreachable == {"exabgp": "bgp: no such directory"}
        await rig.tell(says(BRANCH1[0], P))
        assert rig.learned() == {P: "hgt1"}
        states = {status.id.rsplit("/", 2)[1]: status for status in (await rig.hub.resources()).values()}
        assert states["vpnConnections"].provisioning_state is Provisioning.UPDATING
        assert states["virtualNetworks"].provisioning_state is Provisioning.SUCCEEDED
        rig.machine.exabgp.reach.away = ""
        assert await rig.reconciler.reconcile()

    run(case())


# --- refusals


def test_a_route_that_the_kernel_refuses_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        key = ("Route", TABLE, IPv4Network(P), LEARNED_METRIC)
        for _ in range(2):
            rig.machine.netlink.fail_next(key, "No space left on device")
        await rig.tell(says(BRANCH1[0], P, Q))
        assert rig.learned() == {Q: "hgt1"}
        assert rig.events("route.refused") == [f"prefix={P} reason='No space left on device' routes=1"]
        assert (rig.routing.whole, rig.fired) == (False, 1)
        assert not await rig.reconciler.reconcile()
        assert await rig.reconciler.reconcile()
        assert (rig.learned(), rig.routing.whole) == ({P: "hgt1", Q: "hgt1"}, True)
        assert caplog.records[-1].levelno <= logging.WARNING

    run(case())


def test_refusals_that_go_on_ask_for_one_pass(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        for _ in range(3):
            rig.machine.netlink.fail_next(Route)
            await rig.tell(says(BRANCH1[0], P), withdraws(BRANCH1[0], P), says(BRANCH1[0], P, Q))
        assert rig.fired == 1

    run(case())


def test_a_group_that_the_kernel_refuses_is_made_by_the_pass(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        rig.machine.netlink.fail_next(("Group", ((A, C),)), "No buffer space available")
        await rig.tell(says(BRANCH1[0], P), says(BRANCH2[0], P))
        assert rig.events("route.refused")[0] == "reason='No buffer space available'"
        assert (rig.learned(), rig.routing.whole, rig.fired) == ({}, False, 1)
        assert await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt1 hgt3"}

    run(case())


def test_a_group_keeps_routes_that_could_not_be_moved(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], P))
        for _ in range(2):
            rig.machine.netlink.fail_next(("Route", TABLE, IPv4Network(P), LEARNED_METRIC))
        await rig.tell(Flushed(BRANCH1[0]))
        assert not await rig.reconciler.reconcile()
        assert (rig.learned(), ((A, C),) in rig.machine.groups()) == ({P: "hgt1 hgt3"}, True)
        assert await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt3"}

    run(case())


@pytest.mark.parametrize("call", ["program_learned", "make_groups"])
def test_a_kernel_lost_in_the_middle_asks_for_a_pass(tmp_path: Path, call: str) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        rig.machine.netlink.reach.fail_calls[call] = 1
        await rig.tell(says(BRANCH1[0], P), says(BRANCH2[0], P))
        assert (rig.learned(), rig.fired) == ({}, 1)
        assert await rig.reconciler.reconcile()
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({P: "hgt1 hgt3"}, {*OWN, P})

    run(case())


@pytest.mark.parametrize("call", ["observe_learned", "program_learned"])
def test_a_kernel_lost_in_a_pass_is_one_more_pass(tmp_path: Path, call: str) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH1[1], Q))
        rig.machine.netlink.learned[TABLE].pop(prefixes(Q)[0])
        rig.machine.take_down("hgt1")
        rig.machine.netlink.reach.fail_calls[call] = 1
        assert not await rig.reconciler.reconcile()
        assert rig.reconciler.state.unreachable == {"netlink": f"{call}: refused by the test"}
        assert await rig.reconciler.reconcile()
        # What followed from the tunnel was told though the pass broke off.
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({Q: "hgt2"}, {*OWN, Q})

    run(case())


def test_a_kernel_that_cannot_be_asked_loses_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        rig.machine.netlink.reach.away = "netlink: no buffer space"
        await rig.tell(withdraws(BRANCH1[0], P), says(BRANCH1[0], Q))
        with pytest.raises(DriverError):
            await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt1"}
        rig.machine.netlink.reach.away = ""
        assert await rig.reconciler.reconcile()
        assert rig.learned() == {Q: "hgt1"}

    run(case())


def test_ten_thousand_prefixes_are_one_call(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await begin(await with_tunnels(tmp_path))
        many = [nlri(IPv4Network((0x0B000000 + 256 * number, 24))) for number in range(10_000)]
        calls = 0
        program = rig.machine.netlink.program_learned

        async def counted(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            return await program(*arguments)  # type: ignore[arg-type]

        rig.machine.netlink.program_learned = counted  # type: ignore[method-assign,assignment]
        await rig.tell(Learned(BRANCH1[0], [(wire(65010), many)]))
        assert (calls, len(rig.learned()), len(rig.out(SPEAKERS[1]))) == (1, 10_000, 10_003)

    run(case())
