"""Between the agent and charon: passes every byte on, and counts the requests by name."""

import contextlib
import socket
import struct
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType

_CMD_REQUEST = 0  # vici: packet type, then the length of the name, then the name


class ViciProxy:
    """A Unix socket at `path` that is charon's at `target`."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.requests: Counter[str] = Counter()
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
                if packet[0] == _CMD_REQUEST:
                    self.requests[packet[2 : 2 + packet[1]].decode()] += 1
            charon.sendall(received)
        with contextlib.suppress(OSError):
            charon.shutdown(socket.SHUT_RDWR)

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
