"""The one table of fields: for each of Azure's, and of hubgw's own, what hubgw does with it. Knows no model, no file.

parse.py applies it before the typed models see a document: read-only fields go, as Azure ignores them; what hubgw does
not do yet is refused with its path; what is left, the models hold. Nothing that changes behaviour is ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Field(Enum):
    """What hubgw does with a field."""

    IMPLEMENTED = "implemented"
    INERT = "kept, of no effect by nature"
    READ_ONLY = "ignored when written"
    REFUSED = "not implemented yet"


@dataclass(frozen=True, slots=True)
class Only:
    """Implemented for `allowed`; refused for `later` or, where that is empty, for other values of the same type."""

    allowed: bool | int | str
    later: tuple[str, ...] = ()

    def refuses(self, value: object) -> bool:
        """Tells whether the value is Azure's and not done here yet; what is not Azure's is the model's to refuse."""
        return value in self.later if self.later else type(value) is type(self.allowed) and value != self.allowed


@dataclass(frozen=True, slots=True)
class Group:
    """A mapping, or a list of mappings, of these fields."""

    fields: Mapping[str, "Rule"]


Rule = Field | Only | Group

DONE: Final = Field.IMPLEMENTED
INERT: Final = Field.INERT
READ_ONLY: Final = Field.READ_ONLY
LATER: Final = Field.REFUSED

_SPACE: Final = Group({"addressPrefixes": DONE, "ipamPoolPrefixAllocations": LATER})
_PART: Final[Mapping[str, Rule]] = {"id": READ_ONLY, "etag": READ_ONLY, "type": READ_ONLY, "name": DONE}
_PEER: Final[Mapping[str, Rule]] = {"asn": DONE, "bgpPeeringAddress": DONE}
_MAPPINGS: Final = Group({"addressSpace": DONE, "portRange": LATER})
_POLICY: Final = Group(
    {
        "saLifeTimeSeconds": DONE,
        "saDataSizeKilobytes": DONE,
        "ipsecEncryption": DONE,
        "ipsecIntegrity": DONE,
        "ikeEncryption": DONE,
        "ikeIntegrity": DONE,
        "dhGroup": DONE,
        "pfsGroup": DONE,
    }
)
_TUNNEL: Final[Mapping[str, Rule]] = {
    "routingWeight": DONE,
    "dpdTimeoutSeconds": DONE,
    "connectionStatus": READ_ONLY,
    "vpnConnectionProtocolType": DONE,
    "ingressBytesTransferred": READ_ONLY,
    "egressBytesTransferred": READ_ONLY,
    "connectionBandwidth": INERT,
    "sharedKey": DONE,
    "enableBgp": DONE,
    "usePolicyBasedTrafficSelectors": DONE,
    "ipsecPolicies": _POLICY,
    "enableRateLimiting": Only(False),
    "useLocalAzureIpAddress": Only(False),
    "provisioningState": READ_ONLY,
}

_INSTANCE: Final[Mapping[str, Rule]] = {
    "instance": DONE,
    "publicAddress": DONE,
    "privateAddress": DONE,
    "interface": DONE,
    "underlayMtu": DONE,
}

