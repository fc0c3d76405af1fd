"""virtualHubs: a hub of a WAN in one region."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from hubgw.resources.base import (
    Address,
    Lenient,
    Model,
    NotEmpty,
    Prefix,
    Resource,
    SitePrefix,
    Text,
    WanRef,
    fault,
)

HUB_ASN = 65515
HUB_PREFIX_LENGTH = 24


def _hub_prefix(prefix: Prefix) -> Prefix:
    if prefix.prefixlen > HUB_PREFIX_LENGTH:
        raise fault(f"a hub's prefix is /{HUB_PREFIX_LENGTH} or larger")
    return prefix


class AutoScale(Model):
    """Azure's smallest number of router units; hubgw has the machine that it has."""

    min_capacity: int | None = None


class HubRoute(Model):
    """Prefixes that lie behind an address inside a virtual network, as behind a firewall that stands there."""

    address_prefixes: Annotated[tuple[SitePrefix, ...], Lenient, NotEmpty]
    next_hop_ip_address: Address


class HubRouteTable(Model):
    """The hub's own static routes (Azure's v1 route table)."""

    routes: Annotated[tuple[HubRoute, ...], Lenient] = ()


class VirtualHubProperties(Model):
    virtual_wan: WanRef
    address_prefix: Annotated[Prefix, AfterValidator(_hub_prefix)]
    route_table: HubRouteTable = HubRouteTable()
    sku: Text | None = None
    virtual_router_asn: int = HUB_ASN
    virtual_router_auto_scale_configuration: AutoScale | None = None
    allow_branch_to_branch_traffic: bool | None = None
    preferred_routing_gateway: Literal["ExpressRoute", "VpnGateway", "None"] | None = None
    hub_routing_preference: Literal["ExpressRoute", "VpnGateway", "ASPath"] = "ExpressRoute"


class VirtualHub(Resource):
    __slots__ = ()
    properties: VirtualHubProperties
    TYPE = "virtualHubs"
    PROPERTIES = VirtualHubProperties
