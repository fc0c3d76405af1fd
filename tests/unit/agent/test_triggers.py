"""Who asks for a pass, and who waits for one."""

import asyncio

import pytest

from hubgw.agent import triggers
from hubgw.agent.triggers import Triggers
from tests.unit.agent.rig import run


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "SETTLES", 0.0)


def test_a_wait_ends_when_fired_or_in_time() -> None:
    async def case() -> None:
        asked = Triggers()
        await asked.wait(0.0)
        asked.fire()
        asked.fire()
        await asked.wait(3600.0)
        await asked.wait(0.0)

    run(case())


def test_who_settles_waits_for_a_pass_that_began_after_it() -> None:
    async def case() -> None:
        asked = Triggers()
        await asked.wait(0.0)
        # A pass is under way: it may have read the store already.
        waiting = asyncio.create_task(asked.settle())
        await asyncio.sleep(0)
        await asked.ended()
        await asyncio.sleep(0)
        assert not waiting.done()
        await asked.wait(3600.0)
        await asked.ended()
        await waiting

    run(case())


def test_all_who_wait_are_told_by_one_pass() -> None:
    async def case() -> None:
        asked = Triggers()
        waiting = [asyncio.create_task(asked.settle()) for _ in range(5)]
        await asyncio.sleep(0)
        await asked.wait(3600.0)
        await asked.ended()
        await asyncio.gather(*waiting)

    run(case())


def test_who_gives_up_waiting_holds_nobody_up() -> None:
    async def case() -> None:
        asked = Triggers()
        impatient, patient = (asyncio.create_task(asked.settle()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        await asked.wait(3600.0)
        await asked.ended()
        await patient
        assert impatient.cancelled()

    run(case())
