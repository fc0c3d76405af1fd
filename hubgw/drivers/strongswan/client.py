"""The only file that speaks VICI.

VICI interleaves events with replies, and a blocked request holds the connection, so each role has a connection of its
own: requests by the library, which blocks, in one worker thread, with a deadline on each; events by the event loop.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
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

_EVENT, _CONFIRM, _UNKNOWN = (bytes((one,)) for one in (Packet.EVENT, Packet.EVENT_CONFIRM, Packet.EVENT_UNKNOWN))

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


async def listen(path: str, names: Sequence[str], take: Callable[[str, bytes], None]) -> None:
    """Has `take` called with each of charon's events (name, octets of the message) as it comes, until charon is gone;
    with an empty name when charon says that they come from now on.

    Raises:
        DriverError: charon cannot be reached, does not know an event, tells what is no message, or is gone.
        What else `take` raises.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    try:
        transport, _ = await loop.create_unix_connection(
            lambda: _Listener(path, names, take, ended), path.removeprefix("unix://")
        )
        with contextlib.closing(transport):
            for packet in map(Packet.register_event, names):
                transport.write(_LENGTH.pack(len(packet)) + packet)
            await ended
    except (OSError, MalformedError) as error:
        raise DriverError(f"charon: {path}: {error}; is strongSwan running?") from error


class _Listener(asyncio.Protocol):
    """A connection over which charon tells events; `ended` gets why it is over. A stream would wake a task for each."""

    def __init__(
        self, path: str, names: Sequence[str], take: Callable[[str, bytes], None], ended: asyncio.Future[None]
    ) -> None:
        self._path = path
        self._names = names
        self._take = take
        self._ended = ended
        self._unconfirmed = len(names)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Takes whole packets, and keeps what is left."""
        octets, at = self._rest + data, 0
        try:
            while len(octets) >= at + _LENGTH.size and not self._ended.done():
                begin = at + _LENGTH.size
                end = begin + _LENGTH.unpack_from(octets, at)[0]
                if end > len(octets):
                    break
                self._hear(octets[begin:end])
                at = end
        except Exception as fault:  # whoever listens is to know
            self._end(fault)
        self._rest = octets[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Says so."""
        self._end(exc or DriverError(f"charon: {self._path}: the connection was closed"))

    def _hear(self, packet: bytes) -> None:
        # The type, and of an event the length of its name in an octet, the name, the message.
        kind, after = packet[:1], 2 + int.from_bytes(packet[1:2], "big")
        if kind == _EVENT and after <= len(packet):
            self._take(packet[2:after].decode(errors="replace"), packet[after:])
        elif kind == _CONFIRM:
            self._unconfirmed -= 1
            if not self._unconfirmed:
                self._take("", b"")
        elif kind == _UNKNOWN:
            names = ", ".join(self._names)
            raise DriverError(f"charon: {self._path}: it does not know each of these events: {names}")
        else:
            raise MalformedError(f"a packet that is none of an event, got {packet[:16]!r}")

    def _end(self, why: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(why)
