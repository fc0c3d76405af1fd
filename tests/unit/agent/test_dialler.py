"""What is dialled, when, and what is ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hubgw.agent import dialler as dialler_module
from hubgw.agent.dialler import CHILD_WITHIN, DUPLICATE_AGE, LIST_EVERY, LONGEST_DELAY, Dialler
from hubgw.plan.ipsec import IkeConnection
from tests.fakes.drivers import child_sa, ike_sa
from tests.unit.agent.rig import BRANCHES, FIRST, SECOND, Rig, run
from tests.unit.agent.test_users import USERS


class Clock:
    """Stands in for the event loop's time."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def get_running_loop(self) -> "Clock":
        return self

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(dialler_module, "asyncio", made)
    made.Lock = asyncio.Lock  # type: ignore[attr-defined]
    return made


def first(patched: pytest.MonkeyPatch, owner: object, name: str, do: Callable[[], Awaitable[None]]) -> None:
    """Has something done before each call of a method."""
    does = getattr(owner, name)

    async def call(*args: object) -> object:
        await do()
        return await does(*args)

    patched.setattr(owner, name, call)


async def started(path: Path) -> tuple[Rig, Dialler]:
    rig = Rig(path)
    await rig.apply()
    return rig, Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)


def test_every_tunnel_that_is_down_is_dialled_once_and_later_again(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        await dialler.round()
        await dialler.round()
        assert rig.machine.strongswan.initiated == [(name,) for name in (*FIRST, *SECOND)]
        clock.now += 3.0
        await dialler.round()
        # Every second attempt is for branches that know no childless SA.
        assert rig.machine.strongswan.initiated[4:] == [(name, name) for name in (*FIRST, *SECOND)]

    run(case())


def test_two_rounds_at_once_dial_once(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        await asyncio.gather(dialler.round(), dialler.round(), dialler.round())
        assert len(rig.machine.strongswan.initiated) == 4

    run(case())


def test_what_is_up_or_coming_up_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        rig.machine.bring_up("hgt1")
        rig.machine.strongswan.ike.append(ike_sa("hgt2", uniqueid=20, state="CONNECTING"))
        half_open = ike_sa("", uniqueid=21, initiator=False, ends=("198.51.100.10", "192.0.2.6"))
        rig.machine.strongswan.ike.append(half_open)
        await rig.reconciler.follow()
        await dialler.round()
        assert rig.machine.strongswan.initiated == [("hgt4",)]

    run(case())


def test_an_ike_sa_gets_its_child_once_it_is_alone(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        charon = rig.machine.strongswan
        charon.ike = [
            ike_sa("hgt1", uniqueid=5),
            ike_sa("hgt2", uniqueid=6),
            ike_sa("hgt2", uniqueid=7, initiator=False),
        ]
        await dialler.round()
        await dialler.round()
        assert charon.initiated[:1] == [("hgt1", "hgt1")] and ("hgt1",) not in charon.initiated
        assert set(charon.terminated) == {6}
        clock.now += CHILD_WITHIN + 1
        await dialler.round()
        assert 5 in charon.terminated

    run(case())


def test_sas_are_listed_seldom_once_every_child_that_was_asked_for_has_stood(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        charon = rig.machine.strongswan
        charon.ike = [ike_sa(name, uniqueid=number) for number, name in enumerate((*FIRST, *SECOND))]
        await dialler.round()
        assert charon.initiated == [(name, name) for name in (*FIRST, *SECOND)]
        before = charon.reach.calls["sas"]
        await dialler.round()
        assert charon.reach.calls["sas"] > before
        charon.ike = [replace(sa, children=(child_sa(sa.connection),)) for sa in charon.ike]
        await rig.reconciler.follow()
        clock.now += CHILD_WITHIN + 1
        await dialler.round()
        before = charon.reach.calls["sas"]
        clock.now += 10 * LIST_EVERY
        await dialler.round()
        assert charon.reach.calls["sas"] == before
        await rig.reconciler.reconcile()
        before = charon.reach.calls["sas"]
        await dialler.round()
        assert charon.reach.calls["sas"] == before, "what a pass has listed calls for nothing"

    run(case())


def test_sas_are_listed_again_while_one_is_to_grow_older(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        charon = rig.machine.strongswan
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        young = ike_sa("hgt1", uniqueid=40, spi="ff", established=DUPLICATE_AGE - 20, children=(child_sa("hgt1"),))
        charon.ike.append(young)
        await rig.reconciler.follow()
        await dialler.round()
        assert charon.terminated == []
        clock.now += LIST_EVERY
        charon.ike[-1] = replace(young, established=DUPLICATE_AGE)
        await dialler.round()
        assert charon.terminated == [1]

    run(case())


def test_a_branch_that_ends_each_child_at_once_is_not_asked_for_another_each_time(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        charon = rig.machine.strongswan
        without = ike_sa("hgt1", uniqueid=5)
        for _ in range(5):
            for charon.ike in ([without], [replace(without, children=(child_sa("hgt1"),))]):
                await rig.reconciler.follow()
                await dialler.round()
                clock.now += 1.0
        assert charon.initiated.count(("hgt1", "hgt1")) == 1
        charon.ike = [without]
        clock.now += CHILD_WITHIN
        await rig.reconciler.follow()
        await dialler.round()
        assert charon.terminated == [5]

    run(case())


def test_a_branchs_ike_sa_without_a_child_gets_one_when_it_had_its_time(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        charon = rig.machine.strongswan
        charon.ike = [
            ike_sa("hgt1", uniqueid=5, initiator=False, established=5),
            ike_sa("hgt2", uniqueid=6, initiator=False, established=5_000),
        ]
        await dialler.round()
        assert ("hgt1", "hgt1") not in charon.initiated
        assert ("hgt2", "hgt2") in charon.initiated
        clock.now += CHILD_WITHIN + 1
        await dialler.round()
        assert charon.terminated == [6]

    run(case())


def test_an_ike_sa_of_a_connection_that_is_gone_is_ended(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        charon = rig.machine.strongswan
        charon.ike = [ike_sa("hgt99", uniqueid=9), ike_sa("", uniqueid=10)]
        await dialler.round()
        assert charon.terminated == [9]

    run(case())


def test_a_session_of_users_is_ended_where_its_way_in_is_gone(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply(BRANCHES.rstrip(b"\n") + USERS.encode())
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        charon = rig.machine.strongswan
        name = (await rig.compiler.latest()).plan.users[0].name
        ways = (name, name, f"{name}-eap", f"{name}-eap", f"{name}-0123abcd", f"{name}-eap-0123abcd")
        charon.ike = [ike_sa(way, uniqueid=number) for number, way in enumerate(ways)]
        await dialler.round()
        clock.now += DUPLICATE_AGE + 1
        await dialler.round()
        # An agent that is killed has perhaps unloaded a connection, and not yet ended what stands by it.
        assert set(charon.terminated) == {4, 5}

    run(case())


def test_a_charon_without_the_configuration_is_not_asked(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        await dialler.round()
        rig.machine.strongswan.reach.away = "charon: gone"
        await rig.apply()
        rig.machine.strongswan.reach.away = ""
        await dialler.round()
        assert rig.machine.strongswan.initiated == []

    run(case())


def test_a_charon_that_is_lost_meanwhile_is_told(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        rig.machine.strongswan.reach.away = "charon: gone"
        await dialler.round()
        assert rig.events("charon.lost") == ["reason='charon: gone'"]

    run(case())


def test_a_refusal_is_told_and_tried_again_later(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        rig.machine.strongswan.refuses_to_initiate = "CHILD_SA config 'hgt1' not found"
        for _ in range(20):
            await dialler.round()
            clock.now += 1.25 * LONGEST_DELAY
        assert len(rig.events("tunnel.refused")) == 80

    run(case())


def test_tunnels_on_sas_of_a_dead_charon_get_successors(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        await dialler.round()
        assert rig.machine.strongswan.initiated == []
        rig.machine.strongswan.restart(time.time() - 5)
        rig.machine.strongswan.objects |= {obj.key: obj for obj in rig.reconciler.state.wanted if "Ike" in obj.key[0]}  # type: ignore[operator]
        await rig.reconciler.reconcile()
        assert len(rig.reconciler.state.up) == 4
        await dialler.round()
        assert len(rig.machine.strongswan.initiated) == 4

    run(case())


def test_a_new_charon_is_asked_for_nothing_that_it_has_not_been_given_yet(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        charon = rig.machine.strongswan
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        charon.reach.away = "charon: gone"
        await rig.reconciler.follow()
        charon.reach.away = ""
        charon.restart(time.time() - 5)
        asked: list[list[tuple[str, ...]]] = []

        async def ask() -> None:
            await dialler.round()
            asked.append(list(charon.initiated))

        first(monkeypatch, charon, "apply", ask)
        charon.fail_next(("IkeConnection", "hgt3"))
        await rig.reconciler.reconcile()
        assert asked and not any(asked)
        await dialler.round()
        assert charon.initiated == [("hgt1",), ("hgt2",), ("hgt4",)]

    run(case())


def test_a_charon_that_is_away_while_a_pass_observes_is_asked_for_nothing(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        charon, netlink = rig.machine.strongswan, rig.machine.netlink
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        charon.reach.away = "charon: gone"
        await rig.reconciler.follow()
        charon.reach.away = ""
        charon.restart(time.time() - 5)

        async def ask() -> None:
            await dialler.round()
            assert charon.initiated == []

        first(monkeypatch, netlink, "observe", ask)
        await rig.reconciler.reconcile()
        await dialler.round()
        assert len(charon.initiated) == 4

    run(case())


def test_a_charon_that_comes_after_a_pass_has_observed_is_given_everything_first(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        charon = rig.machine.strongswan
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)

        async def restart() -> None:
            charon.restart(time.time() - 5)

        with monkeypatch.context() as patched:
            first(patched, rig.routing, "verify", restart)
            await rig.reconciler.reconcile()
        await rig.reconciler.follow()
        await dialler.round()
        assert charon.initiated == [] and rig.reconciler.state.unfinished
        await rig.reconciler.reconcile()
        await dialler.round()
        assert len(charon.initiated) == 4

    run(case())


def test_a_change_that_charon_refuses_leaves_the_tunnel_to_be_dialled_as_it_was(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        charon, key = rig.machine.strongswan, ("IkeConnection", "hgt1")
        held = charon.objects[key]
        assert isinstance(held, IkeConnection)
        charon.objects[key] = replace(held, dpd_delay=99)
        charon.fail_next(key)
        await rig.reconciler.reconcile()
        assert rig.events("resource.failed")
        await dialler.round()
        assert ("hgt1",) in charon.initiated

    run(case())


def test_back_off_goes_on_while_a_new_charon_is_given_everything(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        charon = rig.machine.strongswan
        for _ in range(6):
            clock.now += 1.25 * LONGEST_DELAY
            await dialler.round()
        before = len(charon.initiated)
        charon.restart(time.time() - 5)
        first(monkeypatch, rig.routing, "verify", dialler.round)
        await rig.reconciler.reconcile()
        clock.now += 3.0
        await dialler.round()
        assert len(charon.initiated) == before

    run(case())


def test_of_two_ike_sas_that_both_live_one_is_ended(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        child = (child_sa("hgt1", uniqueid=40),)
        rig.machine.strongswan.ike.append(ike_sa("hgt1", uniqueid=40, spi="ff", children=child))
        await rig.reconciler.follow()
        await dialler.round()
        assert DUPLICATE_AGE <= 100
        assert rig.machine.strongswan.terminated == [1]
        assert len(rig.events("tunnel.duplicate")) == 1
        clock.now += 20
        await dialler.round()
        assert rig.machine.strongswan.terminated == [1]

    run(case())


def test_of_two_ike_sas_the_one_that_carries_stays(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        rig.machine.strongswan.ike.append(ike_sa("hgt1", uniqueid=40, spi="ff"))
        await rig.reconciler.follow()
        await dialler.round()
        assert rig.machine.strongswan.terminated == [40]

    run(case())


def test_a_policy_based_tunnel_has_each_pair_asked_for_and_then_what_is_missing(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        state, charon = rig.reconciler.state, rig.machine.strongswan
        assert state.desired is not None
        pairs = (("10.50.0.0/24", "10.1.0.0/24"), ("10.60.0.0/16", "10.1.0.0/24"))
        first, *others = state.desired.plan.tunnels
        based = replace(first, selectors=pairs)
        plan = replace(state.desired.plan, tunnels=(based, *(replace(one, initiates=False) for one in others)))
        state.desired = replace(state.desired, plan=plan)
        one, other = based.children
        charon.ike = [ike_sa(based.name, uniqueid=5)]
        await dialler.round()
        assert charon.initiated == [(based.name, one, other)]
        charon.ike = [ike_sa(based.name, uniqueid=5, children=(child_sa(one, uniqueid=1),))]
        await rig.reconciler.follow()
        assert based.nexthop in state.up, "a pair is enough: a branch may bring up those alone that it needs"
        await dialler.round()
        await dialler.round()
        assert charon.initiated[1:] == [(based.name, other)]
        clock.now += LONGEST_DELAY
        await dialler.round()
        assert charon.initiated[2:] == [(based.name, other)]
        both = (child_sa(one, uniqueid=1), child_sa(other, uniqueid=2))
        charon.ike = [ike_sa(based.name, uniqueid=5, children=both)]
        await rig.reconciler.follow()
        clock.now += LONGEST_DELAY
        await dialler.round()
        assert len(charon.initiated) == 3

    run(case())


def test_a_pair_that_the_branch_never_takes_delays_no_new_start_of_the_tunnel(tmp_path: Path, clock: Clock) -> None:
    async def case() -> None:
        rig, dialler = await started(tmp_path)
        state, charon = rig.reconciler.state, rig.machine.strongswan
        assert state.desired is not None
        first, *others = state.desired.plan.tunnels
        based = replace(first, selectors=(("10.50.0.0/24", "10.1.0.0/24"), ("10.60.0.0/16", "10.1.0.0/24")))
        plan = replace(state.desired.plan, tunnels=(based, *(replace(one, initiates=False) for one in others)))
        state.desired = replace(state.desired, plan=plan)
        one, other = based.children
        charon.ike = [ike_sa(based.name, uniqueid=5, children=(child_sa(one, uniqueid=1),))]
        await rig.reconciler.follow()
        for _ in range(6):
            await dialler.round()
            clock.now += 2 * LONGEST_DELAY
        await dialler.round()
        assert charon.initiated == 7 * [(based.name, other)]
        charon.ike = []
        await rig.reconciler.follow()
        await dialler.round()
        assert charon.initiated[7:] == [(based.name,)], "at once, and in two steps as the first"
        # The next IKE SA is a new beginning for the pair too.
        charon.ike = [ike_sa(based.name, uniqueid=6, children=(child_sa(one, uniqueid=2),))]
        await rig.reconciler.follow()
        await dialler.round()
        assert charon.initiated[8:] == [(based.name, other)]

    run(case())
