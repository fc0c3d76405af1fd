"""The RIB from scratch, with nothing incremental, remembered or shared with hubgw.rib: what the Rib is held to."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network

from hubgw.plan.bgp import Attributes, Nlri, PeerKey, PeerOf, RouteTable, network, nlri
from hubgw.rib.types import Out

Paths = Mapping[PeerKey, Mapping[Nlri, Attributes]]

MARTIANS = [IPv4Network(block) for block in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
DEFAULT = bytes(5)


@dataclass
class State:
    fib: dict[int, dict[Nlri, tuple[int, ...]]] = field(default_factory=dict)
    out: dict[int, dict[Nlri, Out]] = field(default_factory=dict)
    exceptions: set[tuple[int, Nlri]] = field(default_factory=set)
    refusals: dict[tuple[PeerKey, Nlri], str] = field(default_factory=dict)  # of every path; "" for an accepted one
    best: set[tuple[PeerKey, Nlri]] = field(default_factory=set)


def recompute(tables: Sequence[RouteTable], peers: Sequence[PeerOf], up: Set[int], paths: Paths) -> State:
    state = State()
    for table in tables:
        members = sorted((peer for peer in peers if peer.table == table.table), key=lambda peer: peer.key)
        candidates: dict[Nlri, list[tuple[PeerOf, Attributes]]] = {}
        for peer in members:
            for prefix, attributes in paths.get(peer.key, {}).items():
                reason = refusal(table, peer, prefix, attributes)
                state.refusals[peer.key, prefix] = reason
                if not reason and live(peer, up):
                    candidates.setdefault(prefix, []).append((peer, attributes))
        fib, out = state.fib.setdefault(table.table, {}), state.out.setdefault(table.table, {})
        static_sites: dict[Nlri, set[str]] = {}
        for static in table.statics:
            static_sites.setdefault(nlri(static.prefix), set()).add(static.site)
        for prefix, ways in candidates.items():
            least = min(length(attributes) for _, attributes in ways)
            best = [way for way in ways if length(way[1]) == least]
            weight = max(heaviest(peer, up)[0] for peer, _ in best)
            best = [way for way in best if heaviest(way[0], up)[0] == weight]
            if prefix not in static_sites:
                state.best |= {(peer.key, prefix) for peer, _ in best}
                nexthops: list[int] = []
                for peer, _ in best:
                    nexthops += [nexthop for nexthop in heaviest(peer, up)[1] if nexthop not in nexthops]
                fib[prefix] = tuple(sorted(nexthops[:8]))
                if table.branch_to_branch and not may_not_leave(best[0][1]):
                    out[prefix] = Out(best[0][1], excluded(prefix, best, members))
            for peer, _ in ways:
                if prefix not in static_sites and {peer.site} != {one.site for one, _ in best}:
                    state.exceptions |= {(nexthop, prefix) for nexthop in live(peer, up) if nexthop not in fib[prefix]}
        for prefix, sites in static_sites.items():
            named = sites - {""} if table.branch_to_branch else set()
            if table.branch_to_branch or "" in sites:
                out[prefix] = Out(None, frozenset(named | no_default(prefix, members)))
        for own in table.own:
            out[nlri(own)] = Out(None, frozenset(no_default(nlri(own), members)))
    return state


def live(peer: PeerOf, up: Set[int]) -> list[int]:
    return sorted(set(peer.nexthops) & up)


def heaviest(peer: PeerOf, up: Set[int]) -> tuple[int, list[int]]:
    """The greatest weight of a peer's tunnels that are up, and those that have it."""
    weights = [*peer.weights, *[0] * len(peer.nexthops)]
    found: dict[int, list[int]] = {}
    for nexthop in live(peer, up):
        found.setdefault(weights[peer.nexthops.index(nexthop)], []).append(nexthop)
    return max(found), found[max(found)]


def numbers(attributes: Attributes) -> list[int]:
    return [asn for _, asns in attributes.as_path for asn in asns]


def length(attributes: Attributes) -> int:
    return sum(len(asns) if kind == 2 else 1 for kind, asns in attributes.as_path)


def may_not_leave(attributes: Attributes) -> bool:
    return any(community in attributes.communities for community in (0xFFFFFF01, 0xFFFFFF02, 0xFFFFFF03))


def no_default(prefix: Nlri, members: Iterable[PeerOf]) -> set[str]:
    if prefix != DEFAULT:
        return set()
    return {peer.site for peer in members if not peer.internet_security}


def excluded(prefix: Nlri, best: Iterable[tuple[PeerOf, Attributes]], members: Sequence[PeerOf]) -> frozenset[str]:
    sites = no_default(prefix, members)
    for peer, attributes in best:
        sites |= {peer.site} | {other.site for other in members if other.asn in numbers(attributes)}
    return frozenset(sites)


def refusal(table: RouteTable, peer: PeerOf, prefix: Nlri, attributes: Attributes) -> str:
    asns = numbers(attributes)
    if table.asn in asns:
        return "own-as"
    if any(asn in (0, 23456, 65535, 4294967295) for asn in asns):
        return "reserved-as"
    if len(asns) > 64:
        return "path-too-long"
    first = attributes.as_path[0] if attributes.as_path else (2, ())
    if first[0] != 2 or first[1][:1] != (peer.asn,):
        return "first-as"
    reason = prefix_refusal(table.own, prefix)
    if not reason and any(network(prefix).subnet_of(block) for block in peer.internal):  # type: ignore[arg-type]
        return "nat-internal"
    return reason


@cache
def prefix_refusal(own: tuple[IPv4Network, ...], prefix: Nlri) -> str:
    target = network(prefix)
    if not isinstance(target, IPv4Network):
        return "not-ipv4"
    if any(target.subnet_of(martian) for martian in MARTIANS):
        return "martian"
    if any(target.subnet_of(block) for block in own):
        return "own-prefix"
    return ""
