"""A certificate as PEM -> what platforms want to be told of it, and how they want it."""

import base64
import hashlib
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hubgw.pki.reading import read_certificates

KeyKind = Literal["RSA", "ECDSA256", "ECDSA384", "ECDSA521"]

_CURVES: Final[dict[int, KeyKind]] = {256: "ECDSA256", 384: "ECDSA384", 521: "ECDSA521"}


def der(pem: str) -> bytes:
    """Returns a certificate as DER."""
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def base64_of(octets: bytes) -> str:
    """Returns octets as Base64, in one line."""
    return base64.b64encode(octets).decode()


def common_name(pem: str) -> str:
    """Returns the common name of a certificate's subject, or its whole subject where it has none."""
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else subject.rfc4514_string()


def alternative_names(pem: str) -> tuple[str, ...]:
    """Returns a certificate's subject alternative names."""
    (read,) = read_certificates(pem)
    return read.names


def thumbprint(pem: str) -> str:
    """Returns the SHA-1 that Windows knows a certificate by."""
    return hashlib.sha1(der(pem), usedforsecurity=False).hexdigest()


def key_kind(pem: str) -> KeyKind:
    """Returns the kind of a certificate's key, in Apple's words."""
    public = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return _CURVES[public.curve.key_size] if isinstance(public, ec.EllipticCurvePublicKey) else "RSA"
