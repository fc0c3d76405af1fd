"""PEM, as an operator gives it -> what hubgw has to know of certificates, keys and revocation lists."""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hubgw.names import Secret
from hubgw.pki.distinguished import distinguished_name, printable

LEAST_RSA: Final = 2048  # bits
DIGITS: Final = 16  # of a digest

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s[A-Za-z0-9+/=\s]+-----END \1-----", re.ASCII)


class Unreadable(ValueError):  # noqa: N818 - what is wrong with a text, in words that hold nothing of it
    """The text is not what it is taken for."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate. Times are epoch seconds; `names` are its subject alternative names; `key_id` is the SHA-1 of its
    public key, by which charon knows the private one."""

    subject: str
    issuer: str
    serial: str  # hexadecimal
    not_before: float
    not_after: float
    names: tuple[str, ...]
    is_authority: bool
    key_id: str
    der: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """What tells it from any other."""
        return digest(self.der)

    @property
    def thumbprint(self) -> str:
        """What Azure tells it by: the whole SHA-1, in hexadecimal."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest()

    @property
    def called(self) -> frozenset[str]:
        """Whom it names, as its subject or an alternative name, folded; also as charon tells it: each byte that is not
        ASCII is a question mark."""
        names = (self.subject, *self.names)
        return frozenset(name.casefold() for name in (*names, *map(_in_ascii, names)))


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What an authority has revoked, until `next_update` (epoch seconds); `key_id` is that of the authority's key, and
    `number` grows with each list, where the list says so."""

    issuer: str
    key_id: str
    number: int | None
    last_update: float
    next_update: float
    serials: frozenset[str]
    der: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """What tells it from any other."""
        return digest(self.der)

    def same_authority(self, other: "RevocationList") -> bool:
        """Tells whether charon takes the lists for those of one authority: an authority may change its key."""
        one_key = not self.key_id or not other.key_id or self.key_id == other.key_id
        return one_key and self.issuer == other.issuer

    def replaces(self, other: "RevocationList") -> bool:
        """Tells whether charon keeps this list in place of the other: of one authority it has the newest alone."""
        if self.number is not None and other.number is not None:
            newer = self.number > other.number
        else:
            newer = self.last_update > other.last_update
        return newer and self.same_authority(other)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one end proves itself by, and whom it believes: a chain, its own certificate first, and its key; the
    authorities of the others, and their revocation lists. All as PEM."""

    chain: str = field(repr=False)
    key: Secret
    authorities: tuple[str, ...] = field(repr=False)
    revocation_lists: tuple[str, ...] = field(default=(), repr=False)

    @property
    def own(self) -> tuple[Certificate, ...]:
        """The chain. Raises Unreadable."""
        return read_certificates(self.chain)

    @property
    def believed(self) -> tuple[Certificate, ...]:
        """Those of the authorities. Raises Unreadable."""
        return tuple(one for text in self.authorities for one in read_certificates(text))

    @property
    def revoked(self) -> tuple[RevocationList, ...]:
        """The revocation lists. Raises Unreadable."""
        return tuple(one for text in self.revocation_lists for one in read_revocation_lists(text))


def digest(der: bytes) -> str:
    """Returns the first digits of an object's SHA-256."""
    return hashlib.sha256(der).hexdigest()[:DIGITS]


@lru_cache(maxsize=256)
def read_certificates(text: str) -> tuple[Certificate, ...]:
    """Returns the certificates of a text, in its order. Raises Unreadable."""
    return tuple(_certificate(x509.load_pem_x509_certificate, block) for block in _blocks(text, "CERTIFICATE"))


def certificate_of(der: bytes) -> Certificate:
    """Returns a certificate from its DER. Raises Unreadable."""
    return _certificate(x509.load_der_x509_certificate, der)


def read_revocation_lists(text: str) -> tuple[RevocationList, ...]:
    """Returns the revocation lists of a text, in its order. Raises Unreadable."""
    return tuple(_revocation_list(x509.load_pem_x509_crl, block) for block in _blocks(text, "X509 CRL"))


def revocation_list_of(der: bytes) -> RevocationList:
    """Returns a revocation list from its DER. Raises Unreadable."""
    return _revocation_list(x509.load_der_x509_crl, der)


