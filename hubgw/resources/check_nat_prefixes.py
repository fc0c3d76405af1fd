"""What NAT rules make of prefixes: the external ones are nobody else's, and what is hidden is not routed besides."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from hubgw.resources.base import Resource
from hubgw.resources.check_prefixes import connected_vnets, routed_spaces
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.hub import VirtualHub
from hubgw.resources.overlaps import Network, Prefixes, around, overlapping
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, words
from hubgw.resources.site import VpnSite
from hubgw.resources.translation import Pair, pairs, pairs_of, rest_of

_LISTED = 8
"""Prefixes that a hint lists."""


@dataclass(frozen=True, slots=True)
class _Wan:
    """Who has what in a virtual WAN: hubs and virtual networks, sites, and what of the sites' is routed."""

    taken: Prefixes
    spaces: Prefixes
    routed: Prefixes


def check_nat_prefixes(report: Report) -> None:
    """What is external is nobody else's: of no hub, no virtual network, no other site, and no other rule's branches."""
    routed = routed_spaces(report)
    wans = {key: _wan(report, key, routed) for key in {hub.properties.virtual_wan.key for hub in report.inventory.hubs}}
    sites = _sites_of_rules(report)
    of_gateway: dict[str, list[Pair]] = {}
    for rule in report.inventory.nat_rules:
        of_gateway.setdefault(rule.parent_key, []).extend(pairs_of(rule))
        gateway = report.of(VpnGateway, rule.parent_key)
        hub = report.of(VirtualHub, gateway.properties.virtual_hub) if gateway else None
        if hub:
            wan = wans[hub.properties.virtual_wan.key]
            own = sites[rule.key]
            for pair in pairs_of(rule):
                _check_taken(report, pair, hub, wan)
                if pair.mode == "EgressSnat":
                    _check_egress(report, pair, wan, own)
                elif own:
                    _check_ingress(report, pair, wan, own)
    for every in of_gateway.values():
        for one, other in overlapping(every, lambda pair: pair.external):
            # The same address may stand for the hub's side at several branches, and at each for something else.
            if not one.mode == other.mode == "EgressSnat":
                _report_overlap(report, one, other)


def check_own_prefixes(report: Report, connection: VpnConnection, site: VpnSite, every: Sequence[Pair]) -> None:
    """What a rule hides of a site is routed as no part of more, and is not how the branch sees the hub's side."""
    space = {prefix: index for index, prefix in enumerate(site.properties.address_space.address_prefixes)}
    hidden = [pair for pair in every if pair.mode == "IngressSnat"]
    parts: dict[Network, list[Pair]] = defaultdict(list)
    for pair in hidden:
        for outer in around(pair.internal):
            if outer in space:
                parts[outer].append(pair)
    for outer, within in parts.items():
        first = within[0]
        message = f"is around {first.internal}, which {words(first.rule)} translates for {words(connection)}"
        path = ("properties", "addressSpace", "addressPrefixes", space[outer])
        report.add(site, path, message, shown(outer), f"list the rest instead: {_rest(outer, within)}")
    # What the site's addressSpace has, `_check_egress` has seen.
    unlisted = [
        pair for pair in hidden if not any(prefix in space for prefix in (pair.internal, *around(pair.internal)))
    ]
    sides = [(pair.external, pair) for pair in every if pair.mode == "EgressSnat"]
    sides += [(pair.internal, pair) for pair in unlisted]
    for two in overlapping(sides, lambda side: side[0]):
        egress, ingress = sorted((pair for _, pair in two), key=lambda pair: pair.mode)
        if egress.mode != ingress.mode:
            place = report.placed(ingress.rule, internal_path(ingress))
            message = f"overlaps the internal prefix {ingress.internal} of {place}, which the branch has"
            hint = f"{words(connection)} names both; a prefix that the branch does not have"
            report.add(egress.rule, external_path(egress), message, shown(egress.external), hint)


def _rest(outer: Network, within: Sequence[Pair]) -> str:
    hidden = [pair.internal for pair in within if isinstance(pair.internal, IPv4Network)]
    rest = rest_of(outer, hidden) if isinstance(outer, IPv4Network) else ()
    more = f" and {len(rest) - _LISTED} more" if len(rest) > _LISTED else ""
    return f"{', '.join(map(str, rest[:_LISTED]))}{more}"


