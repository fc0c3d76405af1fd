"""Checks between resources that a golden case cannot hold: the sweep against the definition, and what is stored."""

from dataclasses import replace
from ipaddress import IPv4Network
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hubgw.resources.base import Resource
from hubgw.resources.connection import VpnConnection
from hubgw.resources.parse import parse
from hubgw.resources.problem import STORED, Path, Place
from hubgw.resources.validate import validate

small = st.integers(24, 28).flatmap(
    lambda length: st.integers(0, 2 ** (length - 24) - 1).map(
        lambda number: IPv4Network((0x0A000000 + (number << (32 - length)), length))
    )
)


def _resource(type_: str, name: str, **properties: object) -> Resource:
    written: dict[str, object] = {"type": type_, "name": name, "properties": properties}
    if type_ in {"virtualHubs", "virtualNetworks"}:
        written["location"] = "westeurope"
    parsed = parse(written)
    assert parsed.resource is not None, parsed.findings
    return parsed.resource


def _stored(key: str, path: Path) -> Place:
    return STORED


def _world(vnets: list[IPv4Network], sites: list[IPv4Network]) -> list[Resource]:
    resources = [
        _resource("virtualWans", "wan1"),
        _resource("virtualHubs", "hub1", virtualWan="wan1", addressPrefix="10.100.0.0/24"),
    ]
    for index, prefix in enumerate(vnets):
        resources.append(_resource("virtualNetworks", f"v{index}", addressSpace={"addressPrefixes": [str(prefix)]}))
        name = f"hub1/v{index}"
        resources.append(_resource("hubVirtualNetworkConnections", name, remoteVirtualNetwork=f"v{index}"))
    for index, prefix in enumerate(sites):
        space = {"addressPrefixes": [str(prefix)]}
        resources.append(_resource("vpnSites", f"s{index}", virtualWan="wan1", addressSpace=space))
    return resources


@given(vnets=st.lists(small, max_size=5), sites=st.lists(small, max_size=5))
def test_the_sweep_finds_a_conflict_exactly_where_one_is(vnets: list[IPv4Network], sites: list[IPv4Network]) -> None:
    conflict = (
        any(one.overlaps(other) for index, one in enumerate(vnets) for other in vnets[:index])
        or any(site.subnet_of(vnet) for site in sites for vnet in vnets)
        or len(set(sites)) < len(sites)
    )
    problems = validate(_world(vnets, sites), _stored)
    assert bool(problems) is conflict, [str(problem) for problem in problems]


@given(vnets=st.lists(small, max_size=5), sites=st.lists(small, max_size=5), order=st.randoms())
def test_the_order_of_the_resources_does_not_matter(
    vnets: list[IPv4Network], sites: list[IPv4Network], order: Random
) -> None:
    resources = _world(vnets, sites)
    problems = validate(resources, _stored)
    order.shuffle(resources)
    assert validate(resources, _stored) == problems


def test_a_problem_of_what_is_stored_says_so() -> None:
    (problem,) = validate([_resource("vpnGateways", "gw1", virtualHub="gone")], _stored)
    assert str(problem) == '(stored): properties.virtualHub: there is no virtualHub of this name, got "gone"'


def test_a_thousand_dangling_references_are_found_in_no_time() -> None:
    wans = [_resource("virtualWans", f"wan{index}") for index in range(1000)]
    sites = [_resource("vpnSites", f"s{index}", virtualWan=f"wam{index}") for index in range(1000)]
    assert len(validate([*wans, *sites], _stored)) == len(sites)


def test_nat_rules_and_policy_based_selectors_do_not_go_together() -> None:
    links = [{"name": "l", "properties": {"vpnSiteLink": "link1", "egressNatRules": ["rule"]}}]
    connection = _resource("vpnConnections", "gw1/one", remoteVpnSite="one", vpnLinkConnections=links)
    assert isinstance(connection, VpnConnection)
    selected = connection.properties.model_copy(update={"use_policy_based_traffic_selectors": True})
    for properties, refused in ((connection.properties, False), (selected, True)):
        problems = validate([replace(connection, properties=properties)], _stored)
        assert any("policy-based traffic selectors" in problem.message for problem in problems) == refused
