"""Virtual networks attached to this machine: the port in the hub's VRF, the hub's address on it, routes to the rest."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hubgw.compile.draft import Draft
from hubgw.compile.scope import HostedHub, HostedVnet, Scope
from hubgw.plan.kernel import Address, Element, Gateway, OnLink, Port, Route
from hubgw.resources.hub import HubRoute


def compile_vnets(draft: Draft, scope: Scope) -> None:
    """Writes each attached virtual network of each hosted hub."""
    for hosted in scope.hubs:
        for vnet in hosted.vnets:
            _compile_vnet(draft, scope, hosted, vnet)
        for route in hosted.hub.properties.route_table.routes:
            if leads := behind(hosted, route):
                _compile_route(draft, _port(scope, hosted, leads), hosted, leads, route)


def behind(hosted: HostedHub, route: HubRoute) -> HostedVnet | None:
    """Returns the virtual network that a route of the hub's table leads into, where it is attached to this machine."""
    address = route.next_hop_ip_address
    spaces = ((vnet, vnet.vnet.properties.address_space.address_prefixes) for vnet in hosted.vnets)
    return next((vnet for vnet, prefixes in spaces if any(address in prefix for prefix in prefixes)), None)


def _compile_route(draft: Draft, port: Port, hosted: HostedHub, vnet: HostedVnet, route: HubRoute) -> None:
    attachment = vnet.attachment
    on_link = attachment.gateway is None or route.next_hop_ip_address in attachment.address.network
    # What is not on link itself is reached as everything of the virtual network is.
    hop = route.next_hop_ip_address if on_link else attachment.gateway
    for prefix in route.address_prefixes:
        if not isinstance(prefix, IPv4Network):
            raise TypeError(f"{hosted.hub.id}: {prefix}: IPv6 should have been refused")
        way = Gateway(port.name, IPv4Address(str(hop)))
        draft.add(Route(hosted.table, prefix, way), hosted.hub.id, vnet.connection.id)


def _compile_vnet(draft: Draft, scope: Scope, hosted: HostedHub, vnet: HostedVnet) -> None:
    attachment, owners = vnet.attachment, (vnet.connection.id, vnet.vnet.id)
    port = _port(scope, hosted, vnet)
    draft.add(port, *owners)
    draft.add(Element("ports", (port.name,)), *owners)
    if not vnet.connection.properties.enable_internet_security:
        draft.add(Element("no_default", (port.name,)), *owners)
    address = IPv4Interface(str(attachment.address))
    draft.add(Address(port.name, address), *owners)
    draft.add(Element("hub_addresses", (hosted.vrf, str(address.ip))), *owners)
    for prefix in vnet.vnet.properties.address_space.address_prefixes:
        if not isinstance(prefix, IPv4Network):
            raise TypeError(f"{vnet.vnet.id}: {prefix}: IPv6 should have been refused")
        if attachment.gateway is None or prefix.subnet_of(address.network):
            draft.add(Route(hosted.table, prefix, OnLink(port.name)), *owners)
        else:
            draft.add(Route(hosted.table, prefix, Gateway(port.name, IPv4Address(str(attachment.gateway)))), *owners)
    if attachment.gateway is not None:
        draft.add(Route(hosted.table, address.network, OnLink(port.name)), *owners)


def _port(scope: Scope, hosted: HostedHub, vnet: HostedVnet) -> Port:
    attachment = vnet.attachment
    if attachment.interface is not None:
        return Port(attachment.interface, hosted.vrf, "existing")
    name, alias = scope.numbers.port(vnet.vnet.key), f"virtualNetworks/{vnet.vnet.name}"
    if attachment.vlan is not None:
        return Port(name, hosted.vrf, "vlan", alias, parent=attachment.vlan.parent, vlan_id=attachment.vlan.id)
    ports = attachment.bridge.ports if attachment.bridge is not None else ()
    return Port(name, hosted.vrf, "bridge", alias, ports=tuple(sorted(ports)))
