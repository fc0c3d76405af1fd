"""A small certificate authority: it makes its own certificate, and certificates and revocation lists from requests."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hubgw.names import Secret
from hubgw.pki.reading import LEAST_RSA, Unreadable

AUTHORITY_DAYS: Final = 3650
LIST_DAYS: Final = 365

_EARLIER: Final = timedelta(hours=1)
"""How long before it is made a certificate is good: the clocks of branches differ."""

_ADDRESS: Final = re.compile(r"[0-9.]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authority:
    """Its own certificate, as PEM, and its key."""

    certificate: str = field(repr=False)
    key: Secret


def new_key() -> Secret:
    """Makes an ECDSA key on the curve P-256, which every device knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def request(key: Secret, name: str) -> str:
    """Returns a request for a certificate, as PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(name))
    return builder.sign(_private(key), SHA256()).public_bytes(Encoding.PEM).decode()


def new_authority(name: str, now: float) -> Authority:
    """Makes an authority: a new key, and a certificate that it signs itself."""
    key = new_key()
    private = _private(key)
    usage = _usage(sign_certificates=True)
    builder = (
        _builder(name, _name(name), private.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )
    return Authority(builder.sign(private, SHA256()).public_bytes(Encoding.PEM).decode(), key)


def issue(authority: Authority, asked: str, name: str, names: Iterable[str], *, now: float, days: int) -> str:
    """Makes a certificate, as PEM, for the key of a request. Of the request nothing else counts.

    Args:
        authority: who makes it.
        asked: the request, as PEM.
        name: the common name of its subject.
        names: what its holder may call itself: addresses, host names, user@host.
        now: epoch seconds.
        days: for how long; never longer than the authority's own certificate.

    Raises:
        Unreadable: it is no request, or for a key that is too weak.
    """
    public = _requested(asked)
    own = x509.load_pem_x509_certificate(authority.certificate.encode())
    days = min(days, int((own.not_valid_after_utc.timestamp() - now) // 86_400))
    uses = [ExtendedKeyUsageOID.IPSEC_IKE, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    alternatives = [_alternative(one) for one in names]
    builder = (
        _builder(name, own.subject, public, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), critical=False)  # type: ignore[arg-type]
    )
    return builder.sign(_private(authority.key), SHA256()).public_bytes(Encoding.PEM).decode()


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
    return builder.sign(_private(authority.key), SHA256()).public_bytes(Encoding.PEM).decode()


def _builder(name: str, issuer: x509.Name, public: object, now: float, days: int) -> x509.CertificateBuilder:
    at = _time(now)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _EARLIER)
        .not_valid_after(at + timedelta(days=days))
    )


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


def _alternative(name: str) -> x509.GeneralName:
    if _ADDRESS.fullmatch(name):
        return x509.IPAddress(ip_address(name))
    return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def _name(name: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, "hubgw"), (NameOID.COMMON_NAME, name))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: Secret) -> ec.EllipticCurvePrivateKey:
    private = load_pem_private_key(key.reveal().encode(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("an authority's key is ECDSA")
    return private


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
