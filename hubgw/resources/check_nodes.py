"""Nodes: which machine hosts what, at which address, over which interface."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from hubgw.resources.base import Address
from hubgw.resources.node import GatewayInstance, Node, VirtualNetworkAttachment
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.vnet import VirtualNetwork

Network = IPv4Network | IPv6Network
_Instance = tuple[Node, Path, GatewayInstance]
_Attachment = tuple[Node, Path, VirtualNetworkAttachment]


def check_instances(report: Report) -> None:
    """An instance is hosted once, a gateway by one node, and every instance has addresses of its own."""
    hosted = list(instances(report))
    for node, path, instance in _second_node(hosted):
        name = instance.vpn_gateway.name
        message = f"a second node for vpnGateway {name} is not implemented yet"
        report.add(node, (*path, "vpnGateway"), message, shown(name), "host both instances on one machine")
    for (node, path, instance), (_, _, _) in seconds(hosted, lambda it: (it[2].vpn_gateway.key, it[2].instance)):
        message = f"instance {instance.instance} of vpnGateway {instance.vpn_gateway.name} is hosted twice"
        report.add(node, (*path, "instance"), message, shown(instance.instance))
    for (node, path, instance), (_, _, other) in seconds(hosted, lambda it: it[2].public_address):
        message = f"instance {other.instance} of vpnGateway {other.vpn_gateway.name} has this address already"
        hint = "each instance needs a public address of its own; a host with one hosts one instance"
        report.add(node, (*path, "publicAddress"), message, shown(instance.public_address), hint)
    for (node, path, instance), (_, _, other) in seconds(hosted, lambda it: (it[0].key, _local(it[2]))):
        if instance.private_address is None and other.private_address is None:
            continue
        field = "publicAddress" if instance.private_address is None else "privateAddress"
        message = f"instance {other.instance} of vpnGateway {other.vpn_gateway.name} has this address already"
        hint = "each instance needs an address of its own on the machine"
        report.add(node, (*path, field), message, shown(_local(instance)), hint)


def _local(instance: GatewayInstance) -> Address:
    return instance.private_address or instance.public_address


def instances(report: Report) -> Iterator[_Instance]:
    """Yields every hosted instance with its node and path."""
    for node in report.inventory.nodes:
        for index, instance in enumerate(node.properties.gateway_instances):
            yield node, ("properties", "gatewayInstances", index), instance


def _second_node(hosted: list[_Instance]) -> Iterator[_Instance]:
    hosts: dict[str, str] = {}
    for node, path, instance in hosted:
        if hosts.setdefault(instance.vpn_gateway.key, node.key) != node.key:
            yield node, path, instance


def check_attachments(report: Report) -> None:
    """A virtual network is attached once, over an interface of its own, with an address inside it."""
    attachments = list(_attachments(report))
    for (node, path, attachment), (other, _, _) in seconds(attachments, lambda it: it[2].virtual_network.key):
        message = f"the virtual network is attached already, to {words(other)}"
        report.add(node, (*path, "virtualNetwork"), message, shown(attachment.virtual_network.name))
    for attached in attachments:
        _check_address(report, *attached)
    _check_interfaces(report, attachments)


def _attachments(report: Report) -> Iterator[_Attachment]:
    for node in report.inventory.nodes:
        for index, attachment in enumerate(node.properties.virtual_networks):
            yield node, ("properties", "virtualNetworks", index), attachment


def _contains(prefix: Network, link: Network) -> bool:
    return (
        prefix.version == link.version
        and int(prefix.network_address) <= int(link.network_address)
        and int(link.broadcast_address) <= int(prefix.broadcast_address)
    )


def _check_address(report: Report, node: Node, path: Path, attachment: VirtualNetworkAttachment) -> None:
    link = attachment.address.network
    vnet = report.of(VirtualNetwork, attachment.virtual_network)
    if vnet and not any(_contains(prefix, link) for prefix in vnet.properties.address_space.address_prefixes):
        place = report.placed(vnet, ("properties", "addressSpace"))
        message = f"the link of the address is not inside the address space of {place}"
        report.add(node, (*path, "address"), message, shown(attachment.address))
    gateway = attachment.gateway
    if gateway is None:
        return
    reserved = {attachment.address.ip, link.network_address, link.broadcast_address}
    if gateway not in link or gateway in reserved:
        message = f"the gateway is not another host on the link {link}"
        report.add(node, (*path, "gateway"), message, shown(gateway))


def _check_interfaces(report: Report, attachments: list[_Attachment]) -> None:
    underlay = {(node.key, it.interface) for node in report.inventory.nodes for it in node.properties.gateway_instances}
    used = [(node, way, name, it) for node, path, it in attachments for way, name in _ways(path, it)]
    for (node, path, name, _), (*_, other) in seconds(used, lambda it: (it[0].key, it[2])):
        message = f"virtualNetwork {other.virtual_network.name} is attached over this already"
        report.add(node, path, message, shown(name), "each needs an interface, or a VLAN, of its own")
    for node, path, name, _ in used:
        # Taking the underlay's interface into a VRF would take the machine's own routes away from it.
        if (node.key, name) in underlay:
            report.add(
                node, path, "is the underlay interface of a gateway instance", shown(name), "use another, or a VLAN"
            )


def _ways(path: Path, attachment: VirtualNetworkAttachment) -> Iterator[tuple[Path, str]]:
    if attachment.interface is not None:
        yield (*path, "interface"), attachment.interface
    if attachment.vlan is not None:
        yield (*path, "vlan"), f"VLAN {attachment.vlan.id} of {attachment.vlan.parent}"
    if attachment.bridge is not None:
        for index, port in enumerate(attachment.bridge.ports):
            yield (*path, "bridge", "ports", index), port
