"""Gateways of users: one interface an instance, its half of the pools routed there, and what answers in charon."""

from ipaddress import IPv4Network

from hubgw.compile.allocate import INSTANCES, users_owner
from hubgw.compile.credentials import Own, compile_credentials
from hubgw.compile.draft import Draft
from hubgw.compile.mtu import tunnel_mtu
from hubgw.compile.scope import HostedHub, HostedUsers, Scope
from hubgw.compile.suites import suites
from hubgw.plan.ipsec import IkeCertificate, IkePool, IkeServer
from hubgw.plan.kernel import Element, OnLink, Route, Tunnel
from hubgw.plan.types import UsersOf
from hubgw.resources.node import UserGatewayInstance

_DPD_DELAY = 10  # seconds


def compile_users(draft: Draft, scope: Scope, own: Own) -> None:
    """Writes the gateway of users of each hosted hub that has one."""
    for hosted in scope.hubs:
        if hosted.users and (credentials := own.get(hosted.users.gateway.key)):
            proof = compile_credentials(draft, credentials, hosted.users.gateway.id)
            for instance in hosted.users.instances:
                _compile_instance(draft, scope, hosted, hosted.users, instance=instance, certificate=proof.certificate)


def _compile_instance(
    draft: Draft,
    scope: Scope,
    hosted: HostedHub,
    users: HostedUsers,
    *,
    instance: UserGatewayInstance,
    certificate: str,
) -> None:
    gateway, server = users.gateway, users.server.properties
    name, if_id = scope.numbers.tunnel(users_owner(gateway, instance.instance))
    owners = (gateway.id,)
    policy = next(iter(server.vpn_client_ipsec_policies), None)
    chosen = suites(2, policy, legacy=False, initiates=False)
    mtu = tunnel_mtu(instance.underlay_mtu, chosen.esp)
    alias = f"p2sVpnGateways/{gateway.name} instance {instance.instance}"
    draft.users.append(UsersOf(name, if_id, gateway.id, instance.instance, instance.local_address))
    draft.add(Tunnel(name, if_id, hosted.vrf, mtu, alias), *owners)
    draft.add(Element("no_default", (name,)), *owners)
    pools = []
    for number, prefix in enumerate(_part(users, instance.instance)):
        pool = IkePool(
            f"{name}-{number}", str(prefix), tuple(str(one) for one in gateway.properties.custom_dns_servers)
        )
        pools.append(pool.name)
        draft.add(pool, *owners)
        draft.add(Route(hosted.table, prefix, OnLink(name)), *owners)
    roots = [root.certificate for root in server.vpn_client_root_certificates]
    for root in roots:
        draft.add(IkeCertificate(root.digest, root.subject, root.der), users.server.id)
    draft.add(
        IkeServer(
            name=name,
            if_id=if_id,
            local_address=instance.local_address,
            local_id=str(instance.public_address),
            certificate=certificate,
            authorities=tuple(sorted(root.digest for root in roots)),
            pools=tuple(pools),
            reached=_reached(hosted),
            proposals=chosen.ike,
            esp_proposals=chosen.esp,
            dpd_delay=_DPD_DELAY,
        ),
        *owners,
    )


def _part(users: HostedUsers, instance: int) -> list[IPv4Network]:
    """Returns an instance's part of the pools: of each prefix as many addresses as the other's."""
    (configuration,) = users.gateway.properties.connection_configurations
    prefixes = configuration.properties.vpn_client_address_pool.address_prefixes
    return [list(IPv4Network(str(prefix)).subnets())[INSTANCES.index(instance)] for prefix in prefixes]


def _reached(hosted: HostedHub) -> tuple[str, ...]:
    """Returns what a client routes into the tunnel: the virtual networks, and the branches' prefixes."""
    spaces = (prefix for vnet in hosted.vnets for prefix in vnet.vnet.properties.address_space.address_prefixes)
    return tuple(sorted(map(str, spaces)))