def key_id(key: Secret) -> str:
    """Returns the SHA-1 of a private key's public one. Raises Unreadable."""
    return _key_id(private_key(key).public_key())


def normalised(key: Secret) -> Secret:
    """Returns a private key as PKCS#8 in PEM: charon reads the first block of a text, which may be its parameters.

    Raises:
        Unreadable: see `key_id`.
    """
    return Secret(private_key(key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def private_key(key: Secret) -> RSAPrivateKey | EllipticCurvePrivateKey:
    """Returns a private key of PEM. Raises Unreadable."""
    try:
        private = load_pem_private_key(key.reveal().encode(), None)
    except TypeError:
        raise Unreadable("the key is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unreadable("is no private key in PEM") from None
    if not isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey):
        raise Unreadable("is neither an RSA nor an ECDSA key")
    if isinstance(private, RSAPrivateKey) and private.key_size < LEAST_RSA:
        raise Unreadable(f"is an RSA key of {private.key_size} bits, and {LEAST_RSA} are the least")
    return private


def signed_by(issued: Certificate | RevocationList, authorities: Iterable[Certificate]) -> bool:
    """Tells whether one of the authorities made it."""
    return any(_signed(issued, authority) for authority in authorities if authority.subject == issued.issuer)


def _signed(issued: Certificate | RevocationList, authority: Certificate) -> bool:
    by = x509.load_der_x509_certificate(authority.der)
    try:
        if isinstance(issued, Certificate):
            x509.load_der_x509_certificate(issued.der).verify_directly_issued_by(by)
            return True
        # Of the kinds of keys that a certificate may have, those that sign no list are refused by TypeError.
        return x509.load_der_x509_crl(issued.der).is_signature_valid(by.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False


def _blocks(text: str, kind: str) -> list[bytes]:
    found = list(_BLOCK.finditer(text))
    if not found or _BLOCK.sub("", text).strip():
        raise Unreadable(f"is no PEM of {kind}")
    if wrong := next((block[1] for block in found if block[1] != kind), ""):
        raise Unreadable(f"holds a {wrong}, and {kind} is expected")
    return [block[0].encode() for block in found]


def _certificate(load: Callable[[bytes], x509.Certificate], data: bytes) -> Certificate:
    try:
        parsed = load(data)
        return Certificate(
            subject=distinguished_name(parsed.subject),
            issuer=distinguished_name(parsed.issuer),
            serial=f"{parsed.serial_number:x}",
            not_before=parsed.not_valid_before_utc.timestamp(),
            not_after=parsed.not_valid_after_utc.timestamp(),
            names=_names(parsed.extensions),
            is_authority=_is_authority(parsed.extensions),
            key_id=_key_id(parsed.public_key()),
            der=parsed.public_bytes(Encoding.DER),
        )
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise Unreadable("holds a certificate that cannot be read") from None


def _revocation_list(load: Callable[[bytes], x509.CertificateRevocationList], data: bytes) -> RevocationList:
    try:
        parsed = load(data)
        until = parsed.next_update_utc
        return RevocationList(
            issuer=distinguished_name(parsed.issuer),
            key_id=_authority_key_id(parsed.extensions),
            number=_number(parsed.extensions),
            last_update=parsed.last_update_utc.timestamp(),
            next_update=until.timestamp() if until else 0.0,
            serials=frozenset(f"{one.serial_number:x}" for one in parsed),
            der=parsed.public_bytes(Encoding.DER),
        )
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise Unreadable("holds a revocation list that cannot be read") from None


def _in_ascii(text: str) -> str:
    return "".join(one if one.isascii() else "?" * len(one.encode()) for one in text)


def _names(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (x509.IPAddress, x509.DNSName, x509.RFC822Name)
    return tuple(printable(str(one.value)) for one in names if isinstance(one, kinds))


def _is_authority(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _authority_key_id(extensions: x509.Extensions) -> str:
    try:
        return (extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b"").hex()
    except x509.ExtensionNotFound:
        return ""


def _number(extensions: x509.Extensions) -> int | None:
    try:
        return extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None


def _key_id(public: object) -> str:
    return x509.SubjectKeyIdentifier.from_public_key(public).digest.hex()  # type: ignore[arg-type]
