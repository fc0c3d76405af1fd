"""References that lead nowhere."""

from collections.abc import Iterator
from typing import Final

from hubgw.resources.base import Ref, Resource
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.hub import VirtualHub
from hubgw.resources.ids import LINK_SEGMENT, LINK_TYPE, POLICY_GROUP_SEGMENT, ResourceId, singular
from hubgw.resources.node import Node
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import STORED, Path, nearest, shown
from hubgw.resources.report import Report
from hubgw.resources.settings import Settings
from hubgw.resources.site import VpnSite
from hubgw.resources.vnet import HubVirtualNetworkConnection
from hubgw.resources.vpn_user import VpnUser

_ASSOCIATIONS: Final = "configurationPolicyGroupAssociations"

HINTS: Final = 20
"""The nearest name is looked for so often: a thousand times among a thousand names takes seconds."""


def references(resource: Resource) -> Iterator[tuple[Path, Ref]]:
    """Yields what a resource refers to, its parent included; a link connection's link is check_connections's."""
    if resource.parent_key:
        yield ("name",), Ref(resource.id.rsplit("/", 2)[0])
    match resource:
        case VirtualHub() | VpnSite():
            yield ("properties", "virtualWan"), resource.properties.virtual_wan
        case P2sVpnGateway():
            yield ("properties", "virtualHub"), resource.properties.virtual_hub
            yield ("properties", "vpnServerConfiguration"), resource.properties.vpn_server_configuration
            for index, configuration in enumerate(resource.properties.connection_configurations):
                associations = ("properties", "p2SConnectionConfigurations", index, "properties", _ASSOCIATIONS)
                for position, group in enumerate(configuration.properties.configuration_policy_group_associations):
                    yield (*associations, position), group
        case VpnUser():
            yield ("properties", "vpnServerConfiguration"), resource.properties.vpn_server_configuration
        case VpnGateway():
            yield ("properties", "virtualHub"), resource.properties.virtual_hub
        case HubVirtualNetworkConnection():
            yield ("properties", "remoteVirtualNetwork"), resource.properties.remote_virtual_network
        case VpnConnection():
            yield ("properties", "remoteVpnSite"), resource.properties.remote_vpn_site
            for index, one in enumerate(resource.properties.vpn_link_connections):
                path: Path = ("properties", "vpnLinkConnections", index, "properties")
                for position, rule in enumerate(one.properties.ingress_nat_rules):
                    yield (*path, "ingressNatRules", position), rule
                for position, rule in enumerate(one.properties.egress_nat_rules):
                    yield (*path, "egressNatRules", position), rule
        case Settings():
            yield ("properties", "resource"), resource.properties.resource
        case Node():
            for index, instance in enumerate(resource.properties.gateway_instances):
                yield ("properties", "gatewayInstances", index, "vpnGateway"), instance.vpn_gateway
            for index, users in enumerate(resource.properties.user_gateway_instances):
                yield ("properties", "userGatewayInstances", index, "p2sVpnGateway"), users.user_gateway
            for index, attachment in enumerate(resource.properties.virtual_networks):
                yield ("properties", "virtualNetworks", index, "virtualNetwork"), attachment.virtual_network


def check_references(report: Report) -> None:
    """Every reference leads to a resource, or to one of a file that has an error of its own."""
    parts = {link.key for site in report.inventory.sites for link in site.links}
    for server in report.inventory.servers:
        parts |= {server.group_key(group) for group in server.properties.configuration_policy_groups}
    hints = HINTS
    for key in sorted(report.inventory.by_key):
        resource = report.inventory.by_key[key]
        for path, ref in references(resource):
            if ref.key in report.inventory.by_key or ref.key in parts or _is_broken(report, ref):
                continue
            target = ResourceId.parse(ref.id)
            hint = _nearest(report, target) if hints else ""
            hints -= bool(hints)
            label = "/".join(target.names)
            named = label if ref.id == str(ResourceId(target.type, target.names)) else ref.id
            report.add(resource, path, f"there is no {singular(target.type)} of this name", shown(named), hint)


def _is_broken(report: Report, ref: Ref) -> bool:
    """The target stands in a file and was not loaded: the error that it has itself is enough."""
    holder = ref.key.partition(LINK_SEGMENT)[0].partition(POLICY_GROUP_SEGMENT)[0]
    return holder not in report.inventory.by_key and report.where(holder, ()) != STORED


def _nearest(report: Report, target: ResourceId) -> str:
    if target.type == LINK_TYPE:
        return nearest(
            "/".join(target.names),
            (f"{site.label}/{link.name}" for site in report.inventory.sites for link in site.links),
        )
    same = (other.label for other in report.inventory.by_key.values() if other.type == target.type)
    return nearest("/".join(target.names), same)
