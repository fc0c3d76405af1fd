"""What both vocabularies need: the patterns of names, and the type of a secret.

Names of resources reach file names, VICI, nftables and terminals, so the pattern is strict. Names of kernel objects are
made from numbers that the store allocates, so that they are short, unique and never need quoting.
"""

import hmac
import re
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?", re.ASCII)
"""A resource's name: Azure's rule for Microsoft.Network, 1 to 80 characters."""

INTERFACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", re.ASCII)
"""An interface of the machine, as the operator names it (the kernel allows more; nft and sysctl paths do not)."""

LABEL: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)"
"""One label of a host's name in the DNS."""

IDENTITY: Final = re.compile(rf"(?=.{{1,128}}\Z)(?:[A-Za-z0-9._+-]{{1,64}}@)?{LABEL}(?:\.{LABEL})*", re.ASCII)
"""What a branch calls itself in IKE, where that is no address and no subject: a host name, or user@host."""

USER: Final = re.compile(rf"(?=.{{1,64}}\Z)(?![0-9.]+\Z)(?:[A-Za-z0-9._+-]{{1,64}}@)?{LABEL}(?:\.{LABEL})*", re.ASCII)
"""A user: what their client calls itself in IKE, and the common name of their certificate, which has 64 characters."""

NO_USER: Final = "expected user@host, or a name like a host's, of at most 64 characters"
"""What is wrong with what `USER` does not match."""

VRF_PREFIX: Final = "hgv"
TUNNEL_PREFIX: Final = "hgt"
PORT_PREFIX: Final = "hgn"


USER_PREFIX: Final = "hgu"
"""What the ids of users' passwords in charon begin with."""


BARRED: Final = "-barred"
"""What the name of an IKE connection ends in that takes in who is to get nothing."""


def is_ours(name: str) -> bool:
    """Tells whether an interface or IKE connection of this name belongs to hubgw.

    >>> is_ours("hgt12"), is_ours("hgtx"), is_ours("eth0")
    (True, False, False)
    """
    return name[:3] in {VRF_PREFIX, TUNNEL_PREFIX, PORT_PREFIX} and name[3:].isascii() and name[3:].isdigit()


def interface_of(connection: str) -> str:
    """Returns the interface that an IKE connection of hubgw's belongs to, or nothing where it is not hubgw's.

    A gateway of users may have several connections, told apart by what follows a hyphen.

    >>> interface_of("hgt12"), interface_of("hgt12-eap"), interface_of("hgtx-1"), interface_of("(unnamed)")
    ('hgt12', 'hgt12', '', '')
    """
    interface = connection.partition("-")[0]
    return interface if is_ours(interface) else ""


class Secret:
    """A preshared key, a password: shown as ``***`` wherever it could leak; `reveal` is the one way out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Returns the secret itself, for the wire of the daemon that needs it and for the store."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __len__(self) -> int:
        return len(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled")
