"""The agent's store, compiler, reconciler and drivers in one process, without the tasks that start passes on their own.

It runs in the namespace of the hub, takes a request a line on standard input (JSON), and answers each by a line: so a
pass is timed where it runs, and nothing else runs meanwhile but the monitor of others' changes, as in the agent.
"""

import argparse
import asyncio
import cProfile
import gc
import io
import json
import logging
import pstats
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO, cast

from bench import anchor
from hubgw.agent.certificates import Certificates
from hubgw.agent.desired import Compiler, Desired
from hubgw.agent.hub import Hub
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Drivers, Reconciler
from hubgw.agent.routing import Routing
from hubgw.agent.users import Users
from hubgw.compile.machine import SYSCTLS
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.netlink.driver import NetlinkDriver
from hubgw.drivers.netlink.monitor import Monitor
from hubgw.drivers.nftables import codec as nftables_codec
from hubgw.drivers.nftables.client import Client as NftClient
from hubgw.drivers.nftables.driver import NftablesDriver
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.plan.activate import activate
from hubgw.plan.diff import diff, target
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import Json

_STARTS_A_PROCESS: Final = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system"})
_PROFILED: Final = 25  # functions

Seconds = defaultdict[str, float]
Answer = Mapping[str, object]


class _Timed:
    """A driver whose every call is added to `seconds` under its own and the driver's name."""

    def __init__(self, driver: object, name: str, seconds: Seconds) -> None:
        self._driver = driver
        self._name = name
        self._seconds = seconds

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._driver, method)
        if not asyncio.iscoroutinefunction(call):
            return call

        async def timed(*args: Any) -> Any:
            begun = time.perf_counter()
            try:
                return await call(*args)
            finally:
                self._seconds[f"{self._name} {method}"] += time.perf_counter() - begun

        return timed


class _TimedStore(SqliteStore):
    seconds: Seconds

    def commit(
        self,
        expected_head: int,
        puts: Mapping[str, Json],
        deletes: Collection[str],
        owners: Mapping[str, Collection[str]] | None = None,
        *,
        who: str = "",
        message: str = "",
    ) -> int:
        begun = time.perf_counter()
        try:
            return super().commit(expected_head, puts, deletes, owners, who=who, message=message)
        finally:
            self.seconds["commit"] += time.perf_counter() - begun


class _TimedCompiler(Compiler):
    seconds: Seconds

    async def latest(self) -> Desired:
        begun = time.perf_counter()
        try:
            return await super().latest()
        finally:
            self.seconds["compile stored"] += time.perf_counter() - begun


