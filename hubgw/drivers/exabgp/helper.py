"""The process beside ExaBGP (``python -m hubgw.drivers.exabgp.helper DIR``): frames and time -> `Exchange` -> frames.

It listens at DIR/sockets/helper.sock for the adapter, and at DIR/sockets/agent.sock for the agent: one connection of
each, a new one replaces the one before. The adapter is always read; an agent that reads too slowly is cut off, and told
all when it comes again. Nothing is kept on disk: what this process knew, ExaBGP's peers and the agent know.
"""

import logging
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hubgw.drivers.exabgp.directory import ADAPTER_SOCKET, AGENT_SOCKET, NEIGHBORS, decode
from hubgw.drivers.exabgp.exchange import Exchange
from hubgw.drivers.exabgp.frames import FrameError, Kind, frame
from hubgw.drivers.exabgp.outgoing import Clock
from hubgw.drivers.exabgp.stream import Stream, StreamLostError
from hubgw.drivers.memory import collect_seldom
from hubgw.plan.sessions import Neighbor, Speaker

LOG = logging.getLogger("hubgw")

AGENT_BOUND: Final = 32 * 1024 * 1024  # octets that wait for an agent beyond those that it begins with
ADAPTER_BOUND: Final = 512 * 1024 * 1024  # ExaBGP always reads; more than this is a fault
_TICK: Final = 0.25  # seconds
_UNREADABLE: Final = (FrameError, LookupError, ValueError, TypeError, struct.error)


class Helper:
    """The loop, and what it waits for."""

    def __init__(self, directory: Path, agent_bound: int = AGENT_BOUND) -> None:
        self._directory = directory
        self._agent_bound = agent_bound
        speaker, neighbors = self._configuration()
        clock = Clock(time.monotonic, time.time)
        self._exchange = Exchange(speaker, neighbors, clock, f"{os.getpid()}-{time.time():.6f}")
        self._speaker = speaker.name
        self._selector = selectors.DefaultSelector()
        self._adapter: Stream | None = None
        self._agent: Stream | None = None
        self._adapter_listener = self._listen(directory / ADAPTER_SOCKET)
        self._agent_listener = self._listen(directory / AGENT_SOCKET)

    def run(self) -> None:
        """Serves for ever."""
        due = 0.0
        while True:
            ready = self._selector.select(max(0.0, due - time.monotonic()))
            for key, _ in ready:
                self._serve(key.fileobj)
            if time.monotonic() >= due:
                self._exchange.tick()
                due = time.monotonic() + _TICK
            self._exchange.settle()
            self._send()

    def _configuration(self) -> tuple[Speaker, list[Neighbor]]:
        return decode((self._directory / NEIGHBORS).read_text(encoding="utf-8"))

    def _listen(self, path: Path) -> socket.socket:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        previous = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(previous)
        listener.setblocking(False)
        listener.listen()
        self._selector.register(listener, selectors.EVENT_READ)
        return listener

    def _serve(self, ready: object) -> None:
        if ready is self._adapter_listener:
            if connected := _accept(self._adapter_listener):
                self._drop_adapter("another one came")
                self._adapter = self._register(connected, ADAPTER_BOUND)
                LOG.info("bgp.adapter speaker=%s state=connected", self._speaker, extra={"event": "bgp.adapter"})
        elif ready is self._agent_listener:
            if connected := _accept(self._agent_listener):
                self._drop_agent("another one came")
                self._agent = self._register(connected, self._agent_bound)
                self._exchange.agent_connected()
                self._agent.allow(sum(map(len, self._exchange.outgoing.agent)))
                LOG.info("bgp.agent speaker=%s state=connected", self._speaker, extra={"event": "bgp.agent"})
        elif self._adapter and ready is self._adapter.socket:
            self._read_adapter(self._adapter)
        elif self._agent and ready is self._agent.socket:
            self._read_agent(self._agent)

    def _read_adapter(self, stream: Stream) -> None:
        try:
            for kind, body in stream.receive():
                self._exchange.adapter_said(kind, body)
        except (StreamLostError, *_UNREADABLE) as error:
            self._drop_adapter(str(error))

    def _read_agent(self, stream: Stream) -> None:
        try:
            for kind, body in stream.receive():
                if kind is Kind.RELOAD:
                    self._reload()
                else:
                    self._exchange.agent_said(kind, body)
        except (StreamLostError, *_UNREADABLE) as error:
            self._drop_agent(str(error))

    def _reload(self) -> None:
        """Takes the configuration anew, and has ExaBGP do the same; what cannot be read changes nothing."""
        try:
            speaker, neighbors = self._configuration()
        except (OSError, ValueError) as error:
            LOG.warning("bgp.reload speaker=%s reason=%s", self._speaker, error, extra={"event": "bgp.reload"})
            return
        self._exchange.configure(speaker, neighbors)
        self._exchange.outgoing.adapter.append(frame(Kind.RELOAD))

    def _send(self) -> None:
        outgoing = self._exchange.outgoing
        to_agent, outgoing.agent = outgoing.agent, []
        to_adapter, outgoing.adapter = outgoing.adapter, []
        self._put(self._adapter, to_adapter, self._drop_adapter)
        self._put(self._agent, to_agent, self._drop_agent)

    def _put(self, stream: Stream | None, frames: list[bytes], drop: Callable[[str], None]) -> None:
        if stream:
            try:
                stream.put(frames)
            except StreamLostError as error:
                drop(str(error))
            else:
                self._watch(stream)

    def _register(self, connected: socket.socket, bound: int) -> Stream:
        self._selector.register(connected, selectors.EVENT_READ)
        return Stream(connected, bound)

    def _watch(self, stream: Stream) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.waiting else 0)
        if self._selector.get_key(stream.socket).events != events:
            self._selector.modify(stream.socket, events)

    def _drop_adapter(self, reason: str) -> None:
        if self._adapter:
            self._close(self._adapter)
            self._adapter = None
            self._exchange.adapter_lost()
            self._tell_lost("bgp.adapter", reason)

    def _drop_agent(self, reason: str) -> None:
        if self._agent:
            self._close(self._agent)
            self._agent = None
            self._exchange.agent_lost()
            self._tell_lost("bgp.agent", reason)

    def _tell_lost(self, event: str, reason: str) -> None:
        LOG.warning("%s speaker=%s state=lost reason=%s", event, self._speaker, reason, extra={"event": event})

    def _close(self, stream: Stream) -> None:
        self._selector.unregister(stream.socket)
        stream.close()


def _accept(listener: socket.socket) -> socket.socket | None:
    try:
        return listener.accept()[0]
    except OSError:
        return None  # whoever it was is gone


def main() -> None:
    """Serves the directory that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m hubgw.drivers.exabgp.helper DIRECTORY")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    collect_seldom()
    try:
        helper = Helper(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    helper.run()


if __name__ == "__main__":
    main()
