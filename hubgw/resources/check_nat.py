"""NAT rules: pairs of one size, one meaning of each address on each side, and external prefixes that lead somewhere."""

from collections.abc import Sequence

from hubgw.resources.bgp import links_with_bgp
from hubgw.resources.check_bgp import peer_uses
from hubgw.resources.check_nat_prefixes import check_nat_prefixes, check_own_prefixes, external_path, internal_path
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.nat import MOST_MAPPINGS, NatRule
from hubgw.resources.overlaps import inside, overlapping
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.site import VpnSite
from hubgw.resources.translation import Pair, pairs, pairs_of


def check_nat(report: Report) -> None:
    """A rule translates one to one, and a connection names its gateway's rules on all of its links."""
    for rule in report.inventory.nat_rules:
        _check_sizes(report, rule)
    check_nat_prefixes(report)
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
            report.add(rule, external_path(pair), message, shown(pair.external), hint)


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
    if len(every) > MOST_MAPPINGS:
        message = f"the NAT rules translate {len(every)} prefixes, and at most {MOST_MAPPINGS} are for a connection"
        hint = "larger prefixes, or fewer rules: each packet is compared with one after the other"
        report.add(connection, _own(0), message, shown(connection.properties.vpn_link_connections[0].name), hint)
        return
    for mode in ("EgressSnat", "IngressSnat"):
        _check_both(report, connection, [pair for pair in every if pair.mode == mode])
    if site:
        check_own_prefixes(report, connection, site, every)
        if not any(True for _ in links_with_bgp(site, connection)):
            for pair in every:
                if pair.mode == "IngressSnat":
                    _check_space(report, connection, site, pair)


def _check_both(report: Report, connection: VpnConnection, every: Sequence[Pair]) -> None:
    """Of one mode: an address becomes one other, and what was translated is not translated again."""
    sides = [(place, pair, side) for place, pair in enumerate(every) for side in ("external", "internal")]
    found = overlapping(sides, lambda one: one[1].external if one[2] == "external" else one[1].internal)
    for (_, one, side), (_, other, of) in (sorted(two, key=lambda it: (it[2], it[0])) for two in found):
        if side == of == "internal":
            message = f"overlaps {other.internal} of {report.placed(other.rule, internal_path(other))}"
            hint = f"{words(connection)} names both: an address becomes one other"
            report.add(one.rule, internal_path(one), message, shown(one.internal), hint)
        elif side == of == "external" and one.mode == "EgressSnat":
            message = f"overlaps {other.external} of {report.placed(other.rule, external_path(other))}"
            hint = f"{words(connection)} names both: an address becomes one other"
            report.add(one.rule, external_path(one), message, shown(one.external), hint)
        elif side != of:
            place = report.placed(other.rule, internal_path(other))
            message = f"overlaps the internal prefix {other.internal} of {place}"
            hint = f"{words(connection)} names the rules: what was translated is not translated again"
            report.add(one.rule, external_path(one), message, shown(one.external), hint)


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
        report.add(pair.rule, external_path(pair), message, shown(pair.external), "add it to the site's addressSpace")


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
