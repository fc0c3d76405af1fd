"""Passes and follow-ups: what they do to the machine, what they tell, and what they leave alone."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from hubgw.agent.reconcile import State
from hubgw.agent.statuses import Connection
from hubgw.drivers.base import DriverError
from hubgw.pki.authority import new_key, request
from hubgw.plan.activate import activate
from hubgw.plan.diff import diff, driver_of, target
from hubgw.plan.ipsec import IkeConnection, IkeSecret
from hubgw.plan.kernel import Element, Group, Route, Tunnel, Tunnels
from hubgw.plan.numbers import IF_IDS
from hubgw.plan.types import Create, Delete, Op
from hubgw.store.types import StoreError
from tests.fakes.drivers import child_sa, ike_sa, kernel_sa
from tests.unit.agent.rig import FIRST, SECOND, Rig, run, said

IKE_OPEN = ("Element", "ike_open", ("198.51.100.10",))
A, B, C, D = IF_IDS[1], IF_IDS[2], IF_IDS[3], IF_IDS[4]


def is_as_wanted(rig: Rig) -> bool:
    desired, state = rig.reconciler.state.desired, rig.reconciler.state
    assert desired
    return diff(activate(desired.plan, state.up), rig.machine.seen.values()) == []


def opens(op: Op) -> bool:
    obj = target(op)
    return isinstance(obj, Element) and obj.set == "ike_open"


def test_the_first_pass_brings_everything_about_and_the_next_writes_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        assert is_as_wanted(rig)
        assert rig.machine.groups() == {((A, B),): (), ((C, D),): ()}
        assert rig.machine.strongswan.expected == rig.reconciler.state.desired.plan.objects  # type: ignore[union-attr]
        rig.machine.log.clear()
        assert await rig.reconciler.reconcile()
        assert said(rig.machine.log) == []
        assert (rig.reconciler.state.passes, rig.reconciler.state.writes) == (2, 0)
        assert rig.events("drift.repaired") == rig.events("resource.failed") == []

    run(case())


def test_an_empty_store_wants_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        assert await rig.reconciler.reconcile()
        assert rig.machine.log == []

    run(case())


def test_a_restart_finds_everything_as_it_is(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.store.close()
        again = Rig(tmp_path, rig.machine)
        assert await again.reconciler.reconcile()
        assert said(rig.machine.log) == []
        assert set(again.reconciler.state.up) == {A, B, C, D}

    run(case())


@pytest.mark.parametrize(
    "kind", ["Route", "Nexthop", "Tunnel", "Vrf", "Group", "Element", "Ruleset", "Address", "Port"]
)
def test_drift_is_repaired_and_told(tmp_path: Path, kind: str) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        key = next(key for key in rig.machine.seen if key[0] == kind)
        if kind in {"Tunnel", "Vrf", "Nexthop", "Group", "Port"}:
            rig.machine.netlink._delete(rig.machine.seen[key])
        elif kind == "Ruleset":
            rig.machine.nftables.objects.clear()
        else:
            rig.machine.netlink.objects.pop(key, None)
            rig.machine.nftables.objects.pop(key, None)
        while not await rig.reconciler.reconcile():
            pass
        await rig.reconciler.reconcile()
        assert is_as_wanted(rig)
        assert rig.events("drift.repaired")

    run(case())


def test_a_stranger_among_ours_goes_and_is_told(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        element = Element("no_branch_to_branch", ("hgv1",))
        rig.machine.nftables.objects[element.key] = element
        await rig.reconciler.reconcile()
        assert rig.events("drift.repaired") == ["object='branch-to-branch closed in hgv1: remove'"]

    run(case())


def test_a_refusal_fails_its_resource_alone_and_it_recovers(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        rig.machine.netlink.fail_next(("Tunnel", "hgt1"), "No buffer space available")
        await rig.apply()
        owner = rig.tunnel("hgt1").connection
        # What stands on the tunnel is refused with it, for the same owner.
        assert set(rig.reconciler.state.failures) == {owner}
        assert rig.reconciler.state.failures[owner].endswith(": No buffer space available")
        assert {("Tunnel", name) in rig.machine.seen for name in ("hgt2", "hgt3", "hgt4")} == {True}
        assert (IKE_OPEN in rig.machine.seen, len(rig.events("resource.failed"))) == (True, 1)
        resources = await rig.hub.resources()
        failed = [status.id for status in resources.values() if status.provisioning_state == "Failed"]
        assert (failed, resources[owner.lower()].reason) == ([owner], rig.reconciler.state.failures[owner])
        assert await rig.reconciler.reconcile()
        assert is_as_wanted(rig)
        assert rig.events("resource.recovered") == [""]
        assert rig.events("drift.repaired") == []

    run(case())


def test_a_refusal_that_stays_is_told_once(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        for _ in range(3):
            rig.machine.strongswan.fail_next(("IkeConnection", "hgt3"), "invalid proposal")
        await rig.apply()
        for _ in range(2):
            assert not await rig.reconciler.reconcile()
        assert len(rig.events("resource.failed")) == 1
        assert await rig.reconciler.reconcile()

    run(case())


@pytest.mark.parametrize("call", ["", "xfrm_states"])
def test_a_kernel_that_cannot_be_asked_is_left_alone(tmp_path: Path, call: str) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        rig.machine.netlink.reach.away = "" if call else "netlink: no buffer space"
        rig.machine.netlink.reach.fail_calls[call] = 1
        with pytest.raises(DriverError):
            await rig.apply()
        assert rig.machine.log == []
        rig.machine.netlink.reach.away = ""
        assert await rig.reconciler.reconcile()
        assert is_as_wanted(rig)

    run(case())


def test_without_charon_the_rest_converges_and_ike_stays_closed(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        rig.machine.strongswan.reach.away = "charon: no such file"
        await rig.apply()
        state = rig.reconciler.state
        assert state.unreachable == {"strongswan": "charon: no such file"}
        assert set(state.tunnels.values()) == {Connection.UNKNOWN}
        wanted = {obj.key for obj in state.wanted if not isinstance(obj, IkeSecret | IkeConnection)}
        assert wanted - rig.machine.seen.keys() == {key for key in wanted if "ike_open" in key}
        rig.machine.strongswan.reach.away = ""
        rig.machine.log.clear()
        assert await rig.reconciler.reconcile()
        assert is_as_wanted(rig)
        kinds = ["open" if opens(op) else driver_of(op) for op in rig.machine.log]
        assert kinds == ["strongswan"] * 8 + ["open"] * 2
        assert rig.events("drift.repaired") == []

    run(case())


def test_ike_stays_closed_where_charon_is_lost_while_it_is_loaded(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        rig.machine.strongswan.reach.fail_calls["apply"] = 1
        await rig.apply()
        assert "strongswan" in rig.reconciler.state.unreachable
        assert IKE_OPEN not in rig.machine.seen
        assert await rig.reconciler.reconcile()
        assert IKE_OPEN in rig.machine.seen

    run(case())


def test_a_charon_that_restarted_is_loaded_and_then_opened_and_that_is_no_drift(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        # What starts charon closes IKE.
        rig.machine.strongswan.reach.away = "charon: connection refused"
        rig.machine.nftables.objects = {
            key: obj for key, obj in rig.machine.nftables.objects.items() if "ike_open" not in key
        }
        await rig.reconciler.reconcile()
        assert IKE_OPEN not in rig.machine.seen
        assert set(rig.reconciler.state.up) == {A, B, C, D}
        assert rig.events("tunnel.down") == []
        rig.machine.strongswan.restart(since=3_000.0)
        rig.machine.strongswan.reach.away = ""
        rig.machine.log.clear()
        await rig.reconciler.reconcile()
        loaded = [index for index, op in enumerate(rig.machine.log) if isinstance(target(op), IkeConnection)]
        opened = [index for index, op in enumerate(rig.machine.log) if opens(op)]
        assert len(loaded) == 4 and max(loaded) < min(opened)
        assert rig.events("drift.repaired") == []

    run(case())


def test_nothing_is_deleted_before_everything_was_observed(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        await rig.delete("vpnConnections/gw1/branch1", dry_run=False)
        stale = [op.old for op in rig.machine.log if isinstance(op, Delete)]
        rig.store.close()
        # The agent was away when the connection was deleted.
        again = Rig(tmp_path, rig.machine)
        for obj in stale:
            getattr(rig.machine, driver_of(Create(obj))).objects[obj.key] = obj
        rig.machine.strongswan.reach.away = "charon: no such file"
        rig.machine.log.clear()
        assert not await again.reconciler.reconcile()
        assert [op for op in rig.machine.log if isinstance(op, Delete)] == []
        rig.machine.strongswan.reach.away = ""
        assert await again.reconciler.reconcile()
        assert not {obj.key for obj in stale} & rig.machine.seen.keys()
        # Once in sync, the kernel's part goes while charon is away.
        rig.machine.strongswan.reach.away = "charon: no such file"
        await again.delete("vpnConnections/gw1/branch2")
        assert not [obj for obj in rig.machine.seen.values() if isinstance(obj, Tunnel)]

    run(case())


def test_a_plan_that_cannot_be_compiled_keeps_the_old_dataplane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()

        def broken(*_: object) -> None:
            raise KeyError("vrf")

        monkeypatch.setattr(rig.compiler, "_compile", broken)
        monkeypatch.setattr(rig.compiler, "_latest", None)
        before = dict(rig.machine.seen)
        with pytest.raises(KeyError):
            await rig.reconciler.reconcile()
        assert (rig.machine.log, rig.machine.seen) == ([], before)
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        assert rig.machine.groups()[((A, B),)] == (B,)

    run(case())


def test_a_machine_that_is_none_of_the_nodes_is_left_alone(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        before = dict(rig.machine.seen)
        rig.store.close()
        other = Rig(tmp_path, rig.machine, node="node7")
        with pytest.raises(StoreError, match=r"no node is named node7; .* one of node1"):
            await other.reconciler.reconcile()
        assert rig.machine.seen == before

    run(case())


def test_a_tunnel_leaves_and_joins_its_group_at_once(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        # What it still brings is routed through its sibling.
        assert said(rig.machine.log) == ["nexthop group over hgt1 hgt2: change, members hgt1 hgt2 -> hgt2"]
        rig.machine.log.clear()
        rig.machine.bring_up("hgt1")
        await rig.reconciler.follow()
        assert said(rig.machine.log) == ["nexthop group over hgt1 hgt2: change, members hgt2 -> hgt1 hgt2"]
        assert len(rig.events("tunnel.up")) == 5 and len(rig.events("tunnel.down")) == 1
        rig.machine.log.clear()
        assert await rig.reconciler.reconcile()
        assert rig.machine.log == []

    run(case())


def test_the_last_tunnel_leaves_the_routes_closed(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.take_down(*FIRST)
        await rig.reconciler.follow()
        assert rig.machine.groups()[((A, B),)] == ()
        assert [obj for obj in rig.machine.seen.values() if isinstance(obj, Route) and obj.via == Tunnels(((A, B),))]

    run(case())


def test_a_pass_that_comes_before_the_follow_up_tells_no_drift(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        for change in (rig.machine.take_down, rig.machine.bring_up):
            change("hgt1")
            await rig.reconciler.reconcile()
        assert is_as_wanted(rig)
        assert rig.events("drift.repaired") == []

    run(case())


def test_a_follow_up_that_was_refused_asks_for_a_pass(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.netlink.fail_next(Group, "Device or resource busy")
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        assert rig.reconciler.state.unfinished
        assert await rig.reconciler.reconcile()
        assert rig.machine.groups()[((A, B),)] == (B,)
        assert not rig.reconciler.state.unfinished

    run(case())


def test_a_charon_lost_in_a_follow_up_asks_for_a_pass(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.strongswan.reach.fail_calls["sas"] = 1
        await rig.reconciler.follow()
        assert rig.reconciler.state.unfinished
        assert rig.events("tunnel.down") == []
        assert set(rig.reconciler.state.tunnels.values()) == {Connection.UNKNOWN}

    run(case())


def test_nothing_is_followed_before_the_first_pass(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    run(rig.reconciler.follow())
    assert rig.reconciler.state == State()


def test_sas_of_a_charon_that_was_killed_are_collected_once_replaced(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.strongswan.restart(since=3_000.0)
        rig.machine.strongswan.ike = [ike_sa("hgt1", uniqueid=90, children=(child_sa("hgt1", uniqueid=90),))]
        rig.machine.netlink.sas.append(kernel_sa("hgt1", 180, 3_001))
        await rig.reconciler.reconcile()
        # The clock is far beyond the time for which the others are kept.
        assert {sa.spi for sa in rig.machine.netlink.sas} == {180}
        assert len(rig.events("sa.collected")) == 1

    run(case())


def test_a_collection_that_fails_spoils_no_pass(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.strongswan.restart(since=3_000.0)
        rig.machine.netlink.reach.fail_calls["delete_states"] = 1
        assert not await rig.reconciler.reconcile()
        assert rig.reconciler.state.passes == 2
        assert await rig.reconciler.reconcile()

    run(case())


def test_counters_come_from_whoever_answers(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        rig.machine.nftables.spoofs = {"hgt1": 4}
        rig.machine.strongswan.reach.away = "charon: no such file"
        assert (await rig.reconciler.counters()).spoofed == {"hgt1": 4}
        assert (await rig.reconciler.counters()).charon == "charon: no such file"
        rig.machine.strongswan.reach.away = ""
        rig.machine.nftables.reach.away = "nft: no such file"
        assert (await rig.reconciler.counters()).charon == "charon 6"
        assert (await rig.reconciler.counters()).spoofed == {}

    run(case())


def test_an_unloaded_connection_is_missed(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        assert not await rig.reconciler.has_lost_connections()
        await rig.apply()
        assert not await rig.reconciler.has_lost_connections()
        del rig.machine.strongswan.objects["IkeConnection", "hgt2"]
        assert await rig.reconciler.has_lost_connections()
        rig.machine.strongswan.reach.away = "gone"
        with pytest.raises(DriverError):
            await rig.reconciler.has_lost_connections()
        await rig.reconciler.reconcile()
        assert not await rig.reconciler.has_lost_connections()

    run(case())


def test_a_pass_and_a_follow_up_at_once_end_as_wanted(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.take_down(*SECOND)
        await asyncio.gather(rig.reconciler.reconcile(), rig.reconciler.follow(), rig.reconciler.reconcile())
        assert is_as_wanted(rig)
        assert rig.machine.groups()[((C, D),)] == ()

    run(case())


def test_what_is_revoked_ends_however_the_branch_spells_itself(tmp_path: Path) -> None:
    by_certificate = (
        b"type: settings\nname: branch1\n"
        b"properties: {resource: vpnSites/branch1, authentication: Certificate}\n---\n"
        b"type: settings\nname: named\n"
        b"properties: {resource: vpnSites/branch1/vpnSiteLinks/link1, remoteIdentity: branch1.example.com}\n"
    )

    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        await rig.apply(by_certificate)
        issued = rig.certificates.issue(request(new_key(), "b"), "b", ["Branch1.example.com"], 10, who="test")[0]
        as_written, by_key = ike_sa("hgt1", uniqueid=50), ike_sa("hgt3", uniqueid=51)
        rig.machine.strongswan.ike += [
            replace(as_written, remote_id="BRANCH1.Example.com", established=0),
            replace(as_written, uniqueid=52, remote_id="BRANCH1.Example.com"),
            replace(by_key, remote_id="branch1.example.com"),
        ]
        await rig.reconciler.reconcile()
        assert rig.machine.strongswan.terminated == []
        rig.certificates.revoke(issued.serial, who="test")
        await rig.reconciler.reconcile()
        assert 52 in rig.machine.strongswan.terminated and 51 not in rig.machine.strongswan.terminated

    run(case())
