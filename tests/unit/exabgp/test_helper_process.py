"""The helper as a process: its sockets, who replaces whom, who is cut off, and what a SIGKILL leaves."""

import json
import multiprocessing
import os
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hubgw.drivers.exabgp.directory import encode
from hubgw.drivers.exabgp.events import ADVERTISED, RELOAD, advertise
from hubgw.drivers.exabgp.frames import Kind, Reader, document, frame, pack_peer
from hubgw.drivers.exabgp.helper import Helper
from hubgw.drivers.exabgp.updates import END_OF_RIB
from tests.unit.exabgp.exchanged import NEIGHBORS, ONE, SPEAKER, TWO, announced, negotiated, neighbor, nlris, wire

PATIENCE = 20.0  # seconds
ROOT = Path(__file__).parents[3]


class Far:
    """The far end of one of the helper's sockets."""

    def __init__(self, path: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            try:
                self.socket.connect(str(path))
            except OSError:
                self.socket.close()
                assert time.monotonic() < deadline, f"nobody listens at {path}"
                select.select([], [], [], 0.01)
            else:
                break
        self._reader = Reader()
        self._frames: list[tuple[Kind, bytes]] = []

    def say(self, *octets: bytes) -> None:
        self.socket.sendall(b"".join(octets))

    def until(self, kind: Kind, holds: Callable[[bytes], bool] = lambda body: True) -> bytes:
        """Reads frames to the first of this kind of which this holds; returns its body."""
        while True:
            for at, (found, body) in enumerate(self._frames):
                if found is kind and holds(body):
                    del self._frames[: at + 1]
                    return body
            octets = self.socket.recv(1 << 20)
            assert octets, f"closed before {kind.name}"
            self._frames += self._reader.feed(octets)

    def until_cut_off(self) -> None:
        """Waits for the end of the connection and reads nothing."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        assert poll.poll(PATIENCE * 1000)

    def until_closed(self) -> None:
        with suppress(ConnectionResetError):
            while self.socket.recv(1 << 20):
                pass


class Running:
    """A helper in a directory."""

    def __init__(self, directory: Path, configured: bool = False) -> None:
        self.directory = directory
        if not configured:
            (directory / "sockets").mkdir(mode=0o700, parents=True)
            self.configure(NEIGHBORS)
        self.start()

    def configure(self, neighbors: Any) -> None:
        (self.directory / "neighbors.json").write_text(encode(SPEAKER, neighbors))

    def start(self, agent_bound: int = 1_000_000) -> None:
        """Starts it by a fork, which spares it the imports."""
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=_serve, args=(self.directory, agent_bound))
        self.process.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def adapter(self) -> Far:
        far = Far(self.directory / "sockets" / "helper.sock")
        far.say(document(Kind.HELLO, {"pid": 1, "digest": "d"}))
        return far

    def agent(self) -> Far:
        return Far(self.directory / "sockets" / "agent.sock")


def _serve(directory: Path, agent_bound: int) -> None:
    Helper(directory, agent_bound).run()


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "hgv1-0")
    try:
        yield running
    finally:
        running.kill()


def session(state: str, peer: str = ONE) -> bytes:
    content = {"peer": peer, "state": state, "reason": "", "notification": None, "negotiated": negotiated()}
    return document(Kind.SESSION, content)


def received(octets: bytes, peer: str = ONE) -> bytes:
    return frame(Kind.RECEIVED, pack_peer(peer), octets)


def test_from_peer_to_agent_and_from_agent_to_peer(helper: Running) -> None:
    agent = helper.agent()
    assert json.loads(agent.until(Kind.BEGIN))["speaker"] == "hgv1-0"
    adapter = helper.adapter()
    agent.until(Kind.SPEAKER, lambda body: json.loads(body)["connected"])
    adapter.say(session("connected"), session("up"), received(announced(nlris(1)) + END_OF_RIB))
    assert wire() in agent.until(Kind.LEARNED)
    agent.until(Kind.END_OF_RIB)
    agent.say(advertise([], [(wire(65515), nlris(1))]), ADVERTISED)
    assert END_OF_RIB in adapter.until(Kind.SEND)
    for name in ("helper.sock", "agent.sock"):
        assert stat.S_IMODE((helper.directory / "sockets" / name).stat().st_mode) == 0o600


def test_a_second_agent_replaces_the_first(helper: Running) -> None:
    first = helper.agent()
    first.until(Kind.BEGIN)
    second = helper.agent()
    second.until(Kind.BEGIN)
    first.until_closed()


def test_a_second_adapter_replaces_the_first(helper: Running) -> None:
    agent = helper.agent()
    first = helper.adapter()
    first.say(session("connected"), session("up"))
    agent.until(Kind.PEER, lambda body: json.loads(body)["state"] == "established")
    helper.adapter()
    agent.until(Kind.PEER, lambda body: json.loads(body)["state"] == "idle")
    first.until_closed()
    agent.until(Kind.SPEAKER, lambda body: json.loads(body)["connected"])


def test_an_agent_that_reads_nothing_is_cut_off_and_the_adapter_is_read(helper: Running) -> None:
    helper.kill()
    helper.start(agent_bound=10_000)
    agent = helper.agent()
    agent.until(Kind.BEGIN)
    adapter = helper.adapter()
    adapter.say(session("connected"), session("up"))
    for asn in range(65001, 65011):
        adapter.say(received(announced(nlris(20_000), asn)))
    adapter.say(received(END_OF_RIB))
    agent.until_cut_off()
    another = helper.agent()
    learned = another.until(Kind.LEARNED)
    assert len(learned) > 100_000
    assert wire(65010) in learned
    another.until(Kind.END_OF_RIB)


def test_a_helper_that_was_killed_heals(helper: Running) -> None:
    agent, adapter = helper.agent(), helper.adapter()
    adapter.say(session("connected"), session("up"), received(announced(nlris(5)) + END_OF_RIB))
    agent.until(Kind.END_OF_RIB)
    helper.kill()
    agent.until_closed()
    adapter.until_closed()
    helper.start()
    agent, adapter = helper.agent(), helper.adapter()
    adapter.say(session("up"))
    agent.until(Kind.BEGIN)
    adapter.until(Kind.SEND, lambda body: body.endswith(bytes.fromhex("00170500010001")))
    adapter.say(received(announced(nlris(5)) + bytes.fromhex("ff" * 16 + "00170500010201")))
    agent.until(Kind.LEARNED)
    agent.until(Kind.END_OF_RIB)


def test_octets_that_are_no_frames_end_that_connection_alone(helper: Running) -> None:
    agent, adapter = helper.agent(), helper.adapter()
    agent.until(Kind.SPEAKER, lambda body: json.loads(body)["connected"])
    agent.say(frame(Kind.ADVERTISE, b"\xff"))
    agent.until_closed()
    agent = helper.agent()
    assert json.loads(agent.until(Kind.SPEAKER))["connected"]
    adapter.say(bytes(16))
    adapter.until_closed()
    agent.until(Kind.SPEAKER, lambda body: not json.loads(body)["connected"])


def test_a_reload(helper: Running) -> None:
    agent, adapter = helper.agent(), helper.adapter()
    agent.until(Kind.SPEAKER, lambda body: json.loads(body)["connected"])
    (helper.directory / "neighbors.json").write_text("{")
    agent.say(RELOAD)
    helper.configure([*NEIGHBORS, neighbor("10.200.0.3")])
    agent.say(RELOAD)
    adapter.until(Kind.RELOAD)
    agent.until(Kind.PEER, lambda body: json.loads(body)["peer"] == "10.200.0.3")
    helper.configure(NEIGHBORS[:1])
    agent.say(RELOAD)
    assert agent.until(Kind.FLUSHED, lambda body: body == pack_peer(TWO))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [([], "usage"), (["/nowhere"], "/nowhere: ")],
)
def test_what_it_cannot_start_with(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "hubgw.drivers.exabgp.helper", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 1
    assert says in done.stderr
