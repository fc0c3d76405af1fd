"""The table of fields is complete: it knows Azure's fields, all of them, and the models hold what it keeps."""

import types
import typing
from collections.abc import Iterator, Mapping

import pytest
from pydantic import BaseModel

from hubgw.resources.fields import PROPERTIES, Field, Group, Only, Rule
from hubgw.resources.parse import CLASSES, parse

AZURE = {
    "virtualWans": """
        allowBranchToBranchTraffic allowVnetToVnetTraffic disableVpnEncryption
        office365LocalBreakoutCategory provisioningState type virtualHubs vpnSites
    """,
    "virtualHubs": """
        addressPrefix addressPrefixV6 allowBranchToBranchTraffic azureFirewall bgpConnections
        expressRouteGateway hubRoutingPreference ipConfigurations p2SVpnGateway preferredRoutingGateway
        provisioningState routeMaps routeTable routingState securityPartnerProvider securityProviderName sku
        virtualHubRouteTableV2s virtualRouterAsn virtualRouterAutoScaleConfiguration virtualRouterIps
        virtualRouterIpsV6 virtualWan vpnGateway
    """,
    "vpnGateways": """
        bgpSettings connections enableBgpRouteTranslationForNat ipConfigurations isRoutingPreferenceInternet
        natRules provisioningState virtualHub vpnGatewayScaleUnit
    """,
    "virtualNetworks": """
        addressSpace bgpCommunities ddosProtectionPlan defaultPublicNatGateway dhcpOptions
        enableDdosProtection enableVmProtection encryption flowLogs flowTimeoutInMinutes ipAllocations
        privateEndpointVNetPolicies provisioningState resourceGuid subnets summarizedGatewayPrefixes
        virtualNetworkPeerings
    """,
    "virtualHubs/hubVirtualNetworkConnections": """
        allowHubToRemoteVnetTransit allowRemoteVnetToUseHubVnetGateways connectionPolicy
        enableInternetSecurity enableOnlyIPv6Peering provisioningState remoteVirtualNetwork
        routingConfiguration
    """,
    "vpnGateways/natRules": """
        egressVpnSiteLinkConnections externalMappings ingressVpnSiteLinkConnections internalMappings
        ipConfigurationId mode provisioningState type
    """,
    "vpnSites": """
        addressSpace bgpProperties deviceProperties ipAddress isSecuritySite o365Policy provisioningState
        siteKey virtualWan vpnSiteLinks
    """,
    "vpnSites/vpnSiteLinks": """
        bgpProperties fqdn ipAddress linkProperties provisioningState
    """,
    "vpnGateways/vpnConnections": """
        connectionBandwidth connectionStatus dpdTimeoutSeconds egressBytesTransferred enableBgp
        enableInternetSecurity enableRateLimiting ingressBytesTransferred ipsecPolicies provisioningState
        remoteVpnSite routingConfiguration routingWeight sharedKey trafficSelectorPolicies
        useLocalAzureIpAddress usePolicyBasedTrafficSelectors vpnConnectionProtocolType vpnLinkConnections
    """,
    "vpnGateways/vpnConnections/vpnLinkConnections": """
        connectionBandwidth connectionStatus dpdTimeoutSeconds egressBytesTransferred egressNatRules
        enableBgp enableRateLimiting ingressBytesTransferred ingressNatRules ipsecPolicies provisioningState
        routingWeight sharedKey useLocalAzureIpAddress usePolicyBasedTrafficSelectors
        vpnConnectionProtocolType vpnGatewayCustomBgpAddresses vpnLinkConnectionMode vpnSiteLink
    """,
}
"""The properties that azure-mgmt-network 33.1.0 writes and reads, from its public models."""


NESTED = {
    ("vpnSites", "bgpProperties"): "asn bgpPeeringAddress bgpPeeringAddresses peerWeight",
    ("vpnSites", "vpnSiteLinks", "properties", "bgpProperties"): "asn bgpPeeringAddress",
    ("vpnGateways/natRules", "internalMappings"): "addressSpace portRange",
    ("vpnGateways/natRules", "externalMappings"): "addressSpace portRange",
    ("vpnGateways", "bgpSettings"): "asn bgpPeeringAddress bgpPeeringAddresses peerWeight",
    ("vpnGateways", "bgpSettings", "bgpPeeringAddresses"): """
        customBgpIpAddresses defaultBgpIpAddresses ipconfigurationId tunnelIpAddresses
    """,
    ("vpnGateways/vpnConnections", "vpnLinkConnections", "properties", "vpnGatewayCustomBgpAddresses"): """
        customBgpIpAddress ipConfigurationId
    """,
}
"""The fields of properties that are mappings, or lists of them, from the same models."""


