"""A small certificate authority: it makes its own certificate, and certificates and revocation lists from requests."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from hubgw.names import Secret
from hubgw.pki.reading import LEAST_RSA, Unreadable
from hubgw.pki.subjects import domain_of, subject

AUTHORITY_DAYS: Final = 3650
LIST_DAYS: Final = 365

_EARLIER: Final = timedelta(hours=1)
"""How long before it is made a certificate is good: the clocks of branches differ."""

_ADDRESS: Final = re.compile(r"[0-9.]+", re.ASCII)
_RSA_BITS: Final = 2048
_RSA_EXPONENT: Final = 65_537


class Use(Enum):
    """What the holder of a certificate does with it, as extended key usages say it.

    Windows and Apple's devices ask for serverAuth of whoever answers, older ones of Apple's for ipsecIKE too.
    """

    BRANCH = (ExtendedKeyUsageOID.IPSEC_IKE, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    SERVER = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.IPSEC_IKE)
    USER = (ExtendedKeyUsageOID.CLIENT_AUTH,)


@dataclass(frozen=True, slots=True)
class Authority:
    """Its own certificate, as PEM, and its key."""

    certificate: str = field(repr=False)
    key: Secret


def new_key() -> Secret:
    """Makes an ECDSA key on the curve P-256, which every device knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def new_rsa_key() -> Secret:
    """Makes an RSA key, the kind that Windows' client is known to prove itself by, and to know of whom it calls."""
    key = rsa.generate_private_key(public_exponent=_RSA_EXPONENT, key_size=_RSA_BITS)
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def request(key: Secret, name: str) -> str:
    """Returns a request for a certificate, as PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(name))
    return builder.sign(_private(key), SHA256()).public_bytes(Encoding.PEM).decode()


def new_authority(name: str, now: float, *, days: int = AUTHORITY_DAYS, path_length: int = 0) -> Authority:
    """Makes an authority: a new key, and a certificate that it signs itself; `path_length` authorities may follow."""
    key = new_key()
    private = _signing(key)
    own = subject(name)
    builder = _authority(own, own, private.public_key(), now, days=days, path_length=path_length)
    return Authority(builder.sign(private, SHA256()).public_bytes(Encoding.PEM).decode(), key)


def subordinate(root: Authority, name: str, key: Secret, *, now: float, days: int) -> Authority:
    """Makes an authority that another vouches for, and that vouches for no further one. What it has issued, and its
    lists, go on where it is made again with the key and name that it had."""
    own = x509.load_pem_x509_certificate(root.certificate.encode())
    whose, public = subject(name), _signing(key).public_key()
    builder = _authority(whose, own.subject, public, now, days=_within(own, now, days), path_length=0).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()),  # type: ignore[arg-type]
        critical=False,
    )
    return Authority(builder.sign(_signing(root.key), SHA256()).public_bytes(Encoding.PEM).decode(), key)


def issue(
    authority: Authority,
    asked: str,
    name: str,
    names: Iterable[str],
    *,
    now: float,
    days: int,
    use: Use = Use.BRANCH,
) -> str:
    """Makes a certificate, as PEM, for the key of a request. Of the request nothing else counts.

    Args:
        authority: who makes it.
        asked: the request, as PEM.
        name: the common name of its subject; a user's domain is in the subject too.
        names: what its holder may call itself: addresses, host names, user@host.
        now: epoch seconds.
        days: for how long; never longer than the authority's own certificate.
        use: what it is for.

    Raises:
        Unreadable: it is no request, or for a key that is too weak.
    """
    public = _requested(asked)
    own = x509.load_pem_x509_certificate(authority.certificate.encode())
    alternatives = [one for text in names for one in _alternatives(text, use)]
    whose = subject(name, domain_of(name) if use is Use.USER else "")
    encipher = use is Use.SERVER and isinstance(public, rsa.RSAPublicKey)
    builder = (
        _builder(whose, own.subject, public, now, _within(own, now, days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False, encipher=encipher), critical=True)
        .add_extension(x509.ExtendedKeyUsage(use.value), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), critical=False)  # type: ignore[arg-type]
    )
    return builder.sign(_signing(authority.key), SHA256()).public_bytes(Encoding.PEM).decode()


def revocation_list(authority: Authority, revoked: Iterable[tuple[str, float]], number: int, now: float) -> str:
    """Makes a revocation list, as PEM: serials in hexadecimal, and when each was revoked; `number` only ever grows."""
    own = x509.load_pem_x509_certificate(authority.certificate.encode())
    at = _time(now)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(own.subject)
        .last_update(at)
        .next_update(at + timedelta(days=LIST_DAYS))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), critical=False)  # type: ignore[arg-type]
    )
    for serial, when in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(_time(when)).build()
        builder = builder.add_revoked_certificate(one)
    return builder.sign(_signing(authority.key), SHA256()).public_bytes(Encoding.PEM).decode()


def _builder(whose: x509.Name, issuer: x509.Name, public: object, now: float, days: int) -> x509.CertificateBuilder:
    at = _time(now)
    return (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(issuer)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _EARLIER)
        .not_valid_after(at + timedelta(days=days))
    )


def _authority(
    whose: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: float, *, days: int, path_length: int
) -> x509.CertificateBuilder:
    return (
        _builder(whose, issuer, public, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _within(authority: x509.Certificate, now: float, days: int) -> int:
    return min(days, int((authority.not_valid_after_utc.timestamp() - now) // 86_400))


def _requested(asked: str) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        parsed = x509.load_pem_x509_csr(asked.encode())
        valid, public = parsed.is_signature_valid, parsed.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise Unreadable("is no certificate request in PEM") from None
    if not valid:
        raise Unreadable("the request is not signed by its own key")
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise Unreadable("the request is for neither an RSA nor an ECDSA key")
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < LEAST_RSA:
        raise Unreadable(f"the request is for an RSA key of {public.key_size} bits, and {LEAST_RSA} are the least")
    return public


def _alternatives(name: str, use: Use) -> list[x509.GeneralName]:
    """Returns a name as its kind has it; Windows looks for an address that answers among the host names."""
    if _ADDRESS.fullmatch(name):
        return [x509.IPAddress(ip_address(name)), *([x509.DNSName(name)] if use is Use.SERVER else [])]
    return [x509.RFC822Name(name) if "@" in name else x509.DNSName(name)]


def _usage(*, sign_certificates: bool, encipher: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: Secret) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    private = load_pem_private_key(key.reveal().encode(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise TypeError("a key is ECDSA or RSA")
    return private


def _signing(key: Secret) -> ec.EllipticCurvePrivateKey:
    private = _private(key)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("an authority's key is ECDSA")
    return private


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
