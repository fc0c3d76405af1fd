"""Connections with BGP -> a speaker for each gateway instance, its sessions, and what keeps each on its own tunnels.

The address of an instance is in its VRF, from where all tunnels of a site are one group: a table of the instance's own
has its peers' addresses over its own tunnels, and leads nowhere else; a rule sends the packets of its process there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hubgw.compile.digest import keyed_digest
from hubgw.compile.draft import Draft
from hubgw.compile.scope import HostedHub, Scope
from hubgw.compile.users import hosted_pools
from hubgw.compile.vnets import behind
from hubgw.plan.bgp import PeerOf, RouteTable, StaticRoute
from hubgw.plan.kernel import Address, Element, Group, Route, Rule, Tunnels, Unreachable
from hubgw.plan.numbers import UNREACHABLE_METRIC
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import TunnelOf
from hubgw.resources.bgp import BgpPeer, bgp_peers, custom_bgp_address
from hubgw.resources.connection import VpnConnection
from hubgw.resources.translation import hidden_prefixes, routed_prefixes

SESSION_PRIORITY = 910

_Tunnels = Mapping[tuple[str, str, int], TunnelOf]
"""By the connection's id, the link's name and the instance."""


@dataclass(frozen=True, slots=True)
class _Session:
    """A peer's session with one instance, and the tunnels that it rides."""

    connection: VpnConnection
    peer: BgpPeer
    local_address: IPv4Address
    instance: int
    custom: bool
    tunnels: tuple[TunnelOf, ...]

    @property
    def owners(self) -> tuple[str, str]:
        return self.tunnels[0].connection, self.tunnels[0].site

    @property
    def nexthops(self) -> tuple[int, ...]:
        return tuple(sorted(tunnel.nexthop for tunnel in self.tunnels))

    @property
    def weights(self) -> tuple[int, ...]:
        """The weight of each nexthop; empty where none has any."""
        weights = {tunnel.nexthop: tunnel.weight for tunnel in self.tunnels}
        return tuple(weights[nexthop] for nexthop in self.nexthops) if any(weights.values()) else ()


def compile_bgp(draft: Draft, scope: Scope, secret_key: bytes) -> None:
    """Writes every hosted hub's route table, and the speakers and sessions of those with BGP; the tunnels are there."""
    tunnels = {(tunnel.connection, tunnel.link, tunnel.instance): tunnel for tunnel in draft.tunnels}
    for hosted in scope.hubs:
        draft.route_tables.append(_route_table(scope, hosted, {tunnel.connection for tunnel in draft.tunnels}))
        sessions = list(_sessions(scope, hosted, tunnels))
        for instance in hosted.instances:
            if own := [session for session in sessions if session.instance == instance.instance]:
                _compile_instance(draft, scope, hosted, own)
                for session in own:
                    _compile_session(draft, scope, hosted, session, secret_key)
        _compile_ways(draft, hosted, sessions)


def _route_table(scope: Scope, hosted: HostedHub, carried: set[str]) -> RouteTable:
    properties = hosted.hub.properties
    own = [properties.address_prefix]
    own += [prefix for vnet in hosted.vnets for prefix in vnet.vnet.properties.address_space.address_prefixes]
    sites = [
        (site, routed_prefixes(scope.inventory, connection, site))
        for connection in hosted.connections
        if connection.id in carried and (site := scope.site_of(connection))
    ]
    users = hosted_pools(hosted)
    return RouteTable(
        table=hosted.table,
        vrf=hosted.vrf,
        asn=properties.virtual_router_asn,
        preference=properties.hub_routing_preference,
        branch_to_branch=hosted.wan.properties.allow_branch_to_branch_traffic,
        own=tuple(sorted(_ipv4(own))),
        statics=(
            *(StaticRoute(prefix, site.id) for site, prefixes in sites for prefix in _ipv4(prefixes)),
            *(StaticRoute(prefix, hosted.users.gateway.id) for prefix in users if hosted.users),
            *(
                StaticRoute(prefix)
                for route in properties.route_table.routes
                if behind(hosted, route)
                for prefix in _ipv4(route.address_prefixes)
            ),
        ),
        users=tuple(users),
    )


