"""The agent's tasks together: what triggers what, and that nothing that goes wrong ends them."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from hubgw.agent import daemon, triggers, untold
from hubgw.agent.daemon import Agent, Options, main
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.events import Lost
from hubgw.drivers.netlink.monitor import Event
from hubgw.drivers.strongswan.faults import Fault, Why
from hubgw.drivers.strongswan.heard import Moved
from hubgw.drivers.strongswan.log import Missed
from hubgw.plan.numbers import IF_IDS, LEARNED_METRIC
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import StoreError
from tests.fakes.drivers import Machine
from tests.unit.agent.bgp import P, opening, says, up
from tests.unit.agent.rig import (
    BGP,
    BRANCH1,
    BRANCH2,
    BRANCHES,
    FIRST,
    SECOND,
    SPEAKERS,
    TABLE,
    prefixes,
    run,
    until,
)

A, B = IF_IDS[1], IF_IDS[2]


class Running:
    """An agent with its tasks running; `passes` counts those that ended well."""

    def __init__(self, path: Path) -> None:
        self.machine = Machine()
        self.store = SqliteStore(path / "store.db")
        options = Options(path / "store.db", path / "socket", "vici", path / "run", "text")
        self.agent = Agent(self.store, self.machine.drivers, options)
        self.reconciler = self.agent._reconciler

    @property
    def passes(self) -> int:
        return self.reconciler.state.passes

    def events(self, name: str) -> list[str]:
        return [event.text for event in self.agent._journal.events() if event.event == name]

    async def apply(self, content: bytes = BRANCHES) -> None:
        await self.agent.hub.apply([("a", content)], prune=False, dry_run=False, if_generation=None, who="test")


def with_agent(path: Path, case: Callable[[Running], Awaitable[None]]) -> None:
    async def both() -> None:
        running = Running(path)
        task = asyncio.create_task(running.agent.run())
        try:
            await case(running)
            assert not task.done()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            with suppress(asyncio.CancelledError):
                await task

    run(both())


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "SETTLES", 0.0)
    for name in ("FIRST_RETRY", "LONGEST_RETRY", "FIRST_LISTEN", "POLL", "POOLS_EVERY"):
        monkeypatch.setattr(daemon, name, 0.001)
    monkeypatch.setattr(daemon, "PASS_EVERY", 3_600.0)


def test_it_starts_with_a_pass_and_an_apply_is_one(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await until(lambda: running.passes)
        await running.apply()
        assert ("Tunnel", "hgt1") in running.machine.seen

    with_agent(tmp_path, case)


def test_it_ends_at_once_when_told_and_changes_nothing(tmp_path: Path) -> None:
    machines = []

    async def case(running: Running) -> None:
        await running.apply()
        machines.append((running.machine, dict(running.machine.seen)))

    with_agent(tmp_path, case)
    assert machines[0][0].seen == machines[0][1]


def test_drift_is_repaired_when_the_kernel_tells(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        running.machine.netlink.delete_link("hgt1")
        running.machine.netlink.events.put(Event("link", "hgt1", True))
        await until(lambda: ("Tunnel", "hgt1") in running.machine.seen)
        await until(lambda: running.events("drift.repaired"))

    with_agent(tmp_path, case)


def test_a_tunnel_that_moves_is_followed_and_what_is_down_is_dialled(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        running.machine.bring_up(*FIRST)
        running.machine.strongswan.told.put_nowait(Moved())
        await until(lambda: running.machine.groups().get(((A, B),)) == (A, B))
        await until(lambda: {name for name, *_ in running.machine.strongswan.initiated} >= set(SECOND))

    with_agent(tmp_path, case)


def test_what_peers_tell_is_carried_out_without_a_pass_and_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case(running: Running) -> None:
        await running.apply(BGP)
        running.machine.bring_up(*FIRST, *SECOND)
        running.machine.strongswan.told.put_nowait(Moved())
        await until(lambda: running.machine.groups().get(((A, B),)) == (A, B))
        passes = running.passes
        await running.machine.exabgp.tell(*opening(SPEAKERS[0]), up(BRANCH1[0]), says(BRANCH1[0], P))
        routes = running.machine.netlink.learned[TABLE]
        assert routes == {prefixes(P)[0]: ((A,),)}
        assert prefixes(P)[0] in running.machine.exabgp.out[SPEAKERS[0]]
        # A worse path, which is an exception for the packet filter.
        path = (65020, 65021)
        await running.machine.exabgp.tell(*opening(SPEAKERS[1]), says(BRANCH2[1], P, path=path))
        await until(lambda: ("Element", "not_in_fib", ("hgt4", P)) in running.machine.seen)
        assert running.passes == passes
        monkeypatch.setattr(untold, "PATIENCE", 0.0)
        await running.machine.exabgp.tell(Lost(SPEAKERS[0]))
        await until(lambda: routes == {prefixes(P)[0]: ((IF_IDS[4],),)})
        await until(lambda: ("Element", "not_in_fib", ("hgt4", P)) not in running.machine.seen)
        assert running.events("bgp.given-up")

    with_agent(tmp_path, case)


def test_a_route_that_is_refused_is_made_good(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply(BGP)
        running.machine.bring_up(*FIRST)
        running.machine.strongswan.told.put_nowait(Moved())
        await until(lambda: running.machine.groups().get(((A, B),)) == (A, B))
        for _ in range(3):
            running.machine.netlink.fail_next(("Route", TABLE, IPv4Network(P), LEARNED_METRIC))
        await running.machine.exabgp.tell(*opening(SPEAKERS[0]), says(BRANCH1[0], P))
        await until(lambda: running.machine.netlink.learned[TABLE])

    with_agent(tmp_path, case)


def test_a_charon_that_comes_back_is_loaded(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        charon = running.machine.strongswan
        charon.told.put_nowait(Moved())
        await until(charon.told.empty)  # it listens
        charon.reach.away = "charon: connection refused"
        charon.told.put_nowait(DriverError("charon: closed"))
        await until(lambda: running.reconciler.state.unreachable)
        charon.restart(3_000.0)
        charon.reach.away = ""
        charon.back.set()
        await until(lambda: len(charon.secrets()) == 4 and running.events("charon.reached"))
        assert running.events("charon.lost")[0] == "reason='charon: closed'"

    with_agent(tmp_path, case)


def test_a_connection_that_was_unloaded_is_loaded_again(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        del running.machine.strongswan.objects["IkeConnection", "hgt1"]
        await until(lambda: ("IkeConnection", "hgt1") in running.machine.seen)

    with_agent(tmp_path, case)


def test_a_follow_up_that_was_refused_is_made_good(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        running.machine.netlink.fail_next(("Group", ((A, B),)), "Device or resource busy")
        running.machine.bring_up(*FIRST)
        running.machine.strongswan.told.put_nowait(Moved())
        await until(lambda: running.machine.groups()[((A, B),)] == (A, B))

    with_agent(tmp_path, case)


@pytest.mark.parametrize("error", [DriverError("netlink: gone"), StoreError("store: disk I/O error"), KeyError("vrf")])
def test_a_pass_that_raises_is_tried_again_and_ends_nothing(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def case(running: Running) -> None:
        await until(lambda: running.passes)
        left = 3

        async def latest() -> object:
            nonlocal left
            left -= 1
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(running.reconciler._compiler, "latest", latest)
            running.agent._triggers.fire()
            await until(lambda: left <= 0)
            # Who waits for a pass is answered though it fails.
            await running.agent._triggers.settle()
        before = running.passes
        await until(lambda: running.passes > before)
        await running.apply()

    with_agent(tmp_path, case)
    assert caplog.text.count("in reconcile\n") == (1 if isinstance(error, KeyError) else 0)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("_reconciler.follow", "follow"),
        ("_dialler.round", "dial"),
        ("_reconciler.has_lost_connections", "dial"),
        ("_users.pools.round", "pools"),
        ("monitor.changes", "drift"),
        ("_drivers.strongswan.reachable", "charon"),
        ("_routing._carry_out", "bgp"),
        ("_routing.tick", "dial"),
    ],
)
def test_what_nobody_foresaw_is_told_once_and_ends_nothing(
    tmp_path: Path, where: str, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        target: object = running.agent
        *path, name = where.split(".")
        for part in path:
            target = getattr(target, part)
        calls = 0

        async def broken(*_: object) -> None:
            nonlocal calls
            calls += 1
            raise ValueError("what nobody foresaw")

        charon = running.machine.strongswan
        with monkeypatch.context() as patch:
            patch.setattr(target, name, broken)
            while calls < 3:
                charon.told.put_nowait(DriverError("closed") if what == "charon" else Moved())
                # Resumes a wait for the events of the kernel, and of the helpers.
                running.machine.netlink.events.put(Event("link", "hgt1"))
                running.machine.exabgp.told.put_nowait([])
                await asyncio.sleep(0)
        charon.back.set()
        running.machine.netlink.delete_link("hgt1")
        await running.agent._triggers.settle()
        assert ("Tunnel", "hgt1") in running.machine.seen
        assert f"step={what} error=ValueError" in running.events("agent.fault")

    with_agent(tmp_path, case)
    faults = [record.getMessage() for record in caplog.records if record.getMessage().startswith("agent.fault")]
    traced = [fault.split()[1] for fault in faults if "in broken\n" in fault]
    assert f"step={what}" in traced and len(set(traced)) == len(traced)
    assert "foresaw" not in "".join(faults).replace('raise ValueError("what nobody foresaw")', "")


def test_a_charon_that_hangs_up_at_once_is_not_asked_without_end(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        charon = running.machine.strongswan
        charon.back.set()
        charon.reach.fail_calls["events"] = 5
        await until(lambda: charon.reach.fail_calls["events"] == 0)
        assert len(running.events("charon.lost")) <= 6

    with_agent(tmp_path, case)


def test_a_store_that_another_agent_holds_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = SqliteStore(tmp_path / "store.db")
    options = Options(tmp_path / "store.db", tmp_path / "socket", "vici", tmp_path / "run", "text")
    assert main(options) == 1
    store.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert "is held by another agent" in line


def test_a_run_directory_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.joinpath("file").write_text("")
    options = Options(tmp_path / "store.db", tmp_path / "socket", "vici", tmp_path / "file" / "run", "text")
    assert main(options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "file" / "run") in line


def test_what_charon_logs_too_fast_is_counted(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        running.machine.strongswan.back.set()
        running.machine.strongswan.failed.put_nowait(Missed(3))
        await until(lambda: running.events("ike.missed") == ["count=3"])

    with_agent(tmp_path, case)


def test_a_log_that_cannot_be_read_is_told_once_and_tried_again(tmp_path: Path) -> None:
    async def case(running: Running) -> None:
        await running.apply()
        charon = running.machine.strongswan
        charon.reach.fail_calls["faults"] = 3
        charon.back.set()
        await until(lambda: charon.reach.fail_calls["faults"] == 0)
        charon.failed.put_nowait(Fault(Why.AGGRESSIVE, "hgt1"))
        await until(lambda: running.events("tunnel.failed"))
        assert running.events("log.lost") == ["reason='faults: refused by the test'"]

    with_agent(tmp_path, case)


def test_a_log_that_is_lost_again_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "READ_FOR", 0.0)

    async def case(running: Running) -> None:
        charon = running.machine.strongswan
        charon.back.set()
        for count in (1, 2):
            charon.failed.put_nowait(DriverError("charon.log: somebody has removed it"))
            await until(lambda count=count: len(running.events("log.lost")) == count)

    with_agent(tmp_path, case)
