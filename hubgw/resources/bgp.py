"""Who the BGP peers of a connection are, of all that sites, links, gateways and settings say. Checks nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, TypeVar

from hubgw.names import Secret
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.inventory import Inventory
from hubgw.resources.peering import APIPA, INSTANCES, BgpProperties, ChosenAddress
from hubgw.resources.site import Link, VpnSite

T = TypeVar("T")

HOLD_TIME: Final = 180
"""Seconds; Azure's."""

MAXIMUM_PREFIXES: Final = 4000
"""What Azure takes from a branch before it ends the session."""


@dataclass(frozen=True, slots=True)
class BgpPeer:
    """A branch's end of a session with each gateway instance, which rides the tunnels of `links`.

    `hold_time` is in seconds; `ttl_security` means that its packets must not have passed a router (RFC 5082).
    """

    asn: int
    address: IPv4Address
    links: tuple[Link, ...]
    hold_time: int
    passive: bool
    ttl_security: bool
    maximum_prefixes: int
    password: Secret | None


def bgp_peers(inventory: Inventory, connection: VpnConnection) -> tuple[BgpPeer, ...]:
    """Returns the peers of a connection, in the order of their first links; none where it has no BGP.

    A link with bgpProperties is a peer of its own; the others are ways to one peer, that of the site's.
    """
    site = inventory.get(connection.properties.remote_vpn_site)
    if not isinstance(site, VpnSite):
        return ()
    links = tuple(link for link, _ in links_with_bgp(site, connection))
    shared = tuple(link for link in links if link.bgp is None)
    made = []
    for link in links:
        if link.bgp is not None:
            made.append(_peer(inventory, site, link.bgp, (link,)))
        elif link is shared[0] and site.properties.bgp_properties is not None:
            made.append(_peer(inventory, site, site.properties.bgp_properties, shared))
    return tuple(made)


def links_with_bgp(site: VpnSite, connection: VpnConnection) -> Iterator[tuple[Link, int | None]]:
    """Yields each link with BGP, and the index of the link connection that says so (None: the connection does).

    A link connection that says nothing follows its connection.
    """
    properties = connection.properties
    indexed = {one.properties.vpn_site_link.key: index for index, one in enumerate(properties.vpn_link_connections)}
    for link in site.links:
        index = indexed.get(link.key)
        if index is not None:
            own = properties.vpn_link_connections[index].properties.enable_bgp
            if properties.enable_bgp if own is None else own:
                yield link, index if own is not None else None
        elif not indexed and properties.enable_bgp:
            yield link, None


def custom_bgp_addresses(gateway: VpnGateway, instance: int) -> tuple[IPv4Address, ...]:
    """Returns the custom addresses of a gateway's instance (0 or 1), as written."""
    settings = gateway.properties.bgp_settings
    every = settings.bgp_peering_addresses if settings else ()
    return tuple(
        address
        for one in every
        if one.ipconfiguration_id == INSTANCES[instance]
        for address in one.custom_bgp_ip_addresses
    )


def custom_bgp_address(
    inventory: Inventory, connection: VpnConnection, peer: BgpPeer, instance: int
) -> IPv4Address | None:
    """Returns the gateway's custom address for the session of a peer with an instance (0 or 1).

    Only a peer in 169.254.0.0/16 has one; None is the default address. Where the link connection chooses none, it is
    the one that has the longest prefix in common with the peer's address, and of several the first.
    """
    gateway = inventory.get(connection.parent_key)
    if peer.address not in APIPA or not isinstance(gateway, VpnGateway):
        return None
    for chosen in chosen_addresses(connection, peer.links[0]):
        if chosen.ip_configuration_id == INSTANCES[instance]:
            return chosen.custom_bgp_ip_address
    own = custom_bgp_addresses(gateway, instance)
    return min(own, key=lambda address: (int(address) ^ int(peer.address)).bit_length(), default=None)


def chosen_addresses(connection: VpnConnection, link: Link) -> tuple[ChosenAddress, ...]:
    """Returns the custom addresses that the link connection of a link chooses."""
    for one in connection.properties.vpn_link_connections:
        if one.properties.vpn_site_link.key == link.key:
            return one.properties.vpn_gateway_custom_bgp_addresses
    return ()


def _peer(inventory: Inventory, site: VpnSite, bgp: BgpProperties, links: tuple[Link, ...]) -> BgpPeer:
    """The settings of the link come first, then those of the site; of several links, those of the site alone."""
    keys = (links[0].key, site.key) if len(links) == 1 else (site.key,)
    said = [one.properties for key in keys if (one := inventory.settings_by_resource.get(key))]
    return BgpPeer(
        asn=bgp.asn,
        address=bgp.bgp_peering_address,
        links=links,
        hold_time=_first((one.bgp_hold_time for one in said), HOLD_TIME),
        passive=_first((one.bgp_passive for one in said), False),
        ttl_security=_first((one.bgp_ttl_security for one in said), False),
        maximum_prefixes=_first((one.maximum_prefixes for one in said), MAXIMUM_PREFIXES),
        password=_first((one.bgp_password for one in said), None),
    )


def _first(values: Iterable[T | None], default: T) -> T:
    return next((value for value in values if value is not None), default)
