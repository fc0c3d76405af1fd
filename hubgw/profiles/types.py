"""What a profile says, whatever the platform."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from hubgw.names import Secret

Authentication = Literal["Certificate", "EapTls", "EapMsChapV2", "Radius"]
"""How the user proves who they are: IKEv2 public key, EAP-TLS, EAP-MSCHAPv2 with a password that hubgw keeps, or the
EAP method of a RADIUS server's choice, which is given a user name and a password."""


@dataclass(frozen=True, slots=True)
class Suite:
    """The one suite that a profile asks for, which the gateway accepts: Azure's names, as in vpnClientIpsecPolicies."""

    ike_encryption: str = "AES256"
    ike_integrity: str = "SHA384"
    dh_group: str = "ECP384"
    ipsec_encryption: str = "GCMAES256"
    ipsec_integrity: str = "GCMAES256"
    pfs_group: str = "None"


@dataclass(frozen=True, slots=True)
class UserCredentials:
    """A user's certificate and key, as PEM, with the chain up to the root (without the root)."""

    certificate: str = field(repr=False)
    key: Secret
    chain: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """All that a client has to know.

    `server` is the name or address that it calls and that the gateway's certificate holds; `authorities` are the roots
    that the gateway's certificate is verified by, as PEM; `routes` are what goes into the tunnel, 0.0.0.0/0 all;
    `credentials` are there where the key was made for this profile, and `password` protects them inside it.
    """

    name: str
    server: str
    authorities: tuple[str, ...]
    user: str
    authentication: Authentication
    routes: Sequence[IPv4Network]
    dns_servers: Sequence[IPv4Address] = ()
    suite: Suite = Suite()
    credentials: UserCredentials | None = None
    password: Secret | None = None
