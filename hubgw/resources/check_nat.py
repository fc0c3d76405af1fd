"""NAT rules: pairs of one size, one meaning of each address on each side, and external prefixes that lead somewhere."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from hubgw.resources.base import Resource
from hubgw.resources.bgp import links_with_bgp
from hubgw.resources.check_bgp import peer_uses
from hubgw.resources.check_prefixes import connected_vnets
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.hub import VirtualHub
from hubgw.resources.nat import NatRule
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.site import VpnSite
from hubgw.resources.translation import Network, Pair, inside, pairs, pairs_of

_Taken = tuple[Network, Resource, Path]
"""A prefix, and who has it where."""


def check_nat(report: Report) -> None:
    """A rule translates one to one, and a connection names its gateway's rules on all of its links."""
    for rule in report.inventory.nat_rules:
        _check_sizes(report, rule)
    _check_gateways(report)
    for connection in report.inventory.connections:
        if any(_lists(connection, index) for index in range(len(connection.properties.vpn_link_connections))):
            _check_names(report, connection)
            _check_connection(report, connection)
            _check_selectors(report, connection)
    _check_peers(report)


def _check_sizes(report: Report, rule: NatRule) -> None:
    for pair in pairs_of(rule):
        if pair.internal.prefixlen != pair.external.prefixlen:
            message = f"a static rule translates one to one, and the internal prefix is {pair.internal}"
            hint = f"a prefix of /{pair.internal.prefixlen}"
            report.add(rule, _external(pair), message, shown(pair.external), hint)


def _check_gateways(report: Report) -> None:
    """What is external is nobody else's: of no hub, no virtual network, and no other rule's branches."""
    wans = {hub.properties.virtual_wan.key for hub in report.inventory.hubs}
    taken = {wan: list(_taken(report, wan)) for wan in wans}
    spaces = {wan: sorted(_spaces(report, wan), key=_start) for wan in wans}
    of_gateway: dict[str, list[Pair]] = {}
    for rule in report.inventory.nat_rules:
        of_gateway.setdefault(rule.parent_key, []).extend(pairs_of(rule))
        gateway = report.of(VpnGateway, rule.parent_key)
        hub = report.of(VirtualHub, gateway.properties.virtual_hub) if gateway else None
        if hub:
            for pair in pairs_of(rule):
                _check_taken(report, pair, hub, taken[hub.properties.virtual_wan.key])
                if pair.mode == "EgressSnat":
                    _check_hidden(report, pair, spaces[hub.properties.virtual_wan.key])
    for every in of_gateway.values():
        for one, other in _overlapping(every):
            # The same address may stand for the hub's side at several branches, and at each for something else.
            if not one.mode == other.mode == "EgressSnat":
                _report_overlap(report, one, other)


def _overlapping(every: Iterable[Pair]) -> Iterator[tuple[Pair, Pair]]:
    """Yields each two whose external prefixes overlap: of two prefixes, one is then around the other."""
    around: list[Pair] = []
    for pair in sorted(every, key=lambda one: (int(one.external.network_address), one.external.prefixlen)):
        while around and not inside(pair.external, around[-1].external):
            around.pop()
        yield from ((pair, other) for other in around)
        around.append(pair)


def _taken(report: Report, wan: str) -> Iterator[_Taken]:
    for hub in report.inventory.hubs:
        if hub.properties.virtual_wan.key == wan:
            yield hub.properties.address_prefix, hub, ("properties", "addressPrefix")
    for vnet, of in connected_vnets(report):
        if of == wan:
            for index, prefix in enumerate(vnet.properties.address_space.address_prefixes):
                yield prefix, vnet, ("properties", "addressSpace", "addressPrefixes", index)


def _spaces(report: Report, wan: str) -> Iterator[_Taken]:
    for site in report.inventory.sites:
        if site.properties.virtual_wan.key == wan:
            for index, prefix in enumerate(site.properties.address_space.address_prefixes):
                yield prefix, site, ("properties", "addressSpace", "addressPrefixes", index)


def _start(taken: _Taken) -> tuple[int, int]:
    return int(taken[0].network_address), taken[0].prefixlen


def _check_hidden(report: Report, pair: Pair, spaces: Sequence[_Taken]) -> None:
    """What the branch would reach the hub's side by is no site's; of `spaces`, sorted, the next may be inside it."""
    external = pair.external
    at = bisect_left(spaces, (int(external.network_address), external.prefixlen), key=_start)
    if at < len(spaces) and inside(spaces[at][0], external):
        prefix, site, path = spaces[at]
        message = f"the external prefix holds {prefix} of {report.placed(site, path)}"
        report.add(pair.rule, _external(pair), message, shown(external), "a prefix that nobody has")


def _check_taken(report: Report, pair: Pair, hub: VirtualHub, taken: Iterable[_Taken]) -> None:
    for prefix, owner, path in taken:
        if pair.external.overlaps(prefix):
            message = f"the external prefix overlaps {prefix} of {report.placed(owner, path)}"
            report.add(pair.rule, _external(pair), message, shown(pair.external), "a prefix that nobody has")
    own = hub.properties.address_prefix
    if pair.mode == "EgressSnat" and pair.internal.overlaps(own):
        message = f"overlaps {own} of {words(hub)}, and the hub's own addresses are not translated"
        report.add(pair.rule, _internal(pair), message, shown(pair.internal), "the prefixes of virtual networks alone")


