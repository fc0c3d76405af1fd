"""A BGP peer that speaks octets, a helper that speaks frames, and the adapter between them, on loopback addresses."""

import contextlib
import json
import logging
import multiprocessing
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, Self

import hubgw
from hubgw.drivers.exabgp import conf
from hubgw.drivers.exabgp.adapter.__main__ import main
from hubgw.drivers.exabgp.frames import Kind, Reader, frame, pack_peer, take_peer
from hubgw.plan.sessions import Neighbor, Speaker

PATIENCE = 10.0  # seconds
HUB = "127.0.0.1"
MARKER = b"\xff" * 16
KEEPALIVE = MARKER + b"\x00\x13\x04"

IPV4_UNICAST = b"\x01\x04\x00\x01\x00\x01"
REFRESH = b"\x02\x00"
ENHANCED = b"\x46\x00"


def message(kind: int, body: bytes = b"") -> bytes:
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def update(nlri: bytes = b"\x10\x0a\x01") -> bytes:
    """An UPDATE of one prefix that nobody here decodes."""
    attributes = b"\x40\x01\x01\x00\x40\x02\x00\x40\x03\x04\x7f\x00\x00\x02"
    return message(2, struct.pack("!HH", 0, len(attributes)) + attributes + nlri)


def graceful(flags: int = 0x8, seconds: int = 120, forwarding: bool = True) -> bytes:
    return b"\x40\x06" + struct.pack("!HHBB", flags << 12 | seconds, 1, 1, 0x80 if forwarding else 0)


def asn4(asn: int) -> bytes:
    return b"\x41\x04" + struct.pack("!I", asn)


def open_message(asn: int, hold: int, router_id: str, capabilities: Sequence[bytes]) -> bytes:
    parameters = b"".join(b"\x02" + bytes((len(one),)) + one for one in capabilities)
    two = asn if asn < 65536 else 23456
    packed = IPv4Address(router_id).packed
    return message(1, struct.pack("!BHH", 4, two, hold) + packed + bytes((len(parameters),)) + parameters)


def take_message(octets: bytes) -> tuple[int, bytes, bytes]:
    length, kind = struct.unpack_from("!HB", octets, 16)
    return kind, octets[19:length], octets[length:]


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        select.select([], [], [], 0.002)


@dataclass
class RawPeer:
    """The far end of a session: listens, or dials; its OPEN is what it is told."""

    address: str
    port: int
    asn: int = 65010
    hold: int = 90
    capabilities: Sequence[bytes] = field(default_factory=lambda: [IPV4_UNICAST, REFRESH, ENHANCED, asn4(65010)])
    sock: socket.socket | None = None
    listening: socket.socket | None = None
    theirs: bytes = b""
    _rest: bytes = b""

    def listen(self) -> Self:
        self.listening = socket.create_server((self.address, self.port))
        self.listening.settimeout(PATIENCE)
        return self

    def accept(self) -> Self:
        assert self.listening
        self.sock, _ = self.listening.accept()
        self._ready()
        return self

    def dial(self) -> Self:
        self.sock = socket.create_connection((HUB, self.port), PATIENCE, (self.address, 0))
        self._ready()
        return self

    def _ready(self) -> None:
        assert self.sock
        self.sock.settimeout(PATIENCE)
        self._rest = b""

    def send(self, octets: bytes) -> None:
        assert self.sock
        self.sock.sendall(octets)

    def open(self) -> None:
        self.send(open_message(self.asn, self.hold, self.address, self.capabilities))

    def establish(self) -> Self:
        """OPEN and KEEPALIVE both ways; what comes first is theirs."""
        self.open()
        kind, self.theirs = self.receive()
        assert kind == 1
        assert self.receive() == (4, b"")
        self.send(KEEPALIVE)
        return self

    def receive(self) -> tuple[int, bytes]:
        """The next message. Raises ConnectionError at the end."""
        assert self.sock
        while len(self._rest) < 19 or len(self._rest) < struct.unpack_from("!H", self._rest, 16)[0]:
            octets = self.sock.recv(1 << 20)
            if not octets:
                raise ConnectionError("closed")
            self._rest += octets
        kind, body, self._rest = take_message(self._rest)
        return kind, body

    def until(self, wanted: int) -> bytes:
        """The body of the next message of this type."""
        while True:
            kind, body = self.receive()
            if kind == wanted:
                return body

    def ends(self) -> list[tuple[int, bytes]]:
        """What comes before the connection is closed."""
        came = []
        with contextlib.suppress(ConnectionError):
            while True:
                came.append(self.receive())
        return came

    def close(self) -> None:
        for sock in (self.sock, self.listening):
            if sock:
                sock.close()
        self.sock = self.listening = None


