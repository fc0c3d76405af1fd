"""Sessions and RIB -> the status of BGP peers and routes, as `hubgw show bgp` has them. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from hubgw.agent.routing import Routing
from hubgw.agent.statuses import BgpPeerStatus, BgpRouteStatus, RouteStatus
from hubgw.drivers.exabgp.attributes import exported, parsed
from hubgw.drivers.exabgp.events import PeerState
from hubgw.plan.bgp import AS_SET, Attributes, Nlri, PeerOf, network
from hubgw.plan.kernel import Group, Tiers, Vrf
from hubgw.plan.numbers import tunnel_interface
from hubgw.plan.types import Object, Plan

_STATES = {"idle": "Idle", "connected": "Connected", "established": "Established", "held": "Held"}

Wanted = Callable[[PeerOf, str], bool]
"""Whether what belongs to a peer, and to the hub of this full id, was asked for."""


def hubs(plan: Plan) -> dict[int, str]:
    """Returns the full id of the hub of each routing table."""
    return {obj.table: plan.owners[obj.key][0] for obj in plan.objects if isinstance(obj, Vrf)}


def peer_statuses(plan: Plan, routing: Routing, wanted: Wanted) -> Iterator[BgpPeerStatus]:
    """Yields every BGP session that there should be, with what its helper said last."""
    hub_of, counts = hubs(plan), routing.rib.counts()
    for peer in sorted(plan.peers, key=lambda each: each.key):
        if not wanted(peer, hub_of[peer.table]):
            continue
        accepted, reasons = counts.get(peer.key, (0, {}))
        refused = sum(reasons.values())
        told = routing.session(peer.key)
        seen = told or PeerState(peer.key, "idle", reason="the helper of its speaker does not answer")
        negotiated = seen.negotiated
        yield BgpPeerStatus(
            speaker=peer.speaker,
            hub=hub_of[peer.table],
            connection=peer.connection,
            site=peer.site,
            link=peer.link,
            instance=peer.instance,
            address=str(peer.address),
            local_address=str(peer.local_address),
            asn=peer.asn,
            state=_STATES[seen.state] if told else "Unknown",
            since=seen.since or None,
            reason=seen.reason,
            attempt=seen.attempt,
            hold_time=negotiated.hold_time if negotiated else None,
            graceful_restart=bool(negotiated and negotiated.graceful_restart),
            learned=accepted + refused,
            accepted=accepted,
            refused=refused,
            stale=seen.stale,
            advertised=seen.advertised,
            updates_in=seen.updates_in,
            updates_out=seen.updates_out,
            flaps=seen.flaps,
            held_until=seen.held_until or None,
            treated_as_withdraw=seen.treated_as_withdraw,
            discarded=seen.discarded,
            last_malformed=seen.last_malformed,
        )


def learned_statuses(plan: Plan, routing: Routing, wanted: Wanted, *, refused: bool) -> Iterator[BgpRouteStatus]:
    """Yields what peers announced, by peer and prefix; with `refused` only what policy did not take.

    The RIB may change between two of them.
    """
    hub_of = hubs(plan)
    for peer in sorted(plan.peers, key=lambda each: each.key):
        hub = hub_of[peer.table]
        if wanted(peer, hub):
            paths = routing.rib.refused(peer.key) if refused else routing.rib.learned(peer.key)
            for path in sorted(paths, key=lambda each: (each.prefix[1:], each.prefix[0])):
                yield _route(peer, hub, path.prefix, path.attributes, best=path.best, refusal=path.refusal)


def advertised_statuses(plan: Plan, routing: Routing, wanted: Wanted) -> Iterator[BgpRouteStatus]:
    """Yields what established peers are told, by peer and prefix, with the AS path as they see it.

    The RIB may change between two of them.
    """
    hub_of, asns = hubs(plan), {table.table: table.asn for table in plan.route_tables}
    for peer in sorted(plan.peers, key=lambda each: each.key):
        seen = routing.session(peer.key)
        if seen is None or seen.state != "established" or not wanted(peer, hub_of[peer.table]):
            continue
        out = routing.rib.out(peer.table)
        for prefix in sorted(out, key=lambda each: (each[1:], each[0])):
            route = out.get(prefix)
            if route is None or peer.site in route.excluded:
                continue
            wire = exported(route.attributes, asns[peer.table])
            if wire is not None:
                yield _route(peer, hub_of[peer.table], prefix, parsed(wire))


def learned_routes(
    plan: Plan, routing: Routing, seen: Mapping[int, Mapping[Nlri, Tiers]], objects: Iterable[Object]
) -> Iterator[RouteStatus]:
    """Yields the learned routes that the kernel has, by table and prefix; its groups are among `objects`."""
    active = {obj.tiers: obj.active for obj in objects if isinstance(obj, Group)}
    hub_of = hubs(plan)
    vrf_of = {obj.table: obj.name for obj in plan.objects if isinstance(obj, Vrf)}
    best: dict[tuple[int, Nlri], list[tuple[PeerOf, Attributes]]] = {}
    for learned in routing.rib.learned():
        if learned.best:
            found = best.setdefault((learned.table, learned.prefix), [])
            found.append((routing.peers[learned.peer], learned.attributes))
    for table, routes in sorted(seen.items()):
        for prefix in sorted(routes, key=lambda each: (each[1:], each[0])):
            ways = best.get((table, prefix), [])
            tunnels = tuple(tunnel_interface(member) for member in active.get(routes[prefix], ()))
            yield RouteStatus(
                table=table,
                vrf=vrf_of.get(table, ""),
                hub=hub_of.get(table, ""),
                prefix=str(network(prefix)),
                via=f"via {' '.join(tunnels) or 'no tunnel'}",
                nexthops=tunnels,
                origin=ways[0][0].connection if ways else "",
                protocol="bgp",
                as_path=as_path(ways[0][1]) if ways else "",
            )


def as_path(attributes: Attributes) -> str:
    """Returns an AS path as routers write it; sets are in braces.

    >>> as_path(Attributes(b"", ((2, (65010, 65011)), (1, (64512,)))))
    '65010 65011 {64512}'
    """
    return " ".join(
        f"{{{','.join(map(str, asns))}}}" if kind == AS_SET else " ".join(map(str, asns))
        for kind, asns in attributes.as_path
    )


def _route(
    peer: PeerOf, hub: str, prefix: Nlri, attributes: Attributes, *, best: bool = False, refusal: str = ""
) -> BgpRouteStatus:
    return BgpRouteStatus(
        hub=hub,
        connection=peer.connection,
        site=peer.site,
        instance=peer.instance,
        peer=str(peer.address),
        prefix=str(network(prefix)),
        as_path=as_path(attributes),
        communities=_communities(attributes.communities),
        best=best,
        refusal=refusal,
    )


def _communities(communities: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{community >> 16}:{community & 0xFFFF}" for community in communities)
