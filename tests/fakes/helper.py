"""A speaker's helper behind a real socket: it says what it is told to, and remembers what the agent said."""

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

from hubgw.drivers.exabgp import conf
from hubgw.drivers.exabgp.directory import AGENT_SOCKET, CONF
from hubgw.drivers.exabgp.frames import FORMAT, Kind, Reader, document, frame, take_block, take_nlris, take_routes
from hubgw.plan.bgp import Nlri


class FakeHelper:
    """The helper, and the ExaBGP behind it, of one speaker's directory.

    `fail_next` holds why the next reload is refused, `connected` whether ExaBGP is there; `heard` is all that came, and
    `out` the Adj-RIB-Out of this life: {nlri: (attributes, excluded sites)}. Wait on `news` for either to change.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fail_next: list[str] = []
        self.connected = True
        self.silent = False
        self.news = threading.Condition()
        self.heard: list[Kind] = []
        self.out: dict[Nlri, tuple[bytes, tuple[str, ...]]] = {}
        self.lives = 0
        self._open: list[socket.socket] = []
        self.start()

    def start(self) -> None:
        """Starts it, and an ExaBGP that loads what lies there."""
        self.lives += 1
        self.out.clear()
        self.loaded = self.lies_there()
        self.directory.joinpath(AGENT_SOCKET).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / AGENT_SOCKET))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def kill(self) -> None:
        """Ends it as SIGKILL does: its socket's file stays."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cuts the agent off."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def lies_there(self) -> str:
        """Returns the digest of the configuration in the directory."""
        path = self.directory / CONF
        return conf.digest(path.read_text()) if path.exists() else ""

    def tell(self, octets: bytes) -> None:
        """Sends frames to the agent."""
        for one in self._open:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                one.sendall(octets)

    def tell_speaker(self, refused: str = "") -> None:
        """Says how ExaBGP is."""
        content: dict[str, Any] = {"connected": self.connected, "digest": self.loaded if self.connected else ""}
        self.tell(document(Kind.SPEAKER, content | ({"refused": refused} if refused else {})))

    def until(self, kind: Kind, count: int = 1, seconds: float = 20) -> None:
        """Waits until the agent has said so many frames of this kind."""
        with self.news:
            heard = self.news.wait_for(lambda: self.heard.count(kind) >= count, seconds)
        assert heard, f"no {kind.name} within {seconds} s, but {[one.name for one in self.heard]}"

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                self._open.append(accepted)
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        reader = Reader()
        with contextlib.suppress(OSError):
            began = {"format": FORMAT, "speaker": self.directory.name, "incarnation": str(self.lives)}
            accepted.sendall(document(Kind.BEGIN, began))
            if not self.silent:
                self.tell_speaker()
            while octets := accepted.recv(65536):
                for kind, body in reader.feed(octets):
                    self._hear(kind, body)

    def _hear(self, kind: Kind, body: bytes) -> None:
        match kind:
            case Kind.RELOAD if not self.silent:
                refused = self.fail_next.pop() if self.fail_next else ""
                if not refused:
                    self.loaded = self.lies_there()
                self.tell_speaker(refused)
            case Kind.ADVERTISE:
                sites, at = take_block(body, 0)
                for attributes, nlris in take_routes(body, at):
                    self.out.update(dict.fromkeys(nlris, (attributes, tuple(json.loads(sites)))))
            case Kind.WITHDRAW:
                for nlri in take_nlris(body, 0):
                    self.out.pop(nlri, None)
        with self.news:
            self.heard.append(kind)
            self.news.notify_all()


def end_of_rib(peer: bytes) -> bytes:
    """Returns the frame that ends a replay, after which a test need not wait for anything else."""
    return frame(Kind.END_OF_RIB, peer)