class _Inline(ThreadPoolExecutor):
    """Runs everything in the calling thread, which is the one that is profiled."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Worker:
    """One agent's innards; `directory` is kept from one worker to the next as an agent's state is."""

    def __init__(self, directory: Path, vici: str) -> None:
        self._directory = directory
        self._seconds: Seconds = defaultdict(float)
        self._store = _TimedStore(directory / "store" / "store.db")
        self._store.seconds = self._seconds
        journal = Journal()
        certificates = Certificates(self._store, journal)
        self._compiler = _TimedCompiler(self._store, nftables_codec.RULESET.digest, None, certificates)
        self._compiler.seconds = self._seconds
        self._netlink = NetlinkDriver(directory / "groups.json", tuple(SYSCTLS))
        strongswan = StrongswanDriver(vici, directory / "charon.json")
        plain = {
            "netlink": self._netlink,
            "nftables": NftablesDriver(NftClient()),
            "strongswan": strongswan,
            "exabgp": ExabgpDriver(directory / "bgp"),
        }
        self._drivers = Drivers(**cast(Any, {name: _Timed(one, name, self._seconds) for name, one in plain.items()}))
        nothing = lambda: None  # noqa: E731 - no task here waits for it
        routing = Routing(self._drivers.netlink, self._drivers.exabgp, journal, fire=nothing, moved=nothing)
        self._reconciler = Reconciler(self._compiler, self._drivers, journal, routing)
        users = Users(self._reconciler, self._drivers.strongswan, journal)
        self._hub = Hub(
            self._store, self._compiler, self._reconciler, journal, self._settle, certificates=certificates, users=users
        )
        self._passing: asyncio.Task[None] | None = None
        self._monitor: Monitor | None = None
        self._listening: asyncio.Task[None] | None = None
        self._started = 0
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _: tuple[object, ...]) -> None:
        self._started += event in _STARTS_A_PROCESS

    async def run(self) -> None:
        """Answers until standard input ends."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            request = json.loads(line)
            gc.collect()
            self._started = 0
            self._seconds.clear()
            with _profiled(request.pop("profile", None)):
                answer = await getattr(self, f"do_{request.pop('do')}")(**request)
            print(json.dumps({"seconds": dict(self._seconds), "processes": self._started, **answer}), flush=True)
        if self._monitor:
            self._monitor.close()
        self._store.close()

    async def do_apply(self, file: str) -> Answer:
        """Applies a file as the socket would, and waits for the pass that carries it out."""
        self._listen()
        sources = [(file, await asyncio.to_thread(Path(file).read_bytes))]
        begun = time.perf_counter()
        await self._hub.apply(sources, prune=False, dry_run=False, if_generation=None, who="bench")
        # On a slow machine the answer comes before the pass has ended.
        if self._passing:
            await self._passing
        return {"total": time.perf_counter() - begun, **self._outcome()}

    async def do_pass(self) -> Answer:
        """Runs one pass."""
        self._listen()
        await self._pass()
        return self._outcome()

    async def do_anchor(self, into: str) -> Answer:
        """Writes what makes the same with the plain tools."""
        anchor.write(self._reconciler.state.wanted, self._directory / "groups.json", Path(into))
        return {"objects": dict(Counter(type(obj).__name__ for obj in self._reconciler.state.wanted))}

    async def do_difference(self) -> Answer:
        """Counts, by class, what the agent would change of what is there now; changes nothing."""
        plan = (await self._compiler.latest()).plan
        self._drivers.strongswan.expect(plan.objects)
        seen = [
            obj
            for driver in (self._drivers.netlink, self._drivers.nftables, self._drivers.strongswan)
            for obj in await driver.observe()
        ]
        ops = diff(activate(plan, frozenset()), seen)
        return {
            "ops": dict(Counter(type(target(op)).__name__ for op in ops)),
            "examples": [str(op)[:500] for op in ops if type(target(op)).__name__ != "IkeSecret"][:3],
        }

    async def do_run(self, argv: list[str]) -> Answer:
        """Runs a command in this namespace; its output is thrown away, as a reader's would be used."""
        begun = time.perf_counter()
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)  # noqa: ASYNC221
        return {"total": time.perf_counter() - begun, "exit": done.returncode, "said": done.stderr[-500:]}

    def _listen(self) -> None:
        """Follows others' changes from now on; not while the plain tools are timed, which have no such listener."""
        if self._monitor is None:
            self._monitor = self._netlink.monitor(nftables_codec.TABLE)
            self._listening = asyncio.create_task(_follow(self._monitor))

    async def _settle(self) -> None:
        self._passing = asyncio.create_task(self._pass())
        await asyncio.shield(self._passing)

    async def _pass(self) -> None:
        begun = time.perf_counter()
        await self._reconciler.reconcile()
        self._seconds["pass"] += time.perf_counter() - begun

    def _outcome(self) -> Answer:
        state = self._reconciler.state
        failed = {**state.unreachable, **state.failures}
        return {"writes": state.writes, "failed": len(failed), "why": next(iter(failed.values()), "")}


async def _follow(monitor: Monitor) -> None:
    while True:
        await monitor.changes()


@contextmanager
def _profiled(path: str | None) -> Iterator[None]:
    """Writes the functions that took most time by themselves; threads' work is done in the profiled one."""
    if path is None:
        yield
        return
    asyncio.get_running_loop().set_default_executor(_Inline())
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        out = io.StringIO()
        for order in ("tottime", "cumulative"):
            pstats.Stats(profile, stream=out).strip_dirs().sort_stats(order).print_stats(_PROFILED)
        Path(path).write_text(out.getvalue())
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.worker", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--vici", required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=cast(TextIO, (args.directory / "worker.log").open("a")))
    asyncio.run(Worker(args.directory, args.vici).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
