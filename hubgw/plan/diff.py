"""Wanted objects and seen objects -> the operations that turn one into the other, in the order to carry them out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from ipaddress import IPv4Network
from itertools import groupby

from hubgw.plan.ipsec import IkeCertificate, IkeConnection, IkeKey, IkePool, IkeRadius, IkeSecret, IkeServer, IkeUser
from hubgw.plan.kernel import (
    Address,
    Classifier,
    Element,
    Gateway,
    Group,
    Key,
    Nexthop,
    OnLink,
    Port,
    Route,
    Rule,
    Ruleset,
    Sysctl,
    Translation,
    Tunnel,
    Tunnels,
    Unreachable,
    Vrf,
)
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Create, Delete, Object, Op, Update

# Fail closed: rules and last-resort routes come before any link that could carry traffic.
_MAKE: dict[type, int] = {
    Sysctl: 20,
    Ruleset: 21,
    Element: 22,
    Vrf: 23,
    Tunnel: 25,
    # With its tunnel: what is routed there before would leave as it came.
    Classifier: 25,
    Translation: 25,
    Port: 26,
    Address: 27,
    Nexthop: 28,
    Group: 29,
    Route: 30,
    # A table that has no route yet is no end: the packet would go on to the next rule.
    Rule: 31,
    IkeSecret: 33,
    IkeUser: 33,
    IkeKey: 33,
    IkeCertificate: 33,
    IkePool: 33,
    IkeRadius: 33,
    IkeConnection: 34,
    IkeServer: 34,
    Speaker: 36,
    Neighbor: 37,
}
_LAST_RESORT = 24
# A peer that is answered before every connection is loaded gives up.
_OPEN = 35

# Make before break: what replaces an object is there before the object goes, and rules go last of all.
_BREAK: dict[type, int] = {
    # While its tunnels stand: the branch hears it from a NOTIFICATION.
    Neighbor: 8,
    Speaker: 9,
    Rule: 39,
    Route: 40,
    Group: 41,
    Nexthop: 42,
    Address: 43,
    Translation: 43,
    Classifier: 43,
    Port: 44,
    Tunnel: 45,
    Vrf: 47,
    IkeSecret: 48,
    IkeUser: 48,
    IkeKey: 48,
    IkeCertificate: 48,
    IkePool: 48,
    IkeRadius: 48,
    Element: 49,
    Ruleset: 50,
}
_BREAK_LAST_RESORT = 46


def diff(wanted: Iterable[Object], seen: Iterable[Object]) -> list[Op]:
    """Returns the operations that are left to do, ordered; empty when all is as wanted.

    What is wanted twice is wanted once: a group of the plan may be one of learned routes as well. A sysctl is never
    deleted: what it was before is not ours to know.
    """
    wanted = list({obj.key: obj for obj in wanted}.values())
    unseen = {obj.key: obj for obj in seen}
    flushed = _flushed(wanted, unseen)
    ops: list[Op] = []
    for obj in wanted:
        old = unseen.pop(obj.key, None)
        if old is None or obj.key in flushed:
            ops.append(Create(obj))
        elif old != obj:
            ops.append(Update(old, obj))
    ops.extend(Delete(obj) for obj in unseen.values() if not isinstance(obj, Sysctl))
    return order(ops)


def order(ops: Iterable[Op]) -> list[Op]:
    """Sorts operations so that nothing is open, and nothing lost, in between."""
    ops = list(ops)
    coming = [op.new for op in ops if not isinstance(op, Delete)]
    bridged = {name for obj in coming if isinstance(obj, Port) for name in obj.ports}
    intervals: dict[str, list[IPv4Network]] = {}
    for obj in coming:
        if isinstance(obj, Element) and obj.set == "not_in_fib":
            intervals.setdefault(obj.item[0], []).append(IPv4Network(obj.item[1]))
    return sorted(ops, key=lambda op: _makes_room(op, bridged, intervals) or _rank(op))


def runs(ops: Iterable[Op]) -> Iterator[tuple[str, list[Op]]]:
    """Cuts ordered operations into runs for one driver each: ``netlink``, ``nftables``, ``strongswan``, ``exabgp``."""
    for driver, run in groupby(ops, key=driver_of):
        yield driver, list(run)


def driver_of(op: Op) -> str:
    """Names the driver that carries out an operation."""
    match target(op):
        case Ruleset() | Element():
            return "nftables"
        case (
            IkeConnection()
            | IkeServer()
            | IkePool()
            | IkeRadius()
            | IkeSecret()
            | IkeUser()
            | IkeKey()
            | IkeCertificate()
        ):
            return "strongswan"
        case Speaker() | Neighbor():
            return "exabgp"
        case _:
            return "netlink"


def target(op: Op) -> Object:
    """Returns the object that an operation is about: the new one where there is one."""
    return op.old if isinstance(op, Delete) else op.new


def _flushed(wanted: Iterable[Object], seen: Mapping[Key, Object]) -> set[Key]:
    """Returns the keys of what the kernel drops with an interface that is made anew, or changes its VRF."""
    remade, cycled = set(), set()
    for obj in wanted:
        match obj, seen.get(obj.key):
            case (Tunnel() as new, Tunnel() as old) if new.if_id != old.if_id:
                remade.add(new.name)
            case (Port() as new, Port() as old) if _device(new) != _device(old):
                remade.add(new.name)
            case (Tunnel() | Port() as new, Tunnel() | Port() as old) if new.vrf != old.vrf:
                cycled.add(new.name)
    cycled |= remade
    if not cycled:
        return set()
    nexthops = {obj.id for obj in seen.values() if isinstance(obj, Nexthop) and obj.interface in cycled}
    groups = {obj.tiers for obj in seen.values() if isinstance(obj, Group) and nexthops.intersection(obj.active)}

    def goes(obj: Object) -> bool:
        match obj:
            case Address(interface) | Classifier(interface) | Translation(interface):
                return interface in remade
            case Nexthop(id_):
                return id_ in nexthops
            case Group(tiers) | Route(via=Tunnels(tiers)):
                return tiers in groups
            case Route(via=OnLink(interface) | Gateway(interface)):
                return interface in cycled
        return False

    return {obj.key for obj in seen.values() if goes(obj)}


def _device(port: Port) -> tuple[str, str, int]:
    return port.kind, port.parent, port.vlan_id


def _makes_room(op: Op, bridged: Set[str], intervals: Mapping[str, Sequence[IPv4Network]]) -> tuple[int, int] | None:
    """Returns the rank of a deletion without which something new is refused, or undone when the old goes."""
    match op:
        case Delete(Port(name, kind="existing")) if name in bridged:
            # Given back later, it would be taken out of its bridge.
            return (11, 0)
        case Delete(Element("not_in_fib", (interface, prefix))):
            # In the transaction that adds the new: the kernel refuses an interval inside another.
            return (_MAKE[Element], 0) if _overlaps(prefix, intervals.get(interface, ())) else None
    return None


def _overlaps(prefix: str, others: Sequence[IPv4Network]) -> bool:
    try:
        return any(map(IPv4Network(prefix).overlaps, others))
    except ValueError:
        # A range: nobody but another could have put it there.
        return bool(others)


def _rank(op: Op) -> tuple[int, int]:
    obj = target(op)
    if isinstance(op, Delete):
        match obj:
            case IkeConnection() | IkeServer():
                # Two connections between the same ends would compete for the peer's next attempt.
                return (10, 0)
            case Port(kind="vlan" | "bridge"):
                # The kernel holds one VLAN of an id per parent: the old one makes room first.
                return (11, 0)
            case Route(via=Unreachable()):
                return (_BREAK_LAST_RESORT, 0)
            case Rule(table=0):
                return (_BREAK[Vrf], 1)
            case Translation():
                return (_BREAK[Translation], 1)
            case Classifier():
                return (_BREAK[Classifier], 2)
            case _:
                return (_BREAK[type(obj)], 0)
    if isinstance(obj, Element) and obj.set == "ike_open":
        return (_OPEN, 0)
    if isinstance(obj, Rule) and not obj.table:
        # It keeps packets from a route, as an element does.
        return (_MAKE[Element], 1)
    if isinstance(op, Create) and isinstance(obj, Port):
        # A bridge that gives an interface back does so before another takes it.
        return (_MAKE[Port], 1)
    if isinstance(obj, Classifier):
        return (_MAKE[Classifier], 1)
    if isinstance(obj, Translation):
        return (_MAKE[Translation], 2)
    if isinstance(obj, Route):
        match obj.via:
            case Unreachable():
                return (_LAST_RESORT, 0)
            case OnLink():
                return (_MAKE[Route], 0)
            case Tunnels():
                return (_MAKE[Route], 1)
            case _:
                # The kernel takes a gateway only where a route to it is there already.
                return (_MAKE[Route], 2)
    return (_MAKE[type(obj)], 0)
