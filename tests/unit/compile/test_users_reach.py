"""A gateway of users: what is routed to each instance, what clients reach, what BGP announces of them."""

from ipaddress import IPv4Network
from typing import Any

from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.plan import compile_plan
from hubgw.names import Secret
from hubgw.pki.reading import Credentials
from hubgw.plan.bgp import StaticRoute
from hubgw.plan.ipsec import IkePool, IkeServer
from hubgw.plan.kernel import Address, Element, OnLink, Route, Unreachable
from hubgw.plan.numbers import UNREACHABLE_METRIC
from hubgw.plan.types import Plan
from tests.certificates import make
from tests.unit.compile.worlds import document, inventory_of

_ROOT = make("O=Example, CN=users", ca=True)
_SERVER = make("O=hubgw, CN=p1", ["198.51.100.10"], by=_ROOT)
_RADIUS = {"radiusServerAddress": "198.51.100.1", "radiusServerSecret": "example-secret"}
_OWN = Credentials(_SERVER.pem, Secret(_SERVER.key), (), ())


def _plan(
    *,
    branch_to_branch: bool = True,
    everything: bool = False,
    instances: tuple[int, ...] = (0, 1),
    by_radius: bool = False,
    **settings: Any,
) -> Plan:
    data = "".join(line for line in _ROOT.pem.splitlines() if not line.startswith("---"))
    pool = {"vpnClientAddressPool": {"addressPrefixes": ["10.99.0.0/24"]}, "enableInternetSecurity": everything}
    hosted: list[dict[str, Any]] = [
        {"p2sVpnGateway": "p1", "instance": one, "publicAddress": f"198.51.100.1{one}", "interface": "eth0"}
        for one in instances
    ]
    documents = [
        document("virtualWans", "wan1", allowBranchToBranchTraffic=branch_to_branch),
        document("virtualHubs", "hub1", "here", virtualWan="wan1", addressPrefix="10.100.0.0/24"),
        document("vpnGateways", "gw1", "here", virtualHub="hub1"),
        document("virtualNetworks", "vnet1", "here", addressSpace={"addressPrefixes": ["10.50.0.0/24"]}),
        document("hubVirtualNetworkConnections", "hub1/vnet1", remoteVirtualNetwork="vnet1"),
        document(
            "vpnSites",
            "branch1",
            virtualWan="wan1",
            addressSpace={"addressPrefixes": ["10.1.0.0/24"]},
            vpnSiteLinks=[{"name": "link1", "properties": {"ipAddress": "192.0.2.2"}}],
        ),
        document("vpnConnections", "gw1/branch1", remoteVpnSite="branch1", sharedKey="example-key-of-branch-1"),
        document(
            "vpnServerConfigurations",
            "users",
            vpnAuthenticationTypes=["Certificate", *(["Radius"] if by_radius else [])],
            radiusServers=[_RADIUS] if by_radius else [],
            vpnClientRootCertificates=[{"name": "root", "publicCertData": data}],
        ),
        document(
            "p2sVpnGateways",
            "p1",
            virtualHub="hub1",
            vpnServerConfiguration="users",
            p2SConnectionConfigurations=[{"name": "all", "properties": pool}],
        ),
        document(
            "nodes",
            "node1",
            userGatewayInstances=hosted,
            virtualNetworks=[{"virtualNetwork": "vnet1", "interface": "eth1", "address": "10.50.0.1/24"}],
        ),
    ]
    if settings:
        documents.append(document("settings", "p1", resource="p2sVpnGateways/p1", **settings))
    inventory = inventory_of(documents)
    own = {inventory.user_gateways[0].key: _OWN}
    return compile_plan(inventory, inventory.nodes[0], numbered(owners(inventory), {}), "digest", b"key", own=own)


def _servers(plan: Plan) -> list[IkeServer]:
    servers = (obj for obj in plan.objects if isinstance(obj, IkeServer) and not obj.eap)
    return sorted(servers, key=lambda one: one.name)


def test_each_instance_has_an_interface_and_its_half_of_the_pool() -> None:
    plan = _plan()
    names = [one.name for one in plan.users]
    assert [(one.instance, one.local_address) for one in plan.users] == [(0, "198.51.100.10"), (1, "198.51.100.11")]
    ways = {str(obj.prefix): obj.via for obj in plan.objects if isinstance(obj, Route) and isinstance(obj.via, OnLink)}
    assert ways["10.99.0.0/25"] == OnLink(names[0]) and ways["10.99.0.128/25"] == OnLink(names[1])
    pools = {obj.name: obj.prefix for obj in plan.objects if isinstance(obj, IkePool)}
    expected = {f"{names[0]}-10.99.0.0-25": "10.99.0.0/25", f"{names[1]}-10.99.0.128-25": "10.99.0.128/25"}
    assert pools == expected
    assert [one.pools for one in _servers(plan)] == [(name,) for name in expected]


