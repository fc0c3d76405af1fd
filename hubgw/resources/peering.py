"""What is written about BGP peers: the types of their fields, at sites, links and gateways. Knows no other resource."""

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator

from hubgw.names import Secret
from hubgw.resources.base import NOT_ROUTED, Lenient, Model, fault, host, text_of
from hubgw.resources.hub import HUB_ASN

APIPA: Final = IPv4Network("169.254.0.0/16")
"""Where a branch's peering address asks for one of the gateway's custom addresses instead of its default one."""

CUSTOM: Final = (IPv4Network("169.254.21.0/24"), IPv4Network("169.254.22.0/24"))
"""Where Azure takes a gateway's custom addresses from."""

INSTANCES: Final = ("Instance0", "Instance1")
"""Azure's ids of a gateway's IP configurations, in order of our instances."""

_RESERVED: Final = (
    (8074, 8075, "Azure's own"),
    (12076, 12076, "Azure's own"),
    (HUB_ASN, HUB_ASN, "the hub's own"),
    (65517, 65520, "Azure's own"),
    (23456, 23456, "AS_TRANS, reserved by RFC 6793"),
    (64496, 64511, "for documentation, reserved by RFC 5398"),
    (65535, 65551, "reserved by RFC 7300 and RFC 5398"),
    (4294967295, 4294967295, "reserved by RFC 7300"),
)
"""What Azure refuses for a site, and the last of the four-octet numbers: first, last, and why."""

_PASSWORD: Final = re.compile(r"[!$-&(-:<-\[\]-z|~]*", re.ASCII)
_PASSWORD_LENGTH: Final = 80
"""Octets that the kernel holds for a key of TCP MD5 (TCP_MD5SIG_MAXKEYLEN)."""


def _site_asn(asn: int) -> int:
    for first, last, why in _RESERVED:
        if first <= asn <= last:
            raise fault(f"a site cannot have this ASN: it is {why}", "use 64512 to 65514, or an ASN that is yours")
    return asn


def _peering_address(value: object) -> IPv4Address:
    routed = {special: what for special, what in NOT_ROUTED.items() if special != APIPA}
    return value if isinstance(value, IPv4Address) else host(value, routed)


def _custom_address(value: object) -> IPv4Address:
    address = _peering_address(value)
    if not any(address in network for network in CUSTOM):
        raise fault("a custom BGP address is in 169.254.21.0/24 or 169.254.22.0/24")
    return address


def _password(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    text = text_of(value, "a password as text")
    if not _PASSWORD.fullmatch(text):
        raise fault("a BGP password has printable ASCII characters, without spaces, quotes, \\ ; # { and }")
    if not text:
        raise fault("a BGP password has at least one character", "to have none, delete the settings that hold it")
    if len(text) > _PASSWORD_LENGTH:
        raise fault(f"a BGP password has at most {_PASSWORD_LENGTH} characters")
    return Secret(text)


SiteAsn = Annotated[int, Field(ge=1, le=4294967295), AfterValidator(_site_asn)]
PeeringAddress = Annotated[IPv4Address, PlainValidator(_peering_address), PlainSerializer(str)]
CustomAddress = Annotated[IPv4Address, PlainValidator(_custom_address), PlainSerializer(str)]
BgpPassword = Annotated[Secret, PlainValidator(_password), PlainSerializer(Secret.reveal)]
InstanceId = Literal["Instance0", "Instance1"]


class BgpProperties(Model):
    """The branch's end of a session."""

    asn: SiteAsn
    bgp_peering_address: PeeringAddress


class SiteBgpProperties(BgpProperties):
    """Holds for the links that have none of their own: one address, reached over all of them."""

    peer_weight: int = 0


class InstanceAddresses(Model):
    """The addresses of a gateway instance beside its default one."""

    ipconfiguration_id: InstanceId
    custom_bgp_ip_addresses: Annotated[tuple[CustomAddress, ...], Lenient] = ()


class GatewayBgpSettings(Model):
    asn: int = HUB_ASN
    peer_weight: int = 0
    bgp_peering_addresses: Annotated[tuple[InstanceAddresses, ...], Lenient] = ()


class ChosenAddress(Model):
    """Which custom address of a gateway instance a link's session is from."""

    ip_configuration_id: InstanceId
    custom_bgp_ip_address: CustomAddress
