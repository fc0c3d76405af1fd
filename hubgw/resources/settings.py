"""settings: what Azure has no field for, keyed by the resource that it extends."""

import re
from ipaddress import ip_address
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from hubgw.names import IDENTITY, LABEL
from hubgw.resources.base import Address, ExtendedRef, Lenient, Model, Prefix, Resource, fault
from hubgw.resources.certificates import Authorities, Chain, PrivateKey, RevocationLists, distinguished
from hubgw.resources.peering import BgpPassword

_ADDRESS_LIKE: Final = re.compile(r"[0-9.]+|.*:.*", re.ASCII | re.DOTALL)
_FQDN: Final = re.compile(rf"(?=.{{1,64}}\Z)(?:{LABEL}\.)+(?![0-9]+\Z){LABEL}", re.ASCII)
_EXPECTED: Final = "expected an IKE identity: an IP address, a host name, user@host or a subject like CN=branch1"


ConcurrentSessions = Literal["both", "replace"]


def _identity(text: str) -> str:
    if "=" in text:
        if (subject := distinguished(text)) is None:
            raise fault(_EXPECTED, "write the parts of a subject in their order: C=CH, O=Example, CN=branch1")
        return subject
    if _ADDRESS_LIKE.fullmatch(text):
        try:
            address = ip_address(text)
        except ValueError:
            raise fault(_EXPECTED) from None
        if address.version == 6:
            raise fault("IPv6 addresses are not implemented yet")
    elif not IDENTITY.fullmatch(text):
        raise fault(_EXPECTED)
    return text


def _gateway_fqdn(text: str) -> str:
    # It is the common name of the gateway's certificate, which has 64 characters (X.520).
    if not _FQDN.fullmatch(text):
        raise fault("expected the full name of a host in the DNS, of at most 64 characters, like vpn.example.com")
    return text


class StaticAddress(Model):
    """A user's own address: `identity` is exactly what the client calls itself, which its certificate has to name; of
    the `addresses` one is for each instance of the gateway, 0 and 1."""

    identity: Annotated[str, AfterValidator(_identity)]
    addresses: Annotated[tuple[Address, ...], Lenient, Field(min_length=2, max_length=2)]


OF_USERS: Final = ("gatewayFqdn", "concurrentSessions", "customRoutes", "staticAddresses", "framedAddressPrefixes")
"""What only a p2sVpnGateway has."""

MOST_CUSTOM_ROUTES: Final = 100


class SettingsProperties(Model):
    """`authentication` is how the branch and the hub prove who they are; with `certificate` to `revocation_lists` a
    vpnGateway has the operator's own certificate instead of one by hubgw's own authority. So has a p2sVpnGateway, where
    `certificate_authorities` are those that users are to believe; the lists of the users' own authorities are a
    vpnServerConfiguration's. `gateway_fqdn` is the name that users call a p2sVpnGateway by.

    `remote_identity` is the branch's IKE identity (its link's address, or else its name, where absent); of two sites
    that announce one prefix, that of the lower `priority` is preferred; `legacy_algorithms` lets IKE offer and accept
    SHA-1, 3DES and DH groups of 1024 bits; `mobike` (RFC 4555) lets the branch move its SAs to another address.
    `bgp_hold_time` is in seconds. `concurrent_sessions` is what becomes of a p2sVpnGateway's user on a second device:
    both stay, or the newest replaces the other; `custom_routes` are what its clients route into the tunnel beside what
    hubgw knows, as where BGP tells the prefixes of branches; `static_addresses` are of users with certificates, outside
    of every pool, as are `framed_address_prefixes`, of which RADIUS servers give users theirs (Framed-IP-Address)."""

    resource: ExtendedRef
    remote_identity: Annotated[str, AfterValidator(_identity)] | None = None
    priority: Annotated[int, Field(ge=0, le=65535)] | None = None
    legacy_algorithms: bool | None = None
    mobike: bool | None = None
    authentication: Literal["PSK", "Certificate"] | None = None
    certificate: Chain | None = None
    private_key: PrivateKey | None = None
    certificate_authorities: Authorities | None = None
    revocation_lists: RevocationLists | None = None
    gateway_fqdn: Annotated[str, AfterValidator(_gateway_fqdn)] | None = None
    bgp_password: BgpPassword | None = None
    bgp_ttl_security: bool | None = None
    bgp_hold_time: Annotated[int, Field(ge=3, le=65535)] | None = None
    bgp_passive: bool | None = None
    maximum_prefixes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    concurrent_sessions: ConcurrentSessions | None = None
    custom_routes: Annotated[tuple[Prefix, ...], Lenient, Field(max_length=MOST_CUSTOM_ROUTES)] | None = None
    static_addresses: Annotated[tuple[StaticAddress, ...], Lenient] | None = None
    framed_address_prefixes: Annotated[tuple[Prefix, ...], Lenient] | None = None


class Settings(Resource):
    __slots__ = ()
    properties: SettingsProperties
    TYPE = "settings"
    PROPERTIES = SettingsProperties
