"""What BGP peers tell, to the kernel and to the others at once; sources that are admitted; tunnels that move."""

from pathlib import Path

import pytest

from hubgw.drivers.exabgp.attributes import exported, parsed
from hubgw.drivers.exabgp.events import Flushed, Learned
from hubgw.plan.bgp import network
from hubgw.plan.kernel import Group
from hubgw.plan.numbers import IF_IDS
from tests.unit.agent.bgp import OWN, P, Q, says, settled, up, withdraws
from tests.unit.agent.rig import BRANCH1, BRANCH2, FIRST, SPEAKERS, TABLE, prefixes, run, said, wire

A, B, C = IF_IDS[1], IF_IDS[2], IF_IDS[3]
SITES = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/hubgw/providers/Microsoft.Network/vpnSites/"


# --- at once


def test_a_prefix_reaches_the_kernel_and_the_other_speakers_at_once(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        passes = rig.reconciler.state.passes
        await rig.tell(says(BRANCH1[0], P, path=(65010, 65011)))
        assert rig.learned() == {P: "hgt1"}
        assert said(rig.machine.log) == [f"route {P} in table {TABLE}: add, via hgt1"]
        wanted = exported(parsed(wire(65010, 65011)), 65515)
        for speaker in SPEAKERS:
            assert rig.out(speaker) == {*OWN, P}
            assert rig.machine.exabgp.out[speaker][prefixes(P)[0]] == (wanted, (f"{SITES}branch1",))
        assert (rig.reconciler.state.passes, rig.fired) == (passes, 0)

    run(case())


def test_a_prefix_that_is_withdrawn_leaves_both_at_once(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, Q))
        await rig.tell(withdraws(BRANCH1[0], P))
        assert rig.learned() == {Q: "hgt1"}
        assert said(rig.machine.log) == [f"route {P} in table {TABLE}: withdraw"]
        assert rig.out(SPEAKERS[1]) == {*OWN, Q}
        await rig.tell(Flushed(BRANCH1[0]))
        assert (rig.learned(), rig.out(SPEAKERS[0]), rig.fired) == ({}, OWN, 0)

    run(case())


