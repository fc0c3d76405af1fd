"""`hubgw user` against the agent's own authority on a real socket: files, their modes, and no key that leaves them."""

import errno
import http.client
import json
import logging
import os
import socket
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from hubgw.pki.authority import new_key, request
from hubgw.pki.reading import key_id, read_certificates, read_revocation_lists, signed_by
from tests.unit.cli.ended import Hubgw

ALICE = "alice@example.com"
NO_USER = "name: expected user@host, or a name like a host's, of at most 64 characters"


def _here() -> set[str]:
    return {path.name for path in Path().iterdir()}


def _opened(file: str, password: str) -> pkcs12.PKCS12KeyAndCertificates:
    return pkcs12.load_pkcs12(Path(file).read_bytes(), password.encode())


def _fetched() -> tuple[int, str | None, bytes]:
    """Asks the socket for the list, as who publishes it would."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(os.environ["HUBGW_SOCKET"])
    connection.request("GET", "/hubgw/users/crl")
    response = connection.getresponse()
    found = response.status, response.getheader("Content-Type"), response.read()
    connection.close()
    return found


def _listed(hubgw: Hubgw) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = json.loads(hubgw("user", "list", "--json").out)
    return listed


@pytest.mark.parametrize("form", [(), ("--legacy",)], ids=["modern", "legacy"])
def test_add_writes_a_pkcs12_and_shows_its_password_once(
    hubgw: Hubgw, form: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ended = hubgw("user", "add", ALICE, "--days", "30", *form)
    assert (ended.code, ended.err, _here()) == (0, "", {f"{ALICE}.p12"})
    said, told = ended.out.splitlines()
    password = told.removeprefix("password: ")
    assert len(password) >= 20
    made = _opened(f"{ALICE}.p12", password)
    assert made.cert and isinstance(made.key, RSAPrivateKey)
    own, *above = (
        read_certificates(one.certificate.public_bytes(Encoding.PEM).decode())[0]
        for one in (made.cert, *made.additional_certs)
    )
    assert own.names == (ALICE,) and own.serial in said
    assert [signed_by(one, [by]) for one, by in zip((own, *above), above, strict=False)] == [True, True]
    assert read_certificates(hubgw("user", "ca").out) == tuple(above[1:])
    assert stat.S_IMODE(Path(f"{ALICE}.p12").stat().st_mode) == 0o600
    key = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().splitlines()[1:-1]
    outputs = [hubgw("user", *verb).out for verb in (("list",), ("show", ALICE), ("list", "--json"))]
    everything = [ended.out, *outputs, hubgw("events").out, hubgw("show", "certificate", "--json").out, caplog.text]
    assert not any(line in text for line in (*key, "PRIVATE KEY") for text in everything)
    assert not any(password in text for text in everything[1:])


def test_a_password_of_a_file_is_not_shown(hubgw: Hubgw) -> None:
    Path("password").write_text("correct horse; battery\n")
    ended = hubgw("user", "add", ALICE, "--password-file", "password", "--out", "a.p12", "--json")
    assert ended.code == 0 and "horse" not in ended.out + ended.err
    assert set(json.loads(ended.out)) == {"issued", "file"}
    assert _opened("a.p12", "correct horse; battery").key


@pytest.mark.parametrize("content", [b"", b"\n", b" a", b"a\nb\n", b"\xc3\xa4", b"a" * 129, b"a\0"])
def test_what_is_no_password_is_refused_and_not_shown(hubgw: Hubgw, content: bytes) -> None:
    Path("password").write_bytes(content)
    ended = hubgw("user", "add", ALICE, "--password-file", "password")
    assert (ended.code, ended.out, _here()) == (2, "", {"password"})
    assert ended.err.startswith("password: ") and "a" * 20 not in ended.err
    assert _listed(hubgw) == []


def test_with_a_request_of_the_client_no_key_is_made(hubgw: Hubgw) -> None:
    key = new_key()
    Path("asked.csr").write_text(request(key, "x"))
    ended = hubgw("user", "add", ALICE, "--csr", "asked.csr")
    assert (ended.code, _here()) == (0, {"asked.csr", f"{ALICE}.pem"}) and "password" not in ended.out
    own, signing = read_certificates(Path(f"{ALICE}.pem").read_text())
    assert (own.names, own.key_id) == ((ALICE,), key_id(key))
    assert signed_by(own, [signing]) and signed_by(signing, read_certificates(hubgw("user", "ca").out))
    assert hubgw("user", "renew", ALICE, "--csr", "asked.csr", "--legacy").code == 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("al\nice", r'"al\nice"'),
        ('al"ice', r'"al\"ice"'),
        ("al;ice", '"al;ice"'),
        ("../alice", '"../alice"'),
        ("/etc/alice", '"/etc/alice"'),
        ("al\0ice", r'"al\u0000ice"'),
        ("älice", r'"\u00e4lice"'),
        ("a" * 300, f'"{"a" * 76}...'),
    ],
)
def test_what_is_no_name_of_a_user_leads_to_no_file(hubgw: Hubgw, name: str, shown: str) -> None:
    for verb in ("add", "renew"):
        ended = hubgw("user", verb, name)
        assert (ended.code, ended.out, ended.err) == (2, "", f"{NO_USER}, got {shown}\n")
    assert _here() == set()
    assert hubgw("user", "revoke", name, "--yes").code == hubgw("user", "show", name).code == 4


def test_a_refusal_leaves_no_file(hubgw: Hubgw) -> None:
    ended = hubgw("user", "add", ALICE, "--days", "826")
    assert (ended.code, ended.err, _here()) == (1, "days: expected 1 to 825, got 826\n", set())
    ended = hubgw("user", "renew", ALICE)
    assert (ended.code, _here()) == (4, set()) and "there is no such user" in ended.err
    assert hubgw("user", "add", ALICE).code == 0
    Path(f"{ALICE}.p12").rename("first.p12")
    ended = hubgw("user", "add", ALICE.upper())
    assert (ended.code, _here()) == (1, {"first.p12"})
    assert (
        ended.err == f"name: the user has a certificate in force, got {ALICE.upper()}; renew it, or revoke it first\n"
    )


def test_a_file_that_is_there_is_left_alone_and_nothing_is_issued(hubgw: Hubgw) -> None:
    Path(f"{ALICE}.p12").write_text("in use")
    for arguments in ((), ("--out", f"{ALICE}.p12"), ("--out", "nowhere/a.p12"), ("--out", "a\0.p12")):
        ended = hubgw("user", "add", ALICE, *arguments)
        assert ended.code == 2 and "; move it away, or name another file with --out" in ended.err
    assert Path(f"{ALICE}.p12").read_text() == "in use"
    assert (_here(), _listed(hubgw)) == ({f"{ALICE}.p12"}, [])


def test_what_cannot_be_written_is_said_with_what_to_do(hubgw: Hubgw, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    ended = hubgw("user", "add", ALICE)
    assert ended.code == 5
    assert "No space left on device; revoke what was issued (hubgw user list), and ask again" in ended.err


def test_renew_goes_on_beside_and_revoke_ends(hubgw: Hubgw) -> None:
    for verb, file in (("add", "1.p12"), ("renew", "2.p12")):
        assert hubgw("user", verb, ALICE, "--out", file).code == 0
    first, second = (one["serial"] for one in _listed(hubgw))
    rows = hubgw("user", "list").out.splitlines()
    assert rows[0].split("  ")[0] == "NAME" and all(row.endswith("-") for row in rows[1:])
    shown = hubgw("user", "show", ALICE.upper()).out
    assert [str(one) in shown for one in (first, second, "renew from", "thumbprint")] == [True] * 4
    assert hubgw("user", "renew", ALICE, "--revoke", "--out", "3.p12").code == 0
    (read,) = read_revocation_lists(hubgw("user", "crl").out)
    assert read.serials == {first, second}
    assert _fetched() == (200, "application/pkix-crl", read.der)
    third = _listed(hubgw)[2]["serial"]
    ended = hubgw("user", "revoke", str(third).upper(), "--yes")
    assert (ended.code, ended.out) == (0, f"O=hubgw, OU=example.com, CN={ALICE}, serial {third}: revoked\n")
    again = hubgw("user", "revoke", ALICE, "--yes")
    assert again.code == 4 and "no certificate in force has this name or serial" in again.err
    assert hubgw("user", "revoke", ALICE).code == 2, "nobody can be asked"
