"""The name in a certificate -> the text that charon writes for it."""

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

ATTRIBUTES: Final = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
    NameOID.DOMAIN_COMPONENT: "DC",
}
"""What the parts of a distinguished name are called by charon."""

_MORE: Final = {
    NameOID.EMAIL_ADDRESS: "E",
    NameOID.USER_ID: "UID",
    NameOID.SURNAME: "SN",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.TITLE: "T",
    NameOID.POSTAL_ADDRESS: "postalAddress",
    NameOID.POSTAL_CODE: "postalCode",
    NameOID.GIVEN_NAME: "G",
    NameOID.INITIALS: "I",
    NameOID.X500_UNIQUE_IDENTIFIER: "ID",
    NameOID.DN_QUALIFIER: "dnQualifier",
    NameOID.PSEUDONYM: "pseudonym",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.UNSTRUCTURED_NAME: "unstructuredName",
    x509.ObjectIdentifier("2.5.4.13"): "D",
    x509.ObjectIdentifier("2.5.4.41"): "N",
}
"""Those that operators' own authorities write besides."""


def distinguished_name(name: x509.Name) -> str:
    """Returns a name as charon writes it: in the order of the certificate; what is not printable is escaped. Of what
    charon has no word for it writes the octets of its object identifier.

    >>> from cryptography.x509 import Name, NameAttribute
    >>> distinguished_name(Name([NameAttribute(NameOID.COMMON_NAME, "branch1")]))
    'CN=branch1'
    """
    known = ATTRIBUTES | _MORE
    return ", ".join(f"{known.get(one.oid) or _octets(one.oid)}={printable(str(one.value))}" for one in name)


def printable(text: str) -> str:
    """Returns a text with what is not printable escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _octets(oid: x509.ObjectIdentifier) -> str:
    first, second, *more = map(int, oid.dotted_string.split("."))
    octets = bytearray()
    for arc in (40 * first + second, *more):
        # X.690, 8.19: in groups of seven bits, of which all but the last have the eighth set.
        groups = range((max(arc.bit_length(), 1) - 1) // 7, -1, -1)
        octets += bytes((arc >> 7 * group & 0x7F) | (0x80 if group else 0) for group in groups)
    return octets.hex(":")
