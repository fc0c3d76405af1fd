"""Prefixes of one virtual WAN that get in each other's way. Different WANs may have the same ones.

A virtual network's, a hub's or a pool's prefix must not overlap another's, nor equal or contain a site's; a site may
announce a supernet of either (the longer prefix wins), and two sites the same prefix only where settings order them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from hubgw.resources.base import Resource
from hubgw.resources.hub import VirtualHub
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, words
from hubgw.resources.site import VpnSite
from hubgw.resources.translation import routed_prefixes
from hubgw.resources.vnet import VirtualNetwork

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class _Entry:
    prefix: Network
    owner: Resource
    path: Path

    @property
    def is_site(self) -> bool:
        return isinstance(self.owner, VpnSite)


def check_prefixes(report: Report) -> None:
    """Sweeps the prefixes of each WAN once, in order, so that it costs what sorting them costs."""
    wans: dict[str, list[_Entry]] = defaultdict(list)
    for hub in report.inventory.hubs:
        path = ("properties", "addressPrefix")
        wans[hub.properties.virtual_wan.key].append(_Entry(hub.properties.address_prefix, hub, path))
    routed = routed_spaces(report)
    for site in report.inventory.sites:
        wans[site.properties.virtual_wan.key].extend(
            entry
            for entry in _spaces(site, site.properties.address_space.address_prefixes)
            if site.key not in routed or entry.prefix in routed[site.key]
        )
    for vnet, wan_key in connected_vnets(report):
        wans[wan_key].extend(_spaces(vnet, vnet.properties.address_space.address_prefixes))
    for gateway in report.inventory.user_gateways:
        if ends_at := report.of(VirtualHub, gateway.properties.virtual_hub):
            wans[ends_at.properties.virtual_wan.key].extend((*_pools(gateway), *_own_addresses(report, gateway)))
    for wan_key in sorted(wans):
        _sweep(report, wans[wan_key])


def routed_spaces(report: Report) -> dict[str, set[Network]]:
    """Returns, of each connected site, what some hub routes of its address space: NAT hides the rest of it."""
    routed: dict[str, set[Network]] = defaultdict(set)
    for connection in report.inventory.connections:
        if site := report.of(VpnSite, connection.properties.remote_vpn_site):
            routed[site.key].update(routed_prefixes(report.inventory, connection, site))
    return routed


def _spaces(owner: Resource, prefixes: tuple[Network, ...]) -> Iterator[_Entry]:
    for index, prefix in enumerate(prefixes):
        yield _Entry(prefix, owner, ("properties", "addressSpace", "addressPrefixes", index))


def _pools(gateway: P2sVpnGateway) -> Iterator[_Entry]:
    for index, one in enumerate(gateway.properties.connection_configurations):
        path = ("properties", "p2SConnectionConfigurations", index, "properties", "vpnClientAddressPool")
        for position, prefix in enumerate(one.properties.vpn_client_address_pool.address_prefixes):
            yield _Entry(prefix, gateway, (*path, "addressPrefixes", position))


def _own_addresses(report: Report, gateway: P2sVpnGateway) -> Iterator[_Entry]:
    if settings := report.inventory.settings_by_resource.get(gateway.key):
        for index, one in enumerate(settings.properties.static_addresses or ()):
            for position, address in enumerate(one.addresses):
                path = ("properties", "staticAddresses", index, "addresses", position)
                yield _Entry(ip_network(address), settings, path)
        for index, prefix in enumerate(settings.properties.framed_address_prefixes or ()):
            yield _Entry(prefix, settings, ("properties", "framedAddressPrefixes", index))


def connected_vnets(report: Report) -> Iterator[tuple[VirtualNetwork, str]]:
    """Yields each virtual network with the WAN that it is connected to, or with itself where it is to none."""
    wan_of: dict[str, str] = {}
    for connection in report.inventory.vnet_connections:
        hub = report.of(VirtualHub, connection.parent_key)
        if hub:
            wan_of.setdefault(connection.properties.remote_virtual_network.key, hub.properties.virtual_wan.key)
    for vnet in report.inventory.vnets:
        yield vnet, wan_of.get(vnet.key, vnet.key)


def _sweep(report: Report, entries: list[_Entry]) -> None:
    groups: dict[Network, list[_Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.prefix].append(entry)
    around: list[_Entry] = []
    for prefix in sorted(groups, key=lambda one: (one.version, int(one.network_address), one.prefixlen)):
        group = groups[prefix]
        end = int(prefix.broadcast_address)
        while around and int(around[-1].prefix.broadcast_address) < end:
            around.pop()
        if around and around[-1].prefix.version == prefix.version:
            for entry in group:
                _report_overlap(report, entry, around[-1], "inside", "around")
        if len(group) > 1:
            _check_equal(report, group)
        inner = next((entry for entry in group if not entry.is_site), None)
        if inner:
            around.append(inner)


def _check_equal(report: Report, group: list[_Entry]) -> None:
    first = next((entry for entry in group if not entry.is_site), group[0])
    seen: set[str] = set()
    sites: dict[int | None, _Entry] = {}
    for entry in group:
        if entry.owner.key in seen:
            report.add(entry.owner, entry.path, f"{words(entry.owner)} has the prefix twice", shown(entry.prefix))
            continue
        seen.add(entry.owner.key)
        if not first.is_site:
            if entry is not first:
                _report_overlap(report, entry, first, "equal to", "equal to")
        elif isinstance(entry.owner, VpnSite):
            _check_order(report, entry, report.inventory.priority(entry.owner), sites)


def _check_order(report: Report, entry: _Entry, priority: int | None, sites: dict[int | None, _Entry]) -> None:
    """`sites` holds, by priority, the sites that announce the prefix and were seen before; each needs its own."""
    other = sites.get(priority) or sites.get(None) or (next(iter(sites.values()), None) if priority is None else None)
    sites.setdefault(priority, entry)
    if other is None:
        return
    one, two = report.later(entry, other, key=lambda it: it.owner.key)
    message = f"{words(one.owner)} announces the same prefix as {report.placed(two.owner, two.path)}"
    hint = "give both sites settings with a different priority, or one of them another prefix"
    report.add(one.owner, one.path, message, shown(one.prefix), hint)


def _report_overlap(report: Report, entry: _Entry, other: _Entry, relation: str, mirrored: str) -> None:
    one, two = report.later(entry, other, key=lambda it: it.owner.key)
    word = relation if one is entry else mirrored
    message = f"the prefix of {words(one.owner)} is {word} {two.prefix} of {report.placed(two.owner, two.path)}"
    hint = "a site may announce a larger prefix than a virtual network's, no equal or smaller one"
    report.add(one.owner, one.path, message, shown(one.prefix), hint if one.is_site or two.is_site else "")
