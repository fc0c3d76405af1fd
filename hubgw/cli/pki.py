"""`hubgw pki`: hubgw's own certificate authority: its certificate, what it has issued to branches, what it revokes.

A private key is made here and stays here: the agent is asked to sign a request.
"""

import os
from pathlib import Path
from typing import Any

import click

from hubgw.cli import common
from hubgw.cli.exits import Code, Fail
from hubgw.cli.output import as_json, line, moment, table
from hubgw.pki.authority import new_key, request

_PUBLIC = 0o644
_PRIVATE = 0o600


@click.group("pki")
def command() -> None:
    """Certificates of hubgw's own authority, for branches with authentication: Certificate."""


@command.command("ca")
@common.socket_option
def ca(*, socket: str | None) -> None:
    """Print the authority's certificate, as PEM: branches are told to believe it."""
    for text in common.client(socket).get("/hubgw/pki")["authority"].splitlines():
        line(text)


@command.command("issue")
@click.argument("name")
@click.option(
    "--identity", "names", metavar="ID", multiple=True, help="An address, host name or user@host; NAME if none."
)
@click.option("--csr", metavar="FILE", help="The branch's own request, in PEM; without one a key is made.")
@click.option("--days", metavar="N", default=365, help="How long it is good; 365 if not given.")
@click.option("--out", metavar="DIR", default=".", help="Where the files are written; here if not given.")
@common.json_option
@common.socket_option
def issue(
    *, name: str, names: tuple[str, ...], csr: str | None, days: int, out: str, as_json_: bool, socket: str | None
) -> None:
    """Issue a certificate to a branch, for root: NAME.pem, the authority's as hubgw-ca.pem, and NAME.key.

    An identity is the branch's IKE identity, its address where the settings of its link have no remoteIdentity.
    There is no NAME.key where the branch made its own, and asks with --csr.
    """
    if Path(name).name != name or name.startswith(".") or name in {"", "hubgw-ca"}:
        raise Fail(Code.USAGE, [f"{name}: is no name of a branch; expected one like branch1.example.com"])
    folder = Path(out)
    files = {"certificate": folder / f"{name}.pem", "authority": folder / "hubgw-ca.pem"}
    made = folder / f"{name}.key"
    if csr is None:
        key = new_key()
        asked = request(key, name[:64])
        _write(made, key.reveal(), _PRIVATE)
    else:
        asked = _read(csr)
    try:
        body = {"request": asked, "name": name, "names": list(names or (name,)), "days": days}
        answer = common.client(socket).post("/hubgw/pki/issue", body)
        for part, path in files.items():
            path.unlink(missing_ok=True)
            _write(path, answer[part], _PUBLIC)
    except Fail:
        if csr is None:
            made.unlink()
        raise
    written = [*map(str, files.values()), *([] if csr else [str(made)])]
    if as_json_:
        as_json({"issued": answer["issued"], "files": written})
        return
    issued = answer["issued"]
    line(f"{issued['subject']}, serial {issued['serial']}, until {moment(issued['notAfter'])}: {' '.join(written)}")


@command.command("list")
@common.json_option
@common.socket_option
def list_(*, as_json_: bool, socket: str | None) -> None:
    """List what was issued to branches."""
    issued: list[dict[str, Any]] = common.client(socket).get("/hubgw/pki")["issued"]
    if as_json_:
        as_json(issued)
        return
    heads = ("NAME", "IDENTITIES", "SERIAL", "UNTIL", "REVOKED")
    for text in table(heads, [_row(one) for one in issued]):
        line(text)


@command.command("revoke")
@click.argument("name", metavar="NAME|SERIAL")
@common.yes_option
@common.socket_option
def revoke(*, name: str, yes: bool, socket: str | None) -> None:
    """Revoke a certificate, or all of a name, for ever: the tunnels that it made end."""
    common.confirm("Revoke?", [name], yes=yes)
    for one in common.client(socket).post("/hubgw/pki/revoke", {"name": name})["revoked"]:
        line(f"{one['subject']}, serial {one['serial']}: revoked")


def _row(one: dict[str, Any]) -> list[str]:
    revoked = "" if one["revoked"] is None else moment(one["revoked"])
    return [one["name"], " ".join(one["names"]), one["serial"], moment(one["notAfter"]), revoked]


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no PEM"
        raise Fail(Code.USAGE, [f"{name}: {why}; is it the request that was meant?"]) from None


def _write(path: Path, text: str, mode: int) -> None:
    """Writes a new file; what is there already, which may be a key in use, is left alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise Fail(Code.USAGE, [f"{path}: {error.strerror}; move it away, or name another folder with --out"]) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
