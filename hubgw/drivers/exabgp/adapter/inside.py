# ruff: noqa: E402 - another version of ExaBGP may lack what is imported once it is refused
"""ExaBGP's peers with a helper at a socket instead of a pipe; the one file that reaches inside ExaBGP.

Its configuration, OPEN, negotiation, state machine and collisions are its own. Replaced are how it dials, and what an
established session reads and writes: messages go to the helper undecoded, and come from it ready made.
"""

import base64
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from ipaddress import IPv4Address
from typing import Any, Final, Protocol

KNOWN: Final = "5.0.15"
if (_found := version("exabgp")) != KNOWN:
    sys.exit(f"exabgp: version {_found}, and hubgw's adapter knows no other than {KNOWN}; install that")

import exabgp.util.dns

# What follows asks for the machine's domain when it is loaded: a resolver that does not answer would take 10 seconds.
exabgp.util.dns.domain = str

import exabgp.reactor.peer
import exabgp.reactor.protocol
from exabgp.bgp.fsm import FSM
from exabgp.bgp.message import Message, Notify
from exabgp.bgp.message import Notification as Received
from exabgp.bgp.message.open.capability import REFRESH, Capability
from exabgp.configuration.configuration import Configuration
from exabgp.environment import getenv
from exabgp.logger import log
from exabgp.protocol.family import AFI, SAFI
from exabgp.reactor.network.error import LostConnection, NetworkError, NotConnected
from exabgp.reactor.network.incoming import Incoming
from exabgp.reactor.network.outgoing import Outgoing
from exabgp.reactor.peer import ACTION

from hubgw.drivers.exabgp import conf
from hubgw.drivers.exabgp.adapter import tcp
from hubgw.drivers.exabgp.adapter.channel import Channel
from hubgw.drivers.exabgp.adapter.messages import KEEPALIVE_MESSAGE, Notification, cut
from hubgw.drivers.exabgp.adapter.outbox import Outbox
from hubgw.drivers.exabgp.frames import Kind, document, frame, pack_peer
from hubgw.drivers.exabgp.message import CEASE

_IPV4: Final = (AFI.ipv4, SAFI.unicast)
_DIAL: Final = 5.0  # seconds for a TCP connection: once a tunnel is up, a new SYN comes before a repeated one
_LONGEST_DELAY: Final = 10.0  # seconds between two attempts
_TICK: Final = 1.0  # seconds: ExaBGP's own timers while a session is being made; sockets wake it before
_BURST: Final = 20  # turns in a row while a session is being made
_SETTLE: Final = 5.0  # seconds in which a second connection is one that crossed the first on its way
_SEND_HOLD: Final = 480.0  # seconds (RFC 9687, 6)
_UNREAD: Final = 64 * 1024 * 1024  # octets that wait for one peer: several times the Internet's whole table
_KEPT: Final = 1024 * 1024  # octets of a session that are kept for a helper that is not there yet
_EVER: Final = float("inf")

_OCTETS: Final = bytearray(256 * 1024)
_VIEW: Final = memoryview(_OCTETS)


class Reactor(Protocol):
    """What runs the peers: their way to the helper, and who takes over connections that end."""

    channel: Channel

    def part(self, sock: socket.socket, octets: bytes) -> None:
        """Writes last words and closes."""
        ...


def configure() -> None:
    """Has ExaBGP log its errors to standard error, and nothing less: each attempt to connect is a warning to it."""
    environment = getenv()
    environment.log.level = "ERROR"
    environment.log.destination = "stderr"
    log.init(environment)


def load(text: str) -> dict[bytes, Any]:
    """Returns ExaBGP's neighbors of a configuration, by the octets of their address.

    Each time by a parser of its own: after an error ExaBGP's holds what it had read, and takes it for a duplicate.

    Raises:
        ValueError: with what ExaBGP says to it, without passwords.
    """
    if not conf.digest(text):
        raise ValueError("it is not whole: its first line does not name the digest of the rest")
    if "\nneighbor" not in text:
        return {}
    configuration = Configuration([text], text=True)
    if not configuration.reload():
        raise ValueError(" ".join(conf.redact(str(configuration.error), text).split()))
    found = configuration.neighbors.values()
    return {IPv4Address(neighbor["peer-address"].top()).packed: neighbor for neighbor in found}


