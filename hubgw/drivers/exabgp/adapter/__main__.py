"""The process that keeps a speaker's sessions: ExaBGP's peers, the helper, and one loop that waits for all of them.

    python -m hubgw.drivers.exabgp.adapter DIRECTORY

It never waits for the helper, knows no route, and writes no file. SIGTERM ends sessions without a word where graceful
restart was negotiated, so that their peers keep what they learned.
"""

import logging
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from hubgw.drivers.exabgp import conf
from hubgw.drivers.exabgp.adapter import inside
from hubgw.drivers.exabgp.adapter.channel import Channel
from hubgw.drivers.exabgp.adapter.inside import Peer
from hubgw.drivers.exabgp.adapter.messages import Notification
from hubgw.drivers.exabgp.adapter.outbox import Farewell
from hubgw.drivers.exabgp.adapter.tcp import Listener
from hubgw.drivers.exabgp.directory import ADAPTER_SOCKET, CONF
from hubgw.drivers.exabgp.frames import Kind, document
from hubgw.drivers.exabgp.message import CEASE

_LOG: Final = logging.getLogger("hubgw.drivers.exabgp.adapter")

_UPKEEP: Final = 1.0  # seconds
_STOP: Final = 1.0  # seconds for last words when the process ends
_ACCEPTS: Final = 64  # connections taken in one turn

_COUNT: Final = struct.Struct("!H")
_CLOSE: Final = struct.Struct("!BBI")

Handler = Callable[[], None]


class Processes:
    """What ExaBGP's peers ask about processes of theirs, of which there are none."""

    def broken(self, neighbor: object) -> bool:
        return False


class Loop:
    """All sockets, and who has a turn when something happens there."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, tuple[int, Handler]] = {}

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Waits for these events too; without events no longer. Nobody need say that a descriptor was closed."""
        if fd < 0 or self._handlers.get(fd) == (mask, handler):
            return
        if mask:
            self._poll.register(fd, mask)
            self._handlers[fd] = mask, handler
        else:
            self._forget(fd)

    def wait(self, seconds: float) -> None:
        """Waits, and gives turns."""
        for fd, event in self._poll.poll(max(0.0, seconds) * 1000):
            if event & select.POLLNVAL:
                self._forget(fd)
            elif fd in self._handlers:
                self._handlers[fd][1]()

    def _forget(self, fd: int) -> None:
        if self._handlers.pop(fd, None):
            self._poll.unregister(fd)


