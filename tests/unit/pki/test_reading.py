"""Keys, certificates and revocation lists of other programs, as an operator may give them."""

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from hubgw.names import Secret
from hubgw.pki.authority import new_authority, revocation_list
from hubgw.pki.distinguished import distinguished_name
from hubgw.pki.reading import RevocationList, Unreadable, key_id, normalised, read_certificates, read_revocation_lists
from tests.certificates import NOW, make, revoke

PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
OPAQUE = NoEncryption()


def _pem(key: object, form: PrivateFormat, encryption: KeySerializationEncryption = OPAQUE) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption).decode()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("before", ["", PARAMETERS])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_is_handed_on_as_pkcs8_whatever_it_was_written_as(kind: str, before: str, form: PrivateFormat) -> None:
    pair = make("CN=gw1", kind=kind)
    key = Secret(before + _pem(pair.private, form))
    (own,) = read_certificates(pair.pem)
    assert normalised(key).reveal() == pair.key
    assert key_id(key) == key_id(normalised(key)) == own.key_id


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (lambda: "no key", "is no private key in PEM"),
        (lambda: PARAMETERS, "is no private key in PEM"),
        (lambda: _pem(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
         "the key is encrypted"),
        (lambda: _pem(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8), "is neither an RSA nor an ECDSA key"),
        (lambda: _pem(rsa.generate_private_key(65537, 1024), PrivateFormat.PKCS8),  # noqa: S505 - as it is refused
         "is an RSA key of 1024 bits, and 2048 are the least"),
    ],
)  # fmt: skip
def test_what_is_no_key_for_charon_is_said_so(key: Callable[[], str], said: str) -> None:
    given = Secret(key())
    for read in (key_id, normalised):
        with pytest.raises(Unreadable) as reason:
            read(given)
        assert str(reason.value) == said


def test_what_is_not_printable_in_a_name_is_escaped() -> None:
    (read,) = read_certificates(make("O=a\x1b[31m\nb, CN=br\u00fccke", ["a\r.example"]).pem)
    assert read.subject == read.issuer == "O=a\\x1b[31m\\nb, CN=br\u00fccke"
    assert read.names == ("a\\r.example",)


def _listed(text: str) -> RevocationList:
    (read,) = read_revocation_lists(text)
    return read


def test_the_newer_list_of_one_authority_replaces_the_older() -> None:
    one, other = new_authority("authority", NOW), new_authority("authority", NOW)
    first, second = (_listed(revocation_list(one, [], number, NOW - number)) for number in (1, 2))
    assert second.replaces(first) and not first.replaces(second) and not first.replaces(first)
    assert not _listed(revocation_list(other, [], 3, NOW)).replaces(first), "of the same name, with another key"
    own = make("O=Example, CN=authority", ca=True)
    older, newer = (_listed(revoke(own, now=NOW + after)) for after in (0, 1))
    (authority,) = read_certificates(own.pem)
    assert (older.number, older.key_id) == (None, authority.key_id)
    assert newer.replaces(older) and not older.replaces(newer), "without numbers the time decides"


def test_whom_it_names_as_charon_tells_it() -> None:
    (read,) = read_certificates(make("O=Example, CN=J\u00f6rg", ["joerg@example.com"]).pem)
    for identity in ("O=Example, CN=J??rg", "o=example, cn=j\u00f6rg", "JOERG@example.com"):
        assert identity.casefold() in read.called
    for identity in ("O=Example, CN=J?rg", "*@example.com", "CN=J??rg", ""):
        assert identity.casefold() not in read.called


def test_what_a_name_holds_is_called_as_charon_calls_it() -> None:
    parts = [
        (NameOID.SURNAME, "Huber"),
        (NameOID.GIVEN_NAME, "Eva"),
        (NameOID.SERIAL_NUMBER, "7"),
        (NameOID.TITLE, "Dr."),
        (NameOID.STREET_ADDRESS, "Weg 1, Hof"),
        (x509.ObjectIdentifier("2.5.4.20"), "1"),
        (x509.ObjectIdentifier("1.3.6.1.4.1.99999.0"), "x"),
    ]
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    assert distinguished_name(name) == (
        "SN=Huber, G=Eva, serialNumber=7, T=Dr., STREET=Weg 1, Hof, 55:04:14=1, 2b:06:01:04:01:86:8d:1f:00=x"
    )