def secret_of(neighbor: Any) -> bytes:
    """Returns a neighbor's MD5 key, b"" where it has none; the configuration has it in base64."""
    return base64.b64decode(neighbor["md5-password"] or "")


@Message.register
class Theirs(Received):  # type: ignore[misc]
    """A NOTIFICATION whose data stay as they came; ExaBGP makes words of them, and refuses RFC 9003's longer texts."""

    def __init__(self, code: int, subcode: int, data: bytes = b"") -> None:
        super().__init__(code, subcode, data, parse_data=False)


class Delay:
    """The wait before the next attempt, by a clock that nobody sets; ExaBGP's follows the time of day."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.until = self._next = 0.0

    def increase(self) -> None:
        self.until = time.monotonic() + self._next
        self._next = min(1 + 1.2 * self._next, _LONGEST_DELAY)

    def backoff(self) -> bool:
        return time.monotonic() < self.until


class Dial(Outgoing):  # type: ignore[misc]
    """A connection that is made or fails; ExaBGP's tries again at once for ever, and takes a refusal for a success."""

    def establish(self) -> Iterator[bool]:
        until = time.monotonic() + _DIAL
        try:
            self.io = tcp.opened(self.interface or "")
            tcp.set_key(self.io, self.peer, base64.b64decode(self.md5 or ""))
            self.io.bind((self.local, 0))
            self.io.connect_ex((self.peer, self.port))
        except OSError as error:
            raise NotConnected(error.strerror) from None
        while not self.writing():
            if time.monotonic() > until:
                raise NotConnected(f"no answer within {_DIAL:g} s")
            yield False
        if code := self.io.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise NotConnected(os.strerror(code))
        self.success()
        yield True


class Connection(exabgp.reactor.protocol.Protocol):  # type: ignore[misc]
    """A peer's connection. What an established session has to write waits in `outbox`.

    `kept` are the frames of a session that no helper has seen yet; None once one was seen, or dropped.
    """

    def __init__(self, peer: "Peer") -> None:
        super().__init__(peer)
        self.outbox = Outbox()
        self.kept: list[bytes] | None = []
        self._rest = b""
        self._moved = time.monotonic()

    def connect(self) -> Iterator[bool]:
        self.peer.dialled = self
        yield from super().connect()

    def new_notification(self, notification: Any) -> Iterator[Any]:
        # ExaBGP would wait for a peer that does not read, and break a message that is partly out.
        if self.connection and self.connection.io:
            io, self.connection.io = self.connection.io, None
            self.peer.reactor.part(io, self.outbox.unsent() + notification.message())
        yield notification

    def receive(self) -> bool:
        """Reads once, hands on what came and tells whether any message did. Raises what ends the session."""
        try:
            count = self.connection.io.recv_into(_OCTETS)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LostConnection(error.strerror) from None
        if not count:
            raise LostConnection("closed by the peer")
        came = cut(b"".join((self._rest, _VIEW[:count])))
        self._rest = came.rest
        if came.updates:
            self._hand_on(frame(Kind.RECEIVED, pack_peer(self.peer.address), came.updates))
        if came.notification:
            raise Theirs(came.notification.code, came.notification.subcode, came.notification.data)
        if came.fault:
            raise Notify(came.fault.code, came.fault.subcode, came.fault.data)
        return came.heard

    def flush(self, now: float) -> None:
        """Writes what can be written. Raises what ends the session."""
        try:
            if self.outbox.flush(self.connection.io) or not self.outbox:
                self._moved = now
        except OSError as error:
            raise LostConnection(error.strerror) from None
        if now - self._moved >= _SEND_HOLD:
            raise Notify(8, 0, b"")

    def _hand_on(self, octets: bytes) -> None:
        if self.peer.reactor.channel.send(octets):
            self.kept = None
        elif self.kept is not None:
            self.kept.append(octets)
            if sum(map(len, self.kept)) > _KEPT:
                self.kept = None


