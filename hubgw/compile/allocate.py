"""Resources -> what needs a number of its own in the store, before compile can name it in the kernel.

Numbers are allocated, not hashed: 20,000 names hashed into 32 bits collide once in twenty stores.
"""

from hubgw.compile.scope import of_type
from hubgw.resources.connection import VpnConnection
from hubgw.resources.inventory import Inventory
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.site import Link, VpnSite

INSTANCES = (0, 1)
"""A vpnGateway has two instances, both active."""


def owners(inventory: Inventory) -> set[tuple[str, str]]:
    """Returns (kind, owner) of everything to number: ``vrf`` a hub, ``tunnel`` a link and instance, ``port`` a VNet."""
    wanted = {("vrf", hub.key) for hub in inventory.hubs}
    for node in inventory.nodes:
        wanted |= {
            ("port", attachment.virtual_network.key)
            for attachment in node.properties.virtual_networks
            if attachment.interface is None
        }
    for connection in inventory.connections:
        for terms in connection.terms(of_type(inventory, VpnSite, connection.properties.remote_vpn_site.key)):
            wanted |= {("tunnel", tunnel_owner(connection, terms.link, instance)) for instance in INSTANCES}
    for gateway in inventory.user_gateways:
        wanted |= {("tunnel", users_owner(gateway, instance)) for instance in INSTANCES}
    return wanted


def users_owner(gateway: P2sVpnGateway, instance: int) -> str:
    """Returns the name under which the store numbers what all users of a gateway instance share."""
    return f"{gateway.key}/{instance}"


def tunnel_owner(connection: VpnConnection, link: Link, instance: int) -> str:
    """Returns the name under which the store numbers the tunnel of a link to a gateway instance."""
    return f"{connection.key}/{link.name.lower()}/{instance}"
