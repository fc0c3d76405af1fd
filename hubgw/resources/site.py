"""vpnSites and their links: a branch, what it announces, and the addresses of its devices."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from hubgw.resources.base import Address, AddressSpace, Lenient, Model, Resource, Text, WanRef, fault
from hubgw.resources.ids import LINK_TYPE, name_problem
from hubgw.resources.peering import BgpProperties, SiteBgpProperties

MAX_LINKS = 4


def _segment(value: object) -> str:
    if not isinstance(value, str):
        raise fault("expected a name", "put it in quotes")
    if problem := name_problem(value):
        raise fault(problem)
    return value


Name = Annotated[str, PlainValidator(_segment)]


class DeviceProperties(Model):
    """What stands at the branch; of no effect."""

    device_vendor: Text | None = None
    device_model: Text | None = None
    link_speed_in_mbps: int | None = None


class LinkProvider(Model):
    """Who provides the link; of no effect."""

    link_provider_name: Text | None = None
    link_speed_in_mbps: int | None = None


class VpnSiteLinkProperties(Model):
    link_properties: LinkProvider | None = None
    ip_address: Address
    bgp_properties: BgpProperties | None = None


class VpnSiteLink(Model):
    name: Name
    properties: VpnSiteLinkProperties


class VpnSiteProperties(Model):
    virtual_wan: WanRef
    device_properties: DeviceProperties | None = None
    ip_address: Address | None = None
    address_space: AddressSpace = AddressSpace()
    bgp_properties: SiteBgpProperties | None = None
    is_security_site: bool = False
    vpn_site_links: Annotated[tuple[VpnSiteLink, ...], Lenient, Field(max_length=MAX_LINKS)] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """One way to a site. `id` is the vpnSiteLink's full id, `bgp` what it has of its own."""

    name: str
    ip_address: Address
    id: str
    bgp: BgpProperties | None = None

    @property
    def key(self) -> str:
        return self.id.lower()


class VpnSite(Resource):
    __slots__ = ()
    properties: VpnSiteProperties
    TYPE = "vpnSites"
    PROPERTIES = VpnSiteProperties

    @property
    def links(self) -> tuple[Link, ...]:
        """The site's links in order; a site of the old form, with its own address, has one of the site's name."""
        if not self.properties.vpn_site_links and self.properties.ip_address is not None:
            return (Link(self.name, self.properties.ip_address, f"{self.id}/vpnSiteLinks/{self.name}"),)
        return tuple(
            Link(
                link.name,
                link.properties.ip_address,
                f"{self.id}/vpnSiteLinks/{link.name}",
                link.properties.bgp_properties,
            )
            for link in self.properties.vpn_site_links
        )

    def to_json(self, secrets: bool) -> dict[str, Any]:
        document = super().to_json(secrets)
        for link in document["properties"]["vpnSiteLinks"]:
            link |= {"id": f"{self.id}/vpnSiteLinks/{link['name']}", "type": f"Microsoft.Network/{LINK_TYPE}"}
        return document