class Adapter:
    """The speaker of a directory."""

    def __init__(self, directory: Path) -> None:
        self.processes = Processes()
        self.channel = Channel(directory / ADAPTER_SOCKET, self._welcome)
        self._conf = directory / CONF
        self._digest = ""
        self._refused = ""
        self._peers: dict[bytes, Peer] = {}
        self._farewells: list[Farewell] = []
        self._listener = Listener()
        self._unheard = ""  # why there is somewhere that is not listened at
        self._loop = Loop()
        self._upkeep = 0.0
        self._paused = False  # whether there may be peers that are not read from
        self._stopped = False

    def part(self, sock: socket.socket, octets: bytes) -> None:
        """Writes last words on a connection and closes it, in good time."""
        self._farewells.append(Farewell(sock, octets))
        self._part()

    def run(self) -> None:
        """Runs until SIGTERM.

        Raises:
            OSError, ValueError: there is no configuration to begin with.
        """
        woken = self._stop_at_signals()
        self._loop.watch(woken.fileno(), select.POLLIN, _nothing)
        self._load()
        while not self._stopped:
            due = min([self._upkeep, self.channel.due, *(peer.due for peer in self._peers.values())])
            self._loop.wait(due - time.monotonic())
            self._turn()
        self._stop()

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._upkeep:
            self._upkeep = now + _UPKEEP
            self._part()
            if self._unheard or self._listener.stale:
                self._listen()
        for peer in self._peers.values():
            if peer.due <= now:
                peer.turn()
                self._watch(peer)
        self.channel.upkeep(now)
        self._loop.watch(
            self.channel.fileno(), select.POLLIN | (select.POLLOUT if self.channel.waiting else 0), self._obey
        )
        if self._paused and not self.channel.full:
            self._paused = False
            for peer in self._peers.values():
                self._watch(peer)

    def _watch(self, peer: Peer) -> None:
        self._paused |= self.channel.full
        self._loop.watch(*peer.watched, peer.wake)

    def _part(self) -> None:
        now = time.monotonic()
        self._farewells = [farewell for farewell in self._farewells if not farewell.turn(now)]
        for farewell in self._farewells:
            self._loop.watch(farewell.socket.fileno(), select.POLLOUT if farewell.octets else select.POLLIN, self._part)

    def _accept(self) -> None:
        for listening in self._listener.sockets.values():
            for _ in range(_ACCEPTS):
                try:
                    sock, (address, _) = listening.accept()
                except OSError:
                    break
                sock.setblocking(False)
                peer = self._peers.get(IPv4Address(address).packed)
                if peer and sock.getsockname()[0] == peer.local:
                    peer.accept(sock)
                else:
                    sock.close()

    def _listen(self) -> None:
        unheard = ""
        try:
            self._listener.follow([peer.endpoint for peer in self._peers.values()])
        except OSError as error:
            unheard = str(error)
        if unheard and unheard != self._unheard:
            _LOG.error("not-listening reason=%r", unheard)
        self._unheard = unheard
        for sock in self._listener.sockets.values():
            self._loop.watch(sock.fileno(), select.POLLIN, self._accept)

    def _load(self) -> None:
        text = self._conf.read_text(encoding="utf-8")
        found = inside.load(text)
        for key in self._peers.keys() - found.keys():
            self._peers.pop(key).remove()
        for key, neighbor in found.items():
            peer = self._peers.get(key)
            if peer is None:
                self._peers[key] = Peer(neighbor, self)
            elif peer.neighbor != neighbor:
                peer.change(neighbor)
        self._digest = conf.digest(text)
        self._listen()

    def _reload(self) -> None:
        self._refused = ""
        try:
            self._load()
        except (OSError, ValueError) as error:
            self._refused = f"{self._conf.name}: {error}"
            _LOG.error("not-reloaded reason=%r", self._refused)
        self.channel.send(self._hello())

    def _hello(self) -> bytes:
        return document(Kind.HELLO, {"pid": os.getpid(), "digest": self._digest, "refused": self._refused})

    def _welcome(self) -> Iterator[bytes]:
        yield self._hello()
        for peer in self._peers.values():
            yield from peer.welcome()

    def _obey(self) -> None:
        for kind, body in self.channel.receive():
            try:
                self._carry_out(kind, body)
            except (IndexError, ValueError, struct.error) as error:
                self.channel.lose(f"a {kind.name} frame that is none: {error}")
                return

    def _carry_out(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.SEND:
            (count,) = _COUNT.unpack_from(body)
            at = _COUNT.size
            peers = []
            for _ in range(count):
                end = at + 1 + body[at]
                peers.append(self._peers.get(body[at + 1 : end]))
                at = end
            messages = body[at:]
            for peer in peers:
                if peer:
                    peer.send(messages)
        elif kind is Kind.CLOSE:
            end = 1 + body[0]
            peer = self._peers.get(body[1:end])
            code, subcode, seconds = _CLOSE.unpack_from(body, end)
            if peer:
                peer.hold(Notification(code, subcode, body[end + _CLOSE.size :]) if code else None, seconds)
        elif kind is Kind.RELOAD:
            self._reload()
        else:
            raise ValueError("the helper does not send it")

    def _stop_at_signals(self) -> socket.socket:
        """Returns what can be read from after a signal."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.detach())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)
        return woken

    def _stop_soon(self, number: int, stack: object) -> None:
        self._stopped = True

    def _stop(self) -> None:
        # The helper first: to it that ExaBGP is away is another thing than that all sessions are.
        self.channel.close()
        self._listener.close()
        for peer in self._peers.values():
            peer.end("stopped" if peer.graceful else Notification(CEASE, 2))
        until = time.monotonic() + _STOP
        while self._farewells and (now := time.monotonic()) < until:
            self._loop.wait(until - now)
            self._part()


def _nothing() -> None:
    pass


def main(arguments: list[str]) -> int:
    """Runs a speaker; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m hubgw.drivers.exabgp.adapter DIRECTORY", file=sys.stderr)  # noqa: T201
        return 2
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    inside.configure()
    # A socket for each session; the soft limit is 1,024 by custom.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        Adapter(Path(arguments[0]).absolute()).run()
    except (OSError, ValueError) as error:
        _LOG.critical("not-started reason=%r", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
