"""Gateways of users: one interface an instance, its half of the pools routed there, and what answers in charon."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, collapse_addresses
from itertools import accumulate
from typing import Final

from hubgw.compile.allocate import INSTANCES, users_owner
from hubgw.compile.credentials import Barred, Own, UsersAuthority, compile_credentials, compile_lists, given
from hubgw.compile.digest import keyed_digest
from hubgw.compile.draft import Draft
from hubgw.compile.mtu import tunnel_mtu
from hubgw.compile.scope import HostedHub, HostedUsers, Scope
from hubgw.compile.suites import suites_of_users
from hubgw.compile.ways import Way, ways
from hubgw.names import BARRED, USER_PREFIX
from hubgw.plan.ipsec import IkeCertificate, IkePool, IkeRadius, IkeServer, IkeUser
from hubgw.plan.kernel import Element, OnLink, Route, Tunnel, Unreachable
from hubgw.plan.numbers import UNREACHABLE_METRIC
from hubgw.plan.types import UsersOf
from hubgw.resources.node import UserGatewayInstance
from hubgw.resources.p2s_gateway import ConnectionConfiguration
from hubgw.resources.radius import RadiusServer
from hubgw.resources.settings import ConcurrentSessions
from hubgw.resources.translation import routed_prefixes
from hubgw.resources.vpn_user import VpnUser

_DPD_DELAY = 10  # seconds

_MOST_OCTETS: Final = 448 * 1024
"""Of the certificates that one connection refuses by: charon drops a VICI client whose message is over 512 KiB, and
the rest of it takes a chain of the gateway's own."""

