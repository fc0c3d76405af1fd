"""The contract of the exabgp driver: on fakes everywhere, and where root has runit on ExaBGP and helper themselves."""

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Protocol

import pytest

from hubgw.drivers.exabgp import attributes
from hubgw.drivers.exabgp.directory import CONF, NEIGHBORS, SOCKETS
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.exabgp.events import Began, EndOfRib, Event, Flushed, Learned, Lost, PeerState, SpeakerState
from hubgw.drivers.exabgp.message import ROUTE_REFRESH, UPDATE
from hubgw.names import Secret
from hubgw.plan.diff import diff
from hubgw.plan.numbers import SESSIONS
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Delete, Object, Op
from tests.fakes.helper import FakeHelper

NOBODY = ["setpriv", "--reuid", "65534", "--clear-groups", "env", sys.executable, "-c", ""]
REAL = (
    os.geteuid() == 0
    and all(map(shutil.which, ("runsvdir", "setpriv", "ip")))
    # An interpreter below /root is nothing to the speakers' uids.
    and subprocess.run(NOBODY, check=False, capture_output=True).returncode == 0
)
UNIT = Path(__file__).parents[2] / "packaging/systemd/hubgw-bgp.service"
DEADLINE = 120.0
HUB, PEER = f"hgbgp{os.getpid()}h", f"hgbgp{os.getpid()}p"
VRF = "hgv1"
PASSWORD = "a-password-that-nobody-sees"

NAME = f"{VRF}-0"
SPEAKER = Speaker(NAME, VRF, SESSIONS[2], 65515, (IPv4Address("10.9.0.1"),))
NEIGHBOR = Neighbor(
    speaker=NAME,
    address=IPv4Address("10.9.0.2"),
    local_address=IPv4Address("10.9.0.1"),
    asn=65001,
    site="/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/vpnSites/branch1",
    hold_time=90,
    passive=True,
    ttl_security=False,
    maximum_prefixes=1000,
)
SECRETIVE = replace(NEIGHBOR, address=IPv4Address("10.9.0.3"), digest="0a1b2c", password=Secret(PASSWORD))
WANTED: list[Object] = [SPEAKER, NEIGHBOR, SECRETIVE]
KEY = NAME, "10.9.0.2"
PREFIX = bytes.fromhex("180a010200")


class Machine(Protocol):
    """Where the speakers run; `directory` is the driver's."""

    directory: Path

    def supervise(self) -> None: ...
    def close(self) -> None: ...


class Fake:
    """A supervisor that looks when it is told to, and helpers in this process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.helpers: dict[tuple[str, int], FakeHelper] = {}

    def supervise(self) -> None:
        links = list((self.directory / "services").glob("*-[01]"))
        running = {(link.name, link.stat().st_ino) for link in links if (link / "run").is_file()}
        for gone in self.helpers.keys() - running:
            self.helpers.pop(gone).kill()
        for new in running - self.helpers.keys():
            self.helpers[new] = FakeHelper(self.directory / new[0])

    def close(self) -> None:
        for helper in self.helpers.values():
            helper.kill()


class Real:
    """runsvdir in a network namespace whose one interface goes by the name of a VRF; the peers are at its other end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "services").mkdir(parents=True)
        for name in (HUB, PEER):
            subprocess.run(["ip", "netns", "add", name], check=True)
        self._ip(HUB, "link", "add", VRF, "type", "veth", "peer", "name", "hub", "netns", PEER)
        for name, device, addresses in ((HUB, VRF, ["10.9.0.1"]), (PEER, "hub", ["10.9.0.2", "10.9.0.3"])):
            for address in addresses:
                self._ip(name, "address", "add", f"{address}/24", "dev", device)
            self._ip(name, "link", "set", device, "up")
        self.log = directory.parent / "log"
        self.start()

    def start(self) -> None:
        """Starts it with the capabilities that its unit leaves to it."""
        unit = UNIT.read_text(encoding="utf-8")
        allowed = re.findall(r"CAP_(\w+)", next(line for line in unit.splitlines() if "CapabilityBoundingSet" in line))
        bounding = ",".join(["-all", *(f"+{name.lower()}" for name in allowed)])
        argv = ["ip", "netns", "exec", HUB, "setpriv", "--no-new-privs", "--bounding-set", bounding]
        with self.log.open("ab") as log:
            self.runsvdir = subprocess.Popen(
                [*argv, "runsvdir", "-P", str(self.directory / "services")], stdout=log, stderr=log
            )

    def supervise(self) -> None:
        pass

    def close(self) -> None:
        self.runsvdir.send_signal(signal.SIGHUP)
        self.runsvdir.wait()
        until(lambda: not self.processes(), "all processes have ended")
        for name in (HUB, PEER):
            subprocess.run(["ip", "netns", "del", name], check=True)

    def processes(self, word: str = "") -> dict[int, str]:
        """Returns the command lines of what runs for this directory."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes().replace(b"\0", b" ").decode()
                if str(self.directory / NAME) in line and word in line and "setpriv" not in line:
                    found[int(path.parent.name)] = line
        return found

    def pid(self, module: str) -> int:
        """Returns the process of a module, when there is exactly one."""
        found: dict[int, str] = {}

        def one() -> bool:
            found.clear()
            found.update(self.processes(module))
            return len(found) == 1

        until(one, f"one {module} runs")
        return next(iter(found))

    def socket(self) -> socket.socket:
        """Returns a socket in the peers' namespace: it stays where it was made."""
        with ThreadPoolExecutor(max_workers=1) as elsewhere:
            return elsewhere.submit(_socket_in, PEER).result()

    @staticmethod
    def _ip(netns: str, *words: str) -> None:
        subprocess.run(["ip", "-n", netns, *words], check=True)


