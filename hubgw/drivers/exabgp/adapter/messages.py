"""Octets of a BGP session <-> whole messages, and NOTIFICATIONs in words. No I/O, and no look inside an UPDATE."""

from dataclasses import dataclass
from typing import Final

from hubgw.drivers.exabgp.message import (
    CEASE,
    HEADER,
    KEEPALIVE,
    LONGEST,
    MARKER,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    UPDATE,
    message,
)

KEEPALIVE_MESSAGE: Final = message(KEEPALIVE)

# RFC 4271, 6.1 and RFC 2918: the shortest and the longest message of each type.
_LENGTHS: Final = {
    OPEN: (29, LONGEST),
    UPDATE: (23, LONGEST),
    NOTIFICATION: (21, LONGEST),
    KEEPALIVE: (HEADER, HEADER),
    ROUTE_REFRESH: (23, 23),
}

_SHUTDOWN: Final = {(CEASE, 2), (CEASE, 4)}
_HARD_RESET: Final = (CEASE, 9)

# As IANA's registry of BGP error codes and subcodes has them.
_CODES: Final = {
    1: "Message Header Error",
    2: "OPEN Message Error",
    3: "UPDATE Message Error",
    4: "Hold Timer Expired",
    5: "Finite State Machine Error",
    6: "Cease",
    7: "ROUTE-REFRESH Message Error",
    8: "Send Hold Timer Expired",
}
_SUBCODES: Final = {
    (1, 1): "Connection Not Synchronized",
    (1, 2): "Bad Message Length",
    (1, 3): "Bad Message Type",
    (2, 1): "Unsupported Version Number",
    (2, 2): "Bad Peer AS",
    (2, 3): "Bad BGP Identifier",
    (2, 4): "Unsupported Optional Parameter",
    (2, 6): "Unacceptable Hold Time",
    (2, 7): "Unsupported Capability",
    (2, 11): "Role Mismatch",
    (3, 1): "Malformed Attribute List",
    (3, 2): "Unrecognized Well-known Attribute",
    (3, 3): "Missing Well-known Attribute",
    (3, 4): "Attribute Flags Error",
    (3, 5): "Attribute Length Error",
    (3, 6): "Invalid ORIGIN Attribute",
    (3, 8): "Invalid NEXT_HOP Attribute",
    (3, 9): "Optional Attribute Error",
    (3, 10): "Invalid Network Field",
    (3, 11): "Malformed AS_PATH",
    (5, 1): "Receive Unexpected Message in OpenSent State",
    (5, 2): "Receive Unexpected Message in OpenConfirm State",
    (5, 3): "Receive Unexpected Message in Established State",
    (6, 1): "Maximum Number of Prefixes Reached",
    (6, 2): "Administrative Shutdown",
    (6, 3): "Peer De-configured",
    (6, 4): "Administrative Reset",
    (6, 5): "Connection Rejected",
    (6, 6): "Other Configuration Change",
    (6, 7): "Connection Collision Resolution",
    (6, 8): "Out of Resources",
    (6, 9): "Hard Reset",
    (6, 10): "BFD Down",
    (7, 1): "Invalid Message Length",
}


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFICATION (RFC 4271, 4.5)."""

    code: int
    subcode: int
    data: bytes = b""

    @property
    def text(self) -> str:
        """What it says in words of its sender (RFC 9003, or data that are plain ASCII), fit for a terminal."""
        if (self.code, self.subcode) in _SHUTDOWN:
            said = self.data[1 : 1 + self.data[0]] if self.data else b""
        elif (self.code, self.subcode) == _HARD_RESET:
            return self._inner.text if self._inner else ""
        else:
            said = self.data if self.data.isascii() else b""
        words = said.decode(errors="replace")
        if (self.code, self.subcode) not in _SHUTDOWN and not words.isprintable():
            return ""
        return "".join(letter if letter.isprintable() else " " for letter in words).strip()

    @property
    def words(self) -> str:
        """Its code, subcode and text.

        >>> Notification(6, 2, bytes([5]) + b"night").words
        'Cease, Administrative Shutdown: night'
        """
        words = _CODES.get(self.code, f"error code {self.code}")
        if self.subcode:
            words += f", {_SUBCODES.get((self.code, self.subcode), f'subcode {self.subcode}')}"
        if (self.code, self.subcode) == _HARD_RESET and self._inner:
            return f"{words}: {self._inner.words}"
        return f"{words}: {self.text}" if self.text else words

    @property
    def message(self) -> bytes:
        """The whole message."""
        return message(NOTIFICATION, bytes((self.code, self.subcode)) + self.data)

    @property
    def _inner(self) -> "Notification | None":
        """What a Hard Reset holds (RFC 8538, 3)."""
        if len(self.data) < 2 or self.data[:2] == bytes(_HARD_RESET):
            return None
        return Notification(self.data[0], self.data[1], self.data[2:])


@dataclass(frozen=True, slots=True)
class Cut:
    """What came on an established session: its UPDATEs and ROUTE-REFRESHes, whole and as they came, and what is left.

    `heard` tells whether any message came. After `notification`, which is theirs, or `fault`, which is our answer to
    octets that are no message, nothing more can be read.
    """

    updates: bytes
    rest: bytes
    heard: bool
    notification: Notification | None = None
    fault: Notification | None = None


def cut(octets: bytes) -> Cut:
    """Cuts what came on an established session into messages."""
    end = len(octets)
    at = start = 0
    runs: list[bytes] = []
    notification = fault = None
    while end - at >= HEADER:
        length = (octets[at + 16] << 8) | octets[at + 17]
        kind = octets[at + 18]
        if not octets.startswith(MARKER, at):
            fault = Notification(1, 1)
            break
        shortest, longest = _LENGTHS.get(kind, (HEADER, LONGEST))
        if not shortest <= length <= longest:
            fault = Notification(1, 2, octets[at + 16 : at + 18])
            break
        if at + length > end:
            break
        if kind not in (UPDATE, ROUTE_REFRESH):
            runs.append(octets[start:at])
            start = at + length
            if kind == NOTIFICATION:
                notification = Notification(octets[at + 19], octets[at + 20], octets[at + 21 : start])
                break
            if kind != KEEPALIVE:
                # RFC 6608, 3 for an OPEN: the type is what the data tells, as in RFC 4271, 6.1 for one that is unknown.
                fault = Notification(*((5, 3) if kind == OPEN else (1, 3)), bytes((kind,)))
                break
        at += length
    runs.append(octets[start:at])
    return Cut(b"".join(runs), octets[at:], at > 0, notification, fault)


def boundary(octets: bytes | memoryview, offset: int) -> int:
    """Returns where the message ends in which `offset` lies, among whole messages; `offset` itself between two."""
    at = 0
    while at < offset:
        at += max(HEADER, (octets[at + 16] << 8) | octets[at + 17])
    return at