def _wan(report: Report, wan: str, routed: Mapping[str, set[Network]]) -> _Wan:
    spaces = list(_spaces(report, wan))
    seen = (entry for entry in spaces if entry[1].key not in routed or entry[0] in routed[entry[1].key])
    return _Wan(Prefixes(_taken(report, wan)), Prefixes(spaces), Prefixes(seen))


def _taken(report: Report, wan: str) -> Iterator[tuple[Network, Resource, Path]]:
    for hub in report.inventory.hubs:
        if hub.properties.virtual_wan.key == wan:
            yield hub.properties.address_prefix, hub, ("properties", "addressPrefix")
    for vnet, of in connected_vnets(report):
        if of == wan:
            for index, prefix in enumerate(vnet.properties.address_space.address_prefixes):
                yield prefix, vnet, ("properties", "addressSpace", "addressPrefixes", index)


def _spaces(report: Report, wan: str) -> Iterator[tuple[Network, Resource, Path]]:
    for site in report.inventory.sites:
        if site.properties.virtual_wan.key == wan:
            for index, prefix in enumerate(site.properties.address_space.address_prefixes):
                yield prefix, site, ("properties", "addressSpace", "addressPrefixes", index)


def _sites_of_rules(report: Report) -> Mapping[str, set[str]]:
    """Returns the sites at which each rule translates, by key of the rule."""
    sites: dict[str, set[str]] = defaultdict(set)
    for connection in report.inventory.connections:
        for pair in pairs(report.inventory, connection):
            sites[pair.rule.key].add(connection.properties.remote_vpn_site.key)
    return sites


def _check_taken(report: Report, pair: Pair, hub: VirtualHub, wan: _Wan) -> None:
    for prefix, owner, path in (*wan.taken.around(pair.external), *wan.taken.inside(pair.external)):
        message = f"the external prefix overlaps {prefix} of {report.placed(owner, path)}"
        report.add(pair.rule, external_path(pair), message, shown(pair.external), "a prefix that nobody has")
    own = hub.properties.address_prefix
    if pair.mode == "EgressSnat" and pair.internal.overlaps(own):
        message = f"overlaps {own} of {words(hub)}, and the hub's own addresses are not translated"
        hint = "the prefixes of virtual networks alone"
        report.add(pair.rule, internal_path(pair), message, shown(pair.internal), hint)


def _check_egress(report: Report, pair: Pair, wan: _Wan, own: set[str]) -> None:
    """What the branch would reach the hub's side by is no site's, and least of all a part of what the branch has."""
    for prefix, site, path in wan.spaces.inside(pair.external):
        message = f"the external prefix holds {prefix} of {report.placed(site, path)}"
        report.add(pair.rule, external_path(pair), message, shown(pair.external), "a prefix that nobody has")
        break
    for prefix, site, path in wan.spaces.around(pair.external):
        if site.key in own:
            message = f"the external prefix is a part of {prefix} of {report.placed(site, path)}, which is to see it"
            hint = "a prefix that the branch does not have"
            report.add(pair.rule, external_path(pair), message, shown(pair.external), hint)


def _check_ingress(report: Report, pair: Pair, wan: _Wan, own: set[str]) -> None:
    """What is seen of a branch is no other's; of two sites with one prefix, `check_prefixes` asks for their order."""
    equal = [entry for entry in wan.routed.inside(pair.external) if entry[0] == pair.external]
    listed = any(site.key in own for _, site, _ in equal)
    for prefix, site, path in (*wan.routed.around(pair.external), *wan.routed.inside(pair.external)):
        if site.key not in own and not (listed and prefix == pair.external):
            message = f"the external prefix overlaps {prefix} of {report.placed(site, path)}"
            report.add(pair.rule, external_path(pair), message, shown(pair.external), "a prefix that nobody has")


def _report_overlap(report: Report, one: Pair, other: Pair) -> None:
    one, other = report.later(one, other, key=lambda pair: f"{pair.rule.key} {pair.index:03}")
    message = f"the external prefix overlaps {other.external} of {report.placed(other.rule, external_path(other))}"
    hint = "what is seen of a branch has a prefix of its own"
    report.add(one.rule, external_path(one), message, shown(one.external), hint)


def internal_path(pair: Pair) -> Path:
    """Returns where a rule has the internal prefix of a pair."""
    return ("properties", "internalMappings", pair.index, "addressSpace")


def external_path(pair: Pair) -> Path:
    """Returns where a rule has the external prefix of a pair."""
    return ("properties", "externalMappings", pair.index, "addressSpace")
