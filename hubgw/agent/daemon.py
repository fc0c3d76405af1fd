"""The process: opens the store, the drivers and the socket, and runs passes until it is told to end.

Ending changes nothing in the dataplane: no SA, session or route moves while the agent is away.
"""

import asyncio
import grp
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from hubgw.agent import logs
from hubgw.agent.backoff import Backoff
from hubgw.agent.certificates import Certificates
from hubgw.agent.desired import Compiler
from hubgw.agent.diagnosis import Diagnosis
from hubgw.agent.dialler import Dialler
from hubgw.agent.expiry import Expiry
from hubgw.agent.http import GROUP, SocketError, serve
from hubgw.agent.hub import Hub
from hubgw.agent.journal import Journal
from hubgw.agent.proofs import Proofs
from hubgw.agent.reconcile import Drivers, Reconciler
from hubgw.agent.resolved import Resolved
from hubgw.agent.resolver import Resolver
from hubgw.agent.routing import Routing
from hubgw.agent.thumbprints import Thumbprints
from hubgw.agent.triggers import Triggers
from hubgw.agent.users import Users
from hubgw.compile.machine import SYSCTLS
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.memory import collect_seldom
from hubgw.drivers.netlink.driver import NetlinkDriver
from hubgw.drivers.nftables import codec as nftables_codec
from hubgw.drivers.nftables.client import Client as NftClient
from hubgw.drivers.nftables.driver import NftablesDriver
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.heard import Moved
from hubgw.drivers.strongswan.logins import Login
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import StoreError

LOG = logging.getLogger("hubgw")

PASS_EVERY = 30.0  # seconds: what no event tells is found by then
FIRST_RETRY = 1.0
FIRST_LISTEN = 0.1
LONGEST_RETRY = 30.0
READ_FOR = 10.0  # seconds: where charon's log was read for longer, its loss is another
EXPIRY_EVERY = 60.0  # seconds: a certificate that is applied with few days left is told soon
POLL = 1.0  # seconds: charon tells nobody that a connection was unloaded
POOLS_EVERY = 5.0  # seconds, once they are known: charon tells nobody that a pool has an address again


@dataclass(frozen=True, slots=True)
class Options:
    """How the agent is started. `node` names the machine's own node where the store holds several."""

    store: Path
    socket: Path
    vici: str
    run_dir: Path
    log_format: str
    node: str | None = None


