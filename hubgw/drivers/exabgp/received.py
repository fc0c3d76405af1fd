"""The path attributes of an UPDATE from an external peer -> canonical wire, or what RFC 7606 does instead. No I/O.

An error is one of three, the strongest decides (RFC 7606, 3 h): the attribute is discarded, the prefixes are withdrawn,
the session is reset. A reset is raised; a `Fault` withdraws, and resets only where no prefix can be named (5.2).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from hubgw.drivers.exabgp.as4 import aggregator_fault, path4_fault, widen
from hubgw.drivers.exabgp.as_path import MalformedPathError, unpacked
from hubgw.drivers.exabgp.attributes import EXTENDED_LENGTH, FLAGS, OPTIONAL, PARTIAL, TRANSITIVE, Code, canonical
from hubgw.drivers.exabgp.errors import UPDATE_ERROR, Fault, SessionReset, Subcode
from hubgw.drivers.exabgp.prefixes import unpack
from hubgw.plan.bgp import Nlri

IPV4_UNICAST: Final = b"\0\x01\x01"  # AFI and SAFI

_LAST_ORIGIN: Final = 2  # INCOMPLETE
_LOOPBACK: Final = 127
_MULTICAST: Final = 224  # and all above it: reserved, and broadcast
_CLASS: Final = OPTIONAL | TRANSITIVE


@dataclass(frozen=True, slots=True)
class Block:
    """What the attributes of one UPDATE come to. `reach` and `unreach` are the prefixes of MP_REACH_NLRI and
    MP_UNREACH_NLRI; `marker` tells that there is nothing but a MP_UNREACH_NLRI without prefixes (RFC 4724, 2)."""

    wire: bytes
    discarded: tuple[str, ...] = ()
    fault: Fault | None = None
    reach: tuple[Nlri, ...] = ()
    unreach: tuple[Nlri, ...] = ()
    marker: bool = False

    @property
    def plain(self) -> bool:
        """Whether the same octets always come to `wire`, and nothing else is to be said."""
        return not (self.discarded or self.fault or self.reach or self.unreach)


@dataclass(frozen=True, slots=True)
class _Received:
    flags: int
    value: bytes
    whole: bytes = b""


_Found = dict[int, _Received]
_Check = Callable[[bytes], tuple[Subcode, str] | None]


class AttributeParser:
    """Parses attributes of one session: `own` are the speaker's addresses, `asn4` tells how wide AS numbers are."""

    def __init__(self, own: Iterable[IPv4Address], asn4: bool) -> None:
        self._own = frozenset(address.packed for address in own)
        self._asn_size = 4 if asn4 else 2
        self._unwanted = {
            Code.LOCAL_PREF: "from an external peer",
            Code.ORIGINATOR_ID: "from an external peer",
            Code.CLUSTER_LIST: "from an external peer",
        }
        if asn4:
            self._unwanted |= dict.fromkeys(
                (Code.AS4_PATH, Code.AS4_AGGREGATOR), "from a peer of four-octet AS numbers"
            )
        self._dispensable: dict[Code, Callable[[bytes], str]] = {
            Code.ATOMIC_AGGREGATE: lambda value: f"of {len(value)} octets, not 0" if value else "",
            Code.AGGREGATOR: lambda value: aggregator_fault(value, self._asn_size),
            Code.AS4_AGGREGATOR: lambda value: aggregator_fault(value, 4),
            Code.AS4_PATH: path4_fault,
        }
        self._checks: dict[int, _Check] = {
            Code.ORIGIN: _origin,
            Code.AS_PATH: self._as_path,
            Code.NEXT_HOP: self._next_hop,
            Code.MULTI_EXIT_DISC: _multi_exit_disc,
            Code.COMMUNITIES: _multiple_of(4),
            Code.EXTENDED_COMMUNITIES: _multiple_of(8),
            Code.IPV6_EXTENDED_COMMUNITIES: _multiple_of(20),
            Code.LARGE_COMMUNITIES: _multiple_of(12),
        }

        self._usual = {code: (FLAGS[code], check) for code, check in self._checks.items()} if asn4 else {}

    def usual(self, raw: bytes) -> bool:
        """Tells whether `parse` would give the attributes of an UPDATE with NLRI back as they are, which are canonical
        and well-formed; of most others, and of some that it would, it does not."""
        at, last, mandatory, end = 0, 0, 0, len(raw)
        while at + 3 <= end:
            flags, code = raw[at], raw[at + 1]
            stop = at + 3 + raw[at + 2]
            wanted, check = self._usual.get(code, (None, None))
            if check is None or flags != wanted or code <= last or stop > end or check(raw[at + 3 : stop]):
                return False
            mandatory += code <= Code.NEXT_HOP
            at, last = stop, code
        return at == end and mandatory == Code.NEXT_HOP

    def parse(self, raw: bytes, nlri: bool) -> Block:
        """Parses the Path Attributes field of an UPDATE, whose NLRI field holds something or not.

        Raises:
            SessionReset: where RFC 7606 leaves no other way.
        """
        found, discarded, fault = _split(raw)
        reach = found.pop(Code.MP_REACH_NLRI, None)
        unreach = found.pop(Code.MP_UNREACH_NLRI, None)
        reached, next_hop = _mp_reach(reach) if reach else ((), b"")
        withdrawn = _mp_unreach(unreach) if unreach else None
        if not (found or reach or nlri or fault):
            return Block(b"", tuple(discarded), unreach=withdrawn or (), marker=withdrawn == ())
        if reached and not nlri:
            # RFC 4760, 3: beside MP_REACH_NLRI alone NEXT_HOP is to be ignored.
            found[Code.NEXT_HOP] = _Received(TRANSITIVE, next_hop)
        _refuse_unrecognised(found)
        discarded += _discard(found, self._unwanted)
        fault = fault or _wrong_class(found)
        discarded += _discard(found, self._wrong(found))
        fault = fault or self._wrong_value(found)
        if reached and not fault and (wrong := self._next_hop(next_hop)):
            fault = Fault(wrong[0], f"MP_REACH_NLRI with a next hop {wrong[1]}")
        if nlri or reached:
            fault = fault or _missing(found)
        if fault and not (nlri or (reach and (reached or reach.value[:3] != IPV4_UNICAST))):
            # RFC 7606, 5.2: prefixes may have been lost with what could not be parsed.
            raise SessionReset(UPDATE_ERROR, fault.subcode, fault.data, f"{fault.reason}, and no prefix is named")
        wire = b"" if fault else self._canonical(found)
        return Block(wire, tuple(discarded), fault, reached, withdrawn or ())

    def _wrong(self, found: _Found) -> dict[Code, str]:
        checked = ((code, check(found[code].value)) for code, check in self._dispensable.items() if code in found)
        return {code: reason for code, reason in checked if reason}

    def _wrong_value(self, found: _Found) -> Fault | None:
        for code, one in found.items():
            check = self._checks.get(code)
            if check and (wrong := check(one.value)):
                data = b"" if wrong[0] == Subcode.MALFORMED_AS_PATH else one.whole
                return Fault(wrong[0], f"{Code(code).name} {wrong[1]}", data)
        return None

    def _canonical(self, found: _Found) -> bytes:
        values = {code: one.value for code, one in found.items()}
        if self._asn_size == 2:
            widen(values)
        return canonical(
            (_flags(found[code].flags), code, value)
            for code, value in values.items()
            # An unrecognised one that is not transitive is quietly ignored (RFC 4271, 5).
            if code in FLAGS or found[code].flags & TRANSITIVE
        )

    def _as_path(self, value: bytes) -> tuple[Subcode, str] | None:
        try:
            unpacked(value, self._asn_size)
        except MalformedPathError as error:
            return Subcode.MALFORMED_AS_PATH, f"with {error}"
        return None

    def _next_hop(self, value: bytes) -> tuple[Subcode, str] | None:
        # RFC 4271, 6.3 b) asks for more of a peer on a shared subnet; a tunnel has none, and is the next hop itself.
        if len(value) != 4:
            return Subcode.ATTRIBUTE_LENGTH, f"of {len(value)} octets, not 4"
        if value[0] in (0, _LOOPBACK) or value[0] >= _MULTICAST:
            return Subcode.INVALID_NEXT_HOP, f"{IPv4Address(value)}, which is no host's address"
        if value in self._own:
            return Subcode.INVALID_NEXT_HOP, f"{IPv4Address(value)}, which is our own address"
        return None


