"""The kinds that people say (`site`) and the types that Azure says (`vpnSites`)."""

from typing import Final

TYPES: Final = {
    "wan": "virtualWans",
    "hub": "virtualHubs",
    "gateway": "vpnGateways",
    "site": "vpnSites",
    "vnet": "virtualNetworks",
    "connection": "vpnConnections",
    "nat-rule": "natRules",
    "vnet-connection": "hubVirtualNetworkConnections",
    "node": "nodes",
}


def full_name(name: str) -> str:
    """Writes a kind as Azure's type; other names stay as they are.

    >>> full_name("site/branch1"), full_name("vpnSites/branch1")
    ('vpnSites/branch1', 'vpnSites/branch1')
    """
    kind, slash, rest = name.partition("/")
    return f"{TYPES[kind]}/{rest}" if slash and kind in TYPES else name
