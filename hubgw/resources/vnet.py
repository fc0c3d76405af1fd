"""virtualNetworks and their connections to a hub."""

from typing import Annotated, Literal

from pydantic import Field

from hubgw.resources.base import AddressSpace, Lenient, Model, NotEmpty, Prefix, Resource, VnetRef


class VnetAddressSpace(AddressSpace):
    """A virtual network has at least one prefix."""

    address_prefixes: Annotated[tuple[Prefix, ...], Lenient, NotEmpty]


class VirtualNetworkProperties(Model):
    address_space: VnetAddressSpace
    enable_ddos_protection: bool = False
    enable_vm_protection: bool = False
    private_endpoint_vnet_policies: Annotated[
        Literal["Disabled", "Basic"], Field(alias="privateEndpointVNetPolicies")
    ] = "Disabled"


class VirtualNetwork(Resource):
    __slots__ = ()
    properties: VirtualNetworkProperties
    TYPE = "virtualNetworks"
    PROPERTIES = VirtualNetworkProperties


class HubVirtualNetworkConnectionProperties(Model):
    remote_virtual_network: VnetRef
    allow_hub_to_remote_vnet_transit: bool = True
    allow_remote_vnet_to_use_hub_vnet_gateways: bool = True
    enable_internet_security: bool = True
    enable_only_ipv6_peering: Annotated[bool, Field(alias="enableOnlyIPv6Peering")] = False


class HubVirtualNetworkConnection(Resource):
    """`parent_key` is the hub's."""

    __slots__ = ()
    properties: HubVirtualNetworkConnectionProperties
    TYPE = "virtualHubs/hubVirtualNetworkConnections"
    PROPERTIES = HubVirtualNetworkConnectionProperties
