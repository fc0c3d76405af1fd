"""Operations on one speaker and its neighbors -> what shall be there after them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from hubgw.drivers.exabgp.directory import SPEAKER, fault
from hubgw.plan.diff import target
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Create, Delete, Op, OpError, Update


@dataclass(slots=True)
class Change:
    """What becomes of one speaker (None where it is not, or goes), by the operations that can be carried out."""

    speaker: Speaker | None
    neighbors: dict[IPv4Address, Neighbor]
    accepted: list[Op] = field(default_factory=list)
    errors: list[OpError] = field(default_factory=list)


def speaker_of(op: Op) -> str:
    """Returns the name of the speaker that an operation is about."""
    match target(op):
        case Speaker(name=name) | Neighbor(speaker=name):
            return name
        case _:
            raise TypeError(f"exabgp: {op} is not a speaker's to carry out")


def merge(before: Speaker | None, neighbors: Iterable[Neighbor], ops: Sequence[Op]) -> Change:
    """Returns what shall be there after the operations, less those that cannot be."""
    change = Change(before, {one.address: one for one in neighbors})
    # A neighbor needs its speaker, whatever the order.
    for op in sorted(ops, key=lambda op: not isinstance(target(op), Speaker)):
        match op:
            case Delete(Speaker(name=name)) if not SPEAKER.fullmatch(name):
                change.errors.append(OpError(op, f"{name!r} is no name of a speaker"))
                continue
            case Delete(Speaker()):
                change.speaker = None
            case Delete(Neighbor(address=address)):
                change.neighbors.pop(address, None)
            case Create(Speaker() | Neighbor() as new) | Update(_, Speaker() | Neighbor() as new) if why := fault(new):
                change.errors.append(OpError(op, why))
                continue
            case Create(Speaker() as new) | Update(_, Speaker() as new):
                change.speaker = new
            case Create(Neighbor() as new) | Update(_, Neighbor() as new) if change.speaker:
                change.neighbors[new.address] = new
            case _:
                change.errors.append(OpError(op, "its speaker is not there"))
                continue
        change.accepted.append(op)
    return change