def _socket_in(netns: str) -> socket.socket:
    with Path(f"/run/netns/{netns}").open() as file:
        assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
    return socket.socket()


class Branch:
    """A BGP speaker that says what it is told to: enough of RFC 4271 for a session."""

    MARKER = b"\xff" * 16

    def __init__(self, machine: Real, address: str, asn: int) -> None:
        self.machine = machine
        self.address = address
        self.asn = asn
        self.messages: list[tuple[int, bytes]] = []

    def connect(self) -> bool:
        """Tries to bring a session up."""
        self.socket = self.machine.socket()
        self.socket.settimeout(DEADLINE)
        self.socket.bind((self.address, 0))
        try:
            self.socket.connect(("10.9.0.1", 179))
            # Multiprotocol IPv4 unicast, route refresh, four octets, graceful restart with the F bit.
            capabilities = bytes.fromhex("010400010001 0200 4104") + struct.pack("!I", self.asn)
            capabilities += bytes.fromhex("400600780001 0180")
            parameter = bytes((2, len(capabilities))) + capabilities
            opening = struct.pack("!BHH4sB", 4, self.asn, 90, socket.inet_aton(self.address), len(parameter))
            self.send(1, opening + parameter)
            if self.receive()[0] != 1:
                return False
            self.send(4)
            return self.receive()[0] == 4
        except (OSError, EOFError):
            self.socket.close()
            return False

    def send(self, kind: int, body: bytes = b"") -> None:
        self.socket.sendall(self.MARKER + struct.pack("!HB", 19 + len(body), kind) + body)

    def announce(self, prefix: str) -> None:
        path = bytes.fromhex("40010100 400206 0201") + struct.pack("!I", self.asn)
        path += bytes.fromhex("400304") + socket.inet_aton(self.address)
        self.send(2, struct.pack("!HH", 0, len(path)) + path + bytes.fromhex(prefix))

    def end_of_rib(self) -> None:
        self.send(2, bytes(4))

    def receive(self) -> tuple[int, bytes]:
        """Returns the next message: type and body."""
        head = self._read(19)
        length, kind = struct.unpack("!HB", head[16:])
        message = kind, self._read(length - 19)
        self.messages.append(message)
        return message

    def until(self, part: bytes, kind: int = 2) -> None:
        """Waits for an UPDATE, or another message, that holds these octets."""
        while True:
            received, body = self.receive()
            if received == kind and part in body:
                return

    def _read(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            more = self.socket.recv(count - len(octets))
            if not more:
                raise EOFError("the session was closed")
            octets += more
        return octets


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    pause = socket.socketpair()
    pause[0].settimeout(0.05)
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what}"
        with pytest.raises(TimeoutError):
            pause[0].recv(1)
    for one in pause:
        one.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not tmp_path, which the speakers' uids cannot enter."""
    with tempfile.TemporaryDirectory(prefix="hubgw-bgp-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "bgp"


REALLY = pytest.mark.skipif(not REAL, reason="root, runit, and a Python for all")


@pytest.fixture(params=["fake", pytest.param("real", marks=REALLY)])
def machine(request: pytest.FixtureRequest, directory: Path) -> Iterator[Machine]:
    made: Machine = Fake(directory) if request.param == "fake" else Real(directory)
    yield made
    made.close()


@pytest.fixture
def real(directory: Path) -> Iterator[Real]:
    made = Real(directory)
    yield made
    made.close()
    if sys.exc_info()[0]:
        sys.stderr.write(made.log.read_text())


class Agent:
    """A driver, and all that it tells."""

    def __init__(self, machine: Machine, wanted: Sequence[Object]) -> None:
        self.machine = machine
        self.driver = ExabgpDriver(machine.directory)
        self.wanted = wanted
        self.heard: list[Event] = []
        self.forget = True
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Agent":
        self._listening = asyncio.create_task(self._listen(self.driver.events()))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listening:
            self._listening.cancel()
        await self.driver.close()

    async def _listen(self, batches: AsyncIterator[list[Event]]) -> None:
        async for batch in batches:
            self.heard += batch
            self._news.set()

    async def until(self, holds: Callable[[Event], bool], what: str) -> None:
        """Waits for an event, and forgets all up to it, unless it shall not."""
        deadline = asyncio.get_running_loop().time() + DEADLINE
        while not any(map(holds, self.heard)):
            self._news.clear()
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, f"not within {DEADLINE} s: {what}; but {self.heard[-20:]}"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
        first = next(number for number, event in enumerate(self.heard) if holds(event))
        if self.forget:
            del self.heard[: first + 1]

    async def ops(self) -> list[Op]:
        self.driver.expect(self.wanted)
        return list(diff(self.wanted, await self.driver.observe()))

    async def reach(self) -> list[Op]:
        """One pass: returns what it did, after checking that nothing is left to do."""
        ops = await self.ops()
        assert await self.driver.apply(ops) == []
        self.machine.supervise()
        assert await self.ops() == []
        return ops

    async def loaded(self) -> None:
        """Waits until ExaBGP has loaded what lies there."""
        text = (self.machine.directory / NAME / CONF).read_text()
        await self.until(
            lambda event: isinstance(event, SpeakerState) and event.digest in text.split(), "ExaBGP has loaded"
        )


def run(machine: Machine, case: Callable[[Agent], Awaitable[None]], wanted: Sequence[Object] = WANTED) -> None:
    async def main() -> None:
        async with Agent(machine, wanted) as agent:
            await case(agent)

    asyncio.run(main())


def tree(directory: Path) -> dict[str, tuple[Any, ...]]:
    """All that lies there, less what the processes make."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if "supervise" not in name and not name.endswith(".sock"):
            status = path.lstat()
            found[name] = (
                stat.filemode(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_ino,
                status.st_mtime_ns,
            )
    return found


def test_what_was_made_is_seen_and_the_next_pass_does_nothing(machine: Machine) -> None:
    async def case(agent: Agent) -> None:
        assert len(await agent.reach()) == 3
        await agent.loaded()
        before = tree(machine.directory)
        assert await agent.reach() == []
        assert tree(machine.directory) == before

    run(machine, case)


def test_an_agent_that_starts_again_finds_all_as_it_was(machine: Machine) -> None:
    async def first(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()

    async def second(agent: Agent) -> None:
        before = tree(machine.directory)
        assert await agent.reach() == []
        await agent.loaded()
        assert await agent.reach() == []
        assert tree(machine.directory) == before
        # The password of the one that does not change is not on disk for the agent; it is said anew.
        agent.wanted = [SPEAKER, replace(NEIGHBOR, hold_time=30), SECRETIVE]
        assert len(await agent.reach()) == 1
        await agent.loaded()

    run(machine, first)
    run(machine, second)


def test_modes_and_owners(machine: Machine) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()

    run(machine, case)
    directory = machine.directory / NAME
    uid = SPEAKER.uid if os.geteuid() == 0 else os.geteuid()
    root, gid = (0, uid) if os.geteuid() == 0 else (uid, os.getegid())
    expected = {"": (0o750, root), SOCKETS: (0o700, uid), CONF: (0o640, root), NEIGHBORS: (0o640, root)}
    for name, (mode, owner) in expected.items():
        status = (directory / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, owner, gid), name
    for path in machine.directory.rglob("*"):
        if path.is_file() and path.name != CONF:
            assert PASSWORD not in path.read_text(errors="replace"), path


def test_a_neighbor_that_changes_is_reloaded(machine: Machine) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()
        agent.wanted = [SPEAKER, replace(NEIGHBOR, hold_time=30)]
        assert len(await agent.reach()) == 2
        await agent.loaded()

    run(machine, case)


@pytest.mark.parametrize(
    "away",
    [
        shutil.rmtree,
        lambda directory: shutil.rmtree(directory / NAME),
        lambda directory: shutil.rmtree(directory / "services"),
        lambda directory: shutil.rmtree(directory / NAME / "exabgp"),
        lambda directory: (directory / NAME / CONF).unlink(),
        lambda directory: (directory / NAME / CONF).write_text("# nothing\n"),
        lambda directory: (directory / NAME / NEIGHBORS).unlink(),
        lambda directory: (directory / NAME / NEIGHBORS).chmod(0o666),
        lambda directory: (directory / "services" / NAME).unlink(),
        lambda directory: (directory / NAME / "helper/run").write_text("#!/bin/sh\n"),
    ],
    ids=["all", "directory", "services", "service", "conf", "other-conf", "neighbors", "mode", "link", "script"],
)
def test_drift_is_repaired(machine: Machine, away: Callable[[Path], None]) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()
        away(machine.directory)
        machine.supervise()
        assert await agent.reach()

    async def again(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()

    run(machine, case)
    # A supervisor looks again within seconds, and what died with its files is there again.
    run(machine, again)


@REALLY
def test_a_helper_of_another_version_is_replaced_and_exabgp_is_not(real: Real) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()
        old = {name: real.pid(f"hubgw.drivers.exabgp.{name}") for name in ("adapter", "helper")}
        for name in ("exabgp", "helper"):
            run = real.directory / NAME / name / "run"
            run.write_text(run.read_text().replace("Written by", "Written once by"))
        await agent.reach()
        until(lambda: bool(real.processes("hubgw.drivers.exabgp.helper").keys() - {old["helper"]}), "another")
        assert real.pid("hubgw.drivers.exabgp.adapter") == old["adapter"]

    run(real, case)


def test_what_goes_leaves_nothing(machine: Machine) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()
        agent.wanted = []
        await agent.reach()
        assert set(tree(machine.directory)) == {"services"}
        if isinstance(machine, Real):
            assert not machine.processes()
        assert await agent.driver.apply([Delete(SPEAKER), Delete(NEIGHBOR)]) == []

    run(machine, case)


@REALLY
def test_a_session_comes_up_and_routes_go_both_ways(real: Real) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        await session(agent, real)

    run(real, case)


@REALLY
@pytest.mark.parametrize("left", [[], [SPEAKER, SECRETIVE]], ids=["speaker", "neighbor"])
def test_who_goes_tells_its_peer(real: Real, left: list[Object]) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        branch = await session(agent, real)
        agent.wanted = left
        await agent.reach()
        await asyncio.to_thread(branch.until, b"\x06\x03", kind=3)

    run(real, case)


@REALLY
@pytest.mark.parametrize("module", ["hubgw.drivers.exabgp.adapter", "hubgw.drivers.exabgp.helper"])
def test_a_process_that_was_killed_is_back_and_nothing_is_flushed(real: Real, module: str) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        branch = await session(agent, real)
        agent.heard.clear()
        agent.forget = False
        old = real.pid(module)
        os.kill(old, signal.SIGKILL)
        if module.endswith("helper"):
            await agent.until(lambda event: event == Lost(NAME), "the helper is lost")
            await agent.until(lambda event: isinstance(event, Began), "the helper is back")
            agent.driver.advertised(NAME)
            # What a peer says before it is asked is lost with the helper that was away, hence asked for.
            await asyncio.to_thread(branch.until, b"", ROUTE_REFRESH)
        else:
            branch = Branch(real, "10.9.0.2", 65001)
            await asyncio.to_thread(until, branch.connect, "the session is up again")
        await asyncio.to_thread(branch.announce, "180a0103")
        await asyncio.to_thread(branch.end_of_rib)
        third = [bytes.fromhex("180a010300")]
        await agent.until(
            lambda event: isinstance(event, Learned) and event.routes[0][1] == third, "one more is learned"
        )
        if not module.endswith("helper"):
            await agent.until(lambda event: event == EndOfRib(KEY), "the peer told all again")
        assert not [event for event in agent.heard if isinstance(event, Flushed)]
        assert real.pid(module) != old
        assert await agent.ops() == []

    run(real, case)


@REALLY
@pytest.mark.parametrize("module", ["hubgw.drivers.exabgp.adapter", "hubgw.drivers.exabgp.helper"])
def test_a_supervisor_that_was_killed_leaves_nothing_that_speaks_twice(real: Real, module: str) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()
        old = real.pid(module)
        parent = int(of_process(old, "stat").rpartition(")")[2].split()[1])
        assert of_process(parent, "comm") == "runsv\n"
        os.kill(parent, signal.SIGKILL)
        until(lambda: old not in real.processes(module), "it went with its supervisor")
        assert real.pid(module) != old
        await session(agent, real)

    run(real, case)


@REALLY
def test_a_process_has_what_it_needs_and_no_more(real: Real) -> None:
    async def case(agent: Agent) -> None:
        await agent.reach()
        await agent.loaded()
        capabilities = {"adapter": 1 << 10, "helper": 0}
        for module, allowed in capabilities.items():
            pid = real.pid(f"hubgw.drivers.exabgp.{module}")
            status = dict(line.split(":\t", 1) for line in of_process(pid, "status").splitlines())
            uids = {int(word) for word in (status["Uid"] + "\t" + status["Gid"]).split()}
            assert uids == {SPEAKER.uid}
            assert not status["Groups"].strip()
            assert status["NoNewPrivs"] == "1"
            for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(status[kind], 16) == allowed, kind
            environment = of_process(pid, "environ").split("\0")
            assert {line.partition("=")[0] for line in environment if line} <= {
                "PATH",
                "LANG",
                "PYTHONPATH",
                "PYTHONDONTWRITEBYTECODE",
                "PYTHONUNBUFFERED",
                "PYTHONPYCACHEPREFIX",
            }

    run(real, case)


def of_process(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


async def session(agent: Agent, real: Real) -> Branch:
    """Brings a session up over which a prefix is learned and another advertised."""
    branch = Branch(real, "10.9.0.2", 65001)
    await asyncio.to_thread(until, branch.connect, "the session is up")
    await agent.until(lambda event: isinstance(event, PeerState) and event.state == "established", "established")
    await asyncio.to_thread(branch.announce, "180a0102")
    await asyncio.to_thread(branch.end_of_rib)
    await agent.until(lambda event: isinstance(event, Learned) and event.peer == KEY, "the prefix is learned")
    wire = attributes.exported(None, SPEAKER.asn)
    assert wire
    agent.driver.advertise(NAME, ["/sites/another"], [(wire, [bytes.fromhex("180a320000")])])
    agent.driver.advertise(NAME, [NEIGHBOR.site], [(wire, [bytes.fromhex("180a330000")])])
    agent.driver.advertised(NAME)
    assert await agent.driver.drain(NAME)
    await asyncio.to_thread(branch.until, bytes.fromhex("180a3200"))
    # Withdrawn it may be: from a peer whose session the helper found up.
    updates = [body for kind, body in branch.messages if kind == UPDATE]
    assert not any(bytes.fromhex("180a3300") in body[2 + int.from_bytes(body[:2]) :] for body in updates)
    return branch
