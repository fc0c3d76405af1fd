"""A policy-based connection -> the pairs of prefixes that its child SAs carry, the hub's side first."""

from ipaddress import IPv4Network, IPv6Network
from itertools import product
from typing import Final

from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.inventory import Inventory
from hubgw.resources.site import VpnSite
from hubgw.resources.vnet import VirtualNetwork

Pair = tuple[IPv4Network | IPv6Network, IPv4Network | IPv6Network]

MOST_PAIRS: Final = 100
"""Each is two SAs and three policies in the kernel, for each link and gateway instance."""


def selector_pairs(inventory: Inventory, connection: VpnConnection, site: VpnSite) -> tuple[Pair, ...]:
    """Returns those of trafficSelectorPolicies; without any, as in Azure, each prefix of the virtual networks that are
    connected to the hub with each of the site."""
    policies = connection.properties.traffic_selector_policies
    if policies:
        written = (product(policy.local_address_ranges, policy.remote_address_ranges) for policy in policies)
        return tuple(dict.fromkeys(pair for pairs in written for pair in pairs))
    gateway = inventory.get(connection.parent_key)
    hub = gateway.properties.virtual_hub.key if isinstance(gateway, VpnGateway) else ""
    vnets = (
        inventory.get(one.properties.remote_virtual_network)
        for one in inventory.vnet_connections
        if one.parent_key == hub
    )
    spaces = (vnet.properties.address_space.address_prefixes for vnet in vnets if isinstance(vnet, VirtualNetwork))
    ours = sorted(prefix for space in spaces for prefix in space if isinstance(prefix, IPv4Network))
    return tuple(dict.fromkeys(product(ours, site.properties.address_space.address_prefixes)))
