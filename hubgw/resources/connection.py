"""vpnGateways, which end the branches' tunnels, and vpnConnections, which join a site to one, link by link."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from hubgw.names import Secret
from hubgw.resources.base import (
    HubRef,
    Lenient,
    LinkRef,
    Model,
    NatRuleRef,
    NotEmpty,
    Ref,
    Resource,
    SharedKey,
    SitePrefix,
    SiteRef,
)
from hubgw.resources.ids import CONNECTION_TYPE, LINK_CONNECTION_TYPE, ResourceId
from hubgw.resources.ipsec import IpsecPolicy
from hubgw.resources.peering import ChosenAddress, GatewayBgpSettings
from hubgw.resources.site import MAX_LINKS, Link, Name, VpnSite

DpdTimeout = Annotated[int, Field(ge=20, le=3600)]
Protocol = Literal["IKEv2", "IKEv1"]
Weight = Annotated[int, Field(ge=0, le=32_000)]
Mode = Literal["Default", "ResponderOnly", "InitiatorOnly"]
NatRules = Annotated[tuple[NatRuleRef, ...], Lenient]
IpsecPolicies = Annotated[tuple[IpsecPolicy, ...], Lenient, Field(max_length=1)]


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
    routing_weight: Weight | None = None
    vpn_link_connection_mode: Mode = "Default"
    vpn_connection_protocol_type: Protocol | None = None
    connection_bandwidth: int | None = None
    shared_key: SharedKey | None = None
    enable_bgp: bool | None = None
    vpn_gateway_custom_bgp_addresses: Annotated[tuple[ChosenAddress, ...], Lenient] = ()
    use_policy_based_traffic_selectors: bool = False
    ipsec_policies: IpsecPolicies = ()
    enable_rate_limiting: bool = False
    use_local_azure_ip_address: bool = False
    dpd_timeout_seconds: DpdTimeout | None = None
    ingress_nat_rules: NatRules = ()
    egress_nat_rules: NatRules = ()

    @field_validator("ingress_nat_rules", "egress_nat_rules", mode="before")
    @classmethod
    def _rules_of_the_gateway(cls, value: object, context: ValidationInfo) -> object:
        scope = context.context
        if not isinstance(value, list) or not isinstance(scope, ResourceId) or scope.type != CONNECTION_TYPE:
            return value
        return [_with_full_rule(item, scope.names[0]) for item in value]


class VpnLinkConnection(Model):
    name: Name
    properties: VpnLinkConnectionProperties


class TrafficSelectorPolicy(Model):
    """Each of the hub's ranges with each of the branch's is a pair."""

    local_address_ranges: Annotated[tuple[SitePrefix, ...], Lenient, NotEmpty]
    remote_address_ranges: Annotated[tuple[SitePrefix, ...], Lenient, NotEmpty]


class VpnConnectionProperties(Model):
    """No link connection means every link of the site, with the connection's own key."""

    remote_vpn_site: SiteRef
    routing_weight: Weight = 0
    dpd_timeout_seconds: DpdTimeout | None = None
    vpn_connection_protocol_type: Protocol = "IKEv2"
    connection_bandwidth: int | None = None
    shared_key: SharedKey | None = None
    enable_bgp: bool = False
    use_policy_based_traffic_selectors: bool = False
    traffic_selector_policies: Annotated[tuple[TrafficSelectorPolicy, ...], Lenient] = ()
    ipsec_policies: IpsecPolicies = ()
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


def _with_full_rule(item: object, gateway: str) -> object:
    match item:
        case {"id": str(name)} | str(name) if "/" not in name:
            return f"{gateway}/{name}"
    return item


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds on one link of a connection: what its link connection says, and else the connection.

    `version` is that of IKE; of several links those of the greatest `weight` are used; `index` is that of the link
    connection, None where there is none.
    """

    link: Link
    index: int | None
    shared_key: Secret | None
    dpd_timeout_seconds: int | None
    version: int
    mode: Mode
    weight: int
    policy: IpsecPolicy | None
    policy_based: bool = False


class VpnConnection(Resource):
    """`parent_key` is the gateway's."""

    __slots__ = ()
    properties: VpnConnectionProperties
    TYPE = "vpnGateways/vpnConnections"
    PROPERTIES = VpnConnectionProperties

    def terms(self, site: VpnSite) -> Iterator[Terms]:
        """Yields each link of its site that the connection uses; one that names no link uses every link."""
        if not self.properties.vpn_link_connections:
            yield from (self._terms(link, None) for link in site.links)
        by_key = {link.key: link for link in site.links}
        for index, one in enumerate(self.properties.vpn_link_connections):
            if link := by_key.get(one.properties.vpn_site_link.key):
                yield self._terms(link, index)

    def _terms(self, link: Link, index: int | None) -> Terms:
        whole = self.properties
        own = None if index is None else whole.vpn_link_connections[index].properties
        timeout = own.dpd_timeout_seconds if own else None
        protocol = (own and own.vpn_connection_protocol_type) or whole.vpn_connection_protocol_type
        return Terms(
            link=link,
            index=index,
            shared_key=(own and own.shared_key) or whole.shared_key,
            dpd_timeout_seconds=whole.dpd_timeout_seconds if timeout is None else timeout,
            version=1 if protocol == "IKEv1" else 2,
            mode=own.vpn_link_connection_mode if own else "Default",
            weight=whole.routing_weight if own is None or own.routing_weight is None else own.routing_weight,
            policy=next(iter((own and own.ipsec_policies) or whole.ipsec_policies), None),
            policy_based=whole.use_policy_based_traffic_selectors
            or bool(own and own.use_policy_based_traffic_selectors),
        )

    def to_json(self, secrets: bool) -> dict[str, Any]:
        document = super().to_json(secrets)
        for link in document["properties"]["vpnLinkConnections"]:
            link |= {
                "id": f"{self.id}/vpnLinkConnections/{link['name']}",
                "type": f"Microsoft.Network/{LINK_CONNECTION_TYPE}",
            }
        return document