def _report_overlap(report: Report, one: Pair, other: Pair) -> None:
    one, other = report.later(one, other, key=lambda pair: f"{pair.rule.key} {pair.index:03}")
    message = f"the external prefix overlaps {other.external} of {report.placed(other.rule, _external(other))}"
    hint = "what is seen of a branch has a prefix of its own"
    report.add(one.rule, _external(one), message, shown(one.external), hint)


def _check_names(report: Report, connection: VpnConnection) -> None:
    gateway = report.of(VpnGateway, connection.parent_key)
    for index, one in enumerate(connection.properties.vpn_link_connections):
        for field, mode in (("ingressNatRules", "IngressSnat"), ("egressNatRules", "EgressSnat")):
            refs = one.properties.ingress_nat_rules if mode == "IngressSnat" else one.properties.egress_nat_rules
            indexed = [((*_own(index), field, position), ref) for position, ref in enumerate(refs)]
            for (path, ref), _ in seconds(indexed, lambda pair: pair[1].key):
                report.add(connection, path, "the rule is named twice", shown(ref.name))
            for path, ref in indexed:
                rule = report.of(NatRule, ref)
                if gateway and rule and rule.parent_key != gateway.key:
                    message = f"is a rule of another gateway than {words(gateway)}"
                    report.add(connection, path, message, shown(rule.label))
                elif rule and rule.properties.mode != mode:
                    place = report.placed(rule, ("properties", "mode"))
                    message = f"{place} is of mode {rule.properties.mode}, and {mode} is expected here"
                    report.add(connection, path, message, shown(ref.name))
    first = _lists(connection, 0)
    for index, one in enumerate(connection.properties.vpn_link_connections):
        if _lists(connection, index) != first:
            other = connection.properties.vpn_link_connections[0].name
            message = f"the NAT rules differ from those of {other}, and the hub uses every link of a site"
            report.add(connection, _own(index), message, shown(one.name), "name the same rules on each link")


def _lists(connection: VpnConnection, index: int) -> set[str]:
    properties = connection.properties.vpn_link_connections[index].properties
    return {ref.key for ref in (*properties.ingress_nat_rules, *properties.egress_nat_rules)}


def _check_connection(report: Report, connection: VpnConnection) -> None:
    site = report.of(VpnSite, connection.properties.remote_vpn_site)
    every = pairs(report.inventory, connection)
    hint = f"{words(connection)} names both: an address becomes one other"
    for one, other in combinations(every, 2):
        if one.mode == other.mode and one.internal.overlaps(other.internal):
            message = f"overlaps {other.internal} of {report.placed(other.rule, _internal(other))}"
            report.add(one.rule, _internal(one), message, shown(one.internal), hint)
        if one.mode == other.mode == "EgressSnat" and one.external.overlaps(other.external):
            message = f"overlaps {other.external} of {report.placed(other.rule, _external(other))}"
            report.add(one.rule, _external(one), message, shown(one.external), hint)
    for one in every:
        for other in every:
            if one.mode == other.mode and one.external.overlaps(other.internal):
                place = report.placed(other.rule, _internal(other))
                message = f"overlaps the internal prefix {other.internal} of {place}"
                hint = f"{words(connection)} names the rules: what was translated is not translated again"
                report.add(one.rule, _external(one), message, shown(one.external), hint)
    if site and not any(True for _ in links_with_bgp(site, connection)):
        for pair in every:
            if pair.mode == "IngressSnat":
                _check_space(report, connection, site, pair)


def _check_selectors(report: Report, connection: VpnConnection) -> None:
    whole = connection.properties
    field = "usePolicyBasedTrafficSelectors"
    paths: list[Path] = [("properties", field)] if whole.use_policy_based_traffic_selectors else []
    for index, one in enumerate(whole.vpn_link_connections):
        if one.properties.use_policy_based_traffic_selectors:
            paths.append((*_own(index), field))
    for path in paths:
        message = "NAT rules are not for links with policy-based traffic selectors, as in Azure"
        report.add(connection, path, message, shown(True), "leave one of them out")


def _check_space(report: Report, connection: VpnConnection, site: VpnSite, pair: Pair) -> None:
    field: Path = ("properties", "addressSpace")
    space = site.properties.address_space.address_prefixes
    if not any(inside(pair.external, prefix) for prefix in space):
        message = (
            f"the external prefix is not in the address space of {report.placed(site, field)}, "
            f"which {words(connection)} connects without BGP, so nothing leads there"
        )
        report.add(pair.rule, _external(pair), message, shown(pair.external), "add it to the site's addressSpace")


def _check_peers(report: Report) -> None:
    for use in peer_uses(report):
        for pair in pairs(report.inventory, use.connection):
            if pair.mode != "IngressSnat":
                continue
            if use.peer.address in pair.internal:
                message = f"{use.what} {words(use.site)} is in {pair.internal}, which {words(pair.rule)} translates"
                hint = f"write the address that the hub sees, in {pair.external}"
                report.add(use.site, use.path, message, shown(use.peer.address), hint)
            elif use.peer.address in pair.external and use.peer.password:
                message = f"{use.what} {words(use.site)} is translated by {words(pair.rule)}, and has a bgpPassword"
                hint = "TCP MD5 signs the addresses; peer from an address that no rule translates"
                report.add(use.site, use.path, message, shown(use.peer.address), hint)


def _own(index: int) -> Path:
    return ("properties", "vpnLinkConnections", index, "properties")


def _internal(pair: Pair) -> Path:
    return ("properties", "internalMappings", pair.index, "addressSpace")


def _external(pair: Pair) -> Path:
    return ("properties", "externalMappings", pair.index, "addressSpace")
