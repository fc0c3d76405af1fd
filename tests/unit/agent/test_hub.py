"""What the socket is asked: changes, each refusal, and what is shown, on a real store and fake drivers."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from hubgw.agent import hub as hub_module
from hubgw.agent.service import Applied, Refusal, Refused
from hubgw.agent.statuses import Connection, Provisioning
from hubgw.store.types import StoreError
from tests.fakes.drivers import kernel_sa
from tests.unit.agent.rig import BRANCHES, FIRST, Rig, run

NODE = BRANCHES[BRANCHES.index(b"type: nodes") :]
WITHOUT_BRANCH2 = b"---\n".join(part for part in BRANCHES.split(b"---\n") if b"branch2" not in part)
HEAD = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/hubgw/providers/Microsoft.Network"


async def refused(work: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await work  # type: ignore[misc]
    return caught.value


def test_an_apply_stores_settles_and_says_what_it_did(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        applied = await rig.apply()
        assert applied.generation == rig.store.head == 1
        assert "vpnConnections/gw1/branch1: created" in applied.changes
        assert "route 10.1.0.0/24 in table 10000001: add, via hgt1 hgt2" in applied.plan
        assert rig.reconciler.state.passes == 1
        assert rig.events("configuration.applied") == ["generation=1 who=test changes=10"]
        assert await rig.apply() == Applied(1)
        assert rig.reconciler.state.passes == 1

    run(case())


def test_the_words_name_the_tunnels_as_the_store_numbered_them(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        await rig.delete("vpnConnections/gw1/branch2")
        # The numbers 3 and 4 are never given again.
        applied = await rig.apply()
        assert {obj.key for obj in rig.reconciler.state.wanted} >= {("Tunnel", "hgt5"), ("Tunnel", "hgt6")}
        assert "route 10.2.0.0/24 in table 10000001: add, via hgt5 hgt6" in applied.plan

    run(case())


def test_a_dry_run_says_the_same_and_stores_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        planned = await rig.apply(dry_run=True)
        assert (planned.generation, rig.store.head, rig.machine.log) == (0, 0, [])
        applied = await rig.apply()
        assert (planned.changes, planned.plan) == (applied.changes, applied.plan)

    run(case())


def test_every_problem_comes_at_once_with_its_place_and_nothing_is_stored(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        broken = BRANCHES.replace(b"name: vnet1\nlocation: westeurope", b"name: vnet1\nlocation: northeurope")
        broken = broken.replace(b"  virtualHub: hub1", b"  virtualHub: hub1\n  scaleUnits: 2")
        refusal = await refused(rig.apply(broken, prune=True))
        assert refusal.why is Refusal.INVALID
        assert [problem.split(": ")[0].rpartition(":")[0] for problem in refusal.problems] == ["input.yaml"] * 2
        assert "scaleUnits" in refusal.problems[0] and "northeurope" in refusal.problems[1]
        assert (rig.store.head, rig.machine.log) == (0, [])

    run(case())


def test_a_problem_with_what_is_stored_says_so(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        site = (
            b"type: vpnSites\nname: b3\nproperties: {virtualWan: wan1, addressSpace: {addressPrefixes: [10.2.0.0/24]}}"
        )
        refusal = await refused(rig.apply(site))
        assert len(refusal.problems) == 1
        assert refusal.problems[0].startswith("input.yaml:3: ") and "branch2" in refusal.problems[0]
        assert rig.store.head == 1

    run(case())


def test_prune_lists_what_goes_and_takes_it_away(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        kept = await rig.apply(WITHOUT_BRANCH2)
        assert (kept.pruned, kept.changes) == ((), ())
        planned = await rig.apply(WITHOUT_BRANCH2, prune=True, dry_run=True)
        assert planned.pruned == ("vpnConnections/gw1/branch2", "vpnSites/branch2")
        assert "route 10.2.0.0/24 in table 10000001: withdraw" in planned.plan
        assert rig.store.head == 1
        applied = await rig.apply(WITHOUT_BRANCH2, prune=True)
        assert (applied.pruned, applied.plan) == (planned.pruned, planned.plan)
        assert ("Tunnel", "hgt3") not in rig.machine.seen

    run(case())


def test_what_was_shown_is_what_is_done_or_nothing_is(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        assert (await refused(rig.apply(WITHOUT_BRANCH2, prune=True, if_generation=0))).why is Refusal.CONFLICT
        assert (await refused(rig.delete(everything=True, if_generation=7))).why is Refusal.CONFLICT
        assert (await rig.apply(WITHOUT_BRANCH2, prune=True, if_generation=1)).generation == 2

    run(case())


def test_changes_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        both = await asyncio.gather(rig.delete("vpnConnections/gw1/branch1"), rig.delete("vpnConnections/gw1/branch2"))
        assert sorted(applied.generation for applied in both) == [2, 3]
        assert rig.machine.groups() == {}

    run(case())


def test_a_delete_of_everything_leaves_nothing_of_ours(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        deleted = await rig.delete(everything=True)
        assert len(deleted.changes) == 10
        assert {key[0] for key in rig.machine.seen} == {"Sysctl"}
        assert (await rig.hub.status()).resources == ()

    run(case())


def test_a_put_creates_and_replaces_and_keeps_the_key(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        id_ = f"{HEAD}/vpnGateways/gw1/vpnConnections/branch1"
        body = {
            "name": "other",
            "type": "no matter",
            "properties": {"remoteVpnSite": {"id": f"{HEAD}/vpnSites/branch1"}},
        }
        assert await rig.hub.put(id_, body, who="test") is False
        assert await rig.hub.shared_keys("vpnConnections/gw1/branch1", who="test") == {"": "example-key-of-branch-1"}
        site = {"properties": {"virtualWan": {"id": f"{HEAD}/virtualWans/wan1"}}}
        assert await rig.hub.put(f"{HEAD}/vpnSites/branch3", site, who="test") is True
        refusal = await refused(rig.hub.put(f"{HEAD}/vpnSites/b4", {"properties": {"virtualwan": "x"}}, who="test"))
        assert refusal.why is Refusal.INVALID
        assert any("virtualwan" in problem for problem in refusal.problems)

    run(case())


def test_a_key_is_made_shown_on_request_and_told(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply(BRANCHES.replace(b"  sharedKey: example-key-of-branch-1\n", b""))
        keys = await rig.hub.shared_keys("vpnConnections/gw1/branch1", who="root")
        assert len(keys[""]) == 32
        (shown,) = (event for event in await rig.hub.events(100) if event.event == "key.shown")
        assert (shown.text, shown.resource) == ("who=root", f"{HEAD}/vpnGateways/gw1/vpnConnections/branch1")
        everything = repr(((await rig.hub.resources()), await rig.hub.status(), await rig.hub.events(1000)))
        assert keys[""] not in everything and "example-key" not in everything
        refusal = await refused(rig.hub.shared_keys("vpnSites/branch1", who="root"))
        assert refusal.why is Refusal.NOT_FOUND
        assert len([event for event in await rig.hub.events(100) if event.event == "key.shown"]) == 1

    run(case())


def test_a_changed_key_is_loaded_and_the_old_one_goes(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        before = rig.machine.strongswan.secrets()
        applied = await rig.apply(BRANCHES.replace(b"example-key-of-branch-1", b"another-key-of-branch-1"))
        after = rig.machine.strongswan.secrets()
        assert len(before & after) == 2 and len(after) == 4
        assert "another-key" not in repr(applied)

    run(case())


def test_a_store_that_cannot_be_read_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()

        def broken(*_: object, **__: object) -> None:
            raise StoreError("store: disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(rig.store, "commit", broken)
            assert (await refused(rig.apply(WITHOUT_BRANCH2, prune=True))).why is Refusal.UNAVAILABLE
        with monkeypatch.context() as patch:
            patch.setattr(rig.compiler, "latest", broken)
            for work in (
                rig.apply(),
                rig.hub.status(),
                rig.hub.resources(),
                rig.hub.put(f"{HEAD}/virtualWans/wan1", {}, who="test"),
            ):
                assert (await refused(work)).problems == ("store: disk I/O error",)

    run(case())


def test_a_second_node_is_refused_where_the_machine_has_no_name(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply()
        refusal = await refused(rig.apply(b"type: nodes\nname: node2\nproperties: {}"))
        assert "there are several nodes" in refusal.problems[0]
        assert rig.store.head == 1
        rig.store.close()
        named = Rig(tmp_path, rig.machine, node="NODE1")
        await named.apply(b"type: nodes\nname: node2\nproperties: {}")
        assert ("Tunnel", "hgt1") in rig.machine.seen

    run(case())


def test_an_apply_answers_where_its_pass_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        monkeypatch.setattr(hub_module, "SETTLED_WITHIN", 0.01)

        async def never() -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(rig.hub, "_settle", never)
        assert (await rig.apply()).generation == 1
        assert rig.events("pass.slow")

    run(case())


def test_resources_are_updating_until_their_pass_and_then_as_it_ended(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)

        async def not_yet() -> None:
            states = {status.provisioning_state for status in (await rig.hub.resources()).values()}
            assert states == {Provisioning.UPDATING}
            await rig.settle()

        rig.hub._settle = not_yet
        await rig.apply()
        resources = await rig.hub.resources()
        assert {status.provisioning_state for status in resources.values()} == {Provisioning.SUCCEEDED}
        connections = {key: status.connection_status for key, status in resources.items() if status.connection_status}
        assert set(connections.values()) == {Connection.NOT_CONNECTED}
        assert all("/vpnconnections/" in key for key in connections) and len(connections) == 2

    run(case())


def test_the_status_is_what_is_there_now(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.nftables.spoofs = {"hgt2": 3}
        rig.machine.netlink.sas = [
            replace(kernel_sa("hgt2", 4, 1), replayed=5, integrity_failed=1),
            replace(kernel_sa("hgt2", 5, 1), replayed=2),
        ]
        rig.machine.take_down("hgt1")
        status = await rig.hub.status()
        tunnels = {tunnel.name: tunnel for tunnel in status.tunnels}
        assert (tunnels["hgt1"].state, tunnels["hgt1"].spi_in) == (Connection.NOT_CONNECTED, "")
        assert (tunnels["hgt2"].state, tunnels["hgt2"].spi_in) == (Connection.CONNECTED, "00000004")
        assert (tunnels["hgt2"].spoofed, tunnels["hgt2"].link, tunnels["hgt2"].instance) == (3, "link1", 1)
        assert (tunnels["hgt2"].replayed, tunnels["hgt2"].integrity_failed) == (7, 1)
        assert tunnels["hgt1"].since and tunnels["hgt1"].since >= (tunnels["hgt2"].since or 0)
        (route,) = (route for route in status.routes if route.prefix == "10.1.0.0/24")
        assert (route.nexthops, route.via, route.vrf) == (("hgt2",), "via hgt1 hgt2", "hgv1")
        assert route.hub.endswith("virtualHubs/hub1") and route.origin.endswith("vpnConnections/branch1")
        assert (status.charon, status.generation) == ("charon 6", 1)

    run(case())


def test_the_status_says_why_it_does_not_know(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        rig.machine.strongswan.reach.away = "charon: /run/charon.vici: No such file or directory"
        status = await rig.hub.status()
        assert status.charon == "charon: /run/charon.vici: No such file or directory"
        assert {tunnel.state for tunnel in status.tunnels} == {Connection.UNKNOWN}
        assert {route.nexthops for route in status.routes if route.prefix == "10.1.0.0/24"} == {FIRST}
        rig.machine.netlink.reach.away = "netlink: no"
        assert (await rig.hub.status()).routes == ()

    run(case())
