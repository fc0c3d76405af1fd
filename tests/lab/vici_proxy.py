"""Between the agent and charon: passes every packet on, counts the requests, and can make charon refuse connections."""

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tests.lab.hub import Hub

_CMD_REQUEST = 0  # vici: packet type, then the length of the name, then the name


class ViciProxy:
    """A Unix socket at `path` that is charon's at `target`.

    A connection with the address `spoils` reaches charon with a cipher that it does not know; `spoiled` is when.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.requests: Counter[str] = Counter()
        self.spoils = ""
        self.spoiled: list[float] = []
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> "ViciProxy":
        self.path.unlink(missing_ok=True)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                agent, _ = self._listener.accept()
            except OSError:
                return
            charon = socket.socket(socket.AF_UNIX)
            charon.connect(str(self._target))
            self._sockets += [agent, charon]
            threading.Thread(target=self._requests, args=(agent, charon), daemon=True).start()
            threading.Thread(target=self._pass, args=(charon, agent), daemon=True).start()

    def _requests(self, agent: socket.socket, charon: socket.socket) -> None:
        buffer = b""
        while received := _receive(agent):
            buffer += received
            while len(buffer) >= 4 and len(buffer) >= 4 + (size := struct.unpack(">I", buffer[:4])[0]):
                packet, buffer = buffer[4 : 4 + size], buffer[4 + size :]
                charon.sendall(struct.pack(">I", size) + self._seen(packet))
        with contextlib.suppress(OSError):
            charon.shutdown(socket.SHUT_RDWR)

    def _seen(self, packet: bytes) -> bytes:
        if packet[0] != _CMD_REQUEST:
            return packet
        name = packet[2 : 2 + packet[1]].decode()
        self.requests[name] += 1
        if name == "load-conn" and self.spoils and self.spoils.encode() in packet:
            self.spoiled.append(time.monotonic())
            return packet.replace(b"aes256", b"rot013")
        return packet

    def _pass(self, charon: socket.socket, agent: socket.socket) -> None:
        while received := _receive(charon):
            agent.sendall(received)
        with contextlib.suppress(OSError):
            agent.shutdown(socket.SHUT_RDWR)


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 16)
    except OSError:
        return b""


@contextmanager
def between(hub: Hub) -> Iterator[ViciProxy]:
    """Ends the agent, and puts a proxy between the next one and charon. The block starts and ends that agent."""
    hub.kill_agent()
    proxy = ViciProxy(hub.node.directory / "proxy.vici", hub.charon.vici)
    hub.vici = proxy.path
    try:
        with proxy:
            yield proxy
    finally:
        hub.vici = hub.charon.vici
        if "agent" in hub.node.processes:
            hub.kill_agent()
        hub.start_agent()