def _sessions(scope: Scope, hosted: HostedHub, tunnels: _Tunnels) -> Iterator[_Session]:
    for connection in hosted.connections:
        for peer in bgp_peers(scope.inventory, connection):
            for instance in (one.instance for one in hosted.instances):
                custom = custom_bgp_address(scope.inventory, connection, peer, instance)
                yield _Session(
                    connection=connection,
                    peer=peer,
                    local_address=custom or hosted.address(instance),
                    instance=instance,
                    custom=custom is not None,
                    tunnels=tuple(tunnels[connection.id, link.name, instance] for link in peer.links),
                )


def _compile_instance(draft: Draft, scope: Scope, hosted: HostedHub, sessions: list[_Session]) -> None:
    """Writes the speaker of an instance, its addresses, and the table that ends unreachable."""
    instance = sessions[0].instance
    number = scope.numbers.session(hosted.hub.key, instance)
    custom = sorted({session.local_address for session in sessions if session.custom})
    addresses = (hosted.address(instance), *custom)
    owners = (*([hosted.gateway.id] if hosted.gateway else []), hosted.hub.id)
    for address in custom:
        draft.add(Address(hosted.vrf, IPv4Interface(address)), *owners)
        draft.add(Element("hub_addresses", (hosted.vrf, str(address))), *owners)
    draft.add(Route(number, IPv4Network("0.0.0.0/0"), Unreachable(), UNREACHABLE_METRIC), *owners)
    for address in addresses:
        draft.add(Rule(SESSION_PRIORITY, source=address, uid=number, table=number), *owners)
    speaker = _speaker(hosted, instance)
    draft.add(Speaker(speaker, hosted.vrf, number, hosted.hub.properties.virtual_router_asn, addresses), *owners)


def _compile_session(draft: Draft, scope: Scope, hosted: HostedHub, session: _Session, secret_key: bytes) -> None:
    peer, speaker, owners = session.peer, _speaker(hosted, session.instance), session.owners
    tiers = (session.nexthops,)
    draft.add(Group(tiers), *owners)
    draft.add(Route(scope.numbers.session(hosted.hub.key, session.instance), _host(peer), Tunnels(tiers)), *owners)
    for tunnel in session.tunnels:
        ends = (tunnel.name, str(peer.address), str(session.local_address))
        draft.add(Element("bgp_peers", ends), *owners)
        if peer.ttl_security:
            draft.add(Element("bgp_ttl_security", ends[:2]), *owners)
    connection, site = owners
    draft.add(
        Neighbor(
            speaker=speaker,
            address=peer.address,
            local_address=session.local_address,
            asn=peer.asn,
            site=site,
            hold_time=peer.hold_time,
            # The hub dials from its default addresses alone.
            passive=peer.passive or session.custom,
            ttl_security=peer.ttl_security,
            maximum_prefixes=peer.maximum_prefixes,
            digest=keyed_digest(secret_key, f"{speaker} {peer.address}", peer.password) if peer.password else "",
            password=peer.password,
        ),
        *owners,
    )
    draft.peers.append(
        PeerOf(
            speaker=speaker,
            address=peer.address,
            local_address=session.local_address,
            asn=peer.asn,
            table=hosted.table,
            nexthops=session.nexthops,
            site=site,
            connection=connection,
            link=peer.links[0].name if len(peer.links) == 1 else "",
            instance=session.instance,
            internet_security=session.connection.properties.enable_internet_security,
            weights=session.weights,
            internal=tuple(_ipv4(hidden_prefixes(scope.inventory, session.connection))),
        )
    )


def _compile_ways(draft: Draft, hosted: HostedHub, sessions: list[_Session]) -> None:
    """Writes the way to each peer's address from the VRF, over the tunnels of all its sessions.

    By it ICMP reaches the peer, and its packets are those of a valid source before it has announced anything.
    """
    ways: dict[IPv4Network, list[_Session]] = {}
    for session in sessions:
        ways.setdefault(_host(session.peer), []).append(session)
    for prefix, own in ways.items():
        tiers = (tuple(sorted(nexthop for session in own for nexthop in session.nexthops)),)
        route = Route(hosted.table, prefix, Tunnels(tiers))
        # The address space of the site may name it: that way is the operator's own word.
        if route.key not in draft.objects:
            draft.add(Group(tiers), *own[0].owners)
            draft.add(route, *own[0].owners)


def _speaker(hosted: HostedHub, instance: int) -> str:
    return f"{hosted.vrf}-{instance}"


def _host(peer: BgpPeer) -> IPv4Network:
    return IPv4Network(peer.address)


def _ipv4(prefixes: Iterable[object]) -> Iterator[IPv4Network]:
    return (prefix for prefix in prefixes if isinstance(prefix, IPv4Network))
