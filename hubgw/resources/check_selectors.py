"""Policy-based connections: exact traffic selectors, few enough, and without what needs all traffic."""

from hubgw.resources.connection import VpnConnection
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, words
from hubgw.resources.selectors import MOST_PAIRS, selector_pairs
from hubgw.resources.site import VpnSite

_POLICIES: Path = ("properties", "trafficSelectorPolicies")


def check_selectors(report: Report) -> None:
    """What is policy-based has pairs of prefixes, and no BGP; what is not has none."""
    for connection in report.inventory.connections:
        whole = connection.properties
        links = [one.properties for one in whole.vpn_link_connections]
        if whole.use_policy_based_traffic_selectors or any(link.use_policy_based_traffic_selectors for link in links):
            _check_pairs(report, connection)
            if whole.enable_bgp or any(link.enable_bgp for link in links):
                message = "BGP announces prefixes at any time, and policy-based traffic selectors are fixed beforehand"
                hint = "set one of enableBgp and usePolicyBasedTrafficSelectors to false"
                report.add(connection, ("properties", "enableBgp"), message, "", hint)
        elif whole.traffic_selector_policies:
            message = "of no effect, as in Azure, without usePolicyBasedTrafficSelectors"
            report.add(connection, _POLICIES, message, "", "set usePolicyBasedTrafficSelectors to true")


def _check_pairs(report: Report, connection: VpnConnection) -> None:
    site = report.of(VpnSite, connection.properties.remote_vpn_site)
    if site is None:
        return
    written = connection.properties.traffic_selector_policies
    path: Path = _POLICIES if written else ("properties", "usePolicyBasedTrafficSelectors")
    count = len(selector_pairs(report.inventory, connection, site))
    if not count:
        message = f"no traffic selectors: no virtual network is connected, or {words(site)} has no addressSpace"
        report.add(connection, path, message, shown(True), "write trafficSelectorPolicies")
    elif count > MOST_PAIRS:
        message = f"expected at most {MOST_PAIRS} pairs of traffic selectors, each an SA of its own"
        hint = "write shorter prefixes in trafficSelectorPolicies, or use routes (0.0.0.0/0 both ways)"
        report.add(connection, path, message, f"more than {MOST_PAIRS}", hint)