def _split(raw: bytes) -> tuple[_Found, list[str], Fault | None]:
    """Splits the field by type code, first ones only (RFC 7606, 3 g), as far as its lengths fit (4)."""
    found: _Found = {}
    discarded: list[str] = []
    at, end = 0, len(raw)
    while at < end:
        header = 4 if raw[at] & EXTENDED_LENGTH else 3
        if end - at < header:
            reason = f"{end - at} octets after the last attribute"
            return found, discarded, Fault(Subcode.MALFORMED_ATTRIBUTE_LIST, reason)
        flags, code = raw[at], raw[at + 1]
        length = raw[at + 2] << 8 | raw[at + 3] if header == 4 else raw[at + 2]
        stop = at + header + length
        if stop > end:
            reason = f"attribute {code} of {length} octets where {end - at - header} are left"
            return found, discarded, Fault(Subcode.MALFORMED_ATTRIBUTE_LIST, reason)
        if code not in found:
            found[code] = _Received(flags, raw[at + header : stop], raw[at:stop])
        elif code in (Code.MP_REACH_NLRI, Code.MP_UNREACH_NLRI):
            reason = f"{Code(code).name} more than once"
            raise SessionReset(UPDATE_ERROR, Subcode.MALFORMED_ATTRIBUTE_LIST, b"", reason)
        else:
            discarded.append(f"attribute {code} once more")
        at = stop
    return found, discarded, None


