"""`hubgw pki`: hubgw's own authority of branches: its certificate, what it has issued, what it revokes.

A private key is made here and stays here: the agent is asked to sign a request.
"""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import click

from hubgw.cli import common
from hubgw.cli.exits import Code, Fail
from hubgw.cli.handed_out import PRIVATE, PUBLIC, create, fill, read_request
from hubgw.cli.issued import revoked_at, tell_issued, tell_revoked
from hubgw.cli.output import line, listing, moment
from hubgw.pki.authority import new_key, request


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
    own, authority, made = folder / f"{name}.pem", folder / "hubgw-ca.pem", folder / f"{name}.key"
    key = new_key() if csr is None else None
    asked = request(key, name[:64]) if key else read_request(csr or "")
    # What is issued is issued for good: there is a place for it, and its key is kept, before the agent is asked.
    with ExitStack() as undone:
        for path, text, mode in ((made, key.reveal() if key else None, PRIVATE), (own, "", PUBLIC)):
            if text is not None:
                create(path, mode)
                undone.callback(path.unlink)
                fill(path, text)
        body = {"request": asked, "name": name, "names": list(names or (name,)), "days": days}
        answer = common.client(socket).post("/hubgw/pki/issue", body)
        undone.pop_all()
    fill(own, answer["certificate"])
    with suppress(OSError):
        authority.unlink()
    create(authority, PUBLIC)
    fill(authority, answer["authority"])
    written = [str(own), str(authority), *([str(made)] if key else [])]
    tell_issued({"issued": answer["issued"], "files": written}, *written, for_programs=as_json_)


@command.command("list")
@common.json_option
@common.socket_option
def list_(*, as_json_: bool, socket: str | None) -> None:
    """List what was issued to branches."""
    issued: list[dict[str, Any]] = common.client(socket).get("/hubgw/pki")["issued"]
    heads = ("NAME", "IDENTITIES", "SERIAL", "UNTIL", "REVOKED")
    listing(issued, heads, [_row(one) for one in issued], for_programs=as_json_)


@command.command("revoke")
@click.argument("name", metavar="NAME|SERIAL")
@common.yes_option
@common.socket_option
def revoke(*, name: str, yes: bool, socket: str | None) -> None:
    """Revoke a certificate, or all of a name, for ever: the tunnels that it made end."""
    common.confirm("Revoke?", [name], yes=yes)
    tell_revoked(common.client(socket).post("/hubgw/pki/revoke", {"name": name})["revoked"])


def _row(one: dict[str, Any]) -> list[str]:
    return [one["name"], " ".join(one["names"]), one["serial"], moment(one["notAfter"]), revoked_at(one)]
