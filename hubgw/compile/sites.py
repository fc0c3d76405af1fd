"""Connections to sites: two tunnels a link, one to each gateway instance; routes over all of a site's tunnels."""

from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from itertools import permutations

from hubgw.compile.allocate import tunnel_owner
from hubgw.compile.credentials import Own, Proof, compile_credentials, given, proves_itself
from hubgw.compile.draft import Draft
from hubgw.compile.ike import compile_ike, compile_secret
from hubgw.compile.mtu import tunnel_mtu
from hubgw.compile.scope import HostedHub, Scope
from hubgw.compile.suites import suites
from hubgw.compile.where import Where
from hubgw.plan.ipsec import ALL_TRAFFIC, Selectors
from hubgw.plan.kernel import (
    Classifier,
    Element,
    Group,
    Nexthop,
    Route,
    Tiers,
    Translation,
    Tunnel,
    Tunnels,
    Way,
)
from hubgw.plan.types import TunnelOf
from hubgw.resources.connection import Terms, VpnConnection
from hubgw.resources.node import GatewayInstance
from hubgw.resources.selectors import selector_pairs
from hubgw.resources.translation import pairs, routed_prefixes

_UNPROVEN = Proof("none yet", ())
"""Of a gateway whose certificate is issued when what is asked for is carried out."""


@dataclass(frozen=True, slots=True)
class _Path:
    """The way to a site over tunnels of one connection and weight; a lower order is preferred."""

    order: tuple[int, int]  # the site's priority, and the weight, which the greater is the better
    nexthops: tuple[int, ...]
    owners: tuple[str, ...]


def compile_sites(draft: Draft, scope: Scope, secret_key: bytes, where: Where, own: Own) -> None:
    """Writes the tunnels and the routes of every connection of each hosted hub."""
    for hosted in scope.hubs:
        proof = _compile_proof(draft, scope, hosted, own)
        paths: dict[IPv4Network | IPv6Network, list[_Path]] = {}
        for connection in hosted.connections:
            site = scope.site_of(connection)
            tunnels = _compile_connection(
                draft, scope, hosted, connection, secret_key=secret_key, where=where, proof=proof
            )
            if not tunnels:
                continue
            of = (connection.id, site.id)
            _compile_siblings(draft, hosted, tunnels, of)
            _compile_nat(draft, scope, connection, tunnels, of)
            ways = [
                _Path((scope.inventory.priority(site) or 0, -weight), _nexthops(tunnels, weight), of)
                for weight in {tunnel.weight for tunnel in tunnels}
            ]
            for prefix in routed_prefixes(scope.inventory, connection, site):
                paths.setdefault(prefix, []).extend(ways)
        for prefix, ways in paths.items():
            ways.sort(key=lambda path: path.order)
            tiers: Tiers = tuple(path.nexthops for path in ways)
            owners = tuple(dict.fromkeys(owner for path in ways for owner in path.owners))
            draft.add(Group(tiers), *owners)
            draft.add(Route(hosted.table, prefix, Tunnels(tiers)), *owners)
    draft.tunnels = _leave_shared_addresses(draft)


def _leave_shared_addresses(draft: Draft) -> list[TunnelOf]:
    """Returns the tunnels, those of several branches behind one address theirs to start: whom the hub would reach
    there, if anybody, is the NAT's choice."""
    at = Counter((tunnel.remote_address, tunnel.local_address) for tunnel in draft.tunnels)

    def left(tunnel: TunnelOf) -> bool:
        ends = (tunnel.remote_address, tunnel.local_address)
        return at[ends] > 1 and Element("initiator_only", ends).key not in draft.objects

    return [replace(tunnel, initiates=False) if left(tunnel) else tunnel for tunnel in draft.tunnels]


def _compile_proof(draft: Draft, scope: Scope, hosted: HostedHub, own: Own) -> Proof | None:
    gateway = hosted.gateway
    if gateway is None or not proves_itself(scope.inventory, gateway):
        return None
    credentials = given(scope.inventory, gateway) or own.get(gateway.key)
    return compile_credentials(draft, credentials, gateway.id) if credentials else _UNPROVEN


