"""A name -> the subject of a certificate by hubgw's own authorities; a domain -> the subjects of its users."""

from typing import Final

from cryptography.x509 import Name, NameAttribute
from cryptography.x509.oid import NameOID

_ORGANIZATION: Final = "hubgw"


def subject(name: str, unit: str = "") -> Name:
    """Returns the subject of a certificate to a name.

    >>> subject("branch1.example.com").rfc4514_string()
    'CN=branch1.example.com,O=hubgw'
    """
    units = [(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    parts = [(NameOID.ORGANIZATION_NAME, _ORGANIZATION), *units, (NameOID.COMMON_NAME, name)]
    return Name([NameAttribute(oid, value) for oid, value in parts])


def domain_of(user: str) -> str:
    """Returns the domain of a user's name, or nothing; in lower case, as charon may tell the two cases apart there.

    >>> domain_of("alice@Sales.example.com"), domain_of("alice.example.com")
    ('sales.example.com', '')
    """
    _, at, domain = user.rpartition("@")
    return domain.lower() if at else ""


def users_of(domain: str) -> str:
    """Returns the subjects of a domain's users, as a pattern of charon's: it matches part by part, all in their order.

    >>> users_of("Sales.example.com")
    'O=hubgw, OU=sales.example.com, CN=*'
    """
    return f"O={_ORGANIZATION}, OU={domain.lower()}, CN=*"
