"""Rows e and f: the same octets to hubgw and to BIRD, in turns, on this machine's kernel in namespaces of their own.

The clock starts when every session is established and has ended its first table; it stops when a dump of the kernel's
table has all prefixes (e), or when every branch was sent those of all others (f). What came is compared after it.
"""

import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench import feed, fib
from bench.feed import Branch
from bench.namespaces import HUB, TABLE, Stage, entered, stage
from bench.routers import Router, bird, ours
from bench.table import Row

GOAL: Final = 3.0
PREFIXES: Final = 100_000
BRANCHES: Final = 100
DEADLINE: Final = 120.0  # seconds for sessions to come up, and for what is measured
_BGP: Final = 179
_GLANCE: Final = 2  # milliseconds between two looks at the kernel
_READ: Final = 256 * 1024

Start = Callable[[Stage, Path], AbstractContextManager[Router]]


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took: seconds by the clock, processor seconds by process, MB at most."""

    seconds: float
    processor: Mapping[str, float]
    memory: float


class Session:
    """A branch's side of a session, from a socket on."""

    def __init__(self, branch: Branch, until: float) -> None:
        """Connects, until the hub says OPEN and KEEPALIVE. Raises TimeoutError where it does not in time."""
        self.branch = branch
        self.reader = feed.Reader()
        self.unsent = memoryview(b"")
        while True:
            try:
                self.socket = self._established()
                return
            except (OSError, ValueError):
                if time.monotonic() > until:
                    raise TimeoutError(f"{branch.address}: no session within {DEADLINE:g} s") from None
                self.reader = feed.Reader()
                # Who is not ready refuses, and is asked again.
                select.select([], [], [], 0.05)

    def _established(self) -> socket.socket:
        sock = socket.create_connection((str(HUB), _BGP), 5, (str(self.branch.address), 0))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(feed.opening(self.branch))
            kinds: list[int] = []
            while feed.KEEPALIVE not in kinds:
                if not (octets := sock.recv(_READ)):
                    raise ValueError("closed")
                if 1 in (came := self.reader.feed(octets)):
                    sock.sendall(feed.message(feed.KEEPALIVE) + feed.END_OF_RIB)
                kinds += came
        except (OSError, ValueError):
            sock.close()
            raise
        sock.setblocking(False)
        return sock

    def send(self) -> None:
        """Writes what the kernel takes."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            pass

    def receive(self) -> None:
        """Reads what came. Raises RuntimeError where the session is over."""
        try:
            octets = self.socket.recv(_READ)
        except BlockingIOError:
            return
        if not octets:
            raise RuntimeError(f"{self.branch.address}: the hub closed the session")
        self.reader.feed(octets)


class Sessions:
    """The sessions of all branches, which are established and have had End-of-RIB."""

    def __init__(self, of: Stage, until: float) -> None:
        self._poll = select.poll()
        with entered(of.branches):
            self.all = [Session(branch, until) for branch in of.peers]
        self._by_descriptor = {one.socket.fileno(): one for one in self.all}
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.POLLIN)
        while not all(one.reader.ended for one in self.all):
            self.turn(100)
            if time.monotonic() > until:
                raise TimeoutError(f"no End-of-RIB within {DEADLINE:g} s")

    def announce(self, octets: Sequence[bytes]) -> None:
        """Queues octets for each session, in order."""
        for one, own in zip(self.all, octets, strict=True):
            one.unsent = memoryview(own)
            self._poll.modify(one.socket, select.POLLIN | select.POLLOUT)

    @property
    def sending(self) -> bool:
        return any(one.unsent for one in self.all)

    def turn(self, milliseconds: int) -> None:
        """Reads and writes what can be, after a wait of at most so long."""
        for descriptor, event in self._poll.poll(milliseconds):
            one = self._by_descriptor[descriptor]
            if event & select.POLLOUT:
                one.send()
                if not one.unsent:
                    self._poll.modify(descriptor, select.POLLIN)
            if event & ~select.POLLOUT:
                one.receive()

    def close(self) -> None:
        for one in self.all:
            one.socket.close()


def rows(rounds: int, program: list[str] | None, out: Path, only: str, *, profile: bool) -> list[Row]:
    """Measures rows e and f, as `only` names them. Without BIRD they have no anchor.

    With `profile` hubgw's processes run once more under cProfile; what it wrote lies in `out`.
    """
    into = partial(_into_kernel, count=PREFIXES)
    each = PREFIXES // BRANCHES // 10
    works: dict[str, tuple[str, int, float | None, Callable[[Sessions, fib.Fib, Stage], float]]] = {
        "e.1": ("1 an UPDATE, 10,000 paths", 1, GOAL, partial(into, size=1, paths=10_000)),
        "e.10": ("10 an UPDATE, each of a path of its own", 1, GOAL, partial(into, size=10, paths=10_000)),
        "e.1.path": ("1 an UPDATE, one path for all", 1, None, partial(into, size=1, paths=1)),
        "e.1.paths": ("1 an UPDATE, each of a path of its own", 1, None, partial(into, size=1, paths=PREFIXES)),
        "f": ("a branch's in one UPDATE", BRANCHES, GOAL, partial(_to_all, each=each, size=each)),
        "f.10": ("10 an UPDATE, each of a path of its own", BRANCHES, None, partial(_to_all, each=each, size=10)),
    }
    found = []
    for row, (words, branches, goal, work) in works.items():
        if row[0] not in only:
            continue
        mine: list[Took] = []
        theirs: list[Took] = []
        for _ in range(rounds):
            mine.append(_measured(ours, branches, work))
            if program:
                theirs.append(_measured(partial(bird, program), branches, work))
            _say(f"{row}: ours {_told(mine[-1:])}; BIRD {_told(theirs[-1:])}")
        if profile:
            _measured(partial(ours, profiles=str(out.resolve() / f"bench-profile-{row}")), branches, work)
        what = f"{PREFIXES:,} prefixes to the kernel" if row[0] == "e" else f"{BRANCHES} branches x {each}, all to all"
        found.append(_row(row, f"{what}: {words}", goal, mine, theirs))
    return found


def _measured(start: Start, branches: int, work: Callable[[Sessions, fib.Fib, Stage], float]) -> Took:
    until = time.monotonic() + DEADLINE
    with (
        tempfile.TemporaryDirectory(prefix="hubgw-bench-") as directory,
        stage(branches) as at,
        start(at, Path(directory)) as router,
        _sessions(at, until) as sessions,
        _fib(at) as kernel,
    ):
        before = router.seconds()
        took = work(sessions, kernel, at)
        router.check()
        processor = {name: after - before[name] for name, after in router.seconds().items()}
        return Took(took, processor, router.memory())


@contextmanager
def _sessions(at: Stage, until: float) -> Iterator[Sessions]:
    sessions = Sessions(at, until)
    try:
        yield sessions
    finally:
        sessions.close()


@contextmanager
def _fib(at: Stage) -> Iterator[fib.Fib]:
    with entered(at.hub):
        kernel = fib.Fib(TABLE)
    try:
        yield kernel
    finally:
        kernel.close()


def _into_kernel(sessions: Sessions, kernel: fib.Fib, at: Stage, *, count: int, size: int, paths: int) -> float:
    octets = b"".join(feed.updates(at.peers[0], feed.prefixes(0, count), size, paths))
    last = feed.prefixes(count - 1, 1)[0][1:] + b"\1"
    begun = time.perf_counter()
    sessions.announce([octets])
    while True:
        sessions.turn(_GLANCE)
        if not sessions.sending and kernel.has(last):
            dump = kernel.dump()
            if fib.size(dump) >= count:
                break
        _in_time(begun)
    took = time.perf_counter() - begun
    if fib.destinations(dump) != feed.addresses(0, count):
        raise RuntimeError("the kernel has other routes than were announced")
    return took


def _to_all(sessions: Sessions, kernel: fib.Fib, at: Stage, *, each: int, size: int) -> float:
    octets = [b"".join(feed.updates(one, feed.prefixes(each * one.number, each), size, each)) for one in at.peers]
    wanted = each * (len(at.peers) - 1)
    begun = time.perf_counter()
    sessions.announce(octets)
    while not all(one.reader.count >= wanted for one in sessions.all):
        sessions.turn(_GLANCE)
        _in_time(begun)
    took = time.perf_counter() - begun
    everything = feed.addresses(0, each * len(at.peers))
    for one in sessions.all:
        if one.reader.addresses() != everything - feed.addresses(each * one.branch.number, each):
            raise RuntimeError(f"{one.branch.address} was sent other prefixes than the others announced")
    return took


def _in_time(begun: float) -> None:
    if time.perf_counter() - begun > DEADLINE:
        raise TimeoutError(f"not done within {DEADLINE:g} s")


def _row(row: str, work: str, goal: float | None, mine: Sequence[Took], theirs: Sequence[Took]) -> Row:
    anchor = median(one.seconds for one in theirs) if theirs else None
    each = ", ".join(f"{one.seconds / other.seconds:.2f}x" for one, other in zip(mine, theirs, strict=False))
    detail = f"ours: {_told(mine)}; BIRD: {_told(theirs)}; each time: {each}" if theirs else f"ours: {_told(mine)}"
    return Row(row, work, median(one.seconds for one in mine), anchor, goal, detail=detail)


def _told(runs: Sequence[Took]) -> str:
    if not runs:
        return "not there"
    processor = {name: median(one.processor[name] for one in runs) for name in runs[0].processor}
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in processor.items())
    return (
        f"{median(one.seconds for one in runs):.3f} s (processor {parts}; {median(one.memory for one in runs):.0f} MB)"
    )


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
