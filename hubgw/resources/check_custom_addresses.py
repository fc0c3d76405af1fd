"""A gateway's custom BGP addresses: one instance's each, and one of each instance for a peer that needs them."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from hubgw.resources.bgp import bgp_peers, custom_bgp_address, custom_bgp_addresses
from hubgw.resources.check_bgp import PeerUse, peer_uses
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.peering import APIPA, INSTANCES, ChosenAddress
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words

_Custom = tuple[Path, str, IPv4Address]
"""Where a gateway says a custom address, the instance that has it, and the address."""


def check_custom_addresses(report: Report) -> None:
    """A gateway's addresses are told apart, connections choose of them, and peers in 169.254.0.0/16 have theirs."""
    customs = {gateway.key: list(_customs(gateway)) for gateway in report.inventory.gateways}
    for gateway in report.inventory.gateways:
        _check_gateway(report, gateway, customs[gateway.key])
    for connection in report.inventory.connections:
        holder = report.of(VpnGateway, connection.parent_key)
        if holder:
            _check_choices(report, connection, holder)
    for use in peer_uses(report):
        holder = report.of(VpnGateway, use.connection.parent_key)
        if holder and use.peer.address in APIPA:
            _check_peer(report, use, holder, customs[holder.key])


def _customs(gateway: VpnGateway) -> Iterator[_Custom]:
    settings = gateway.properties.bgp_settings
    for index, instance in enumerate(settings.bgp_peering_addresses if settings else ()):
        path: Path = ("properties", "bgpSettings", "bgpPeeringAddresses", index, "customBgpIpAddresses")
        for position, address in enumerate(instance.custom_bgp_ip_addresses):
            yield (*path, position), instance.ipconfiguration_id, address


def _check_gateway(report: Report, gateway: VpnGateway, customs: list[_Custom]) -> None:
    settings = gateway.properties.bgp_settings
    indexed = list(enumerate(settings.bgp_peering_addresses if settings else ()))
    for (index, one), _ in seconds(indexed, lambda pair: pair[1].ipconfiguration_id):
        path = ("properties", "bgpSettings", "bgpPeeringAddresses", index, "ipconfigurationId")
        report.add(gateway, path, "the instance is there twice", shown(one.ipconfiguration_id), "write one list of it")
    for (place, instance, address), (_, first, _) in seconds(customs, lambda custom: custom[2]):
        message = f"{first} of {words(gateway)} has this custom address already"
        hint = "leave it out" if first == instance else "each instance has custom addresses of its own"
        report.add(gateway, place, message, shown(address), hint)


def _check_choices(report: Report, connection: VpnConnection, gateway: VpnGateway) -> None:
    peers = {link.key: peer for peer in bgp_peers(report.inventory, connection) for link in peer.links}
    for index, one in enumerate(connection.properties.vpn_link_connections):
        link = one.properties.vpn_site_link
        field: Path = ("properties", "vpnLinkConnections", index, "properties", "vpnGatewayCustomBgpAddresses")
        indexed = list(enumerate(one.properties.vpn_gateway_custom_bgp_addresses))
        peer = peers.get(link.key)
        if indexed and peer and peer.address not in APIPA:
            message = f"custom addresses are for a peer in {APIPA}, and link {link.name} peers from {peer.address}"
            report.add(connection, field, message, hint="leave them out, the default addresses are used")
        for (position, choice), _ in seconds(indexed, lambda pair: pair[1].ip_configuration_id):
            path = (*field, position, "ipConfigurationId")
            report.add(connection, path, "the instance is there twice", shown(choice.ip_configuration_id))
        for position, choice in indexed:
            _check_choice(report, connection, gateway, (*field, position, "customBgpIpAddress"), choice)


def _check_choice(
    report: Report, connection: VpnConnection, gateway: VpnGateway, path: Path, choice: ChosenAddress
) -> None:
    instance, address = choice.ip_configuration_id, choice.custom_bgp_ip_address
    own = custom_bgp_addresses(gateway, INSTANCES.index(instance))
    if address not in own:
        place = report.placed(gateway, ("properties", "bgpSettings"))
        message = f"{instance} of {place} has no such custom address"
        hint = f"it has {', '.join(map(str, own))}" if own else "give it customBgpIpAddresses"
        report.add(connection, path, message, shown(address), hint)


def _check_peer(report: Report, use: PeerUse, gateway: VpnGateway, customs: list[_Custom]) -> None:
    value = shown(use.peer.address)
    if len(use.peer.links) > 1:
        links = ", ".join(link.name for link in use.peer.links)
        message = (
            f"{use.what} {words(use.site)} is in {APIPA}, which is of one link, and {words(use.connection)} has BGP"
        )
        hint = "give each link bgpProperties of its own"
        report.add(use.site, use.path, f"{message} over {links}", value, hint)
    for path, instance, address in customs:
        if address == use.peer.address:
            _report_equal(report, use, gateway, path, instance)
    missing = [
        name
        for instance, name in enumerate(INSTANCES)
        if custom_bgp_address(report.inventory, use.connection, use.peer, instance) is None
    ]
    if missing:
        place = report.placed(gateway, ("properties", "bgpSettings"))
        message = f"{use.what} {words(use.site)} is in {APIPA}, and {place} has no custom address"
        hint = f"give {' and '.join(missing)} customBgpIpAddresses"
        report.add(use.site, use.path, f"{message} for {' and '.join(missing)}", value, hint)


def _report_equal(report: Report, use: PeerUse, gateway: VpnGateway, path: Path, instance: str) -> None:
    custom = f"a custom address of {instance} of"
    blamed, _ = report.later(use.site, gateway, key=lambda one: one.key)
    if blamed is gateway:
        message = f"{custom} {words(gateway)} is {use.what} {report.placed(use.site, use.path)}"
        report.add(gateway, path, message, shown(use.peer.address), "each end of a session has its own")
    else:
        message = f"{use.what} {words(use.site)} is {custom} {report.placed(gateway, path)}"
        report.add(use.site, use.path, message, shown(use.peer.address), "each end of a session has its own")
