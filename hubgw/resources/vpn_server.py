"""vpnServerConfigurations: how users prove who they are to a point-to-site gateway, and which suite they may use."""

import base64
import binascii
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator

from hubgw.pki.reading import Certificate, Unreadable, certificate_of
from hubgw.resources.base import Address, Lenient, Model, NotEmpty, Resource, fault
from hubgw.resources.connection import IpsecPolicies
from hubgw.resources.ids import AZURE, POLICY_GROUP_TYPE
from hubgw.resources.policy_group import PolicyGroup
from hubgw.resources.radius import RadiusSecret, RadiusServer
from hubgw.resources.site import Name

_MOST: Final = 16_384  # characters of Base64 in one certificate
_THUMBPRINT: Final = re.compile(r"[0-9A-Fa-f]{40}", re.ASCII)
_GROUPS: Final = "configurationPolicyGroups"
_HINT: Final = "the lines of the PEM between BEGIN and END, without those two"


def _certificate(text: str) -> str:
    if len(text) > _MOST:
        raise fault(f"expected at most {_MOST} characters")
    try:
        read = certificate_of(_der(text))
    except (binascii.Error, ValueError, Unreadable):
        raise fault("expected a certificate as Base64", _HINT) from None
    if not read.is_authority:
        raise fault(f"is the certificate of {read.subject}, and that of an authority is expected")
    return text


def _der(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


def _thumbprint(text: str) -> str:
    if not _THUMBPRINT.fullmatch(text):
        raise fault("expected the SHA-1 of a certificate as 40 hexadecimal digits", "leave out colons and spaces")
    return text


class RootCertificate(Model):
    """An authority that issues users' certificates."""

    name: Name
    public_cert_data: Annotated[str, AfterValidator(_certificate)]

    @property
    def certificate(self) -> Certificate:
        return certificate_of(_der(self.public_cert_data))


def _by_ike(protocol: str) -> str:
    if protocol != "IkeV2":
        raise fault("is not IKEv2, and users' tunnels are IKEv2 alone", "write IkeV2")
    return protocol


def _implemented(authentication: str) -> str:
    if authentication == "AAD":
        hint = "write Certificate or Radius, or vpnUsers for passwords"
        raise fault("tokens of Azure Active Directory go over OpenVPN alone, and users' tunnels are IKEv2", hint)
    return authentication


_Protocol = Annotated[Literal["IkeV2", "OpenVPN"], AfterValidator(_by_ike)]
_Authentication = Annotated[Literal["Certificate", "Radius", "AAD"], AfterValidator(_implemented)]


class RevokedCertificate(Model):
    """A user's certificate that is good no longer."""

    name: Name
    thumbprint: Annotated[str, AfterValidator(_thumbprint)]


class VpnServerConfigurationProperties(Model):
    """`vpn_authentication_types` are Azure's; vpnUsers that refer to the configuration add EAP-MSCHAPv2 to them.

    Without `vpn_client_root_certificates` users are believed whose certificates hubgw's own authority issued."""

    vpn_protocols: Annotated[tuple[_Protocol, ...], Lenient, NotEmpty] = ("IkeV2",)
    vpn_authentication_types: Annotated[tuple[_Authentication, ...], Lenient] = ()
    vpn_client_root_certificates: Annotated[tuple[RootCertificate, ...], Lenient] = ()
    vpn_client_revoked_certificates: Annotated[tuple[RevokedCertificate, ...], Lenient] = ()
    vpn_client_ipsec_policies: IpsecPolicies = ()
    radius_server_address: Address | None = None
    radius_server_secret: RadiusSecret | None = None
    radius_servers: Annotated[tuple[RadiusServer, ...], Lenient] = ()
    configuration_policy_groups: Annotated[tuple[PolicyGroup, ...], Lenient] = ()

    @property
    def by_certificate(self) -> bool:
        """Tells whether users may prove themselves by certificates."""
        return "Certificate" in self.vpn_authentication_types

    @property
    def by_radius(self) -> bool:
        """Tells whether RADIUS servers are asked who users are."""
        return "Radius" in self.vpn_authentication_types

    @property
    def by_own_authority(self) -> bool:
        """Tells whether they are believed whose certificates hubgw's own authority issued, and nobody else."""
        return self.by_certificate and not self.vpn_client_root_certificates

    @property
    def thumbprints(self) -> frozenset[str]:
        """Those of the revoked certificates, in lower case."""
        return frozenset(one.thumbprint.lower() for one in self.vpn_client_revoked_certificates)


class VpnServerConfiguration(Resource):
    __slots__ = ()
    properties: VpnServerConfigurationProperties
    TYPE = "vpnServerConfigurations"
    PROPERTIES = VpnServerConfigurationProperties

    @property
    def radius(self) -> tuple[RadiusServer, ...]:
        """Its RADIUS servers, in Azure's form of many and in that of one."""
        properties = self.properties
        if properties.radius_server_address is None:
            return properties.radius_servers
        one = RadiusServer(
            radius_server_address=properties.radius_server_address,
            radius_server_secret=properties.radius_server_secret,
        )
        return (one, *properties.radius_servers)

    def group_key(self, group: PolicyGroup) -> str:
        """Returns what a reference to one of its groups is known by."""
        return f"{self.key}/{_GROUPS}/{group.name}".lower()

    def to_json(self, secrets: bool) -> dict[str, Any]:
        document = super().to_json(secrets)
        for group in document["properties"]["configurationPolicyGroups"]:
            group |= {"id": f"{self.id}/{_GROUPS}/{group['name']}", "type": f"{AZURE}/{POLICY_GROUP_TYPE}"}
        return document
