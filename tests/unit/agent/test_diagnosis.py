"""Failures are kept by tunnel, told once, and forgotten when it is up; strangers are told now and then."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hubgw.agent.diagnosis import FAILURES, FAILURES_EVERY, STRANGERS_EVERY, Diagnosis
from hubgw.drivers.strongswan.faults import Fault, Why
from hubgw.plan.types import Object
from tests.unit.agent.bgp import with_tunnels
from tests.unit.agent.rig import Rig, run

ADDRESS = "192.0.2.2"
SAYS = f"no answer from {ADDRESS}; is that the branch, is it up, and are UDP 500 and 4500 let through?"


def diagnosis(rig: Rig) -> Diagnosis:
    return Diagnosis(rig.reconciler, rig.machine.strongswan, rig.journal, rig.users, rig.clock)  # type: ignore[arg-type]


def test_a_failure_is_told_once_and_goes_when_the_tunnel_is_up(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        told = diagnosis(rig)
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        for _ in range(2):
            told.take(Fault(Why.NO_ANSWER, "hgt1"))
        assert rig.reconciler.state.last_errors == {"hgt1": SAYS}
        assert rig.events("tunnel.failed") == [f"tunnel=hgt1 reason='{SAYS}'"]
        # Of a tunnel that fails in ever new ways not each is an event; the last error is the last.
        ever_new = [Fault(Why.AGGRESSIVE, "hgt1"), Fault(Why.WRONG_KEY, "hgt1")]
        for index in range(2 * FAILURES):
            told.take(ever_new[index % 2])
        assert len(rig.events("tunnel.failed")) == FAILURES
        assert rig.reconciler.state.last_errors["hgt1"].startswith("the branch has another preshared key")
        rig.clock.now += FAILURES_EVERY
        told.take(Fault(Why.AGGRESSIVE, "hgt1"))
        assert len(rig.events("tunnel.failed")) == FAILURES + 1
        rig.machine.bring_up("hgt1")
        await rig.reconciler.follow()
        assert rig.reconciler.state.last_errors == {}

    run(case())


def test_who_is_known_by_address_alone_is_each_tunnel_there_that_is_down(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        rig.machine.take_down("hgt2")
        await rig.reconciler.follow()
        diagnosis(rig).take(Fault(Why.NO_ANSWER, "", ADDRESS))
        assert set(rig.reconciler.state.last_errors) == {"hgt2"}
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        diagnosis(rig).take(Fault(Why.NO_ANSWER, "", ADDRESS, "198.51.100.10"))
        assert set(rig.reconciler.state.last_errors) == {"hgt1", "hgt2"}
        rig.reconciler.state.last_errors.clear()
        diagnosis(rig).take(Fault(Why.NO_ANSWER, "", ADDRESS, "198.51.100.11"))
        assert set(rig.reconciler.state.last_errors) == {"hgt2"}

    run(case())


def test_strangers_are_told_now_and_then(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        told = diagnosis(rig)
        for number in range(100):
            told.take(Fault(Why.NO_CONNECTION, "", f"203.0.113.{number}"))
        assert rig.events("ike.stranger") == ["address=203.0.113.0 reason='no connection leads to this address'"]
        rig.clock.now += STRANGERS_EVERY
        told.take(Fault(Why.NO_CONNECTION, "", "203.0.113.7"))
        assert len(rig.events("ike.stranger")) == 2

    run(case())


def test_what_was_missed_is_counted_and_told_now_and_then(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        told = diagnosis(rig)
        for _ in range(3):
            told.miss(100)
        assert rig.events("ike.missed") == ["count=100"]
        rig.clock.now += STRANGERS_EVERY
        told.miss(1)
        assert rig.events("ike.missed") == ["count=100", "count=201"]

    run(case())


def test_a_generation_is_gone_through_once_however_many_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        told, seen = diagnosis(rig), 0
        desired = rig.reconciler.state.desired
        assert desired is not None

        class Counted(tuple[Object, ...]):
            def __iter__(self) -> Iterator[Object]:
                nonlocal seen
                seen += 1
                return super().__iter__()

        plan = replace(desired.plan, objects=Counted(desired.plan.objects), tunnels=desired.plan.tunnels)
        monkeypatch.setattr(rig.reconciler.state, "desired", replace(desired, plan=plan))
        monkeypatch.setattr(rig.reconciler.state, "wanted", plan.objects)
        for _ in range(100):
            told.take(Fault(Why.NO_ANSWER, "hgt1"))
            told.take(Fault(Why.NO_ANSWER, "", ADDRESS))
        assert seen == 1
        assert set(rig.reconciler.state.last_errors) == {"hgt1"}

    run(case())


def test_a_name_that_leads_nowhere_keeps_no_other_from_being_told(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        state = rig.reconciler.state
        assert state.desired is not None
        plan = state.desired.plan
        led = tuple(obj for obj in plan.objects if obj.key != ("IkeConnection", "hgt2"))
        state.desired = replace(state.desired, plan=replace(plan, objects=led))
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        told = diagnosis(rig)
        told.take(Fault(Why.NO_ANSWER, "hgt2"))
        told.take(Fault(Why.NO_ANSWER, "hgt1"))
        assert set(state.last_errors) == {"hgt1"}

    run(case())
