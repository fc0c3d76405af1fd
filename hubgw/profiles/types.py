"""What a profile says, whatever the platform."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from hubgw.names import Secret
from hubgw.resources.ipsec import DhGroup, IkeEncryption, IkeIntegrity, IpsecEncryption, IpsecIntegrity, PfsGroup

Platform = Literal["windows", "apple", "android", "linux", "networkmanager", "azure"]

Authentication = Literal["Certificate", "EapTls", "EapMsChapV2", "Radius"]
"""How the user proves who they are: IKEv2 public key, EAP-TLS, EAP-MSCHAPv2 with a password that hubgw keeps, or the
EAP method of a RADIUS server's choice, which is given a user name and a password."""

_AS_TOLD = ConfigDict(alias_generator=to_camel)
"""How the agent's JSON names fields."""


@dataclass(frozen=True, slots=True)
class Suite:
    """The one suite that a profile asks for, which the gateway accepts: Azure's names, as in vpnClientIpsecPolicies."""

    __pydantic_config__ = _AS_TOLD

    ike_encryption: IkeEncryption = "AES256"
    ike_integrity: IkeIntegrity = "SHA384"
    dh_group: DhGroup = "ECP384"
    ipsec_encryption: IpsecEncryption = "GCMAES256"
    ipsec_integrity: IpsecIntegrity = "GCMAES256"
    pfs_group: PfsGroup = "None"


@dataclass(frozen=True, slots=True)
class UserCredentials:
    """A user's certificate and key, as PEM, with the chain up to the root (without the root). There is no key where it
    was made at the client and stays there."""

    certificate: str = field(repr=False)
    key: Secret | None
    chain: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What clients of a gateway have to know; `name` is the gateway's.

    `server` is the name or address that they call and that the gateway's certificate holds; `authorities` are the roots
    that the gateway's certificate is verified by, as PEM, that of its present one first: some platforms take one alone.
    `intermediates` are the authorities between that root and the gateway's certificate, its issuer first. `routes` are
    what goes into the tunnel, 0.0.0.0/0 all.
    """

    __pydantic_config__ = _AS_TOLD

    name: str
    server: str
    authorities: tuple[str, ...]
    authentication: Authentication
    routes: Sequence[IPv4Network]
    dns_servers: Sequence[IPv4Address] = ()
    suite: Suite = Suite()
    intermediates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Terms):
    """All that a user's client has to know. `credentials` are there where users prove themselves by a certificate, and
    `password` protects the key inside the profile."""

    user: str
    credentials: UserCredentials | None = None
    password: Secret | None = None

    @property
    def full_tunnel(self) -> bool:
        """Whether everything goes into the tunnel."""
        return any(route.prefixlen == 0 for route in self.routes)

    @property
    def by_certificate(self) -> bool:
        """Whether the user proves themselves by a certificate."""
        return self.authentication in {"Certificate", "EapTls"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A profile as one platform takes it: a file's content, which may hold a private key, and how its name ends."""

    suffix: str
    content: bytes = field(repr=False)
