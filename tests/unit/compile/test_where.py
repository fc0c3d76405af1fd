"""Where the branches of named links are: what the name was resolved to, unless that is somebody else's."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.plan import compile_plan
from hubgw.compile.where import Found
from hubgw.plan.ipsec import IkeConnection, IkeSecret
from hubgw.plan.kernel import Element
from hubgw.plan.types import Plan
from tests.unit.compile.worlds import document, inventory_of

NAME = "branch.example.com"
KEYS = [("hgt1", NAME), ("hgt2", NAME)]
"""The tunnels of the named link: its connection's name comes first."""


Terms = Mapping[str, str]
DEFAULT: Terms = MappingProxyType({})


def compiled(addresses: Mapping[tuple[str, str], str], *, named: Terms = DEFAULT, other: Terms = DEFAULT) -> Plan:
    """Compiles a site with a named link, `a`, beside one with an address, `b`."""
    documents = [
        document("virtualWans", "wan1"),
        document("virtualHubs", "hub1", "westeurope", virtualWan="wan1", addressPrefix="10.200.0.0/24"),
        document("vpnGateways", "gw1", "westeurope", virtualHub="hub1"),
    ]
    for number, (site, at, terms) in enumerate(
        [("a", {"fqdn": "Branch.example.com"}, named), ("b", {"ipAddress": "192.0.2.6"}, other)]
    ):
        documents += [
            document(
                "vpnSites",
                site,
                virtualWan="wan1",
                addressSpace={"addressPrefixes": [f"10.{number + 1}.0.0/24"]},
                vpnSiteLinks=[{"name": "link1", "properties": at}],
            ),
            document(
                "vpnConnections",
                f"gw1/{site}",
                remoteVpnSite=site,
                sharedKey="key-of-the-test-1",
                vpnLinkConnections=[{"name": "l", "properties": {"vpnSiteLink": "link1", **terms}}],
            ),
        ]
    instances = [
        {"vpnGateway": "gw1", "instance": number, "publicAddress": f"198.51.100.{10 + number}", "interface": "eth0"}
        for number in (0, 1)
    ]
    instances[1]["privateAddress"] = "10.9.9.9"
    inventory = inventory_of([*documents, document("nodes", "node1", gatewayInstances=instances)])
    numbers = numbered(owners(inventory), {})
    found = {key: Found(address, 1.0) for key, address in addresses.items()}
    return compile_plan(inventory, inventory.nodes[0], numbers, "digest", b"key", addresses=found)


def ends(plan: Plan) -> dict[str, str]:
    """Returns whom the IKE connections of the named link lead to, by name."""
    return {
        obj.name: f"{obj.remote_address} {obj.remote_id}"
        for obj in plan.objects
        if isinstance(obj, IkeConnection) and obj.name in {"hgt1", "hgt2"}
    }


def test_a_name_without_an_address_has_a_tunnel_and_a_key_but_no_connection() -> None:
    plan = compiled({})
    assert ends(plan) == {}
    assert [(one.name, one.remote_address, one.fqdn, one.initiates) for one in plan.tunnels[:2]] == [
        ("hgt1", "", NAME, False),
        ("hgt2", "", NAME, False),
    ]
    assert {obj.owners for obj in plan.objects if isinstance(obj, IkeSecret)} == {(NAME,), ("192.0.2.6",)}
    assert len([obj for obj in plan.objects if isinstance(obj, IkeConnection)]) == 2


def test_each_tunnel_leads_where_its_name_led_when_it_was_down() -> None:
    plan = compiled({KEYS[0]: "192.0.2.2", KEYS[1]: "192.0.2.3"})
    assert ends(plan) == {"hgt1": f"192.0.2.2 {NAME}", "hgt2": f"192.0.2.3 {NAME}"}
    assert all(tunnel.initiates for tunnel in plan.tunnels)


def test_what_another_name_led_to_is_not_used() -> None:
    assert ends(compiled({("hgt1", "old.example.com"): "192.0.2.2"})) == {}


@pytest.mark.parametrize("address", ["198.51.100.10", "198.51.100.11", "10.9.9.9"])
def test_a_name_never_leads_to_the_hub_itself(address: str) -> None:
    assert ends(compiled(dict.fromkeys(KEYS, address))) == {}