def _fields(path: str) -> Mapping[str, Rule]:
    for type_, part in (("vpnSites", "vpnSiteLinks"), ("vpnGateways/vpnConnections", "vpnLinkConnections")):
        if path == f"{type_}/{part}":
            links = PROPERTIES[type_][part]
            assert isinstance(links, Group)
            inner = links.fields["properties"]
            assert isinstance(inner, Group)
            return inner.fields
    return PROPERTIES[path]


@pytest.mark.parametrize("type_", sorted(AZURE))
def test_every_field_of_azure_is_one_of_the_four(type_: str) -> None:
    assert sorted(_fields(type_)) == sorted(AZURE[type_].split())


@pytest.mark.parametrize("path", sorted(NESTED))
def test_every_field_inside_a_property_of_azure_is_one_of_the_four(path: tuple[str, ...]) -> None:
    fields = PROPERTIES[path[0]]
    for name in path[1:]:
        inner = fields[name]
        assert isinstance(inner, Group)
        fields = inner.fields
    assert sorted(fields) == NESTED[path].split()


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)


def _held(model: type[BaseModel]) -> dict[str, object]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _check(model: type[BaseModel], fields: Mapping[str, Rule], path: str) -> None:
    kept = {name: rule for name, rule in fields.items() if rule not in (Field.READ_ONLY, Field.REFUSED)}
    held = _held(model)
    assert sorted(held) == sorted(kept), path
    for name, rule in kept.items():
        inner = list(_models(held[name]))
        if isinstance(rule, Group):
            assert len(inner) == 1, f"{path}.{name}"
            _check(inner[0], rule.fields, f"{path}.{name}")
        else:
            assert not inner, f"{path}.{name} holds fields that the table does not list"


@pytest.mark.parametrize("type_", sorted(PROPERTIES))
def test_the_models_hold_what_the_table_keeps(type_: str) -> None:
    _check(CLASSES[type_].PROPERTIES, PROPERTIES[type_], type_)


def _only(fields: Mapping[str, Rule]) -> Iterator[tuple[str, Only]]:
    for name, rule in fields.items():
        if isinstance(rule, Only):
            yield name, rule


@pytest.mark.parametrize("type_", sorted(PROPERTIES))
def test_what_is_allowed_only_is_the_default_of_the_model_or_absent(type_: str) -> None:
    model = CLASSES[type_].PROPERTIES
    by_alias = {field.alias: field for field in model.model_fields.values()}
    for name, rule in _only(PROPERTIES[type_]):
        assert by_alias[name].default in (rule.allowed, None)


@pytest.mark.parametrize("type_", sorted(PROPERTIES))
def test_the_later_values_of_an_enumeration_are_values_of_the_model(type_: str) -> None:
    model = CLASSES[type_].PROPERTIES
    by_alias = {field.alias: field.annotation for field in model.model_fields.values()}
    for name, rule in _only(PROPERTIES[type_]):
        if rule.later:
            known = {value for value in _literals(by_alias[name]) if value is not types.NoneType}
            assert known == {rule.allowed, *rule.later}


def _literals(annotation: object) -> Iterator[object]:
    if typing.get_origin(annotation) is typing.Literal:
        yield from typing.get_args(annotation)
    else:
        for inner in typing.get_args(annotation):
            yield from _literals(inner)


def test_read_only_fields_are_ignored_and_null_is_absent() -> None:
    written = {
        "type": "virtualWans",
        "name": "wan1",
        "etag": "x",
        "tags": None,
        "properties": {"provisioningState": "Succeeded", "virtualHubs": [{"id": "x"}], "disableVpnEncryption": None},
    }
    assert parse(written).resource == parse({"type": "virtualWans", "name": "wan1"}).resource


def test_an_empty_list_of_what_is_not_implemented_changes_nothing() -> None:
    written = {
        "type": "virtualNetworks",
        "name": "vnet1",
        "location": "westeurope",
        "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": [], "bgpCommunities": None},
    }
    assert parse(written).findings == ()
