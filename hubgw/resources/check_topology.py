"""Hubs, gateways and connections of virtual networks: one of each, in one region."""

from hubgw.resources.hub import VirtualHub
from hubgw.resources.problem import shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.vnet import VirtualNetwork


def check_hubs(report: Report) -> None:
    """A WAN has one hub in a region."""
    path = ("location",)
    for pair in seconds(report.inventory.hubs, lambda hub: (hub.properties.virtual_wan.key, hub.region)):
        hub, other = report.later(*pair, key=lambda one: one.key)
        wan = hub.properties.virtual_wan.name
        message = f"virtualWan {wan} has a hub in this region already, {report.placed(other, path)}"
        report.add(hub, path, message, shown(hub.location), "one hub of a WAN in a region; use another region, or WAN")


def check_gateways(report: Report) -> None:
    """A hub has one vpnGateway, in its own region."""
    path = ("properties", "virtualHub")
    for pair in seconds(report.inventory.gateways, lambda gateway: gateway.properties.virtual_hub.key):
        gateway, other = report.later(*pair, key=lambda one: one.key)
        name = shown(gateway.properties.virtual_hub.name)
        report.add(gateway, path, f"the hub has a vpnGateway already, {report.placed(other, path)}", name)
    for gateway in report.inventory.gateways:
        hub = report.of(VirtualHub, gateway.properties.virtual_hub)
        if hub and gateway.location and gateway.region != hub.region:
            message = f"{words(gateway)} is in another region than its hub, {report.placed(hub, ('location',))}"
            report.add(gateway, ("location",), message, shown(gateway.location), f"the hub is in {hub.location}")


def check_vnet_connections(report: Report) -> None:
    """A virtual network is connected once, to a hub in its own region."""
    path = ("properties", "remoteVirtualNetwork")
    for pair in seconds(report.inventory.vnet_connections, lambda one: one.properties.remote_virtual_network.key):
        connection, other = report.later(*pair, key=lambda one: one.key)
        name = connection.properties.remote_virtual_network.name
        message = f"virtualNetwork {name} is connected to a hub already, by {report.placed(other, path)}"
        report.add(connection, path, message, shown(name), "a virtual network connects to one hub")
    for connection in report.inventory.vnet_connections:
        hub = report.of(VirtualHub, connection.parent_key)
        vnet = report.of(VirtualNetwork, connection.properties.remote_virtual_network)
        if hub and vnet and hub.region != vnet.region:
            other_place = report.placed(vnet, ("location",))
            message = f"{other_place} is in {vnet.location}, and {report.placed(hub, ('location',))} in {hub.location}"
            report.add(connection, path, message, shown(vnet.name), "connect it to a hub in its own region")