def test_a_name_may_lead_where_another_branch_is_that_can_be_told_from_it() -> None:
    plan = compiled(dict.fromkeys(KEYS, "192.0.2.6"))
    assert ends(plan) == dict.fromkeys(["hgt1", "hgt2"], f"192.0.2.6 {NAME}")
    assert not any(tunnel.initiates for tunnel in plan.tunnels), "whom the hub would reach there is the NAT's choice"


def test_what_the_hub_alone_starts_it_starts_behind_a_shared_address_too() -> None:
    mode = {"vpnLinkConnectionMode": "InitiatorOnly"}
    plan = compiled(dict.fromkeys(KEYS, "192.0.2.6"), named=mode, other=mode)
    assert all(tunnel.initiates for tunnel in plan.tunnels)


@pytest.mark.parametrize(
    ("named", "other"),
    [
        ({"vpnConnectionProtocolType": "IKEv1"}, {"vpnConnectionProtocolType": "IKEv1"}),
        ({"vpnLinkConnectionMode": "InitiatorOnly"}, {}),
        ({}, {"vpnLinkConnectionMode": "InitiatorOnly"}),
    ],
)
def test_a_name_takes_nothing_from_a_branch_with_that_address(named: dict[str, str], other: dict[str, str]) -> None:
    plan = compiled(dict.fromkeys(KEYS, "192.0.2.6"), named=named, other=other)
    assert ends(plan) == {}
    gated = [obj.item for obj in plan.objects if isinstance(obj, Element) and obj.set == "initiator_only"]
    assert len(gated) == (2 if "vpnLinkConnectionMode" in other else 0)


OTHER = "other.example.com"


def of_two_names(since: float, since_other: float, terms: Terms) -> dict[str, str]:
    """Returns where the tunnels of two sites with names lead, both of which were resolved to one address."""
    documents = [
        document("virtualWans", "wan1"),
        document("virtualHubs", "hub1", "westeurope", virtualWan="wan1", addressPrefix="10.200.0.0/24"),
        document("vpnGateways", "gw1", "westeurope", virtualHub="hub1"),
        document(
            "nodes",
            "node1",
            gatewayInstances=[
                {"vpnGateway": "gw1", "instance": 0, "publicAddress": "198.51.100.10", "interface": "eth0"}
            ],
        ),
    ]
    for number, (site, name) in enumerate([("a", NAME), ("b", OTHER)]):
        documents += [
            document(
                "vpnSites",
                site,
                virtualWan="wan1",
                addressSpace={"addressPrefixes": [f"10.{number + 1}.0.0/24"]},
                vpnSiteLinks=[{"name": "link1", "properties": {"fqdn": name}}],
            ),
            document(
                "vpnConnections",
                f"gw1/{site}",
                remoteVpnSite=site,
                sharedKey="key-of-the-test-1",
                vpnLinkConnections=[{"name": "l", "properties": {"vpnSiteLink": "link1", **terms}}],
            ),
        ]
    inventory = inventory_of(documents)
    numbers = numbered(owners(inventory), {})
    found = {("hgt1", NAME): Found("192.0.2.2", since), ("hgt3", OTHER): Found("192.0.2.2", since_other)}
    plan = compile_plan(inventory, inventory.nodes[0], numbers, "digest", b"key", addresses=found)
    connections = {obj.name for obj in plan.objects if isinstance(obj, IkeConnection)}
    assert connections == {tunnel.name for tunnel in plan.tunnels if tunnel.remote_address}
    return {tunnel.name: tunnel.remote_address for tunnel in plan.tunnels}


IKEV1 = {"vpnConnectionProtocolType": "IKEv1"}


@pytest.mark.parametrize(
    ("since", "since_other", "holder"), [(1.0, 2.0, "hgt1"), (2.0, 1.0, "hgt3"), (1.0, 1.0, "hgt1")]
)
def test_of_two_names_at_one_address_the_older_holds_it(since: float, since_other: float, holder: str) -> None:
    expected = {"hgt1": "", "hgt3": ""} | {holder: "192.0.2.2"}
    assert of_two_names(since, since_other, IKEV1) == expected


def test_two_names_that_can_be_told_apart_share_an_address_whatever_their_age() -> None:
    assert of_two_names(2.0, 1.0, DEFAULT) == dict.fromkeys(["hgt1", "hgt3"], "192.0.2.2")