PROPERTIES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "virtualWans": {
        "type": DONE,
        "disableVpnEncryption": Only(False),
        "allowBranchToBranchTraffic": DONE,
        "allowVnetToVnetTraffic": Only(True),
        "virtualHubs": READ_ONLY,
        "vpnSites": READ_ONLY,
        "office365LocalBreakoutCategory": READ_ONLY,
        "provisioningState": READ_ONLY,
    },
    "virtualHubs": {
        "virtualWan": DONE,
        "addressPrefix": DONE,
        "addressPrefixV6": LATER,
        "vpnGateway": READ_ONLY,
        "p2SVpnGateway": READ_ONLY,
        "expressRouteGateway": READ_ONLY,
        "azureFirewall": LATER,
        "securityPartnerProvider": LATER,
        "securityProviderName": LATER,
        "routeTable": Group({"routes": Group({"addressPrefixes": DONE, "nextHopIpAddress": DONE})}),
        "virtualHubRouteTableV2s": LATER,
        "sku": INERT,
        "routingState": READ_ONLY,
        "bgpConnections": READ_ONLY,
        "ipConfigurations": READ_ONLY,
        "routeMaps": READ_ONLY,
        "virtualRouterAsn": Only(65515),
        "virtualRouterIps": READ_ONLY,
        "virtualRouterIpsV6": READ_ONLY,
        "virtualRouterAutoScaleConfiguration": Group({"minCapacity": INERT}),
        "allowBranchToBranchTraffic": Only(False),
        "preferredRoutingGateway": Only("ExpressRoute", later=("VpnGateway", "None")),
        "hubRoutingPreference": DONE,
        "provisioningState": READ_ONLY,
    },
    "vpnGateways": {
        "virtualHub": DONE,
        "connections": READ_ONLY,
        "bgpSettings": Group(
            {
                "asn": Only(65515),
                "peerWeight": Only(0),
                "bgpPeeringAddress": READ_ONLY,
                "bgpPeeringAddresses": Group(
                    {
                        "ipconfigurationId": DONE,
                        "customBgpIpAddresses": DONE,
                        "defaultBgpIpAddresses": READ_ONLY,
                        "tunnelIpAddresses": READ_ONLY,
                    }
                ),
            }
        ),
        "vpnGatewayScaleUnit": INERT,
        "ipConfigurations": READ_ONLY,
        "enableBgpRouteTranslationForNat": Only(False),
        "isRoutingPreferenceInternet": Only(False),
        "natRules": READ_ONLY,
        "provisioningState": READ_ONLY,
    },
    "virtualNetworks": {
        "addressSpace": _SPACE,
        "dhcpOptions": LATER,
        "flowTimeoutInMinutes": LATER,
        "subnets": LATER,
        "virtualNetworkPeerings": LATER,
        "resourceGuid": READ_ONLY,
        "enableDdosProtection": Only(False),
        "enableVmProtection": Only(False),
        "ddosProtectionPlan": LATER,
        "bgpCommunities": LATER,
        "encryption": LATER,
        "ipAllocations": LATER,
        "flowLogs": READ_ONLY,
        "privateEndpointVNetPolicies": Only("Disabled", later=("Basic",)),
        "defaultPublicNatGateway": READ_ONLY,
        "summarizedGatewayPrefixes": LATER,
        "provisioningState": READ_ONLY,
    },
    "virtualHubs/hubVirtualNetworkConnections": {
        "remoteVirtualNetwork": DONE,
        "allowHubToRemoteVnetTransit": Only(True),
        "allowRemoteVnetToUseHubVnetGateways": Only(True),
        "connectionPolicy": LATER,
        "enableInternetSecurity": DONE,
        "routingConfiguration": LATER,
        "enableOnlyIPv6Peering": Only(False),
        "provisioningState": READ_ONLY,
    },
    "vpnSites": {
        "virtualWan": DONE,
        "deviceProperties": Group({"deviceVendor": INERT, "deviceModel": INERT, "linkSpeedInMbps": INERT}),
        "ipAddress": DONE,
        "siteKey": LATER,
        "addressSpace": _SPACE,
        "bgpProperties": Group({**_PEER, "peerWeight": Only(0), "bgpPeeringAddresses": LATER}),
        "isSecuritySite": Only(False),
        "o365Policy": LATER,
        "vpnSiteLinks": Group(
            {
                **_PART,
                "properties": Group(
                    {
                        "linkProperties": Group({"linkProviderName": INERT, "linkSpeedInMbps": INERT}),
                        "ipAddress": DONE,
                        "fqdn": DONE,
                        "bgpProperties": Group(_PEER),
                        "provisioningState": READ_ONLY,
                    }
                ),
            }
        ),
        "provisioningState": READ_ONLY,
    },
    "vpnGateways/vpnConnections": {
        **_TUNNEL,
        "remoteVpnSite": DONE,
        "trafficSelectorPolicies": Group({"localAddressRanges": DONE, "remoteAddressRanges": DONE}),
        "enableInternetSecurity": DONE,
        "routingConfiguration": LATER,
        "vpnLinkConnections": Group(
            {
                **_PART,
                "properties": Group(
                    {
                        **_TUNNEL,
                        "vpnSiteLink": DONE,
                        "vpnLinkConnectionMode": DONE,
                        "vpnGatewayCustomBgpAddresses": Group({"ipConfigurationId": DONE, "customBgpIpAddress": DONE}),
                        "ingressNatRules": DONE,
                        "egressNatRules": DONE,
                    }
                ),
            }
        ),
    },
    "vpnGateways/natRules": {
        "type": Only("Static", later=("Dynamic",)),
        "mode": DONE,
        "internalMappings": _MAPPINGS,
        "externalMappings": _MAPPINGS,
        "ipConfigurationId": LATER,
        "ingressVpnSiteLinkConnections": READ_ONLY,
        "egressVpnSiteLinkConnections": READ_ONLY,
        "provisioningState": READ_ONLY,
    },
    "vpnServerConfigurations": {
        "name": READ_ONLY,
        "etag": READ_ONLY,
        "vpnProtocols": DONE,
        "vpnAuthenticationTypes": DONE,
        "vpnClientRootCertificates": Group({"name": DONE, "publicCertData": DONE}),
        "vpnClientRevokedCertificates": Group({"name": DONE, "thumbprint": DONE}),
        "radiusServerRootCertificates": LATER,
        "radiusClientRootCertificates": LATER,
        "vpnClientIpsecPolicies": _POLICY,
        "radiusServerAddress": DONE,
        "radiusServerSecret": DONE,
        "radiusServers": Group({"radiusServerAddress": DONE, "radiusServerScore": DONE, "radiusServerSecret": DONE}),
        "aadAuthenticationParameters": LATER,
        "configurationPolicyGroups": Group(
            {
                **_PART,
                "properties": Group(
                    {
                        "isDefault": DONE,
                        "priority": DONE,
                        "policyMembers": Group({"name": DONE, "attributeType": DONE, "attributeValue": DONE}),
                        "p2SConnectionConfigurations": READ_ONLY,
                        "provisioningState": READ_ONLY,
                    }
                ),
            }
        ),
        "p2SVpnGateways": READ_ONLY,
        "provisioningState": READ_ONLY,
    },
    "p2sVpnGateways": {
        "virtualHub": DONE,
        "vpnServerConfiguration": DONE,
        "p2SConnectionConfigurations": Group(
            {
                **_PART,
                "properties": Group(
                    {
                        "vpnClientAddressPool": Group({"addressPrefixes": DONE, "ipamPoolPrefixAllocations": LATER}),
                        "routingConfiguration": LATER,
                        "enableInternetSecurity": DONE,
                        "configurationPolicyGroupAssociations": DONE,
                        "previousConfigurationPolicyGroupAssociations": READ_ONLY,
                        "provisioningState": READ_ONLY,
                    }
                ),
            }
        ),
        "customDnsServers": DONE,
        "vpnGatewayScaleUnit": INERT,
        "isRoutingPreferenceInternet": Only(False),
        "vpnClientConnectionHealth": READ_ONLY,
        "provisioningState": READ_ONLY,
    },
    "vpnUsers": {
        "vpnServerConfiguration": DONE,
        "userName": DONE,
        "password": DONE,
        "provisioningState": READ_ONLY,
    },
    "nodes": {
        "gatewayInstances": Group({"vpnGateway": DONE, **_INSTANCE}),
        "userGatewayInstances": Group({"p2sVpnGateway": DONE, **_INSTANCE}),
        "virtualNetworks": Group(
            {
                "virtualNetwork": DONE,
                "interface": DONE,
                "vlan": Group({"parent": DONE, "id": DONE}),
                "bridge": Group({"ports": DONE}),
                "address": DONE,
                "gateway": DONE,
            }
        ),
        "provisioningState": READ_ONLY,
    },
    "settings": {
        "resource": DONE,
        "remoteIdentity": DONE,
        "priority": DONE,
        "legacyAlgorithms": DONE,
        "mobike": DONE,
        "authentication": DONE,
        "certificate": DONE,
        "privateKey": DONE,
        "certificateAuthorities": DONE,
        "revocationLists": DONE,
        "gatewayFqdn": DONE,
        "bgpPassword": DONE,
        "bgpTtlSecurity": DONE,
        "bgpHoldTime": DONE,
        "bgpPassive": DONE,
        "maximumPrefixes": DONE,
        "concurrentSessions": DONE,
        "customRoutes": DONE,
        "staticAddresses": Group({"identity": DONE, "addresses": DONE}),
        "framedAddressPrefixes": DONE,
        "provisioningState": READ_ONLY,
    },
}

TRACKED: Final = frozenset(
    {
        "virtualWans",
        "virtualHubs",
        "vpnGateways",
        "virtualNetworks",
        "vpnSites",
        "p2sVpnGateways",
        "vpnServerConfigurations",
    }
)
"""Types that have a location and tags."""

LOCATED: Final = frozenset({"virtualHubs", "virtualNetworks"})
"""Types whose location is needed: a virtual network connects to a hub in its own region."""

_HEAD: Final[Mapping[str, Rule]] = {"id": DONE, "type": DONE, "name": DONE, "etag": READ_ONLY}


def fields_of(type_: str) -> Mapping[str, Rule]:
    """Returns the fields of a whole document of a canonical type."""
    head: dict[str, Rule] = dict(_HEAD)
    if type_ in TRACKED:
        head |= {"location": DONE, "tags": INERT, "kind": READ_ONLY, "extendedLocation": LATER}
    return head | {"properties": Group(PROPERTIES[type_])}
