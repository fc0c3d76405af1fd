"""vpnSites and their links: a branch, what it announces, and the addresses of its devices."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator, model_validator

from hubgw.names import LABEL
from hubgw.resources.base import Address, AddressSpace, Lenient, Model, Resource, Text, WanRef, fault
from hubgw.resources.ids import LINK_TYPE, name_problem
from hubgw.resources.peering import BgpProperties, SiteBgpProperties

MAX_LINKS = 4

_FQDN: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:{LABEL}\.)+(?![0-9]+\Z){LABEL}", re.ASCII)


def _segment(value: object) -> str:
    if not isinstance(value, str):
        raise fault("expected a name", "put it in quotes")
    if problem := name_problem(value):
        raise fault(problem)
    return value


def _fqdn(value: object) -> str:
    if not isinstance(value, str) or not _FQDN.fullmatch(value):
        raise fault("expected the full name of a host in the DNS, like branch.example.com")
    return value


Name = Annotated[str, PlainValidator(_segment)]
Fqdn = Annotated[str, PlainValidator(_fqdn)]


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
    """Of an address and a name the address counts."""

    link_properties: LinkProvider | None = None
    ip_address: Address | None = None
    fqdn: Fqdn | None = None
    bgp_properties: BgpProperties | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> "VpnSiteLinkProperties":
        if self.ip_address is None and self.fqdn is None:
            raise fault("expected the branch's ipAddress, or a fqdn that has one")
        return self


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
    """One way to a site. `id` is the vpnSiteLink's full id, `bgp` what it has of its own.

    `fqdn` is set where there is no address: it is to be resolved.
    """

    name: str
    ip_address: Address | None
    id: str
    bgp: BgpProperties | None = None
    fqdn: str = ""

    @property
    def key(self) -> str:
        return self.id.lower()

    @property
    def peer(self) -> str:
        """Where the branch is, and who it is where nothing else is said: its address, or the name that has it."""
        return self.fqdn if self.ip_address is None else str(self.ip_address)


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
                (link.properties.fqdn or "").lower() if link.properties.ip_address is None else "",
            )
            for link in self.properties.vpn_site_links
        )

    def to_json(self, secrets: bool) -> dict[str, Any]:
        document = super().to_json(secrets)
        for link in document["properties"]["vpnSiteLinks"]:
            link |= {"id": f"{self.id}/vpnSiteLinks/{link['name']}", "type": f"Microsoft.Network/{LINK_TYPE}"}
        return document