def main(options: Options) -> int:
    """Runs the agent until SIGTERM or SIGINT. Returns the exit code: 0, or 1 where it could not start."""
    logs.configure(options.log_format)
    collect_seldom()
    try:
        asyncio.run(_run(options))
    except (StoreError, SocketError, DriverError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one line for whoever started it
        return 1
    return 0


async def _run(options: Options) -> None:
    try:
        options.run_dir.mkdir(parents=True, exist_ok=True)
        # BGP speakers, each under its own uid, have their directories below it, whatever the umask.
        options.run_dir.chmod(0o755)
    except OSError as error:
        hint = "run the agent as root, or with another --run-dir"
        raise DriverError(f"{options.run_dir}: {error.strerror}; {hint}") from error
    async with AsyncExitStack() as stack:
        store = SqliteStore(options.store)
        stack.callback(store.close)
        netlink = NetlinkDriver(options.run_dir / "groups.json", tuple(SYSCTLS))
        stack.callback(netlink.close)
        strongswan = StrongswanDriver(options.vici, options.run_dir / "charon.json")
        stack.push_async_callback(strongswan.close)
        exabgp = ExabgpDriver(options.run_dir / "bgp")
        stack.push_async_callback(exabgp.close)
        drivers = Drivers(netlink, NftablesDriver(NftClient()), strongswan, exabgp)
        agent = Agent(store, drivers, options)
        stack.callback(agent.monitor.close)
        server = await serve(agent.hub, options.socket, _group())
        stack.push_async_callback(server.close)
        await agent.run()


def _group() -> int | None:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


class Agent:
    """The tasks of the process: passes, tunnels that come and go, drift, and attempts to bring tunnels up."""

    def __init__(self, store: SqliteStore, drivers: Drivers, options: Options) -> None:
        self._drivers = drivers
        self._journal = Journal()
        self._triggers = Triggers()
        certificates = Certificates(store, self._journal)
        resolved = Resolved(options.run_dir / "names.json")
        compiler = Compiler(
            store, nftables_codec.RULESET.digest, options.node, certificates, lambda: resolved.addresses
        )
        self._moved = asyncio.Event()
        self._routing = Routing(
            drivers.netlink, drivers.exabgp, self._journal, fire=self._triggers.fire, moved=self._moved.set
        )
        self._reconciler = Reconciler(compiler, drivers, self._journal, self._routing)
        self._dialler = Dialler(self._reconciler, drivers.strongswan, self._journal)
        self._resolver = Resolver(self._reconciler, resolved, self._journal, changed=self._triggers.fire)
        self._users = Users(self._reconciler, drivers.strongswan, self._journal)
        self._thumbprints = Thumbprints(
            self._reconciler,
            drivers.strongswan,
            self._users,
            certificates.barred,
            proofs=Proofs(options.run_dir / "proofs.json"),
            journal=self._journal,
            changed=self._triggers.fire,
        )
        self._diagnosis = Diagnosis(self._reconciler, drivers.strongswan, self._journal, self._users)
        self._pause = 0.0
        self._retry = Backoff(FIRST_RETRY, LONGEST_RETRY)
        self._listening = Backoff(FIRST_LISTEN, LONGEST_RETRY)
        self._reading = Backoff(FIRST_RETRY, LONGEST_RETRY)
        self._unread = ""  # why charon's log could not be read last
        self._expiry = Expiry(self._reconciler, certificates, self._journal)
        self._faults: dict[str, str] = {}  # the last of each step
        self.monitor = drivers.netlink.monitor(nftables_codec.TABLE)
        settle = self._triggers.settle
        self.hub = Hub(
            store, compiler, self._reconciler, self._journal, settle, certificates=certificates, users=self._users
        )

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        steps = [
            self._pass,
            self._drift,
            self._follow,
            self._charon,
            self._diagnose,
            self._dial,
            self._names,
            self._pools,
            self._sign_ons,
            self._judge,
            self._bgp,
            self._expire,
        ]
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._repeat(step)) for step in steps]
            self._journal.record("agent.started")
            await ended.wait()
            self._journal.record("agent.ended")
            for task in running:
                task.cancel()

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeats a step for ever: what nobody foresaw is told, tried again with back-off, and ends nothing."""
        retry = Backoff(FIRST_RETRY, LONGEST_RETRY)
        while True:
            try:
                await step()
            except Exception as fault:  # the others go on
                self._tell_fault(step.__name__, fault)
                await asyncio.sleep(retry.failed("step", 0.0))
            else:
                retry.reset("step")
                self._faults.pop(step.__name__, None)

    def _tell_fault(self, step: str, fault: Exception) -> None:
        """Records a fault; its traceback is told once, however often it comes again."""
        kind = type(fault).__name__
        known = self._faults.get(step) == kind
        self._faults[step] = kind
        self._journal.record(
            "agent.fault", level=logging.ERROR, fault=None if known else fault, step=step.removeprefix("_"), error=kind
        )

    async def _pass(self) -> None:
        """A pass when something happened, when the last one failed, and every so often."""
        await self._triggers.wait(self._pause)
        whole = False
        try:
            whole = await self._reconciler.reconcile()
            self._faults.pop("reconcile", None)
        except (StoreError, DriverError) as error:
            self._journal.record("pass.failed", level=logging.ERROR, reason=error)
        except Exception as fault:  # an operator's next change must not wait for the back-off
            self._tell_fault("reconcile", fault)
        await self._triggers.ended()
        if whole:
            self._retry.reset("pass")
            self._pause = PASS_EVERY
        else:
            self._pause = self._retry.failed("pass", 0.0)
            # What it wrote in vain may itself be what triggers the next.
            await asyncio.sleep(FIRST_RETRY)

    async def _drift(self) -> None:
        """Somebody else changed something of the kernel that may be ours."""
        await self.monitor.changes()
        self._triggers.fire()

    async def _charon(self) -> None:
        """SAs that came and went, and a charon that came back without any configuration."""
        try:
            await self._drivers.strongswan.events(self._hear)
        except DriverError as error:
            self._journal.record("charon.lost", level=logging.WARNING, reason=error)
            self._triggers.fire()
        finally:
            self._users.lost()
        await asyncio.sleep(self._listening.failed("charon", 0.0))
        await self._drivers.strongswan.reachable()
        self._journal.record("charon.reached")
        self._triggers.fire()

    def _hear(self, told: Moved | Login) -> None:
        if isinstance(told, Moved):
            self._moved.set()
        else:
            self._users.take(told)
        self._listening.reset("charon")

    async def _diagnose(self) -> None:
        """Why attempts fail, as charon logs it."""
        await self._drivers.strongswan.reachable()
        began = time.monotonic()
        try:
            await self._diagnosis.follow()
        except DriverError as error:
            if time.monotonic() - began > READ_FOR:
                self._reading.reset("log")
            if not self._reading.failures("log") or str(error) != self._unread:
                self._journal.record("log.lost", level=logging.WARNING, reason=error)
            self._unread = str(error)
        await asyncio.sleep(self._reading.failed("log", 0.0))

    async def _follow(self) -> None:
        await self._moved.wait()
        self._moved.clear()
        try:
            await self._reconciler.follow()
        except DriverError:
            self._triggers.fire()
        await self._dialler.round()

    async def _names(self) -> None:
        """What the names of branches lead to, of tunnels that are down."""
        await asyncio.sleep(POLL)
        await self._resolver.round()

    async def _sign_ons(self) -> None:
        """Users who signed on and off, as far as no event told."""
        await asyncio.sleep(POLL)
        self._users.round()

    async def _judge(self) -> None:
        """By which certificates users signed on."""
        try:
            await self._thumbprints.follow()
        except DriverError:
            await asyncio.sleep(POLL)

    async def _expire(self) -> None:
        """Certificates that end soon."""
        await asyncio.sleep(EXPIRY_EVERY)
        self._expiry.round()

    async def _bgp(self) -> None:
        """What BGP peers tell, and which sessions there are."""
        await self._routing.follow()

    async def _dial(self) -> None:
        """Attempts that are due, and what no event tells: connections that somebody unloaded, a follow-up cut short."""
        await asyncio.sleep(POLL)
        await self._dialler.round()
        with suppress(DriverError):
            await self._routing.tick()
            if self._reconciler.state.unfinished or await self._reconciler.has_lost_connections():
                self._triggers.fire()

    async def _pools(self) -> None:
        """How full the pools of users are."""
        await asyncio.sleep(POOLS_EVERY if self._users.pools.statuses() else POLL)
        with suppress(DriverError):
            await self._users.pools.round()
