"""virtualWans: the operator's network of hubs. Two WANs never exchange a packet."""

from typing import Literal

from hubgw.resources.base import Model, Resource


class VirtualWanProperties(Model):
    """Basic is site-to-site only, Standard is everything."""

    type: Literal["Standard", "Basic"] = "Standard"
    disable_vpn_encryption: bool = False
    allow_branch_to_branch_traffic: bool = True
    allow_vnet_to_vnet_traffic: bool = True


class VirtualWan(Resource):
    __slots__ = ()
    properties: VirtualWanProperties
    TYPE = "virtualWans"
    PROPERTIES = VirtualWanProperties
