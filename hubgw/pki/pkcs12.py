"""A certificate, its chain and its key -> PKCS#12, in the form that a platform's importer takes."""

from collections.abc import Iterable
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates

from hubgw.names import Secret
from hubgw.pki.reading import private_key

Form = Literal["modern", "legacy"]
"""Modern is AES-256 with SHA-256 (PBES2), which Windows reads since version 1709. Legacy is Triple DES with SHA-1, the
only form that every Apple and Android reads: for the other their importers say that the password is wrong."""

_ROUNDS: Final = 100_000
"""Of the key derivation: a guess at the password costs so many hashes."""


def pkcs12(certificate: str, key: Secret, chain: Iterable[str], *, name: str, password: Secret, form: Form) -> bytes:
    """Returns what an importer takes; certificates and key are PEM. Raises Unreadable for the key."""
    return serialize_key_and_certificates(
        name.encode(),
        private_key(key),
        x509.load_pem_x509_certificate(certificate.encode()),
        [x509.load_pem_x509_certificate(one.encode()) for one in chain],
        _encryption(form, password),
    )


def encrypted_key(key: Secret, password: Secret | None) -> bytes:
    """Returns a private key as PKCS#8 in PEM, encrypted where there is a password. Raises Unreadable."""
    encryption = BestAvailableEncryption(password.reveal().encode()) if password else NoEncryption()
    return private_key(key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _encryption(form: Form, password: Secret) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_ROUNDS)
    if form == "modern":
        builder = builder.key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC).hmac_hash(SHA256())
    else:
        builder = builder.key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC).hmac_hash(SHA1())  # noqa: S303
    return builder.build(password.reveal().encode())