class FakeHelper:
    """Listens where the adapter connects to, and keeps what it says."""

    def __init__(self, path: Path) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._listening.settimeout(PATIENCE)
        self._path = path
        self._came: dict[Kind, deque[bytes]] = {}
        self.sock: socket.socket | None = None

    def accept(self) -> Self:
        self.sock, _ = self._listening.accept()
        self.sock.settimeout(PATIENCE)
        self._reader = Reader()
        self._came = {kind: deque() for kind in Kind}
        return self

    def read(self) -> None:
        assert self.sock
        octets = self.sock.recv(1 << 20)
        if not octets:
            raise ConnectionError("closed")
        for kind, body in self._reader.feed(octets):
            self._came[kind].append(body)

    def next(self, wanted: Kind) -> bytes:
        """The body of the next frame of this kind."""
        while not self._came[wanted]:
            self.read()
        return self._came[wanted].popleft()

    def hello(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.next(Kind.HELLO))
        return document

    def session(self, peer: str, state: str) -> dict[str, Any]:
        """What it was told when this peer's session came into the state, and why; other peers' can be asked for yet."""
        others: deque[bytes] = deque()
        while True:
            body = self.next(Kind.SESSION)
            told: dict[str, Any] = json.loads(body)
            if told["peer"] != peer:
                others.append(body)
            elif told["state"] == state and (told["reason"] or state != "down"):
                self._came[Kind.SESSION].extendleft(reversed(others))
                return told

    def received(self, peer: str, octets: int) -> bytes:
        """The first so many octets that the peer sent."""
        came = b""
        while len(came) < octets:
            body = self.next(Kind.RECEIVED)
            address, at = take_peer(body)
            assert address == peer
            came += body[at:]
        return came

    def send(self, kind: Kind, *parts: bytes) -> None:
        assert self.sock
        self.sock.sendall(frame(kind, *parts))

    def send_to(self, peers: Sequence[str], messages: bytes) -> None:
        self.send(Kind.SEND, struct.pack("!H", len(peers)), *map(pack_peer, peers), messages)

    def end(self, peer: str, code: int, subcode: int, seconds: int = 0, text: bytes = b"") -> None:
        self.send(Kind.CLOSE, pack_peer(peer), struct.pack("!BBI", code, subcode, seconds), text)

    def hang_up(self) -> None:
        assert self.sock
        self.sock.close()
        self.sock = None

    def close(self) -> None:
        if self.sock:
            self.sock.close()
        self._listening.close()
        self._path.unlink(missing_ok=True)


class Rig:
    """The adapter as a process, and what it needs around it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "sockets").mkdir(parents=True)
        with socket.create_server((HUB, 0)) as one:
            self.port: int = one.getsockname()[1]
        self.speaker = Speaker("hgv1-0", "", 20_000_002, 65515, (IPv4Address(HUB),))
        self.neighbors: list[Neighbor] = []
        self.peers: list[RawPeer] = []
        self.helpers: list[FakeHelper] = []
        self.process: ForkProcess | None = None
        self.digest = ""

    def neighbor(self, number: int, **changed: Any) -> RawPeer:
        """Adds a neighbor at 127.0.0.NUMBER, which is passive unless told otherwise; returns its far end."""
        address = f"127.0.0.{number}"
        neighbor = Neighbor(
            speaker=self.speaker.name,
            address=IPv4Address(address),
            local_address=IPv4Address(HUB),
            asn=65010,
            site="/s",
            hold_time=90,
            passive=True,
            ttl_security=False,
            maximum_prefixes=1000,
        )
        self.neighbors.append(replace(neighbor, **changed))
        peer = RawPeer(address, self.port)
        self.peers.append(peer)
        return peer

    def write(self) -> None:
        text = conf.render(self.speaker, self.neighbors, self.port)
        self.digest = conf.digest(text)
        (self.directory / "exabgp.conf").write_text(text)

    def helper(self) -> FakeHelper:
        helper = FakeHelper(self.directory / "sockets" / "helper.sock")
        self.helpers.append(helper)
        return helper

    def start(self) -> FakeHelper:
        """Starts the adapter, with a helper that it has connected to."""
        self.write()
        helper = self.helper()
        self.run()
        helper.accept()
        assert helper.hello()["digest"] == self.digest
        return helper

    def run(self) -> None:
        """Starts the adapter by a fork, which spares it the imports."""
        self.process = multiprocessing.get_context("fork").Process(target=_adapter, args=(self.directory,))
        self.process.start()

    def stop(self) -> int:
        """Ends the adapter; returns its exit code."""
        assert self.process
        self.process.terminate()
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def close(self) -> str:
        """Ends all; returns what the adapter logged."""
        for peer in self.peers:
            peer.close()
        if self.process and self.process.exitcode is None:
            self.stop()
        for helper in self.helpers:
            helper.close()
        self.peers, self.helpers = [], []
        log = self.directory / "log"
        return log.read_text() if log.exists() else ""


def _adapter(directory: Path) -> None:
    log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(log, 2)
    sys.stderr = os.fdopen(log, "w", buffering=1)
    logging.getLogger().handlers.clear()
    os._exit(main([str(directory)]))


def spawn(directory: Path, path: str = "") -> tuple[int, str]:
    """Runs the adapter as it is run; returns its exit code and what it wrote."""
    root = str(Path(hubgw.__file__).parents[1])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, (path, root)))}
    arguments = [sys.executable, "-m", "hubgw.drivers.exabgp.adapter", str(directory)]
    done = subprocess.run(arguments, env=environment, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr


@contextlib.contextmanager
def rig(directory: Path) -> Iterator[Rig]:
    one = Rig(directory)
    try:
        yield one
    finally:
        logged = one.close()
        print(logged)
