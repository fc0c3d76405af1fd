"""What is written out is read in again as the same resource; keys leave only where they are asked for."""

import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hubgw.names import NAME, Secret
from hubgw.resources.base import Resource
from hubgw.resources.connection import VpnConnection
from hubgw.resources.inventory import Inventory
from hubgw.resources.ipsec import IpsecPolicy
from hubgw.resources.load import load
from hubgw.resources.parse import parse
from hubgw.resources.settings import Settings
from hubgw.resources.site import VpnSite
from hubgw.resources.vpn_user import VpnUser

ALGORITHMS = {name: info for name, info in IpsecPolicy.model_fields.items() if not name.startswith("sa_")}

names = st.from_regex(NAME, fullmatch=True)
keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=16, max_size=128)
addresses = st.integers(0x0B000001, 0x0BFFFFFE).map(lambda number: str(IPv4Network(number).network_address))
locations = st.sampled_from(["westeurope", "West Europe", "north-europe-2"])
text = st.text(st.characters(min_codepoint=0x20, categories=("L", "N", "P")), max_size=20)


@st.composite
def prefixes(draw: st.DrawFn, longest: int = 32) -> str:
    # Of 0.0.0.0/8 and 127.0.0.0/8 to 255.0.0.0/8 some is not routed.
    length = draw(st.integers(8, longest))
    first = draw(st.integers(0x01000000, 0x7EFFFFFF)) >> (32 - length)
    return str(IPv4Network((first << (32 - length), length)))


