"""The routes of a hub's own table: next hops in virtual networks that it is connected to, and prefixes of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from hubgw.resources.base import Address, Resource
from hubgw.resources.bgp import bgp_peers
from hubgw.resources.connection import VpnGateway
from hubgw.resources.hub import VirtualHub
from hubgw.resources.node import VirtualNetworkAttachment
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, words
from hubgw.resources.site import VpnSite
from hubgw.resources.translation import routed_prefixes
from hubgw.resources.vnet import VirtualNetwork

_Network = IPv4Network | IPv6Network
_Place = tuple[Resource, Path]


@dataclass(frozen=True, slots=True)
class _Around:
    """A hub's virtual networks, its own addresses in them, and the prefixes that it has routes to."""

    hub: VirtualHub
    vnets: list[VirtualNetwork]
    addresses: dict[Address, _Place]
    subnets: dict[_Network, _Place]
    taken: dict[_Network, _Place]


def check_routes(report: Report) -> None:
    """A route leads to a connected virtual network, and its prefix is no one's whose routes the hub has already."""
    for hub in report.inventory.hubs:
        if hub.properties.route_table.routes:
            vnets = list(_connected(report, hub))
            attached = list(_attachments(report, vnets))
            own = {attachment.address.ip: place for attachment, place in attached}
            subnets: dict[_Network, _Place] = {attachment.address.network: place for attachment, place in attached}
            around = _Around(hub, vnets, own, subnets, dict(_taken(report, hub, vnets)))
            _check_table(report, around)


def _check_table(report: Report, around: _Around) -> None:
    for index, route in enumerate(around.hub.properties.route_table.routes):
        path: Path = ("properties", "routeTable", "routes", index)
        _check_next_hop(report, around, (*path, "nextHopIpAddress"), route.next_hop_ip_address)
        for number, prefix in enumerate(route.address_prefixes):
            _check_prefix(report, around, (*path, "addressPrefixes", number), prefix)


def _connected(report: Report, hub: VirtualHub) -> Iterator[VirtualNetwork]:
    for connection in report.inventory.vnet_connections:
        vnet = report.of(VirtualNetwork, connection.properties.remote_virtual_network)
        if vnet and connection.parent_key == hub.key:
            yield vnet


def _attachments(report: Report, vnets: list[VirtualNetwork]) -> Iterator[tuple[VirtualNetworkAttachment, _Place]]:
    keys = {vnet.key for vnet in vnets}
    for node in report.inventory.nodes:
        for index, attachment in enumerate(node.properties.virtual_networks):
            if attachment.virtual_network.key in keys:
                yield attachment, (node, ("properties", "virtualNetworks", index, "address"))


def _taken(report: Report, hub: VirtualHub, vnets: list[VirtualNetwork]) -> Iterator[tuple[_Network, _Place]]:
    yield hub.properties.address_prefix, (hub, ("properties", "addressPrefix"))
    spaces: list[tuple[Resource, tuple[_Network, ...], tuple[_Network, ...]]] = []
    for vnet in vnets:
        space = vnet.properties.address_space.address_prefixes
        spaces.append((vnet, space, space))
    for connection in report.inventory.connections:
        gateway = report.of(VpnGateway, connection.parent_key)
        site = report.of(VpnSite, connection.properties.remote_vpn_site)
        if gateway and site and gateway.properties.virtual_hub.key == hub.key:
            routed = routed_prefixes(report.inventory, connection, site)
            spaces.append((site, site.properties.address_space.address_prefixes, routed))
            for peer in bgp_peers(report.inventory, connection):
                yield IPv4Network(peer.address), (site, ("properties",))
    for attachment, place in _attachments(report, vnets):
        yield attachment.address.network, place
    for owner, prefixes, of_hub in spaces:
        for index, prefix in enumerate(prefixes):
            if prefix in of_hub:
                yield prefix, (owner, ("properties", "addressSpace", "addressPrefixes", index))


def _check_next_hop(report: Report, around: _Around, path: Path, address: Address) -> None:
    spaces = [prefix for vnet in around.vnets for prefix in vnet.properties.address_space.address_prefixes]
    if not any(address in prefix for prefix in spaces):
        names = ", ".join(sorted(vnet.name for vnet in around.vnets)) or "none is"
        message = f"in no virtual network that is connected to {words(around.hub)} ({names})"
        hint = "name an address of a connected virtual network, behind which the prefixes lie"
        report.add(around.hub, path, message, shown(address), hint)
    elif address in around.addresses:
        message = f"the hub's own address in the virtual network, of {report.placed(*around.addresses[address])}"
        report.add(around.hub, path, message, shown(address), "name the router that the prefixes lie behind")
    for subnet, place in around.subnets.items():
        # Of 31 bits and more there is none (RFC 3021).
        if subnet.num_addresses > 2 and address in {subnet.network_address, subnet.broadcast_address}:
            what = "network" if address == subnet.network_address else "broadcast"
            message = f"the {what} address of the subnet {subnet}, of {report.placed(*place)}"
            report.add(around.hub, path, message, shown(address), "name the router that the prefixes lie behind")


def _check_prefix(report: Report, around: _Around, path: Path, prefix: _Network) -> None:
    own = around.hub.properties.address_prefix
    if prefix in around.taken:
        message = f"the hub has a route to this prefix already, of {report.placed(*around.taken[prefix])}"
        report.add(around.hub, path, message, shown(prefix), "a longer or a shorter prefix, or leave it out")
    elif isinstance(prefix, IPv4Network) and isinstance(own, IPv4Network) and prefix.subnet_of(own):
        report.add(around.hub, path, f"inside the hub's own prefix {own}", shown(prefix), "another prefix")
    around.taken.setdefault(prefix, (around.hub, path))