def _mp_reach(one: _Received) -> tuple[tuple[Nlri, ...], bytes]:
    """Returns the prefixes and the next hop; nothing of another family, which was not negotiated."""
    value = one.value
    if one.flags & _CLASS != OPTIONAL:
        raise _incorrect(one, f"MP_REACH_NLRI with flags {one.flags:#04x}")
    if len(value) < 5 or len(value) < 5 + value[3]:
        raise _incorrect(one, f"MP_REACH_NLRI of {len(value)} octets")
    if value[:3] != IPV4_UNICAST:
        return (), b""
    if value[3] != 4:
        raise _incorrect(one, f"MP_REACH_NLRI with a next hop of {value[3]} octets, not 4")
    if (nlris := unpack(value[9:])) is None:
        raise _incorrect(one, "MP_REACH_NLRI with a prefix that is none")
    return tuple(nlris), value[4:8]


def _mp_unreach(one: _Received) -> tuple[Nlri, ...] | None:
    """Returns the prefixes; None where they are of another family."""
    if one.flags & _CLASS != OPTIONAL:
        raise _incorrect(one, f"MP_UNREACH_NLRI with flags {one.flags:#04x}")
    if len(one.value) < 3:
        raise _incorrect(one, f"MP_UNREACH_NLRI of {len(one.value)} octets")
    if one.value[:3] != IPV4_UNICAST:
        return None
    if (nlris := unpack(one.value[3:])) is None:
        raise _incorrect(one, "MP_UNREACH_NLRI with a prefix that is none")
    return tuple(nlris)


def _incorrect(one: _Received, reason: str) -> SessionReset:
    return SessionReset(UPDATE_ERROR, Subcode.OPTIONAL_ATTRIBUTE, one.whole, reason)


def _refuse_unrecognised(found: _Found) -> None:
    for code, one in found.items():
        if code not in FLAGS and not one.flags & OPTIONAL:
            reason = f"unrecognised well-known attribute {code}"
            raise SessionReset(UPDATE_ERROR, Subcode.UNRECOGNIZED_WELL_KNOWN, one.whole, reason)


def _discard(found: _Found, reasons: dict[Code, str]) -> list[str]:
    return [f"{code.name} {reasons[code]}" for code in reasons if found.pop(code, None)]


def _wrong_class(found: _Found) -> Fault | None:
    for code, one in found.items():
        if code in FLAGS and one.flags & _CLASS != FLAGS[code]:
            return Fault(Subcode.ATTRIBUTE_FLAGS, f"{Code(code).name} with flags {one.flags:#04x}", one.whole)
    return None


def _missing(found: _Found) -> Fault | None:
    for code in (Code.ORIGIN, Code.AS_PATH, Code.NEXT_HOP):
        if code not in found:
            return Fault(Subcode.MALFORMED_ATTRIBUTE_LIST, f"{code.name} is missing")
    return None


def _flags(flags: int) -> int:
    # The Partial bit of any other kind means nothing (RFC 4271, 4.3).
    return flags & (_CLASS | PARTIAL) if flags & _CLASS == _CLASS else flags & _CLASS


def _origin(value: bytes) -> tuple[Subcode, str] | None:
    if len(value) != 1:
        return Subcode.ATTRIBUTE_LENGTH, f"of {len(value)} octets, not 1"
    return (Subcode.INVALID_ORIGIN, f"of value {value[0]}") if value[0] > _LAST_ORIGIN else None


def _multi_exit_disc(value: bytes) -> tuple[Subcode, str] | None:
    return (Subcode.ATTRIBUTE_LENGTH, f"of {len(value)} octets, not 4") if len(value) != 4 else None


def _multiple_of(size: int) -> _Check:
    def check(value: bytes) -> tuple[Subcode, str] | None:
        if value and len(value) % size == 0:
            return None
        return Subcode.OPTIONAL_ATTRIBUTE, f"of {len(value)} octets, no multiple of {size}"

    return check
