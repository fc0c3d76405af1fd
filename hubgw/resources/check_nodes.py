"""Nodes: which machine hosts what, at which address, over which interface."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from hubgw.resources.node import Instance, Node, VirtualNetworkAttachment
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.vnet import VirtualNetwork

Network = IPv4Network | IPv6Network
_Instance = tuple[Node, Path, Instance]
_Attachment = tuple[Node, Path, VirtualNetworkAttachment]


def check_instances(report: Report) -> None:
    """An instance is hosted once, a gateway by one node, and every instance of a kind has addresses of its own."""
    hosted = list(instances(report))
    for node, path, instance in _second_node(hosted):
        message = f"a second node for {_words(instance)} is not implemented yet"
        hint = "host both instances on one machine"
        report.add(node, (*path, instance.KIND), message, shown(instance.gateway.name), hint)
    for (node, path, instance), (_, _, _) in seconds(hosted, lambda it: (it[2].gateway.key, it[2].instance)):
        message = f"instance {instance.instance} of {_words(instance)} is hosted twice"
        report.add(node, (*path, "instance"), message, shown(instance.instance))
    for (node, path, instance), (_, _, other) in seconds(hosted, lambda it: (it[2].KIND, it[2].public_address)):
        message = f"instance {other.instance} of {_words(other)} has this address already"
        hint = "each instance needs a public address of its own; a host with one hosts one instance"
        report.add(node, (*path, "publicAddress"), message, shown(instance.public_address), hint)
    # charon tells the gateways of a kind apart by the address that is called, and whom each believes by the gateway.
    for (node, path, instance), (_, _, other) in seconds(
        hosted, lambda it: (it[2].KIND, it[0].key, it[2].local_address)
    ):
        if instance.private_address is None and other.private_address is None:
            continue
        field = "publicAddress" if instance.private_address is None else "privateAddress"
        message = f"instance {other.instance} of {_words(other)} has this address already"
        hint = "each instance needs an address of its own on the machine"
        report.add(node, (*path, field), message, shown(instance.local_address), hint)


def _words(instance: Instance) -> str:
    return f"{instance.KIND} {instance.gateway.name}"


def instances(report: Report) -> Iterator[_Instance]:
    """Yields every hosted instance, of branches and of users, with its node and path."""
    for node in report.inventory.nodes:
        for index, instance in enumerate(node.properties.gateway_instances):
            yield node, ("properties", "gatewayInstances", index), instance
        for index, users in enumerate(node.properties.user_gateway_instances):
            yield node, ("properties", "userGatewayInstances", index), users


def _second_node(hosted: list[_Instance]) -> Iterator[_Instance]:
    # Each agent has authorities of its own, and would believe no user or branch of another's.
    hosts: dict[str, str] = {}
    for node, path, instance in hosted:
        if hosts.setdefault(instance.gateway.key, node.key) != node.key:
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
    underlay = {(node.key, it.interface) for node, _, it in instances(report)}
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
