"""nodes: what Azure's portal never asks, because it owns the machines: gateway instances, and attachments on Linux."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from hubgw.resources.base import (
    Address,
    GatewayRef,
    InterfaceAddress,
    InterfaceName,
    Lenient,
    Model,
    NotEmpty,
    Ref,
    Resource,
    UserGatewayRef,
    VnetRef,
    fault,
)


class Instance(Model):
    """One of a gateway's two instances on this machine; `private_address` where a 1:1 NAT stands in front. `KIND` is
    what the gateway is, and the name of the field that refers to it."""

    KIND: ClassVar[str]
    instance: Annotated[int, Field(ge=0, le=1)]
    public_address: Address
    private_address: Address | None = None
    interface: InterfaceName
    underlay_mtu: Annotated[int, Field(ge=1280, le=9216)] = 1500

    @property
    def local_address(self) -> str:
        """The address on the machine: behind a 1:1 NAT it is not the public one."""
        return str(self.private_address or self.public_address)

    @property
    def gateway(self) -> Ref:
        """The gateway that it is of."""
        raise NotImplementedError


class GatewayInstance(Instance):
    """Of a gateway of branches."""

    KIND = "vpnGateway"
    vpn_gateway: GatewayRef

    @property
    def gateway(self) -> Ref:
        return self.vpn_gateway


class UserGatewayInstance(Instance):
    """Of a gateway of users."""

    KIND = "p2sVpnGateway"
    user_gateway: Annotated[UserGatewayRef, Field(alias="p2sVpnGateway")]

    @property
    def gateway(self) -> Ref:
        return self.user_gateway


class Vlan(Model):
    """A VLAN of hubgw's on an interface of the machine."""

    parent: InterfaceName
    id: Annotated[int, Field(ge=1, le=4094)]


class Bridge(Model):
    """A bridge of hubgw's over interfaces of the machine."""

    ports: Annotated[tuple[InterfaceName, ...], Lenient, NotEmpty]


class VirtualNetworkAttachment(Model):
    """How a virtual network is attached: over what, the hub's address there, and on link or behind a gateway."""

    virtual_network: VnetRef
    interface: InterfaceName | None = None
    vlan: Vlan | None = None
    bridge: Bridge | None = None
    address: InterfaceAddress
    gateway: Address | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "VirtualNetworkAttachment":
        if sum(way is not None for way in (self.interface, self.vlan, self.bridge)) != 1:
            raise fault("expected exactly one of interface, vlan and bridge")
        return self


class NodeProperties(Model):
    gateway_instances: Annotated[tuple[GatewayInstance, ...], Lenient] = ()
    user_gateway_instances: Annotated[tuple[UserGatewayInstance, ...], Lenient] = ()
    virtual_networks: Annotated[tuple[VirtualNetworkAttachment, ...], Lenient] = ()


class Node(Resource):
    __slots__ = ()
    properties: NodeProperties
    TYPE = "nodes"
    PROPERTIES = NodeProperties
