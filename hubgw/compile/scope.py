"""Resources and node -> the part of them that this machine hosts, with references followed once."""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from typing import TypeVar

from hubgw.compile.draft import Numbers
from hubgw.plan.numbers import TABLES, VRF_MARKS
from hubgw.resources.base import Prefix, Resource
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.hub import VirtualHub
from hubgw.resources.inventory import Inventory
from hubgw.resources.node import GatewayInstance, Node, UserGatewayInstance, VirtualNetworkAttachment
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.settings import StaticAddress
from hubgw.resources.site import VpnSite
from hubgw.resources.vnet import HubVirtualNetworkConnection, VirtualNetwork
from hubgw.resources.vpn_server import VpnServerConfiguration
from hubgw.resources.vpn_user import VpnUser
from hubgw.resources.wan import VirtualWan

R = TypeVar("R", bound=Resource)

FIRST_INSTANCE_HOST = 12
"""Azure gives a gateway's instances the hosts .12 and .13 of the hub's prefix."""


@dataclass(frozen=True, slots=True)
class HostedVnet:
    """A virtual network connected to a hosted hub and attached to this machine."""

    connection: HubVirtualNetworkConnection
    vnet: VirtualNetwork
    attachment: VirtualNetworkAttachment


@dataclass(frozen=True, slots=True)
class HostedUsers:
    """A gateway of users with the instances that this machine hosts, and those who have a password for it."""

    gateway: P2sVpnGateway
    server: VpnServerConfiguration
    instances: tuple[UserGatewayInstance, ...]
    passwords: tuple[VpnUser, ...] = ()
    static: tuple[StaticAddress, ...] = ()
    framed: tuple[Prefix, ...] = ()

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """The pools, whole, and the addresses of users who have their own."""
        pools = (one.properties.vpn_client_address_pool for one in self.gateway.properties.connection_configurations)
        return (
            *(prefix for pool in pools for prefix in pool.address_prefixes),
            *(ip_network(address) for one in self.static for address in one.addresses),
            *self.framed,
        )

    @property
    def everything(self) -> bool:
        """Tells whether all that some client sends goes into the tunnel, and so may use a default route."""
        return any(one.properties.enable_internet_security for one in self.gateway.properties.connection_configurations)


@dataclass(frozen=True, slots=True)
class HostedHub:
    """A hub whose gateway instances, or virtual networks, this machine hosts; its default route table is `vrf`."""

    hub: VirtualHub
    wan: VirtualWan
    vrf: str
    table: int
    gateway: VpnGateway | None
    instances: tuple[GatewayInstance, ...]
    vnets: tuple[HostedVnet, ...]
    connections: tuple[VpnConnection, ...]
    users: HostedUsers | None = None

    @property
    def mark(self) -> int:
        """The mark by which sources are looked up in the VRF."""
        return VRF_MARKS[self.table - TABLES.start]

    def address(self, instance: int) -> IPv4Address:
        """Returns the hub's own address of a gateway instance, inside the hub's prefix."""
        return IPv4Address(int(self.hub.properties.address_prefix.network_address) + FIRST_INSTANCE_HOST + instance)


@dataclass(frozen=True, slots=True)
class Scope:
    """What this machine hosts."""

    inventory: Inventory
    numbers: Numbers
    hubs: tuple[HostedHub, ...] = ()

    def site_of(self, connection: VpnConnection) -> VpnSite:
        """Returns the site that a connection leads to."""
        return of_type(self.inventory, VpnSite, connection.properties.remote_vpn_site.key)


def of_type(inventory: Inventory, kind: type[R], key: str) -> R:
    """Returns the resource of a key, checked to be of a kind.

    Raises:
        TypeError: it is of another kind; validation should have refused it.
    """
    resource = inventory.get(key)
    if not isinstance(resource, kind):
        raise TypeError(f"{key}: a {type(resource).__name__}, not a {kind.__name__}")
    return resource


def scope_of(inventory: Inventory, node: Node | None, numbers: Numbers) -> Scope:
    """Finds the hubs that a node takes part in, with all that belongs to them."""
    if node is None:
        return Scope(inventory, numbers)
    instances: dict[str, list[GatewayInstance]] = {}
    for instance in node.properties.gateway_instances:
        instances.setdefault(instance.vpn_gateway.key, []).append(instance)
    attachments = {attachment.virtual_network.key: attachment for attachment in node.properties.virtual_networks}
    gateways = {gateway.properties.virtual_hub.key: gateway for gateway in inventory.gateways}
    vnets: dict[str, list[HostedVnet]] = {}
    for vnet_connection in inventory.vnet_connections:
        vnet = of_type(inventory, VirtualNetwork, vnet_connection.properties.remote_virtual_network.key)
        if attachment := attachments.get(vnet.key):
            vnets.setdefault(vnet_connection.parent_key, []).append(HostedVnet(vnet_connection, vnet, attachment))
    connections: dict[str, list[VpnConnection]] = {}
    for connection in inventory.connections:
        connections.setdefault(connection.parent_key, []).append(connection)
    hubs = []
    for hub in inventory.hubs:
        gateway = gateways.get(hub.key)
        hosted = instances.get(gateway.key, []) if gateway else []
        users = _hosted_users(inventory, node, hub)
        if not hosted and hub.key not in vnets and users is None:
            continue
        vrf, table = numbers.vrf(hub.key)
        hubs.append(
            HostedHub(
                hub=hub,
                wan=of_type(inventory, VirtualWan, hub.properties.virtual_wan.key),
                vrf=vrf,
                table=table,
                gateway=gateway,
                instances=tuple(sorted(hosted, key=lambda instance: instance.instance)),
                vnets=tuple(vnets.get(hub.key, ())),
                connections=tuple(connections.get(gateway.key, ())) if gateway else (),
                users=users,
            )
        )
    return Scope(inventory, numbers, tuple(hubs))


def _hosted_users(inventory: Inventory, node: Node, hub: VirtualHub) -> HostedUsers | None:
    gateway = next((one for one in inventory.user_gateways if one.properties.virtual_hub.key == hub.key), None)
    if gateway is None:
        return None
    every = (one for one in node.properties.user_gateway_instances if one.user_gateway.key == gateway.key)
    instances = tuple(sorted(every, key=lambda instance: instance.instance))
    server = of_type(inventory, VpnServerConfiguration, gateway.properties.vpn_server_configuration.key)
    if not instances:
        return None
    return HostedUsers(
        gateway,
        server,
        instances,
        inventory.users_of(server.key),
        inventory.static_addresses(gateway.key),
        inventory.framed_prefixes(gateway.key),
    )
