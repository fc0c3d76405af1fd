"""`hubgw pki` against the agent's own authority on a real socket: files, their modes, and no key that leaves them."""

import errno
import json
import logging
import stat
from pathlib import Path

import pytest

from hubgw.names import Secret
from hubgw.pki.authority import new_key, request
from hubgw.pki.reading import key_id, read_certificates, signed_by
from tests.unit.cli.ended import Hubgw

NAME = "branch1.example.com"


def _here() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_issue_writes_a_certificate_its_key_and_the_authority(hubgw: Hubgw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ended = hubgw("pki", "issue", NAME, "--identity", "192.0.2.2", "--identity", NAME, "--days", "30")
    assert (ended.code, ended.err) == (0, "")
    assert _here() == {f"{NAME}.pem", f"{NAME}.key", "hubgw-ca.pem"}
    (own,) = read_certificates(Path(f"{NAME}.pem").read_text())
    key = Secret(Path(f"{NAME}.key").read_text())
    assert (own.names, own.key_id) == (("192.0.2.2", NAME), key_id(key))
    assert signed_by(own, read_certificates(Path("hubgw-ca.pem").read_text()))
    assert stat.S_IMODE(Path(f"{NAME}.key").stat().st_mode) == 0o600
    assert own.serial in ended.out
    assert hubgw("pki", "ca").out == Path("hubgw-ca.pem").read_text()
    told = [ended.out, hubgw("pki", "list").out, hubgw("show", "certificate", "--json").out, hubgw("events").out]
    lines = key.reveal().splitlines()[1:-1]
    assert not any(line in text for line in lines for text in (*told, caplog.text))
    assert not any("PRIVATE KEY" in text for text in (*told, caplog.text))


def test_with_a_request_of_the_branch_no_key_is_made(hubgw: Hubgw) -> None:
    key = new_key()
    Path("asked.csr").write_text(request(key, NAME))
    assert hubgw("pki", "issue", NAME, "--csr", "asked.csr").code == 0
    assert _here() == {"asked.csr", f"{NAME}.pem", "hubgw-ca.pem"}
    (own,) = read_certificates(Path(f"{NAME}.pem").read_text())
    assert (own.names, own.key_id) == ((NAME,), key_id(key))


def test_a_refusal_leaves_no_file(hubgw: Hubgw) -> None:
    ended = hubgw("pki", "issue", NAME, "--identity", "*", "--days", "0")
    assert (ended.code, ended.out) == (1, "")
    assert "identity: expected an IPv4 address, a host name or user@host, got '*'" in ended.err
    assert "days: expected 1 to 3650, got 0" in ended.err
    assert _here() == set()


def test_a_key_that_is_there_is_left_alone(hubgw: Hubgw) -> None:
    Path(f"{NAME}.key").write_text("in use")
    ended = hubgw("pki", "issue", NAME)
    assert (ended.code, Path(f"{NAME}.key").read_text()) == (2, "in use")
    assert _here() == {f"{NAME}.key"}
    assert "move it away, or name another folder with --out" in ended.err


def test_a_certificate_that_is_there_is_left_alone_and_nothing_is_issued(hubgw: Hubgw) -> None:
    Path("asked.csr").write_text(request(new_key(), NAME))
    Path(f"{NAME}.pem").write_text("in use")
    for arguments in (("--csr", "asked.csr"), ()):
        ended = hubgw("pki", "issue", NAME, *arguments)
        assert (ended.code, Path(f"{NAME}.pem").read_text()) == (2, "in use")
        assert f"{NAME}.pem: File exists; move it away, or name another folder with --out" in ended.err
        assert _here() == {"asked.csr", f"{NAME}.pem"}
    assert json.loads(hubgw("pki", "list", "--json").out) == []


def test_a_folder_that_is_not_there_is_said_before_anything_is_issued(hubgw: Hubgw) -> None:
    ended = hubgw("pki", "issue", NAME, "--out", "nowhere")
    assert (ended.code, "nowhere" in ended.err) == (2, True)
    assert json.loads(hubgw("pki", "list", "--json").out) == []


def test_a_key_outlives_what_fails_after_the_certificate_was_issued(
    hubgw: Hubgw, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def full(path: Path, text: str, **options: str) -> int:
        if path.suffix == ".pem":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", lambda path, text, **options: full(path, text, **options) if text else 0)
    ended = hubgw("pki", "issue", NAME)
    assert ended.code == 5 and "No space left on device; revoke what was issued" in ended.err
    assert key_id(Secret(Path(f"{NAME}.key").read_text()))


@pytest.mark.parametrize("name", ["../branch1", ".branch1", "/etc/branch1"])
def test_a_name_leads_to_no_other_folder(hubgw: Hubgw, name: str) -> None:
    ended = hubgw("pki", "issue", name)
    assert (ended.code, _here()) == (2, set())
    assert f"{name}: is no name of a branch" in ended.err


def test_what_is_no_request_is_said_so(hubgw: Hubgw) -> None:
    assert "is it the request that was meant?" in hubgw("pki", "issue", NAME, "--csr", "missing.csr").err
    Path("bad.csr").write_text("nothing")
    ended = hubgw("pki", "issue", NAME, "--csr", "bad.csr")
    assert (ended.code, _here()) == (1, {"bad.csr"})
    assert "request: is no certificate request in PEM" in ended.err


def test_revoke_by_name_and_by_serial(hubgw: Hubgw) -> None:
    hubgw("pki", "issue", NAME)
    (own,) = read_certificates(Path(f"{NAME}.pem").read_text())
    ended = hubgw("pki", "revoke", NAME, "--yes")
    assert (ended.code, ended.out) == (0, f"O=hubgw, CN={NAME}, serial {own.serial}: revoked\n")
    listed = hubgw("pki", "list").out.splitlines()
    assert len(listed) == 2 and listed[1].split()[:3] == [NAME, NAME, own.serial] and not listed[1].endswith("-")
    again = hubgw("pki", "revoke", own.serial, "--yes")
    assert again.code == 4 and "no certificate in force has this name or serial" in again.err