class Peer(exabgp.reactor.peer.Peer):  # type: ignore[misc]
    """A neighbor: ExaBGP makes its sessions, and `_main` is what happens on one that is established.

    `due` (monotonic) is when it wants a turn though nothing came. `session` is what the helper was told last.
    """

    def __init__(self, neighbor: Any, reactor: Reactor) -> None:
        super().__init__(neighbor, reactor)
        self.neighbor: Any = neighbor
        self._restarted: bool
        self._delay = Delay()
        self.address: str = neighbor["peer-address"].top()
        self.due = 0.0
        self.dialled: Connection | None = None
        self.session: dict[str, Any] = {}
        self._told("down")
        self._held_until = 0.0
        self._settled_at = 0.0

    @property
    def local(self) -> str:
        """Our address of its sessions."""
        return str(self.neighbor["local-address"].top())

    @property
    def endpoint(self) -> tcp.Endpoint:
        """What listening sockets know of it."""
        return tcp.Endpoint(
            address=self.address,
            local=self.local,
            port=int(self.neighbor["listen"]),
            device=self.neighbor["source-interface"] or "",
            secret=secret_of(self.neighbor),
        )

    @property
    def established(self) -> bool:
        return bool(self.fsm == FSM.ESTABLISHED)

    @property
    def graceful(self) -> bool:
        """Whether a session with graceful restart is up."""
        negotiated = self.session["negotiated"]
        return bool(self.established and negotiated and negotiated["graceful_restart"])

    @property
    def watched(self) -> tuple[int, int]:
        """Its socket, -1 without one, and the events that it waits for."""
        connection = self.proto or self.dialled
        if connection is None:
            return -1, 0
        if self.proto is None:
            return connection.fd(), select.POLLOUT
        if not self.established:
            return connection.fd(), select.POLLIN
        mask = 0 if self.reactor.channel.full else select.POLLIN
        return connection.fd(), mask | (select.POLLOUT if connection.outbox else 0)

    def wake(self) -> None:
        """Has it take a turn now."""
        self.due = 0.0

    def turn(self) -> None:
        """Does what can be done now, without waiting."""
        for _ in range(_BURST):
            if self.run() != ACTION.NOW:
                break

    def run(self) -> Any:
        now = time.monotonic()
        if now < self._held_until and not self.established:
            self.due = self._held_until
        elif self.proto is None and self.neighbor["passive"]:
            self.due = _EVER
        elif self.generator is None and self._delay.backoff():
            self.due = self._delay.until
        else:
            # The first turn does no more than make the generator.
            self.due = now if self.generator is None else now + _TICK
            return super().run()
        return ACTION.LATER

    def send(self, octets: bytes) -> None:
        """Queues whole messages; what comes too late for a session is dropped."""
        if self.established:
            self.proto.outbox.put(octets)
            if self.proto.outbox.size > _UNREAD:
                self.end(Notification(CEASE, 8))
            self.wake()

    def end(self, why: Notification | str) -> None:
        """Ends what there is of a session at once, with a NOTIFICATION or without a word."""
        self.generator = None
        if self.proto and isinstance(why, Notification):
            notify = Notify(why.code, why.subcode, why.data)
            for _ in self.proto.new_notification(notify):
                self._close("", notify)
        elif self.proto or self.dialled:
            self._close(why if isinstance(why, str) else why.words)
        self.wake()

    def hold(self, why: Notification | None, seconds: int) -> None:
        """Ends the session, and neither dials nor accepts for a time. Without a reason one that is up goes on."""
        self._held_until = time.monotonic() + seconds
        if why or not self.established:
            self.end(why or Notification(CEASE, 5))

    def change(self, neighbor: Any) -> None:
        """Makes a new session as another configuration has it. A graceful peer keeps what it learned meanwhile."""
        quietly = self.graceful and self.neighbor.name() == neighbor.name()
        self._restarted = self._restarted or quietly
        self.end("its configuration changed" if quietly else Notification(CEASE, 6))
        self.neighbor = neighbor
        self._delay.reset()

    def remove(self) -> None:
        """Ends it for good."""
        self.end(Notification(CEASE, 3))
        self.neighbor.rib.uncache()

    def accept(self, sock: socket.socket) -> None:
        """Takes, or refuses, a connection that the peer made."""
        if time.monotonic() < self._held_until:
            self.reactor.part(sock, Notification(CEASE, 5).message)
            return
        if self.graceful and time.monotonic() >= self._settled_at:
            # RFC 4724, 5: a peer that connects again has restarted, and its old session is over.
            self.end("the peer restarted: it connected again")
        try:
            connection = Incoming(AFI.ipv4, self.address, self.local, sock)
        except NetworkError:
            return
        # ExaBGP returns a refusal as a generator that writes it, and runs it nowhere.
        if self.handle_connection(connection):
            connection.io = None
            self.reactor.part(sock, Notification(CEASE, 7).message)
            return
        self._hang_up()
        self.wake()

    def welcome(self) -> Iterator[bytes]:
        """Yields what a helper that has just connected shall know; `complete` tells whether it misses no UPDATE."""
        kept = self.proto.kept if self.established else None
        yield document(Kind.SESSION, {**self.session, "complete": kept is not None})
        if kept:
            yield from kept
            self.proto.kept = None

    def _send_open(self) -> Iterator[Any]:
        self.dialled = None
        self._tell("connected")
        yield from super()._send_open()

    def _main(self) -> Iterator[int]:
        connection = self.proto
        hold = int(connection.negotiated.holdtime)
        heard = sent = time.monotonic()
        self._delay.reset()
        self._settled_at = heard + _SETTLE
        self._tell("up", negotiated=_negotiated(connection.negotiated))
        while True:
            paused = self.reactor.channel.full
            if not paused and connection.receive():
                heard = time.monotonic()
            now = time.monotonic()
            if hold and now - heard >= hold and not paused:
                raise Notify(4, 0, b"")
            if hold and now - sent >= hold / 3:
                connection.outbox.interject(KEEPALIVE_MESSAGE)
                sent = now
            connection.flush(now)
            self.due = now + _SEND_HOLD if connection.outbox else _EVER
            if hold:
                self.due = min(self.due, sent + hold / 3, _EVER if paused else heard + hold)
            yield ACTION.LATER

    def _hang_up(self) -> None:
        if self.dialled:
            self.dialled.close()
            self.dialled = None

    def _close(self, message: str = "", error: Any = "") -> None:
        self._hang_up()
        was = self.session
        super()._close(message, error)
        reason, notification = _why(message, error, made=was["state"] != "down")
        if was["state"] != "down" or was["reason"] != reason:
            self._tell("down", reason, notification)

    def _tell(self, state: str, reason: str = "", notification: Any = None, negotiated: Any = None) -> None:
        self._told(state, reason, notification, negotiated)
        self.reactor.channel.send(document(Kind.SESSION, self.session))

    def _told(self, state: str, reason: str = "", notification: Any = None, negotiated: Any = None) -> None:
        self.session = {
            "peer": self.address,
            "state": state,
            "reason": reason,
            "notification": notification,
            "negotiated": negotiated,
            "since": time.time(),
        }