# charon's default, `no`, is not among them: a second device that says INITIAL_CONTACT would end the first. Nor is
# `keep`, as that one ends the first all the same.
_UNIQUE: Final[Mapping[ConcurrentSessions, str]] = {"both": "never", "replace": "replace"}


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the instances of a gateway have in common: its own certificate, whom it believes, of those hubgw's `own`
    authority, if it is among them, and what it knows of the certificates that are no good, by digests. Where
    `is_strict`, nobody is believed of whose authority there is no good list."""

    certificate: str
    authorities: tuple[str, ...]
    own: tuple[str, ...]
    is_strict: bool
    barred: tuple[str, ...]


def compile_users(
    draft: Draft, scope: Scope, secret_key: bytes, *, own: Own, authority: UsersAuthority | None, barred: Barred
) -> None:
    """Writes the gateway of users of each hosted hub that has one."""
    for hosted in scope.hubs:
        if (users := hosted.users) is None:
            continue
        credentials = given(scope.inventory, users.gateway) or own.get(users.gateway.key)
        # hubgw's own authority is made after this was compiled for the first time.
        server = users.server.properties
        if credentials and (authority or server.vpn_client_root_certificates or not server.by_certificate):
            proof = compile_credentials(draft, credentials, users.gateway.id)
            seen = _compile_barred(draft, users, barred)
            terms = _compile_terms(draft, scope, users, authority, certificate=proof.certificate, barred=seen)
            for user in users.passwords:
                draft.add(_password(user, secret_key), user.id)
            for radius in users.server.radius:
                draft.add(_radius(radius, secret_key), users.server.id)
            for prefix in _merged(users.framed):
                # Whoever has an address of these is routed to when he is in. Else a wider route would take it.
                draft.add(Route(hosted.table, prefix, Unreachable(), UNREACHABLE_METRIC), users.gateway.id)
            for instance in users.instances:
                _compile_instance(draft, scope, hosted, users, instance=instance, terms=terms)


def _compile_terms(
    draft: Draft,
    scope: Scope,
    users: HostedUsers,
    authority: UsersAuthority | None,
    *,
    certificate: str,
    barred: tuple[str, ...],
) -> _Terms:
    """Writes whom a configuration believes, with their lists; returns the terms of a gateway."""
    server = users.server
    if not server.properties.by_certificate:
        return _Terms(certificate, (), (), is_strict=False, barred=barred)
    roots = [root.certificate for root in server.properties.vpn_client_root_certificates]
    settings = scope.inventory.settings_by_resource.get(server.key)
    lists = [*((settings and settings.properties.revocation_lists) or ())]
    certificates, own = list(roots), tuple[str, ...]()
    if authority and (not roots or authority.certificates[0] in roots):
        roots = [*roots, authority.certificates[0]]
        certificates += authority.certificates
        own = (authority.certificates[0].digest,)
        lists += authority.revocation_lists
    for one in certificates:
        draft.add(IkeCertificate(one.digest, one.subject, one.der), server.id)
    compile_lists(draft, lists, server.id)
    return _Terms(certificate, tuple(sorted({root.digest for root in roots})), own, bool(lists), barred)


def _compile_barred(draft: Draft, users: HostedUsers, barred: Barred) -> tuple[str, ...]:
    """Writes the certificates that are no good of others' authorities; what hubgw's own issued is on its list. Whoever
    comes by one that does not fit is ended by the agent each time."""
    server = users.server
    if server.properties.by_own_authority:
        return ()
    known = [barred[one] for one in sorted(server.properties.thumbprints & barred.keys())]
    sizes = accumulate(len(one.der) for one in known)
    found = [one for one, size in zip(known, sizes, strict=True) if size <= _MOST_OCTETS]
    for one in found:
        draft.add(IkeCertificate(one.digest, one.subject, one.der), server.id)
    return tuple(sorted(one.digest for one in found))


def _compile_instance(
    draft: Draft,
    scope: Scope,
    hosted: HostedHub,
    users: HostedUsers,
    *,
    instance: UserGatewayInstance,
    terms: _Terms,
) -> None:
    gateway, server = users.gateway, users.server.properties
    name, if_id = scope.numbers.tunnel(users_owner(gateway, instance.instance))
    owners = (gateway.id,)
    chosen = suites_of_users(next(iter(server.vpn_client_ipsec_policies), None))
    mtu = tunnel_mtu(instance.underlay_mtu, chosen.esp)
    alias = f"p2sVpnGateways/{gateway.name} instance {instance.instance}"
    every = tuple(ways(users, believes_own=bool(terms.own)))
    groups = tuple((f"{name}{way.suffix}", way.group) for way in every if way.group)
    framed = tuple(_merged(users.framed))
    others = not server.by_own_authority
    draft.users.append(
        UsersOf(
            name,
            if_id,
            gateway.id,
            instance.instance,
            instance.local_address,
            groups,
            hosted.table,
            framed,
            by_certificate=frozenset(f"{name}{way.suffix}" for way in every if others and way.by_certificate),
            thumbprints=server.thumbprints if others else frozenset(),
        )
    )
    draft.add(Tunnel(name, if_id, hosted.vrf, mtu, alias), *owners)
    if not users.everything:
        draft.add(Element("no_default", (name,)), *owners)
    dns_servers = tuple(str(one) for one in gateway.properties.custom_dns_servers)
    for prefix in _parts(users, instance.instance):
        draft.add(IkePool(_pool(name, prefix), str(prefix), dns_servers), *owners)
        draft.add(Route(hosted.table, prefix, OnLink(name)), *owners)
    for way in every:
        believed = terms.own if way.by_own_authority else terms.authorities
        server_of_users = IkeServer(
            name=f"{name}{way.suffix}",
            if_id=if_id,
            local_address=instance.local_address,
            local_id=scope.inventory.gateway_fqdn(gateway.key) or str(instance.public_address),
            certificate=terms.certificate,
            authorities=believed if way.by_certificate else (),
            is_strict=terms.is_strict and way.by_certificate,
            pools=tuple(_pool(name, prefix) for prefix in _given(way, instance.instance)),
            reached=_reached(scope, hosted, users, way.configuration),
            proposals=chosen.ike,
            esp_proposals=chosen.esp,
            dpd_delay=_DPD_DELAY,
            child_life_time=chosen.life_time,
            child_life_bytes=chosen.life_bytes,
            eap=way.eap,
            remote_id=way.identity,
            groups=way.groups,
            is_framed=bool(users.framed) and way.eap == "radius",
            unique=_UNIQUE[scope.inventory.concurrent_sessions(gateway.key)],
        )
        if terms.barred and way.by_certificate:
            draft.add(_barring(server_of_users, terms.barred), *owners)
        draft.add(server_of_users, *owners)


def _barring(server: IkeServer, barred: tuple[str, ...]) -> IkeServer:
    """Returns what stands before a connection: of two that fit as well charon takes the first that was loaded, and goes
    on to the next where the certificate is none of these."""
    nothing: tuple[str, ...] = ()
    return replace(
        server,
        name=f"{server.name}{BARRED}",
        authorities=nothing,
        is_strict=False,
        pools=nothing,
        reached=nothing,
        unique="never",
        barred=barred,
    )


def _password(user: VpnUser, secret_key: bytes) -> IkeUser:
    password = user.properties.password
    if password is None:
        raise ValueError(f"{user.id}: no password; validation should have refused it")
    return IkeUser(f"{USER_PREFIX}-{keyed_digest(secret_key, user.user_name, password)}", user.user_name, password)


def _radius(server: RadiusServer, secret_key: bytes) -> IkeRadius:
    address, secret = str(server.radius_server_address), server.radius_server_secret
    if secret is None:
        raise ValueError(f"{address}: no radiusServerSecret; validation should have refused it")
    return IkeRadius(address, server.radius_server_score, keyed_digest(secret_key, address, secret), secret)


def _pool(name: str, prefix: IPv4Network) -> str:
    """Returns a pool's name; it stays when another pool comes or goes, as charon changes none that is in use."""
    return f"{name}-{prefix.network_address}-{prefix.prefixlen}"