def test_what_changed_twice_in_a_batch_is_done_once(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        await rig.tell(says(BRANCH1[0], P), withdraws(BRANCH1[0], P), says(BRANCH2[0], P), says(BRANCH1[0], Q))
        assert said(rig.machine.log) == [
            f"route {P} in table {TABLE}: add, via hgt3",
            f"route {Q} in table {TABLE}: add, via hgt1",
        ]

    run(case())


def test_both_sessions_of_a_site_share_a_group_of_both_tunnels(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        await rig.tell(says(BRANCH1[0], P, Q), says(BRANCH1[1], P, Q))
        assert rig.learned() == {P: "hgt1 hgt2", Q: "hgt1 hgt2"}
        assert said(rig.machine.log) == [f"route {each} in table {TABLE}: add, via hgt1 hgt2" for each in (P, Q)]
        await rig.tell(withdraws(BRANCH1[0], P))
        assert rig.learned() == {P: "hgt2", Q: "hgt1 hgt2"}

    run(case())


def test_a_way_that_is_no_passs_gets_its_group_first(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        await rig.tell(says(BRANCH1[0], P, Q), says(BRANCH2[1], P, Q))
        assert said(rig.machine.log) == [
            "nexthop group over hgt1 hgt4: add",
            *(f"route {each} in table {TABLE}: add, via hgt1 hgt4" for each in (P, Q)),
        ]
        assert rig.machine.groups()[((A, IF_IDS[4]),)] == (A, IF_IDS[4])
        excluded = rig.machine.exabgp.out[SPEAKERS[0]][prefixes(P)[0]][1]
        assert excluded == (f"{SITES}branch1", f"{SITES}branch2")
        rig.machine.log.clear()
        assert await rig.reconciler.reconcile()
        assert rig.machine.log == []

    run(case())


def test_what_policy_refuses_is_kept_and_used_by_nobody(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        await rig.tell(says(BRANCH1[0], P, path=(65010, 65515)), says(BRANCH1[1], "10.100.0.0/25"))
        assert (rig.learned(), rig.out(SPEAKERS[0]), rig.machine.log) == ({}, OWN, [])
        refusals = {str(network(each.prefix)): each.refusal for each in rig.routing.rib.learned()}
        assert refusals == {P: "own-as", "10.100.0.0/25": "own-prefix"}

    run(case())


def test_a_route_that_must_not_leave_is_withdrawn_and_stays_in_the_kernel(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        assert rig.out(SPEAKERS[1]) == {*OWN, P}
        no_export = Learned(BRANCH1[0], [(wire(65010, communities=(0xFFFFFF01,)), prefixes(P))])
        await rig.tell(no_export)
        assert (rig.learned(), rig.out(SPEAKERS[1])) == ({P: "hgt1"}, OWN)

    run(case())


def test_of_a_peer_or_speaker_that_nobody_knows_nothing_is_taken(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        stranger, elsewhere = (SPEAKERS[0], "10.7.0.254"), ("hgv9-0", "10.1.0.254")
        await rig.tell(up(stranger), says(stranger, P), up(elsewhere), says(elsewhere, P), Flushed(elsewhere))
        assert (rig.learned(), rig.out(SPEAKERS[0]), rig.events("bgp.up")) == ({}, OWN, [])

    run(case())


# --- sources of tunnels that are not the best way


def test_a_tunnel_with_a_worse_path_may_still_bring_it(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, path=(65010, 65011)))
        exception = ("Element", "not_in_fib", ("hgt1", P))
        rig.moved = 0
        await rig.tell(says(BRANCH2[0], P))
        assert (rig.learned(), rig.routing.admitted, rig.moved) == ({P: "hgt3"}, {(A, prefixes(P)[0])}, 1)
        await rig.reconciler.follow()
        assert exception in rig.machine.seen
        await rig.tell(Flushed(BRANCH2[0]))
        assert (rig.learned(), rig.routing.admitted, rig.moved) == ({P: "hgt1"}, set(), 2)
        await rig.reconciler.follow()
        assert exception not in rig.machine.seen
        assert await rig.reconciler.reconcile()
        assert rig.events("drift.repaired") == []

    run(case())


def test_admitted_sources_are_no_drift_where_a_pass_comes_first(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, path=(65010, 65011)))
        for told in (says(BRANCH2[0], P), Flushed(BRANCH2[0])):
            await rig.tell(told)
            assert await rig.reconciler.reconcile()
            assert len([key for key in rig.machine.seen if "not_in_fib" in key]) == isinstance(told, Learned)
        assert rig.events("drift.repaired") == []

    run(case())


def test_sources_admitted_while_a_pass_is_under_way_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, path=(65010, 65011)))
        verify = rig.routing.verify

        async def meanwhile(up_: frozenset[int]) -> None:
            monkeypatch.undo()
            await verify(up_)
            await rig.tell(says(BRANCH2[0], P))
            # A tunnel that moved has the groups followed at once, and the rest when the pass has ended.
            rig.machine.take_down("hgt2")
            await rig.reconciler._follow_at_once(rig.reconciler.state.desired.plan)  # type: ignore[union-attr]
            rig.machine.bring_up("hgt2")

        monkeypatch.setattr(rig.routing, "verify", meanwhile)
        await rig.reconciler.reconcile()
        await rig.reconciler.follow()
        assert ("Element", "not_in_fib", ("hgt1", P)) in rig.machine.seen

    run(case())


# --- tunnels


def test_a_tunnel_that_dies_leaves_its_groups_first_and_then_the_routes(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, Q), says(BRANCH1[1], P))
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        words = said(rig.machine.log)
        group = words.index("nexthop group over hgt1 hgt2: change, members hgt1 hgt2 -> hgt2")
        routes = [index for index, text in enumerate(words) if text.startswith("route ")]
        assert [words[index] for index in routes] == [
            f"route {P} in table {TABLE}: add, via hgt2",
            f"route {Q} in table {TABLE}: withdraw",
        ]
        assert group < min(routes)
        assert rig.out(SPEAKERS[0]) == {*OWN, P}
        rig.machine.bring_up("hgt1")
        await rig.reconciler.follow()
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({P: "hgt1 hgt2", Q: "hgt1"}, {*OWN, P, Q})
        assert rig.machine.groups()[((A, B),)] == (A, B)
        assert await rig.reconciler.reconcile()
        assert rig.events("drift.repaired") == []

    run(case())


def test_a_group_of_learned_routes_alone_is_followed_too(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], P))
        tiers = ((A, C),)
        for change, members in ((rig.machine.take_down, (C,)), (rig.machine.bring_up, (A, C))):
            change("hgt1")
            await rig.reconciler.follow()
            assert rig.machine.groups()[tiers] == members
            assert rig.learned()[P] == " ".join(f"hgt{member - IF_IDS.start}" for member in members)
        rig.machine.take_down("hgt1")
        # The pass comes before the follow-up, and takes the group away that nothing uses any longer.
        for _ in range(2):
            await rig.reconciler.reconcile()
        assert tiers not in rig.machine.groups()
        rig.machine.bring_up("hgt1")
        await rig.reconciler.follow()
        assert (rig.machine.groups()[tiers], rig.learned()) == ((A, C), {P: "hgt1 hgt3"})
        assert rig.events("drift.repaired") == []

    run(case())


def test_the_last_tunnel_takes_the_routes_along(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH1[1], P))
        rig.machine.take_down(*FIRST)
        await rig.reconciler.follow()
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({}, OWN)
        rig.machine.bring_up("hgt2")
        await rig.reconciler.reconcile()
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({P: "hgt2"}, {*OWN, P})

    run(case())


def test_members_of_a_shared_group_are_the_reconcilers_to_say(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        # The groups know already that the tunnel is down, the RIB does not.
        await rig.machine.netlink.set_active([Group(((A, B),), (B,))])
        await rig.tell(says(BRANCH1[0], P), says(BRANCH1[1], P))
        assert rig.learned() == {P: "hgt1 hgt2"}
        assert rig.machine.groups()[((A, B),)] == (B,)

    run(case())
