"""The only file that speaks VICI.

VICI interleaves events with replies, and a blocked request holds the connection, so each role has a connection of its
own: requests by the library, which blocks, in one worker thread, with a deadline on each; events by the event loop.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import vici
from vici.protocol import Message, Packet

from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.message import MalformedError, decode

T = TypeVar("T")

DEADLINE = 20.0  # seconds without a byte from charon

_LENGTH: Final = struct.Struct("!I")
"""What comes before each packet."""

_LOST: Final = (OSError, EOFError, MalformedError, vici.exception.SessionException)
"""What says that a connection is of no use any longer."""

Request = tuple[str, Mapping[str, object]]
"""A command of VICI and its message."""

WINDOW = 16
"""Requests on the way at once: a round trip each would take three times as long for a thousand sites."""


class Session(vici.Session):  # type: ignore[misc]
    """The library's session, with its own decoder, and many requests on the way: charon answers those of one connection
    in their order."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._streams: set[str] = set()

    def request(self, command: str, message: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Makes a request and returns the answer. Raises DriverError where charon refuses."""
        self._send(command, message or {})
        return _accepted(command, _answer(self._receive()))

    def streamed_request(
        self, command: str, event: str, message: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Makes a request whose answer comes as events; returns those. Raises DriverError where charon refuses.

        They come to nobody but whoever has asked, so that it is enough to ask for such events once.
        """
        if event not in self._streams:
            self._register_unregister(event, True)
            self._streams.add(event)
        self._send(command, message or {})
        told = []
        while (packet := self._receive()).response_type == Packet.EVENT:
            told.append(decode(packet.payload.read()))
        _accepted(command, _answer(packet))
        return told

    def refusals(self, requests: Sequence[Request]) -> list[str]:
        """Makes all requests and returns what charon refused of each, in its own words; empty where it did not."""
        answers: list[str] = []
        for sent, (command, message) in enumerate(requests):
            if sent - len(answers) >= WINDOW:
                answers.append(_refusal(_answer(self._receive())))
            self._send(command, message)
        while len(answers) < len(requests):
            answers.append(_refusal(_answer(self._receive())))
        return answers

    def _send(self, command: str, message: Mapping[str, object]) -> None:
        self.transport.send(Packet.request(command, Message.serialize(message)))

    def _receive(self) -> Any:
        return Packet.parse(self.transport.receive())


def _answer(packet: Any) -> dict[str, Any]:
    if packet.response_type != Packet.CMD_RESPONSE:
        raise vici.exception.SessionException(f"charon answered with a packet of type {packet.response_type}")
    return decode(packet.payload.read())


def _refusal(answer: Mapping[str, Any]) -> str:
    if answer.get("success", b"yes") == b"yes":
        return ""
    return str(answer.get("errmsg", b"refused").decode(errors="replace"))


def _accepted(command: str, answer: dict[str, Any]) -> dict[str, Any]:
    if refusal := _refusal(answer):
        raise DriverError(f"charon: refuses {command}: {refusal}")
    return answer


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
            DriverError: charon cannot be reached, was lost meanwhile, or refuses.
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
        except _LOST as error:
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
    with contextlib.suppress(*_LOST), connect(path, seconds) as sock:
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
    path: str, names: Sequence[str], read: Callable[[str, bytes], Mapping[str, Any]]
) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    """Yields charon's events (name, message) as they come; an empty name when charon says that they come from now on.

    `read` makes a message of an event's name and octets, or raises MalformedError.

    Raises:
        DriverError: charon cannot be reached, does not know an event, or is gone.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path.removeprefix("unix://"))
    except OSError as error:
        raise DriverError(f"charon: {path}: {error}; is strongSwan running?") from error
    try:
        for packet in map(Packet.register_event, names):
            writer.write(_LENGTH.pack(len(packet)) + packet)
        unconfirmed = len(names)
        while True:
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            packet = await reader.readexactly(length)
            if packet[0] == Packet.EVENT:
                # Length of the name in an octet, the name, the message.
                after = 2 + packet[1]
                if after > len(packet):
                    raise MalformedError("an event whose name is cut short")
                name = packet[2:after].decode()
                yield name, read(name, packet[after:])
            elif packet[0] == Packet.EVENT_CONFIRM:
                unconfirmed -= 1
                if not unconfirmed:
                    yield "", {}
            else:
                raise DriverError(f"charon: {path}: it does not know each of these events: {', '.join(names)}")
    except asyncio.IncompleteReadError as error:
        raise DriverError(f"charon: {path}: the connection was closed") from error
    except (OSError, IndexError, ValueError) as error:
        raise DriverError(f"charon: {path}: {error}; is strongSwan running?") from error
    finally:
        writer.close()