def document(type_: str, name: st.SearchStrategy[str], **properties: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Documents of a type; properties with None are left out."""
    made = st.fixed_dictionaries(properties).map(lambda one: {key: it for key, it in one.items() if it is not None})
    return st.fixed_dictionaries({"type": st.just(type_), "name": name, "properties": made})


def tracked(documents: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    more = st.fixed_dictionaries({"location": locations, "tags": st.dictionaries(text, text, max_size=2)})
    return st.tuples(documents, more).map(lambda pair: {**pair[0], **pair[1]})


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def reference(named: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return named | named.map(lambda name: {"id": name})


def spaces(least: int) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"addressPrefixes": st.lists(prefixes(), min_size=least, max_size=3)})


passwords = st.from_regex(re.compile(r"[!$-&(-:<-\[\]-z|~]{1,80}", re.ASCII), fullmatch=True)
asns = st.sampled_from([1, 64512, 65514, 65516, 65552, 4294967294])
customs = st.sampled_from(["169.254.21.0", "169.254.21.1", "169.254.22.255"])
instances = st.sampled_from(["Instance0", "Instance1"])
bgp = st.fixed_dictionaries({"asn": asns, "bgpPeeringAddress": addresses | customs})
bgp_settings = st.fixed_dictionaries(
    {
        "bgpPeeringAddresses": st.lists(
            st.fixed_dictionaries({"ipconfigurationId": instances, "customBgpIpAddresses": st.lists(customs)}),
            max_size=2,
        )
    }
)
choices = st.lists(
    st.fixed_dictionaries({"ipConfigurationId": instances, "customBgpIpAddress": customs}),
    max_size=2,
)
links = st.lists(
    st.fixed_dictionaries(
        {
            "name": names,
            "properties": st.fixed_dictionaries({"ipAddress": addresses}, optional={"bgpProperties": bgp}),
        }
    )
)
policies = st.lists(
    st.fixed_dictionaries(
        {
            "saLifeTimeSeconds": maybe(st.integers(300, 172_799)),
            "saDataSizeKilobytes": maybe(st.integers(1024, 2_147_483_647)),
            **{info.alias or name: st.sampled_from(get_args(info.annotation)) for name, info in ALGORITHMS.items()},
        }
    ).map(lambda policy: {name: value for name, value in policy.items() if value is not None}),
    max_size=1,
)
versions = st.sampled_from(["IKEv1", "IKEv2"])
link_connections = st.lists(
    st.fixed_dictionaries(
        {
            "name": names,
            "properties": st.fixed_dictionaries(
                {
                    "vpnSiteLink": reference(names),
                    "sharedKey": maybe(keys),
                    "dpdTimeoutSeconds": maybe(st.integers(20, 3600)),
                    "enableBgp": maybe(st.booleans()),
                    "vpnGatewayCustomBgpAddresses": choices,
                    "vpnConnectionProtocolType": maybe(versions),
                    "routingWeight": maybe(st.integers(0, 32_000)),
                    "vpnLinkConnectionMode": st.sampled_from(["Default", "InitiatorOnly", "ResponderOnly"]),
                    "ipsecPolicies": policies,
                }
            ),
        }
    ),
    max_size=4,
)
route_tables = st.lists(
    st.fixed_dictionaries(
        {"addressPrefixes": st.lists(prefixes(32), min_size=1, max_size=2), "nextHopIpAddress": addresses}
    ),
    max_size=2,
).map(lambda routes: {"routes": routes})
children = st.tuples(names, names).map("/".join)
attachments = st.fixed_dictionaries(
    {"virtualNetwork": reference(names), "address": st.just("10.50.0.1/24"), "gateway": maybe(addresses)}
)
ways = st.sampled_from(
    [{"interface": "eth1"}, {"vlan": {"parent": "eth1", "id": 20}}, {"bridge": {"ports": ["eth1", "eth2"]}}]
)
typed_secrets = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=128)
MEMBERS = [
    {"attributeType": "CertificateGroupId", "attributeValue": "marketing.example.com"},
    {"name": "finance", "attributeType": "CertificateGroupId", "attributeValue": "O=Example, OU=finance, CN=*"},
    {"attributeType": "RadiusAzureGroupId", "attributeValue": "finance"},
]
documents = st.one_of(
    tracked(document("virtualWans", names, allowBranchToBranchTraffic=maybe(st.booleans()))),
    tracked(
        document(
            "virtualHubs",
            names,
            virtualWan=reference(names),
            addressPrefix=prefixes(24),
            sku=maybe(text),
            routeTable=maybe(route_tables),
            hubRoutingPreference=maybe(st.sampled_from(["ExpressRoute", "VpnGateway", "ASPath"])),
        )
    ),
    tracked(document("vpnGateways", names, virtualHub=reference(names), bgpSettings=maybe(bgp_settings))),
    tracked(document("virtualNetworks", names, addressSpace=spaces(1))),
    tracked(
        document(
            "vpnSites",
            names,
            virtualWan=reference(names),
            addressSpace=maybe(spaces(0)),
            ipAddress=maybe(addresses),
            bgpProperties=maybe(bgp),
            vpnSiteLinks=links.filter(lambda some: len(some) <= 4),
            deviceProperties=maybe(st.fixed_dictionaries({"deviceVendor": text})),
        )
    ),
    document(
        "hubVirtualNetworkConnections",
        children,
        remoteVirtualNetwork=reference(names),
        enableInternetSecurity=maybe(st.booleans()),
    ),
    document(
        "vpnConnections",
        children,
        remoteVpnSite=reference(names),
        sharedKey=maybe(keys),
        enableBgp=maybe(st.booleans()),
        enableInternetSecurity=maybe(st.booleans()),
        vpnConnectionProtocolType=maybe(versions),
        ipsecPolicies=policies,
        vpnLinkConnections=link_connections,
    ),
    document(
        "nodes",
        names,
        virtualNetworks=st.lists(st.tuples(attachments, ways).map(lambda pair: {**pair[0], **pair[1]}), max_size=2),
    ),
    document(
        "settings",
        names,
        resource=reference(names),
        priority=maybe(st.integers(0, 65535)),
        legacyAlgorithms=maybe(st.booleans()),
        mobike=maybe(st.booleans()),
        bgpPassword=maybe(passwords),
        bgpTtlSecurity=maybe(st.booleans()),
        bgpHoldTime=maybe(st.integers(3, 65535)),
        bgpPassive=maybe(st.booleans()),
        maximumPrefixes=maybe(st.integers(1, 1_000_000)),
    ),
    document(
        "vpnServerConfigurations",
        names,
        vpnAuthenticationTypes=st.lists(st.sampled_from(["Certificate", "Radius"]), unique=True),
        radiusServers=st.lists(
            st.fixed_dictionaries(
                {
                    "radiusServerAddress": addresses,
                    "radiusServerScore": st.integers(1, 30),
                    "radiusServerSecret": typed_secrets,
                }
            ),
            max_size=2,
        ),
        configurationPolicyGroups=st.lists(
            st.fixed_dictionaries(
                {
                    "name": names,
                    "properties": st.fixed_dictionaries(
                        {
                            "isDefault": st.booleans(),
                            "priority": st.integers(0, 9),
                            "policyMembers": st.lists(st.sampled_from(MEMBERS), max_size=3),
                        }
                    ),
                }
            ),
            max_size=2,
            unique_by=lambda group: group["name"].lower(),
        ),
    ),
    document(
        "vpnUsers",
        names,
        vpnServerConfiguration=reference(names),
        userName=maybe(st.from_regex(r"[A-Za-z][A-Za-z0-9._@+-]{0,63}", fullmatch=True)),
        password=maybe(typed_secrets),
    ),
)


def _read(written: Any) -> Resource:
    parsed = parse(written)
    assert parsed.findings == ()
    assert parsed.resource is not None
    return parsed.resource


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    for one in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _keys(one)


@given(documents)
def test_a_resource_written_out_is_read_in_again(written: Any) -> None:
    resource = _read(written)
    out = resource.to_json(secrets=True)
    assert json.loads(json.dumps(out)) == out
    again = _read(out)
    assert again == resource
    assert again.to_json(secrets=True) == out
    assert hash(again) == hash(resource)


@given(documents)
def test_yaml_says_the_same_as_json(written: Any) -> None:
    resource = _read(written)
    loaded = load([("out.yaml", yaml.safe_dump(resource.to_json(secrets=True), allow_unicode=True).encode())])
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.resources == (resource,)


@given(documents)
def test_no_key_leaves_unasked(written: Any) -> None:
    resource = _read(written)
    assert {"sharedKey", "bgpPassword", "password", "radiusServerSecret"}.isdisjoint(
        _keys(resource.to_json(secrets=False)["properties"])
    )
    if isinstance(resource, Settings) and resource.properties.bgp_password:
        assert isinstance(resource.properties.bgp_password, Secret)
        assert f"bgp_password={resource.properties.bgp_password.reveal()}" not in repr(resource)
    if isinstance(resource, VpnUser) and resource.properties.password:
        assert isinstance(resource.properties.password, Secret)
        assert f"password={resource.properties.password.reveal()}" not in repr(resource)
    if isinstance(resource, VpnConnection) and resource.properties.shared_key:
        assert isinstance(resource.properties.shared_key, Secret)
        assert resource.properties.shared_key.reveal() not in repr(resource)


def test_azure_shape() -> None:
    resource = _read({"type": "vpnConnections", "name": "gw1/c1", "properties": {"remoteVpnSite": "s1"}})
    out = resource.to_json(secrets=False)
    prefix = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/hubgw/providers/Microsoft.Network"
    assert out["id"] == f"{prefix}/vpnGateways/gw1/vpnConnections/c1"
    assert (out["name"], out["type"]) == ("c1", "Microsoft.Network/vpnGateways/vpnConnections")
    assert out["properties"]["remoteVpnSite"] == {"id": f"{prefix}/vpnSites/s1"}
    assert (resource.name, resource.label) == ("c1", "gw1/c1")
    assert resource.parent_key == f"{prefix}/vpnGateways/gw1".lower()


def test_a_reference_by_name_stays_in_the_resource_group_of_who_refers() -> None:
    hub = _read(
        {
            "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualHubs/hub1",
            "location": "westeurope",
            "properties": {"virtualWan": "wan1", "addressPrefix": "10.100.0.0/24"},
        }
    )
    wan = hub.to_json(secrets=False)["properties"]["virtualWan"]
    assert wan == {"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualWans/wan1"}


@pytest.mark.parametrize("link", ["link1", "branch1/link1", {"id": "link1"}])
def test_a_link_is_named_alone_or_with_its_site(link: Any) -> None:
    properties = {
        "remoteVpnSite": "branch1",
        "vpnLinkConnections": [{"name": "a", "properties": {"vpnSiteLink": link}}],
    }
    connection = _read({"type": "vpnConnections", "name": "gw1/c1", "properties": properties})
    assert isinstance(connection, VpnConnection)
    (one,) = connection.properties.vpn_link_connections
    assert one.properties.vpn_site_link.id.endswith("/vpnSites/branch1/vpnSiteLinks/link1")


def test_a_site_of_the_old_form_has_one_link_of_its_own_name() -> None:
    site = _read({"type": "vpnSites", "name": "Old", "properties": {"virtualWan": "w", "ipAddress": "192.0.2.1"}})
    assert isinstance(site, VpnSite)
    (link,) = site.links
    assert (link.name, str(link.ip_address)) == ("Old", "192.0.2.1")
    assert link.key == f"{site.key}/vpnsitelinks/old"


@given(st.lists(documents, max_size=8))
def test_the_inventory_has_every_resource_sorted(written: list[Any]) -> None:
    resources = [_read(one) for one in written]
    inventory = Inventory.of(resources)
    every = (
        *inventory.wans,
        *inventory.hubs,
        *inventory.gateways,
        *inventory.vnets,
        *inventory.vnet_connections,
        *inventory.sites,
        *inventory.connections,
        *inventory.vpn_users,
        *inventory.servers,
        *inventory.nodes,
        *inventory.settings,
    )
    assert {one.key for one in every} == {one.key for one in resources}
    assert [one.key for one in inventory.sites] == sorted(one.key for one in inventory.sites)
    assert all(inventory.get(one.key) is one for one in every)
