"""A number of sites -> the YAML of a whole hub with that many branches. Pure: the same number gives the same text.

Prefixes are private (RFC 1918), the gateway's addresses documentation's (RFC 5737), the branches' from the range for
benchmarks (RFC 2544): none of them leaves the namespace.
"""

from ipaddress import IPv4Address, IPv4Network
from typing import Final

MOST: Final = 60_000
"""Sites that the ranges have room for."""

INSTANCES: Final = ("198.51.100.10", "198.51.100.11")
UNDERLAY: Final = "eth0"
VNET: Final = "vnet1"

_LANS: Final = int(IPv4Address("10.0.0.0"))
_MORE_LANS: Final = int(IPv4Address("172.16.0.0"))
_BRANCHES: Final = int(IPv4Address("198.18.0.1"))

_HUB: Final = f"""\
type: virtualWans
name: wan1
location: westeurope
properties: {{}}
---
type: virtualHubs
name: hub1
location: westeurope
properties: {{virtualWan: wan1, addressPrefix: 192.168.0.0/24}}
---
type: vpnGateways
name: gw1
location: westeurope
properties: {{virtualHub: hub1}}
---
type: virtualNetworks
name: {VNET}
location: westeurope
properties: {{addressSpace: {{addressPrefixes: [192.168.1.0/24]}}}}
---
type: hubVirtualNetworkConnections
name: hub1/{VNET}
properties: {{remoteVirtualNetwork: {VNET}}}
---
type: nodes
name: node1
properties:
  gatewayInstances:
    - {{vpnGateway: gw1, instance: 0, publicAddress: {INSTANCES[0]}, interface: {UNDERLAY}}}
    - {{vpnGateway: gw1, instance: 1, publicAddress: {INSTANCES[1]}, interface: {UNDERLAY}}}
  virtualNetworks:
    - {{virtualNetwork: {VNET}, interface: {VNET}, address: 192.168.1.1/24}}
"""


def hub(sites: int) -> str:
    """Returns the hub with `sites` branches, one link and so two tunnels each.

    Raises:
        ValueError: there are not so many addresses.
    """
    if not 0 < sites <= MOST:
        raise ValueError(f"sites: {sites}; expected 1 to {MOST}")
    return "---\n".join((_HUB, *map(site, range(sites))))


def site(number: int, *, more: bool = False) -> str:
    """Returns the vpnSite and vpnConnection of one branch, which with `more` announces a second prefix."""
    lans = [IPv4Network((_LANS + 256 * number, 24))]
    if more:
        lans.append(IPv4Network((_MORE_LANS + 16 * number, 28)))
    name = f"branch{number:05}"
    return f"""\
type: vpnSites
name: {name}
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [{", ".join(map(str, lans))}]}}
  vpnSiteLinks: [{{name: link1, properties: {{ipAddress: {IPv4Address(_BRANCHES + number)}}}}}]
---
type: vpnConnections
name: gw1/{name}
properties: {{remoteVpnSite: {name}, sharedKey: example-key-of-{name}}}
"""
