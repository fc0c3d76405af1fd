"""The only file that speaks VICI: one connection in one worker thread, with a deadline on each request.

VICI interleaves events with replies, and a blocked request holds the connection, so each role has a connection of its
own: commands here, events in `listen`.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import vici
from vici.protocol import Message, Packet

from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.inbox import Inbox, Missed

T = TypeVar("T")

DEADLINE = 20.0  # seconds without a byte from charon

_SILENCE = 1.0  # seconds without an event after which the library says so: it does not say when it is registered

Request = tuple[str, Mapping[str, object]]
"""A command of VICI and its message."""

WINDOW = 16
"""Requests on the way at once: a round trip each would take three times as long for a thousand sites."""


class Session(vici.Session):  # type: ignore[misc]
    """The library's session, with many requests on the way: charon answers those of one connection in their order."""

    def refusals(self, requests: Sequence[Request]) -> list[str]:
        """Makes all requests and returns what charon refused of each, in its own words; empty where it did not."""
        answers: list[str] = []
        for sent, (command, message) in enumerate(requests):
            if sent - len(answers) >= WINDOW:
                answers.append(self._answer())
            self.transport.send(Packet.request(command, Message.serialize(message)))
        while len(answers) < len(requests):
            answers.append(self._answer())
        return answers

    def _answer(self) -> str:
        packet = Packet.parse(self.transport.receive())
        if packet.response_type != Packet.CMD_RESPONSE:
            raise vici.exception.SessionException(f"charon answered with a packet of type {packet.response_type}")
        answer = Message.deserialize(packet.payload)
        return "" if answer.get("success", b"yes") == b"yes" else str(answer.get("errmsg", b"refused").decode())


class Client:
    """Requests to charon, one after the other; a lost connection is made anew at the next request."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._session: Session | None = None
        self._socket: socket.socket | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vici")

    async def call(self, work: Callable[[Session], T]) -> T:
        """Runs `work` with a session in the worker thread.

        Raises:
            DriverError: charon cannot be reached, or was lost meanwhile.
        """
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._call, work)

    def close(self) -> None:
        """Ends the connection and the thread."""
        self._disconnect()
        self._worker.shutdown(wait=False)

    def _call(self, work: Callable[[Session], T]) -> T:
        try:
            if self._session is None:
                self._socket = connect(self.path, DEADLINE)
                self._session = Session(self._socket)
            return work(self._session)
        except (OSError, EOFError, vici.exception.SessionException) as error:
            self._disconnect()
            raise DriverError(
                f"charon: {self.path}: {error or type(error).__name__}; is strongSwan running?"
            ) from error
        except BaseException:
            # Answers may be on the way that the next request would take for its own.
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = self._session = None


def tell(path: str, request: Request, seconds: float) -> None:
    """Makes a request of which nobody asks what came of it, over a connection of its own."""
    with contextlib.suppress(OSError, EOFError, vici.exception.SessionException), connect(path, seconds) as sock:
        Session(sock).refusals([request])


def connect(path: str, deadline: float | None) -> socket.socket:
    """Returns a connected socket. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(deadline)
        sock.connect(path.removeprefix("unix://"))
    except OSError:
        sock.close()
        raise
    return sock


async def listen(
    path: str,
    names: list[str],
    hear: Callable[[str, Mapping[str, Any]], Iterable[T]],
) -> AsyncIterator[T | Missed]:
    """Yields what `hear` makes of charon's events (name, message) as they come, in the thread that reads them; it hears
    an empty name when they have begun to come.

    The reader never waits for who takes them.

    Raises:
        DriverError: charon cannot be reached, or is gone.
    """
    inbox: Inbox[T] = Inbox(asyncio.get_running_loop())

    def read(sock: socket.socket) -> None:
        try:
            registered = False
            for kind, message in vici.Session(sock).listen(names, _SILENCE):
                if kind is not None:
                    inbox.put(hear(kind.decode(), message))
                elif not registered:
                    registered = True
                    inbox.put(hear("", {}))
            lost: Exception = EOFError("the connection was closed")
        except Exception as error:  # whatever it is, who listens must not wait for ever
            lost = error
        inbox.end(lost)

    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vici-events")
    try:
        sock = await asyncio.to_thread(connect, path, DEADLINE)
        sock.settimeout(None)
    except OSError as error:
        raise DriverError(f"charon: {path}: {error}; is strongSwan running?") from error
    try:
        worker.submit(read, sock)
        while True:
            for heard in await inbox.take():
                yield heard
    except (OSError, EOFError, vici.exception.SessionException) as error:
        raise DriverError(f"charon: {path}: {error or type(error).__name__}") from error
    finally:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        worker.shutdown(wait=False)
        sock.close()
