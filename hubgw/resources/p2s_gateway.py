"""p2sVpnGateways, which end users' tunnels; each of its two instances has its own half of the address pools."""

from typing import Annotated, Any, Final

from pydantic import Field, ValidationInfo, field_validator

from hubgw.resources.base import (
    Address,
    HubRef,
    Lenient,
    Model,
    NotEmpty,
    PolicyGroupRef,
    Prefix,
    Ref,
    Resource,
    ServerRef,
)
from hubgw.resources.site import Name

MAX_DNS_SERVERS: Final = 10


class AddressPool(Model):
    """Prefixes of which users' clients are given addresses."""

    address_prefixes: Annotated[tuple[Prefix, ...], Lenient, NotEmpty]


class ConnectionConfigurationProperties(Model):
    vpn_client_address_pool: AddressPool
    enable_internet_security: bool = False
    configuration_policy_group_associations: Annotated[tuple[PolicyGroupRef, ...], Lenient] = ()


class ConnectionConfiguration(Model):
    name: Name
    properties: ConnectionConfigurationProperties


class P2sVpnGatewayProperties(Model):
    virtual_hub: HubRef
    vpn_server_configuration: ServerRef
    connection_configurations: Annotated[
        tuple[ConnectionConfiguration, ...], Lenient, NotEmpty, Field(alias="p2SConnectionConfigurations")
    ]
    custom_dns_servers: Annotated[tuple[Address, ...], Lenient, Field(max_length=MAX_DNS_SERVERS)] = ()
    vpn_gateway_scale_unit: Annotated[int, Field(ge=1)] = 1
    is_routing_preference_internet: bool = False

    @field_validator("connection_configurations", mode="before")
    @classmethod
    def _groups_of_the_server(cls, value: object, context: ValidationInfo) -> object:
        server = context.data.get("vpn_server_configuration")
        if not isinstance(server, Ref) or not isinstance(value, list | tuple):
            return value
        return [_with_full_groups(item, server) for item in value]


def _with_full_groups(item: Any, server: Ref) -> Any:
    match item:
        case {"properties": {"configurationPolicyGroupAssociations": [*groups]}}:
            full = [_with_full_group(group, server) for group in groups]
            return item | {"properties": item["properties"] | {"configurationPolicyGroupAssociations": full}}
    return item


def _with_full_group(item: object, server: Ref) -> object:
    match item:
        case {"id": str(name)} | str(name) if "/" not in name:
            return f"{server.id}/configurationPolicyGroups/{name}"
    return item


class P2sVpnGateway(Resource):
    __slots__ = ()
    properties: P2sVpnGatewayProperties
    TYPE = "p2sVpnGateways"
    PROPERTIES = P2sVpnGatewayProperties
