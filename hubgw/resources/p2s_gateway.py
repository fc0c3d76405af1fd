"""p2sVpnGateways, which end users' tunnels; each of its two instances has its own half of the address pools."""

from typing import Annotated, Final

from pydantic import Field

from hubgw.resources.base import Address, HubRef, Lenient, Model, NotEmpty, Prefix, Resource, ServerRef
from hubgw.resources.site import Name

MAX_DNS_SERVERS: Final = 10


class AddressPool(Model):
    """Prefixes of which users' clients are given addresses."""

    address_prefixes: Annotated[tuple[Prefix, ...], Lenient, NotEmpty]


class ConnectionConfigurationProperties(Model):
    vpn_client_address_pool: AddressPool
    enable_internet_security: bool = False


class ConnectionConfiguration(Model):
    name: Name
    properties: ConnectionConfigurationProperties


class P2sVpnGatewayProperties(Model):
    virtual_hub: HubRef
    vpn_server_configuration: ServerRef
    connection_configurations: Annotated[
        tuple[ConnectionConfiguration, ...], Lenient, NotEmpty, Field(alias="p2SConnectionConfigurations", max_length=1)
    ]
    custom_dns_servers: Annotated[tuple[Address, ...], Lenient, Field(max_length=MAX_DNS_SERVERS)] = ()
    vpn_gateway_scale_unit: Annotated[int, Field(ge=1)] = 1
    is_routing_preference_internet: bool = False


class P2sVpnGateway(Resource):
    __slots__ = ()
    properties: P2sVpnGatewayProperties
    TYPE = "p2sVpnGateways"
    PROPERTIES = P2sVpnGatewayProperties
