"""BGP peers: what a connection with BGP needs of its site, and addresses that tell a branch from all else."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Final

from hubgw.resources.base import Resource
from hubgw.resources.bgp import BgpPeer, bgp_peers, links_with_bgp
from hubgw.resources.check_prefixes import connected_vnets
from hubgw.resources.connection import VpnConnection
from hubgw.resources.peering import BgpProperties
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.site import Link, VpnSite

_OWN: Final = "use an address of the branch's own, inside its network"


@dataclass(frozen=True, slots=True)
class PeerUse:
    """A peer of a connection. `path` is that of its address in the site, `what` words to stand before the site's."""

    connection: VpnConnection
    site: VpnSite
    peer: BgpPeer
    path: Path
    what: str


def peer_uses(report: Report) -> Iterator[PeerUse]:
    """Yields every peer of every connection."""
    for connection in report.inventory.connections:
        site = report.of(VpnSite, connection.properties.remote_vpn_site)
        if site is None:
            continue
        for peer in bgp_peers(report.inventory, connection):
            link = peer.links[0] if peer.links[0].bgp else None
            yield PeerUse(connection, site, peer, _path(site, link), _what(link))


def peering_addresses(site: VpnSite) -> Iterator[tuple[Path, str, IPv4Address]]:
    """Yields the site's and its links' addresses as BGP peers, each with its path and words to stand before the
    site's."""
    for link, bgp in _declared(site):
        yield _path(site, link), _what(link), bgp.bgp_peering_address


def check_bgp(report: Report) -> None:
    """A peer is described, and its address is its own: of no network of the hub, and of no other peer."""
    for connection in report.inventory.connections:
        _check_described(report, connection)
    _check_networks(report)
    for site in report.inventory.sites:
        _check_links(report, site)
    _check_unique(report)


def _declared(site: VpnSite) -> Iterator[tuple[Link | None, BgpProperties]]:
    if site.properties.bgp_properties:
        yield None, site.properties.bgp_properties
    for link in site.links:
        if link.bgp:
            yield link, link.bgp


def _what(link: Link | None) -> str:
    return f"the bgpPeeringAddress of link {link.name} of" if link else "the bgpPeeringAddress of"


def _path(site: VpnSite, link: Link | None) -> Path:
    holder: Path = ("properties",)
    if link:
        holder = ("properties", "vpnSiteLinks", site.links.index(link), "properties")
    return (*holder, "bgpProperties", "bgpPeeringAddress")


def _check_described(report: Report, connection: VpnConnection) -> None:
    site = report.of(VpnSite, connection.properties.remote_vpn_site)
    if site is None or site.properties.bgp_properties:
        return
    unknown: dict[int | None, list[str]] = defaultdict(list)
    for link, index in links_with_bgp(site, connection):
        if link.bgp is None:
            unknown[index].append(link.name)
    for index, names in unknown.items():
        holder: Path = ("properties",)
        if index is not None:
            holder = ("properties", "vpnLinkConnections", index, "properties")
        message = f"{report.placed(site, ())} has no bgpProperties for link {' and '.join(names)}"
        hint = "give them to the link or to the site, with asn and bgpPeeringAddress"
        report.add(connection, (*holder, "enableBgp"), message, shown(True), hint)


def _check_networks(report: Report) -> None:
    networks = _networks(report)
    for site in report.inventory.sites:
        # By length, so that an address costs at most 32 look-ups and not one for each network.
        lengths = networks[site.properties.virtual_wan.key]
        for path, what, address in peering_addresses(site):
            for length in sorted(lengths):
                network = IPv4Network((address, length), strict=False)
                if network in lengths[length]:
                    _report_inside(report, (site, path, what, address), (*lengths[length][network], network))
                    break


_Network = IPv4Network | IPv6Network
_Networks = dict[int, dict[_Network, tuple[Resource, Path]]]


def _networks(report: Report) -> dict[str, _Networks]:
    """By WAN and prefix length, the networks of its hubs and virtual networks, and who says them where."""
    wans: dict[str, _Networks] = defaultdict(lambda: defaultdict(dict))
    for hub in report.inventory.hubs:
        prefix = hub.properties.address_prefix
        wans[hub.properties.virtual_wan.key][prefix.prefixlen][prefix] = hub, ("properties", "addressPrefix")
    for vnet, wan in connected_vnets(report):
        for index, prefix in enumerate(vnet.properties.address_space.address_prefixes):
            path = ("properties", "addressSpace", "addressPrefixes", index)
            wans[wan][prefix.prefixlen][prefix] = vnet, path
    return wans


def _report_inside(
    report: Report, peer: tuple[VpnSite, Path, str, IPv4Address], network: tuple[Resource, Path, _Network]
) -> None:
    site, path, what, address = peer
    owner, place, prefix = network
    blamed, _ = report.later(site, owner, key=lambda one: one.key)
    if blamed is site:
        message = f"{what} {words(site)} is inside {prefix} of {report.placed(owner, place)}"
        report.add(site, path, message, shown(address), _OWN)
    else:
        message = f"the prefix of {words(owner)} is around {address}, {what} {report.placed(site, path)}"
        report.add(owner, place, message, shown(prefix), "a branch's address is inside its own network")


def _check_links(report: Report, site: VpnSite) -> None:
    outside = {link.ip_address: link.name for link in site.links}
    for path, what, address in peering_addresses(site):
        if address in outside:
            message = (
                f"{what} {words(site)} is the ipAddress of its link {outside[address]}, which is outside the tunnel"
            )
            report.add(site, path, message, shown(address), _OWN)


def _check_unique(report: Report) -> None:
    """A BGP daemon tells its peers by their addresses, and a gateway instance has one."""
    for pair in seconds(peer_uses(report), lambda use: (use.connection.parent_key, use.peer.address)):
        use, other = report.later(*pair, key=lambda one: one.site.key)
        if (use.site.key, use.path) == (other.site.key, other.path):
            continue
        gateway = report.inventory.get(use.connection.parent_key)
        both = f"both connect to {words(gateway)}" if gateway else "both connect to one vpnGateway"
        message = f"{use.what} {words(use.site)} is {other.what} {report.placed(other.site, other.path)}, and {both}"
        report.add(use.site, use.path, message, shown(use.peer.address), "each peer of a gateway has its own")
