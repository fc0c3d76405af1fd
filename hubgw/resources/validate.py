"""The whole desired set -> every problem between resources, at once. Never reads the host: what is declared decides.

Checks of one resource alone are parse.py's. A check whose other resource is missing says nothing: the reference is
reported once, by `check_references`.
"""

from collections.abc import Iterable

from hubgw.resources.base import Resource
from hubgw.resources.check_addresses import check_own_addresses
from hubgw.resources.check_bgp import check_bgp
from hubgw.resources.check_certificates import check_certificates
from hubgw.resources.check_connections import check_connections, check_identities, check_keys
from hubgw.resources.check_custom_addresses import check_custom_addresses
from hubgw.resources.check_ipsec import check_ipsec
from hubgw.resources.check_nat import check_nat
from hubgw.resources.check_nodes import check_attachments, check_instances
from hubgw.resources.check_policy_groups import check_policy_groups
from hubgw.resources.check_prefixes import check_prefixes
from hubgw.resources.check_radius import check_radius
from hubgw.resources.check_references import check_references
from hubgw.resources.check_routes import check_routes
from hubgw.resources.check_selectors import check_selectors
from hubgw.resources.check_settings import check_settings
from hubgw.resources.check_sites import check_sites
from hubgw.resources.check_topology import check_gateways, check_hubs, check_vnet_connections
from hubgw.resources.check_user_certificates import check_user_certificates
from hubgw.resources.check_user_machines import check_user_machines
from hubgw.resources.check_users import check_users
from hubgw.resources.check_vpn_users import check_vpn_users
from hubgw.resources.inventory import Inventory
from hubgw.resources.problem import Problem
from hubgw.resources.report import Report, Where


def validate(resources: Iterable[Resource], where: Where, now: float = 0.0) -> tuple[Problem, ...]:
    """Returns what is wrong between resources: those stored already and those of the files, together.

    Args:
        resources: one for each key; build them with `load` or `parse`.
        where: tells the place of a key and path, `problem.STORED` for what no file has (`Loaded.where` does).
        now: epoch seconds, for certificates that have ended; 0 where there is none to ask for.
    """
    report = Report(Inventory.of(resources), where, now)
    check_references(report)
    check_hubs(report)
    check_gateways(report)
    check_vnet_connections(report)
    check_sites(report)
    check_connections(report)
    check_identities(report)
    check_keys(report)
    check_ipsec(report)
    check_selectors(report)
    check_prefixes(report)
    check_nat(report)
    check_routes(report)
    check_instances(report)
    check_attachments(report)
    check_own_addresses(report)
    check_bgp(report)
    check_custom_addresses(report)
    check_users(report)
    check_vpn_users(report)
    check_radius(report)
    check_user_machines(report)
    check_policy_groups(report)
    check_settings(report)
    check_certificates(report)
    check_user_certificates(report)
    return tuple(sorted(report.problems, key=lambda problem: (problem.file, problem.line, problem.path)))