def _why(message: str, error: Any, made: bool) -> tuple[str, dict[str, Any] | None]:
    """Returns in words why a session ended, and the NOTIFICATION. `made`: there was a connection."""
    if isinstance(error, NetworkError):
        return f"the TCP connection was lost: {error}" if made else f"could not connect: {error}", None
    if not isinstance(error, Received):
        return message or "ExaBGP failed; its log says how", None
    ours = isinstance(error, Notify)
    told = Notification(error.code, error.subcode, bytes(error.data))
    reason = f"{'our' if ours else 'their'} NOTIFICATION: {told.words}"
    if ours and told.code in {4, 8}:
        reason = "hold timer expired" if told.code == 4 else "send hold timer expired"
    return reason, {"sent": ours, "code": told.code, "subcode": told.subcode, "text": told.text}


def _negotiated(negotiated: Any) -> dict[str, Any]:
    theirs = negotiated.received_open.capabilities
    restart = theirs.get(Capability.CODE.GRACEFUL_RESTART)
    return {
        "hold_time": int(negotiated.holdtime),
        "asn4": bool(negotiated.asn4),
        "route_refresh": negotiated.refresh != REFRESH.ABSENT,
        "enhanced_refresh": negotiated.refresh == REFRESH.ENHANCED,
        "router_id": str(negotiated.received_open.router_id),
        "graceful_restart": None if restart is None else _restart(restart),
        # RFC 4760 came later: a peer that says nothing of families speaks IPv4 unicast.
        "ipv4_unicast": _IPV4 in negotiated.families or Capability.CODE.MULTIPROTOCOL not in theirs,
    }


def _restart(restart: Any) -> dict[str, Any]:
    return {
        "time": restart.restart_time,
        "restarting": bool(restart.restart_flag & 0x8),
        "forwarding": bool(restart.get(_IPV4, 0) & 0x80),
        "ipv4_unicast": _IPV4 in restart,
    }


exabgp.reactor.peer.Protocol = Connection
exabgp.reactor.protocol.Outgoing = Dial