def test_clients_reach_virtual_networks_and_what_branches_may() -> None:
    reached = {"10.1.0.0/24", "10.50.0.0/24", "10.99.0.0/24", "10.100.0.0/24"}
    assert [set(one.reached) for one in _servers(_plan())] == [reached] * 2
    closed = {"10.50.0.0/24", "10.100.0.0/24"}
    assert [set(one.reached) for one in _servers(_plan(branch_to_branch=False))] == [closed] * 2


def test_custom_routes_are_reached_too_and_adjacent_prefixes_are_one() -> None:
    found = _servers(_plan(customRoutes=["10.4.0.0/24", "10.50.1.0/24"]))[0].reached
    assert {"10.4.0.0/24", "10.50.0.0/23"} < set(found) and "10.50.0.0/24" not in found


def test_a_static_address_is_a_pool_of_one_for_who_is_exactly_that() -> None:
    own = {"identity": "alice@example.com", "addresses": ["10.98.0.1", "10.98.0.129"]}
    plan = _plan(staticAddresses=[own])
    found = {one.remote_id: one for one in _servers(plan) if one.if_id == plan.users[1].if_id}
    name = plan.users[1].name
    assert found["alice@example.com"].pools == (f"{name}-10.98.0.129-32",)
    assert found["%any"].pools == (f"{name}-10.99.0.128-25",), "nobody else is given it"
    ways = {str(obj.prefix): obj.via for obj in plan.objects if isinstance(obj, Route)}
    assert ways["10.98.0.129/32"] == OnLink(name)
    assert StaticRoute(IPv4Network("10.98.0.129/32"), plan.users[0].gateway) in plan.route_tables[0].statics
    assert {"10.98.0.1/32", "10.98.0.129/32"} < set(found["%any"].reached)


def test_a_framed_address_is_routed_nowhere_before_somebody_has_it() -> None:
    plan = _plan(by_radius=True, framedAddressPrefixes=["10.97.0.0/25", "10.97.0.128/25"])
    framed = IPv4Network("10.97.0.0/24")
    table = plan.users[0].table
    assert [(one.framed, one.table) for one in plan.users] == [((framed,), table)] * 2
    ways = [obj for obj in plan.objects if isinstance(obj, Route) and str(obj.prefix).startswith("10.97.0.")]
    assert ways == [Route(table, framed, Unreachable(), UNREACHABLE_METRIC)]
    assert StaticRoute(framed, plan.users[0].gateway) in plan.route_tables[0].statics
    servers = [obj for obj in plan.objects if isinstance(obj, IkeServer)]
    assert {one.eap: one.is_framed for one in servers} == {"": False, "radius": True}
    assert all(str(framed) in one.reached for one in servers)
    assert not any(IPv4Network(obj.prefix).overlaps(framed) for obj in plan.objects if isinstance(obj, IkePool))


def test_internet_security_sends_everything_into_the_tunnel_and_admits_a_default_route() -> None:
    split, full = _plan(), _plan(everything=True)
    assert {one.reached for one in _servers(full)} == {("0.0.0.0/0",)}
    bound = {obj.item[0] for obj in split.objects if isinstance(obj, Element) and obj.set == "no_default"}
    free = {obj.item[0] for obj in full.objects if isinstance(obj, Element) and obj.set == "no_default"}
    assert bound - free == {one.name for one in split.users}


def test_bgp_announces_what_this_machine_serves_as_what_a_branch_has() -> None:
    both, one = _plan(), _plan(instances=(1,))
    gateway = both.users[0].gateway
    assert StaticRoute(IPv4Network("10.99.0.0/24"), gateway) in both.route_tables[0].statics
    assert StaticRoute(IPv4Network("10.99.0.128/25"), gateway) in one.route_tables[0].statics


def test_a_hub_of_users_alone_has_addresses_that_its_icmp_errors_come_from() -> None:
    objects = _plan(instances=(1,)).objects
    assert [str(obj.address) for obj in objects if isinstance(obj, Address) and obj.interface == "hgv1"] == [
        "10.100.0.13/32"
    ]
    assert Element("hub_addresses", ("hgv1", "10.100.0.13")) in objects
