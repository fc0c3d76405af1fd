"""PKCS#12 as importers take it: it opens again, by another program too, and says by which algorithms."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from hubgw.names import Secret
from hubgw.pki.pkcs12 import Form, encrypted_key, pkcs12
from hubgw.pki.reading import Unreadable
from tests.certificates import Pair, make

PASSWORD = "p\u00e4ss w\u00f6rd"


@pytest.fixture(scope="module")
def root() -> Pair:
    return make("O=Example, CN=root", ca=True)


def _made(root: Pair, kind: str, form: Form) -> tuple[Pair, bytes]:
    alice = make("O=Example, CN=alice", by=root, kind=kind)
    made = pkcs12(alice.pem, Secret(alice.key), [root.pem], name="alice", password=Secret(PASSWORD), form=form)
    return alice, made


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["modern", "legacy"])
def test_it_opens_again(root: Pair, kind: str, form: Form) -> None:
    alice, made = _made(root, kind, form)
    read = load_pkcs12(made, PASSWORD.encode())
    assert read.key and read.cert
    assert read.key.private_numbers() == alice.private.private_numbers()  # type: ignore[union-attr]
    assert read.cert.certificate == alice.certificate and read.cert.friendly_name == b"alice"
    assert [one.certificate for one in read.additional_certs] == [root.certificate]
    with pytest.raises(ValueError, match="password"):
        load_pkcs12(made, b"another")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.parametrize(
    ("form", "algorithms"),
    [
        ("modern", ["MAC: sha256", "PBES2, PBKDF2, AES-256-CBC"]),
        ("legacy", ["MAC: sha1", "pbeWithSHA1And3-KeyTripleDES-CBC"]),
    ],
)
def test_openssl_reads_it(root: Pair, form: Form, algorithms: list[str], tmp_path: Path) -> None:
    alice, made = _made(root, "ecdsa", form)
    (tmp_path / "alice.p12").write_bytes(made)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    argv = ["openssl", "pkcs12", "-in", "alice.p12", "-passin", "file:password", "-info", "-nodes", "-legacy"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(one in done.stderr for one in algorithms)
    assert alice.pem.strip() in done.stdout and "BEGIN PRIVATE KEY" in done.stdout


def test_a_key_alone_with_and_without_a_password() -> None:
    alice = make("O=Example, CN=alice")
    plain, encrypted = (encrypted_key(Secret(alice.key), one) for one in (None, Secret(PASSWORD)))
    assert plain.decode() == alice.key
    assert encrypted.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_pem_private_key(encrypted, PASSWORD.encode()).private_numbers() == alice.private.private_numbers()  # type: ignore[union-attr]


def test_what_is_no_key() -> None:
    alice = make("O=Example, CN=alice")
    with pytest.raises(Unreadable, match="no private key"):
        pkcs12(alice.pem, Secret("x"), [], name="alice", password=Secret(PASSWORD), form="modern")
