"""Netlink sockets: messages -> what the kernel answered. The only file of the driver that opens sockets.

Sockets belong to the network namespace of the thread that makes them. The kernel works inside the system call, for half
a second where 1,000 interfaces are made: so the calls run in threads, and a lock per send lets a tunnel's failover pass
between two batches of a first apply.

The sockets are not pyroute2's: those open another kernel socket in each thread that uses them, in whatever namespace it
is and with a port id of its own, by which our own events would no longer be known; and their event loop reads along.
"""

import asyncio
import errno
import os
import socket
import struct
import threading
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from hubgw.drivers.base import DriverError
from hubgw.drivers.netlink import wire

NETLINK_ROUTE: Final = 0
NETLINK_XFRM: Final = 6
NETLINK_NETFILTER: Final = 12

_SOL_NETLINK: Final = 270
_CAP_ACK: Final = 10
_EXT_ACK: Final = 11
_GET_STRICT_CHK: Final = 12
_SO_RCVBUFFORCE: Final = 33
_ADD_MEMBERSHIP: Final = 1
_EVENT_BUFFER: Final = 64 << 20  # what 2,000 interfaces deleted at once cause, while the agent is busy
_RECEIVE_BUFFER: Final = 8 << 20  # 1,000 refusals of some 1 KiB each; a limit, not an allocation

_BATCH_MESSAGES: Final = 1000
_BATCH_BYTES: Final = 128 << 10  # below the default send buffer, 208 KiB
_DATAGRAM: Final = 64 << 10  # the kernel fills at most 32 KiB a datagram of a dump
_DEADLINE: Final = 60.0  # seconds
_DUMP_TRIES: Final = 8
_SEQUENCE: Final = struct.Struct("=I")
_SEQUENCE_AT: Final = 8  # in nlmsghdr


class Client:
    """One socket for requests and one for dumps, so that neither waits for the other."""

    def __init__(self, protocol: int) -> None:
        self._commands = _Socket(protocol)
        self._dumps = _Socket(protocol)

    def close(self) -> None:
        self._commands.close()
        self._dumps.close()

    @property
    def port_id(self) -> int:
        """The kernel's name of this requester: in the header of the events that our own writes cause."""
        return self._commands.port_id

    async def request(self, messages: Sequence[bytes]) -> list[wire.Refusal | None]:
        """Sends messages, in order, and returns the kernel's answer to each. A refused one does not stop the others.

        Raises:
            DriverError: the answers were lost; some messages may have been carried out.
        """
        return await asyncio.to_thread(self._commands.request, messages) if messages else []

    async def request_alike(self, messages: bytes, size: int) -> dict[int, wire.Refusal]:
        """Sends messages of `size` bytes each, one after another, and returns the refusals by the message's position.

        Raises:
            DriverError: the answers were lost; some messages may have been carried out.
        """
        return await asyncio.to_thread(self._commands.request_alike, messages, size) if messages else {}

    async def dump(self, message: bytes) -> list[bytes]:
        """Returns the messages of a dump; taken again where the kernel says that it changed meanwhile.

        Raises:
            DriverError: the kernel refuses the dump, or it never was consistent.
        """
        return await asyncio.to_thread(self._dumps.dump, message)


