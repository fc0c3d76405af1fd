"""A BGP peer of the tests' own: octets as a case wants them, right or wrong, from a branch's namespace.

Nothing here is the project's code, so that what it sends and reads is not held to the project's own idea of BGP.
"""

import ctypes
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from types import TracebackType
from typing import Final

from tests.lab.bgp_branch import HUB
from tests.lab.topology import Branch
from tests.lab.waiting import wait_for

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = range(1, 6)
MARKER: Final = b"\xff" * 16
ASN: Final = 65030
ADDRESS: Final = "10.254.0.7"

_CLONE_NEWNET: Final = 0x40000000
_TCP_MD5SIG: Final = 14
_HOLD: Final = 60
_BEAT: Final = 5.0  # seconds between keepalives


def message(kind: int, body: bytes = b"", *, marker: bytes = MARKER, length: int | None = None) -> bytes:
    """Returns a BGP message; `length` where it shall say another than its own."""
    return marker + struct.pack("!HB", 19 + len(body) if length is None else length, kind) + body


def attribute(code: int, value: bytes, flags: int = 0x40) -> bytes:
    """Returns a path attribute; the flags are those of a well-known one."""
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, code, len(value)) + value
    return struct.pack("!BBB", flags, code, len(value)) + value


def prefixes(*texts: str) -> bytes:
    """Returns prefixes as UPDATEs have them."""
    found = b""
    for network in map(IPv4Network, texts):
        size = (network.prefixlen + 7) // 8
        found += bytes((network.prefixlen,)) + network.network_address.packed[:size]
    return found


def path(*asns: int) -> bytes:
    """Returns an AS_PATH of one sequence."""
    return attribute(2, struct.pack(f"!BB{len(asns)}I", 2, len(asns), *asns))


ORIGIN: Final = attribute(1, b"\0")
NEXT_HOP: Final = attribute(3, IPv4Address(ADDRESS).packed)
GOOD: Final = (ORIGIN, path(ASN), NEXT_HOP)


def update(attributes: Sequence[bytes] = GOOD, nlri: bytes = b"", withdrawn: bytes = b"") -> bytes:
    """Returns an UPDATE of these parts."""
    joined = b"".join(attributes)
    return message(
        UPDATE, struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(joined)) + joined + nlri
    )


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    """A socket belongs to the namespace that its thread was in when it was made."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    home, there = (os.open(of, os.O_RDONLY) for of in ("/proc/thread-self/ns/net", f"/run/netns/{name}"))
    try:
        assert setns(there, _CLONE_NEWNET) == 0, f"setns {name}: {os.strerror(ctypes.get_errno())}"
        yield
    finally:
        setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)


class RawPeer:
    """A session with one instance of the hub. `routes` is what the hub announces, `ends` how many End-of-RIBs came."""

    def __init__(self, branch: Branch, instance: int, *, address: str = ADDRESS, hub: str = "") -> None:
        """`hub` is another of the instance's addresses than the default one."""
        self.instance = instance
        self._hub = hub or HUB[instance]
        self.routes: set[str] = set()
        self.ends = 0
        self.received: list[tuple[int, bytes]] = []
        self.notification: tuple[int, int] | None = None
        self.closed = False
        with _namespace(branch.node.namespace):
            self._socket = socket.socket()
        self._socket.bind((address, 0))
        self._thread = threading.Thread(target=self._read, daemon=True)

    def password(self, text: str) -> None:
        """Signs every segment (RFC 2385)."""
        address = struct.pack("=HH4s120x", socket.AF_INET, 0, IPv4Address(self._hub).packed)
        key = struct.pack("=BBHI80s", 0, 0, len(text), 0, text.encode())
        self._socket.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, address + key)

    def ttl(self, hops: int) -> None:
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)

    def connect(self, seconds: float = 15) -> None:
        """Opens the TCP connection.

        Raises:
            OSError: nobody answers, or the hub refuses.
        """
        self._socket.settimeout(seconds)
        self._socket.connect((self._hub, 179))
        self._socket.settimeout(None)
        self._thread.start()

    def open(self, *, restart_time: int | None = None) -> None:
        """Brings the session up: four-octet AS numbers, route refresh and, with a restart time, graceful restart."""
        capabilities = b"\x01\x04\0\x01\0\x01" + b"\x02\0" + struct.pack("!BBI", 65, 4, ASN)
        if restart_time is not None:
            capabilities += struct.pack("!BBHHBB", 64, 6, restart_time, 1, 1, 0x80)
        parameter = bytes((2, len(capabilities))) + capabilities
        body = struct.pack("!BHH", 4, ASN, _HOLD) + IPv4Address(ADDRESS).packed + bytes((len(parameter),)) + parameter
        self.send(message(OPEN, body))
        wait_for("the hub's OPEN", lambda: self.closed or any(kind == OPEN for kind, _ in self.received))
        self.send(message(KEEPALIVE))
        wait_for("the hub's KEEPALIVE", lambda: self.closed or any(kind == KEEPALIVE for kind, _ in self.received))
        assert not self.closed, f"the hub closed the session: {self.notification}"

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def announce(self, *texts: str, attributes: Sequence[bytes] = GOOD) -> None:
        self.send(update(attributes, prefixes(*texts)))

    def withdraw(self, *texts: str) -> None:
        self.send(update((), b"", prefixes(*texts)))

    def end_of_rib(self) -> None:
        self.send(update(()))

    def ask_again(self) -> None:
        """Asks for all routes once more (RFC 2918)."""
        self.send(message(ROUTE_REFRESH, struct.pack("!HBB", 1, 0, 1)))

    def shut_down(self, text: str) -> None:
        """Ends the session with a Cease, Administrative Shutdown, that says why (RFC 9003)."""
        self.send(message(NOTIFICATION, bytes((6, 2, len(text))) + text.encode()))
        self.close()

    def _read(self) -> None:
        buffer = b""
        while True:
            try:
                if not select.select([self._socket], [], [], _BEAT)[0]:
                    self.send(message(KEEPALIVE))
                    continue
                octets = self._socket.recv(1 << 16)
            except OSError:
                octets = b""
            if not octets:
                self.closed = True
                return
            buffer += octets
            while len(buffer) >= 19 and len(buffer) >= (length := int.from_bytes(buffer[16:18])):
                self._take(buffer[18], buffer[19:length])
                buffer = buffer[length:]

    def _take(self, kind: int, body: bytes) -> None:
        if kind == NOTIFICATION:
            self.notification = body[0], body[1]
        if kind == UPDATE:
            end = 2 + int.from_bytes(body[:2])
            start = end + 2 + int.from_bytes(body[end : end + 2])
            self.routes -= set(_texts(body[2:end]))
            self.routes |= set(_texts(body[start:]))
            self.ends += len(body) == 4
        self.received.append((kind, body))

    def close(self) -> None:
        """Ends the TCP connection without a NOTIFICATION, as a router that crashes does."""
        if self._thread.is_alive():
            # Closed alone, it would live on for as long as the reader waits for it.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(timeout=30)
        self._socket.close()

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _texts(nlri: bytes) -> Iterator[str]:
    at = 0
    while at < len(nlri):
        bits = nlri[at]
        size = (bits + 7) // 8
        yield str(IPv4Network((nlri[at + 1 : at + 1 + size].ljust(4, b"\0"), bits)))
        at += 1 + size
