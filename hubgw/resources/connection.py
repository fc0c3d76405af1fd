"""vpnGateways, which end the branches' tunnels, and vpnConnections, which join a site to one, link by link."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from hubgw.resources.base import HubRef, Lenient, LinkRef, Model, Ref, Resource, SharedKey, SiteRef
from hubgw.resources.ids import LINK_CONNECTION_TYPE
from hubgw.resources.peering import ChosenAddress, GatewayBgpSettings
from hubgw.resources.site import MAX_LINKS, Name

DpdTimeout = Annotated[int, Field(ge=20, le=3600)]
Protocol = Literal["IKEv2", "IKEv1"]


class VpnGatewayProperties(Model):
    virtual_hub: HubRef
    bgp_settings: GatewayBgpSettings | None = None
    vpn_gateway_scale_unit: Annotated[int, Field(ge=1)] = 1
    enable_bgp_route_translation_for_nat: bool = False
    is_routing_preference_internet: bool = False


class VpnGateway(Resource):
    __slots__ = ()
    properties: VpnGatewayProperties
    TYPE = "vpnGateways"
    PROPERTIES = VpnGatewayProperties


class VpnLinkConnectionProperties(Model):
    """What is absent is the connection's."""

    vpn_site_link: LinkRef
    routing_weight: int = 0
    vpn_link_connection_mode: Literal["Default", "ResponderOnly", "InitiatorOnly"] = "Default"
    vpn_connection_protocol_type: Protocol = "IKEv2"
    connection_bandwidth: int | None = None
    shared_key: SharedKey | None = None
    enable_bgp: bool | None = None
    vpn_gateway_custom_bgp_addresses: Annotated[tuple[ChosenAddress, ...], Lenient] = ()
    use_policy_based_traffic_selectors: bool = False
    enable_rate_limiting: bool = False
    use_local_azure_ip_address: bool = False
    dpd_timeout_seconds: DpdTimeout | None = None


class VpnLinkConnection(Model):
    name: Name
    properties: VpnLinkConnectionProperties


class VpnConnectionProperties(Model):
    """No link connection means every link of the site, with the connection's own key."""

    remote_vpn_site: SiteRef
    routing_weight: int = 0
    dpd_timeout_seconds: DpdTimeout | None = None
    vpn_connection_protocol_type: Protocol = "IKEv2"
    connection_bandwidth: int | None = None
    shared_key: SharedKey | None = None
    enable_bgp: bool = False
    use_policy_based_traffic_selectors: bool = False
    enable_rate_limiting: bool = False
    enable_internet_security: bool = False
    use_local_azure_ip_address: bool = False
    vpn_link_connections: Annotated[tuple[VpnLinkConnection, ...], Lenient, Field(max_length=MAX_LINKS)] = ()

    @field_validator("vpn_link_connections", mode="before")
    @classmethod
    def _links_of_the_site(cls, value: object, context: ValidationInfo) -> object:
        site = context.data.get("remote_vpn_site")
        if not isinstance(site, Ref) or not isinstance(value, list | tuple):
            return value
        return [_with_full_link(item, site) for item in value]


def _with_full_link(item: Any, site: Ref) -> Any:
    match item:
        case {"properties": {"vpnSiteLink": {"id": str(link)}}} | {"properties": {"vpnSiteLink": str(link)}}:
            if "/" not in link:
                properties = item["properties"] | {"vpnSiteLink": f"{site.id}/vpnSiteLinks/{link}"}
                return item | {"properties": properties}
    return item


class VpnConnection(Resource):
    """`parent_key` is the gateway's."""

    __slots__ = ()
    properties: VpnConnectionProperties
    TYPE = "vpnGateways/vpnConnections"
    PROPERTIES = VpnConnectionProperties

    def to_json(self, secrets: bool) -> dict[str, Any]:
        document = super().to_json(secrets)
        for link in document["properties"]["vpnLinkConnections"]:
            link |= {
                "id": f"{self.id}/vpnLinkConnections/{link['name']}",
                "type": f"Microsoft.Network/{LINK_CONNECTION_TYPE}",
            }
        return document
