"""vpnServerConfigurations: how users prove who they are to a point-to-site gateway, and which suite they may use."""

import base64
import binascii
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

from hubgw.pki.reading import Certificate, Unreadable, certificate_of
from hubgw.resources.base import Lenient, Model, NotEmpty, Resource, fault
from hubgw.resources.connection import IpsecPolicies
from hubgw.resources.site import Name

_MOST: Final = 16_384  # characters of Base64 in one certificate
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


class RootCertificate(Model):
    """An authority that issues users' certificates."""

    name: Name
    public_cert_data: Annotated[str, AfterValidator(_certificate)]

    @property
    def certificate(self) -> Certificate:
        return certificate_of(_der(self.public_cert_data))


class VpnServerConfigurationProperties(Model):
    vpn_protocols: Annotated[tuple[Literal["IkeV2"], ...], Lenient, NotEmpty] = ("IkeV2",)
    vpn_authentication_types: Annotated[tuple[Literal["Certificate"], ...], Lenient, NotEmpty]
    vpn_client_root_certificates: Annotated[tuple[RootCertificate, ...], Lenient] = ()
    vpn_client_ipsec_policies: IpsecPolicies = ()


class VpnServerConfiguration(Resource):
    __slots__ = ()
    properties: VpnServerConfigurationProperties
    TYPE = "vpnServerConfigurations"
    PROPERTIES = VpnServerConfigurationProperties
