"""A policy-based connection -> the pairs of prefixes that its child SAs carry, the hub's side first."""

from collections.abc import Iterator
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
    connected to the hub with each of the site. Of more than `MOST_PAIRS`, which are too many, one more is returned."""
    found: dict[Pair, None] = {}
    for pair in _all_pairs(inventory, connection, site):
        found[pair] = None
        if len(found) > MOST_PAIRS:
            break
    return tuple(found)


def _all_pairs(inventory: Inventory, connection: VpnConnection, site: VpnSite) -> Iterator[Pair]:
    policies = connection.properties.traffic_selector_policies
    for policy in policies:
        yield from product(policy.local_address_ranges, policy.remote_address_ranges)
    if policies:
        return
    gateway = inventory.get(connection.parent_key)
    hub = gateway.properties.virtual_hub.key if isinstance(gateway, VpnGateway) else ""
    vnets = (
        inventory.get(one.properties.remote_virtual_network)
        for one in inventory.vnet_connections
        if one.parent_key == hub
    )
    spaces = (vnet.properties.address_space.address_prefixes for vnet in vnets if isinstance(vnet, VirtualNetwork))
    ours = sorted(prefix for space in spaces for prefix in space if isinstance(prefix, IPv4Network))
    yield from product(ours, site.properties.address_space.address_prefixes)
