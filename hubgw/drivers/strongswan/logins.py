"""Events of charon -> users' SAs that came, went, were rekeyed or carried something. No I/O."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hubgw.drivers.strongswan.codec import IkeSa, ike_sas
from hubgw.drivers.strongswan.message import beginning, decode
from hubgw.names import BARRED, interface_of


@dataclass(frozen=True, slots=True)
class Came:
    """An IKE SA has a child: a client has its address, and carries."""

    sa: IkeSa


@dataclass(frozen=True, slots=True)
class Barred:
    """An IKE SA is there of whoever is to get nothing."""

    sa: IkeSa


@dataclass(frozen=True, slots=True)
class Went:
    """An IKE SA is no more."""

    ike_sa: int


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """An IKE SA goes on as another."""

    old: int
    new: IkeSa


@dataclass(frozen=True, slots=True)
class Carried:
    """What a child of an IKE SA had carried when it was closed or replaced."""

    ike_sa: int
    bytes_in: int
    bytes_out: int


Login = Came | Barred | Went | Rekeyed | Carried

KINDS = ("ike-updown", "child-updown", "ike-rekey", "child-rekey")


def read(kind: str, octets: bytes) -> dict[str, Any]:
    """Returns what an event says; of an IKE SA that came or went its number, unless whoever made it is to get nothing.

    An event of its child says the rest. Raises MalformedError.
    """
    if kind == "ike-updown" and BARRED.encode() not in octets:
        return beginning(octets, "uniqueid")
    return decode(octets)


def hear(kind: str, message: Mapping[str, Any], users: Container[str]) -> Iterator[Login]:
    """Yields what an event says of IKE SAs whose connections are of an interface among `users`."""
    up = message.get("up") == b"yes"
    for name, told in message.items():
        if not isinstance(told, Mapping) or interface_of(name) not in users:
            continue
        if kind == "ike-rekey":
            yield from (Rekeyed(_number(told.get("old", {})), new) for new in ike_sas([{name: told.get("new", {})}]))
        elif kind == "child-rekey":
            replaced = (child["old"] for child in told.get("child-sas", {}).values() if "old" in child)
            yield from (_carried(told, child) for child in replaced)
        elif kind == "ike-updown" and not up:
            yield Went(_number(told))
        elif kind == "ike-updown" and name.endswith(BARRED):
            yield from map(Barred, ike_sas([{name: told}]))
        elif kind == "child-updown" and not up:
            yield from (_carried(told, child) for child in told.get("child-sas", {}).values())
        elif kind == "child-updown":
            yield from map(Came, ike_sas([{name: told}]))


def _carried(sa: Mapping[str, Any], child: Mapping[str, Any]) -> Carried:
    return Carried(_number(sa), int(child.get("bytes-in", 0)), int(child.get("bytes-out", 0)))


def _number(sa: Mapping[str, Any]) -> int:
    return int(sa.get("uniqueid", 0))