def _compile_connection(
    draft: Draft,
    scope: Scope,
    hosted: HostedHub,
    connection: VpnConnection,
    *,
    secret_key: bytes,
    where: Where,
    proof: Proof | None,
) -> list[TunnelOf]:
    tunnels = []
    site = scope.site_of(connection)
    for terms in connection.terms(site):
        link = terms.link
        legacy = scope.inventory.legacy(link.key)
        chosen = suites(terms.version, terms.policy, legacy=legacy, initiates=terms.mode != "ResponderOnly")
        if terms.shared_key is None:
            raise ValueError(f"{connection.id}: no sharedKey; one is made when the connection is stored")
        for instance in hosted.instances:
            tunnel = _tunnel(scope, connection, terms, instance, where)
            local_id = str(instance.public_address)
            remote_id = scope.inventory.identity(link)
            owners = (tunnel.connection, tunnel.site)
            alias = f"vpnConnections/{connection.name} {link.name} instance {instance.instance}"
            mtu = tunnel_mtu(instance.underlay_mtu, chosen.esp)
            draft.tunnels.append(tunnel)
            draft.add(Tunnel(tunnel.name, tunnel.nexthop, hosted.vrf, mtu, alias), *owners)
            draft.add(Nexthop(tunnel.nexthop, tunnel.name), *owners)
            if not connection.properties.enable_internet_security:
                draft.add(Element("no_default", (tunnel.name,)), *owners)
            proved = proof if scope.inventory.by_certificate(link.key) else None
            if proved is None:
                draft.add(compile_secret(tunnel.name, remote_id, terms.shared_key, secret_key), *owners)
            if tunnel.remote_address:
                ike = compile_ike(
                    tunnel,
                    terms,
                    chosen,
                    local_id=local_id,
                    remote_id=remote_id,
                    proof=proved,
                    mobike=scope.inventory.mobike(link.key),
                )
                draft.add(ike, *owners)
            if tunnel.remote_address and terms.mode == "InitiatorOnly":
                draft.add(Element("initiator_only", (tunnel.remote_address, tunnel.local_address)), *owners)
            tunnels.append(tunnel)
    return tunnels


def _nexthops(tunnels: list[TunnelOf], weight: int) -> tuple[int, ...]:
    return tuple(sorted(tunnel.nexthop for tunnel in tunnels if tunnel.weight == weight))


def _compile_siblings(draft: Draft, hosted: HostedHub, tunnels: list[TunnelOf], owners: tuple[str, ...]) -> None:
    """Has each of a site's tunnels accept what is routed through the others.

    Which of them a packet takes is its sender's choice, and a branch may have moved later, or earlier, than the hub.
    """
    names = sorted((tunnel.name for tunnel in tunnels), key=lambda name: (len(name), name))
    for name in names:
        draft.add(Element("vrf_mark", (name,), str(hosted.mark)), *owners)
    for pair in permutations(names, 2):
        draft.add(Element("siblings", pair), *owners)


def _compile_nat(
    draft: Draft, scope: Scope, connection: VpnConnection, tunnels: list[TunnelOf], owners: tuple[str, ...]
) -> None:
    """Has each of a site's tunnels translate alike, so that it does not matter which of them a packet takes."""
    for pair in pairs(scope.inventory, connection):
        internal, external = pair.internal, pair.external
        if not isinstance(internal, IPv4Network) or not isinstance(external, IPv4Network):
            raise TypeError(f"{pair.rule.id}: {internal}, {external}: validation should have refused IPv6")
        # The side that the internal addresses are on, and the way from there to the other.
        outward: Way = "out" if pair.mode == "EgressSnat" else "in"
        inward: Way = "in" if pair.mode == "EgressSnat" else "out"
        for tunnel in tunnels:
            draft.add(Classifier(tunnel.name), pair.rule.id, *owners)
            for translation in (
                Translation(tunnel.name, outward, "source", internal, external),
                Translation(tunnel.name, inward, "destination", external, internal),
            ):
                draft.add(translation, pair.rule.id, *owners)


def _selectors(scope: Scope, connection: VpnConnection) -> Selectors:
    pairs = selector_pairs(scope.inventory, connection, scope.site_of(connection))
    return tuple((str(ours), str(theirs)) for ours, theirs in pairs)


def _tunnel(scope: Scope, connection: VpnConnection, terms: Terms, instance: GatewayInstance, where: Where) -> TunnelOf:
    link = terms.link
    name, if_id = scope.numbers.tunnel(tunnel_owner(connection, link, instance.instance))
    remote_address = where.of(name, terms)
    return TunnelOf(
        name=name,
        nexthop=if_id,
        connection=connection.id,
        site=scope.site_of(connection).id,
        link=link.name,
        instance=instance.instance,
        local_address=instance.local_address,
        remote_address=remote_address,
        weight=terms.weight,
        initiates=terms.mode != "ResponderOnly" and bool(remote_address),
        selectors=_selectors(scope, connection) if terms.policy_based else ALL_TRAFFIC,
        fqdn=link.fqdn,
    )
