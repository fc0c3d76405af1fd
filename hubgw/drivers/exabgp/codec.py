"""BGP messages of an established session as they came -> what they announce and withdraw. No I/O.

What is malformed is handled as RFC 7606 says for an external peer and IPv4 unicast. Consecutive UPDATEs with the same
attributes come as one, and attributes that came before are not parsed again: a peer may send a hundred thousand
UPDATEs of one prefix each.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from hubgw.drivers.exabgp.attributes import REMEMBERED
from hubgw.drivers.exabgp.errors import (
    BAD_MESSAGE_LENGTH,
    INVALID_REFRESH_LENGTH,
    MESSAGE_HEADER_ERROR,
    ROUTE_REFRESH_ERROR,
    UPDATE_ERROR,
    SessionReset,
    Subcode,
)
from hubgw.drivers.exabgp.message import HEADER, ROUTE_REFRESH, UPDATE, message
from hubgw.drivers.exabgp.prefixes import unpack, unpack_into
from hubgw.drivers.exabgp.received import AttributeParser
from hubgw.plan.bgp import Nlri

_CACHED: Final = 16384  # blocks of attributes: about what a hundred thousand routes of the Internet have
_LENGTHS: Final = 4  # octets of the two length fields in an UPDATE
_SHORTEST: Final = HEADER + _LENGTHS
_NONE: Final = b""  # the attributes of an UPDATE that only withdraws


class Update(NamedTuple):  # several hundred thousand a second: what a frozen dataclass costs is felt
    """What UPDATEs say. `withdrawn` comes before `announced`, whose attributes are canonical wire.

    `messages` counts the UPDATEs; `discarded` says which attributes were discarded, and why; `treated_as_withdraw` why
    all prefixes are in `withdrawn`, "" where they are not.
    """

    announced: list[Nlri]
    withdrawn: list[Nlri]
    wire: bytes
    messages: int = 1
    discarded: tuple[str, ...] = ()
    treated_as_withdraw: str = ""
    end_of_rib: bool = False


class Refresh(NamedTuple):
    """A ROUTE-REFRESH for IPv4 unicast: a request, or where the answer to ours begins and ends (RFC 7313)."""

    subtype: int


class Decoder:
    """Decodes one session's messages: `own` are the speaker's addresses, `asn4` tells how wide AS numbers are."""

    def __init__(self, own: Iterable[IPv4Address], asn4: bool) -> None:
        self._parser = AttributeParser(own, asn4)
        self._plain: dict[bytes, bytes] = {}

    def decode(self, octets: bytes) -> Iterator[Update | Refresh]:
        """Yields what whole messages say.

        Raises:
            SessionReset: what came before has been yielded, and nothing that follows counts.
        """
        nlris: list[Nlri] = []
        wire, messages = _NONE, 0
        at, end = 0, len(octets)
        while end - at >= HEADER:
            stop = at + (octets[at + 16] << 8 | octets[at + 17])
            if stop < at + HEADER or stop > end:
                break
            known, field, field_end = self._known(octets, at, stop)
            if known is not None:
                if known != wire:
                    if nlris:
                        yield _run(nlris, wire, messages)
                    nlris, wire, messages = [], known, 0
                before = len(nlris)
                if unpack_into(nlris, octets, field, field_end):
                    messages += 1
                    at = stop
                    continue
                del nlris[before:]
            if nlris:
                yield _run(nlris, wire, messages)
            nlris, messages = [], 0
            said = self._one(octets[at + 18], octets[at + HEADER : stop])
            if isinstance(said, Update) and said.announced and not (said.withdrawn or said.discarded):
                nlris, _, wire, messages, *_ = said
            elif said:
                yield said
            at = stop
        if nlris:
            yield _run(nlris, wire, messages)
        if at != end:
            raise SessionReset(MESSAGE_HEADER_ERROR, BAD_MESSAGE_LENGTH, octets[at + 16 : at + 18], "no whole message")

    def _known(self, octets: bytes, at: int, stop: int) -> tuple[bytes | None, int, int]:
        """Returns where the prefixes of an UPDATE are that only withdraws, or only announces with attributes that came
        before; and these, None where it is another message."""
        if octets[at + 18] == UPDATE and stop - at > _SHORTEST:
            withdrawn = octets[at + 19] << 8 | octets[at + 20]
            if not withdrawn:
                field = at + _SHORTEST + (octets[at + 21] << 8 | octets[at + 22])
                if field < stop:
                    raw = octets[at + _SHORTEST : field]
                    wire = self._plain.get(raw)
                    if wire is None and self._parser.usual(raw):
                        wire = self._remember(raw, raw)
                    return wire, field, stop
            elif withdrawn == stop - at - _SHORTEST and not (octets[stop - 2] or octets[stop - 1]):
                return _NONE, at + 21, stop - 2
        return None, at, stop

    def _remember(self, raw: bytes, wire: bytes) -> bytes:
        if len(raw) <= REMEMBERED:
            if len(self._plain) >= _CACHED:
                self._plain.clear()
            self._plain[raw] = wire
        return wire

    def _one(self, kind: int, body: bytes) -> Update | Refresh | None:
        if kind == ROUTE_REFRESH:
            return _refresh(body)
        return self._update(body) if kind == UPDATE else None

    def _update(self, body: bytes) -> Update:
        if len(body) < _LENGTHS:
            length = (HEADER + len(body)).to_bytes(2, "big")
            reason = f"an UPDATE of {HEADER + len(body)} octets"
            raise SessionReset(MESSAGE_HEADER_ERROR, BAD_MESSAGE_LENGTH, length, reason)
        attributes = 2 + (body[0] << 8 | body[1])
        if attributes + 2 > len(body):
            raise _inconsistent("Withdrawn Routes", attributes - 2, len(body) - _LENGTHS)
        start = attributes + 2
        field = start + (body[attributes] << 8 | body[attributes + 1])
        if field > len(body):
            raise _inconsistent("Path Attributes", field - start, len(body) - start)
        withdrawn = _prefixes("Withdrawn Routes", body[2:attributes])
        announced = _prefixes("NLRI", body[field:])
        if len(body) == _LENGTHS:
            return Update([], [], b"", end_of_rib=True)
        raw = body[start:field]
        block = self._parser.parse(raw, bool(announced))
        if announced and block.plain:
            self._remember(raw, block.wire)
        withdrawn += block.unreach
        announced += block.reach
        if block.fault:
            return Update([], withdrawn + announced, b"", 1, block.discarded, block.fault.reason)
        return Update(announced, withdrawn, block.wire, 1, block.discarded, "", block.marker and not withdrawn)


def _run(nlris: list[Nlri], wire: bytes, messages: int) -> Update:
    return Update(nlris, [], wire, messages) if wire else Update([], nlris, _NONE, messages)


def _prefixes(name: str, field: bytes) -> list[Nlri]:
    nlris = unpack(field)
    if nlris is None:
        raise SessionReset(UPDATE_ERROR, Subcode.INVALID_NETWORK_FIELD, b"", f"{name} with a prefix that is none")
    return nlris


def _inconsistent(name: str, length: int, left: int) -> SessionReset:
    reason = f"{name} of {length} octets where {left} are left"
    return SessionReset(UPDATE_ERROR, Subcode.MALFORMED_ATTRIBUTE_LIST, b"", reason)


def _refresh(body: bytes) -> Refresh | None:
    if len(body) != 4:
        reason = f"a ROUTE-REFRESH of {HEADER + len(body)} octets, not {HEADER + 4}"
        raise SessionReset(ROUTE_REFRESH_ERROR, INVALID_REFRESH_LENGTH, message(ROUTE_REFRESH, body), reason)
    return Refresh(body[2]) if body[:2] == b"\0\x01" and body[3] == 1 else None