class _Socket:
    def __init__(self, protocol: int) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._socket = _open(protocol)
        self._socket.settimeout(_DEADLINE)
        for option in (_CAP_ACK, _EXT_ACK, _GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        _enlarge(self._socket, _RECEIVE_BUFFER)
        self.port_id: int = self._socket.getsockname()[0]

    def close(self) -> None:
        self._socket.close()

    def request(self, messages: Sequence[bytes]) -> list[wire.Refusal | None]:
        answers: list[wire.Refusal | None] = []
        for batch in _batches(messages):
            packed, position = bytearray().join(batch), 0
            with self._lock:
                for sequence, message in enumerate(batch, self._sequence + 1):
                    _SEQUENCE.pack_into(packed, position + _SEQUENCE_AT, sequence)
                    position += len(message)
                refused = self._exchange(packed, len(batch), position - len(batch[-1]))
            answers += [refused.get(number) for number in range(len(batch))]
        return answers

    def request_alike(self, messages: bytes, size: int) -> dict[int, wire.Refusal]:
        refused: dict[int, wire.Refusal] = {}
        most = size * min(_BATCH_MESSAGES, _BATCH_BYTES // size)
        for start in range(0, len(messages), most):
            packed = bytearray(messages[start : start + most])
            count = len(packed) // size
            with self._lock:
                numbers = array("I", range(self._sequence + 1, self._sequence + count + 1)).tobytes()
                # A column of octets at a time: a hundred thousand routes must not cost a step of Python each.
                for octet in range(_SEQUENCE.size):
                    packed[_SEQUENCE_AT + octet :: size] = numbers[octet :: _SEQUENCE.size]
                answers = self._exchange(packed, count, len(packed) - size)
            refused.update((start // size + number, answer) for number, answer in answers.items())
        return refused

    def _exchange(self, packed: bytearray, count: int, last_at: int) -> dict[int, wire.Refusal]:
        """Sends `count` messages with the next sequence numbers, the last at `last_at`; returns what was refused."""
        first, last = self._sequence + 1, self._sequence + count
        self._sequence = last
        # Refusals come without being asked for; the acknowledgement of the last says that all were read.
        length, kind, flags, sequence, _ = wire.HEADER.unpack_from(packed, last_at)
        wire.HEADER.pack_into(packed, last_at, length, kind, flags | wire.ACK, sequence, 0)
        refused: dict[int, wire.Refusal] = {}
        self._send(packed)
        while True:
            for kind, flags, sequence, answer in wire.messages(self._receive()):
                if kind == wire.ERROR and first <= sequence <= last:
                    if (refusal := wire.refusal(flags, answer)) is not None:
                        refused[sequence - first] = refusal
                    if sequence == last:
                        return refused

    def dump(self, message: bytes) -> list[bytes]:
        for _ in range(_DUMP_TRIES):
            with self._lock:
                found = self._dump_once(message)
            if found is not None:
                return found
        raise DriverError(f"netlink dump {_type_of(message)}: changed while it was read, {_DUMP_TRIES} times")

    def _dump_once(self, message: bytes) -> list[bytes] | None:
        self._sequence += 1
        length, kind, flags, _, _ = wire.HEADER.unpack_from(message)
        self._send(wire.HEADER.pack(length, kind, flags | wire.DUMP, self._sequence, 0) + message[16:])
        found: list[bytes] = []
        seen = 0
        while True:
            for kind_, flags_, sequence, answer in wire.messages(self._receive()):
                if sequence != self._sequence:
                    continue
                seen |= flags_
                if kind_ == wire.DONE:
                    if number := wire.done_errno(answer):
                        raise DriverError(f"netlink dump {kind}: {os.strerror(number)}")
                    return None if seen & wire.DUMP_INTR else found
                if kind_ == wire.ERROR:
                    refused = wire.refusal(flags_, answer)
                    raise DriverError(f"netlink dump {kind}: {words(refused) if refused else 'no answer'}")
                found.append(answer)

    def _send(self, packed: bytes | bytearray) -> None:
        try:
            self._socket.send(packed)
        except OSError as error:
            raise DriverError(f"netlink send: {error.strerror or error}") from error

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_DATAGRAM)
        except TimeoutError as error:
            raise DriverError(f"netlink: no answer within {_DEADLINE:.0f} s") from error
        except OSError as error:
            lost = "answers were lost" if error.errno == errno.ENOBUFS else error.strerror
            raise DriverError(f"netlink receive: {lost}") from error


def open_events(protocol: int, groups: Sequence[int]) -> socket.socket:
    """Returns a socket, not blocking, that receives the events of these multicast groups.

    Raises:
        DriverError: the kernel does not let us listen.
    """
    sock = _open(protocol)
    sock.setblocking(False)
    _enlarge(sock, _EVENT_BUFFER)
    for group in groups:
        sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    return sock


def _open(protocol: int) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        sock.bind((0, 0))
    except OSError as error:
        raise DriverError(f"netlink family {protocol}: {error.strerror}") from error
    return sock


def _enlarge(sock: socket.socket, size: int) -> None:
    """Sets the receive buffer, above the machine's limit where the process may."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def words(refused: wire.Refusal) -> str:
    """Says a refusal in the kernel's own words: ``File exists``, ``Invalid argument: Device for nexthop is not up``."""
    reason = os.strerror(refused.errno)
    return f"{reason}: {refused.text}" if refused.text else reason


def _batches(messages: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for position, message in enumerate(messages):
        if position - start == _BATCH_MESSAGES or size + len(message) > _BATCH_BYTES:
            yield messages[start:position]
            start, size = position, 0
        size += len(message)
    if start < len(messages):
        yield messages[start:]


def _type_of(message: bytes) -> int:
    kind: int = wire.HEADER.unpack_from(message)[1]
    return kind