def _part(configuration: ConnectionConfiguration, instance: int) -> list[IPv4Network]:
    """Returns an instance's part of the pools: of each prefix as many addresses as the other's."""
    prefixes = configuration.properties.vpn_client_address_pool.address_prefixes
    return [list(IPv4Network(str(prefix)).subnets())[INSTANCES.index(instance)] for prefix in prefixes]


def _parts(users: HostedUsers, instance: int) -> list[IPv4Network]:
    """Returns all that an instance gives to somebody."""
    pools = [prefix for one in users.gateway.properties.connection_configurations for prefix in _part(one, instance)]
    return [*pools, *(IPv4Network(str(one.addresses[INSTANCES.index(instance)])) for one in users.static)]


def _given(way: Way, instance: int) -> list[IPv4Network]:
    """Returns what an instance gives to who takes a way."""
    if way.addresses:
        return [IPv4Network(way.addresses[INSTANCES.index(instance)])]
    return _part(way.configuration, instance)


def hosted_pools(hosted: HostedHub) -> list[IPv4Network]:
    """Returns the prefixes of the users that this machine serves; both halves of a pool are one."""
    users = hosted.users
    if users is None:
        return []
    given = (prefix for instance in users.instances for prefix in _parts(users, instance.instance))
    return _merged((*given, *users.framed))


def _reached(
    scope: Scope, hosted: HostedHub, users: HostedUsers, configuration: ConnectionConfiguration
) -> tuple[str, ...]:
    """Returns what a client routes into the tunnel: all, or the virtual networks, and where branches reach branches
    their prefixes and other clients too. What BGP teaches is not known here: that is what customRoutes are for."""
    if configuration.properties.enable_internet_security:
        return ("0.0.0.0/0",)
    # The hub says from its own addresses what is too big, and what is closed.
    reached = [hosted.hub.properties.address_prefix]
    reached += [prefix for vnet in hosted.vnets for prefix in vnet.vnet.properties.address_space.address_prefixes]
    reached += scope.inventory.custom_routes(users.gateway.key)
    reached += [prefix for route in hosted.hub.properties.route_table.routes for prefix in route.address_prefixes]
    if hosted.wan.properties.allow_branch_to_branch_traffic:
        for connection in hosted.connections:
            reached += routed_prefixes(scope.inventory, connection, scope.site_of(connection))
        reached += users.prefixes
    return tuple(str(prefix) for prefix in _merged(prefix for prefix in reached if prefix.prefixlen))


def _merged(prefixes: Iterable[object]) -> list[IPv4Network]:
    return list(collapse_addresses(IPv4Network(str(prefix)) for prefix in prefixes))
