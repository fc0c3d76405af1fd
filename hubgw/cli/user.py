"""`hubgw user`: users of hubgw's own authority, their certificates issued, renewed and revoked; sessions that end.

A private key is made here, and is in the PKCS#12 file alone: the agent is asked to sign a request.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import click

from hubgw.agent.references import name_of
from hubgw.cli import common
from hubgw.cli.exits import Code, Fail
from hubgw.cli.handed_out import PRIVATE, PUBLIC, create, fill, new_password, read_password, read_request
from hubgw.cli.issued import revoked_at, tell_issued, tell_revoked
from hubgw.cli.output import as_json, line, listing, moment, pairs
from hubgw.names import NO_USER, USER
from hubgw.pki.authority import new_rsa_key, request
from hubgw.pki.pkcs12 import Form, pkcs12
from hubgw.resources.problem import shown

F = TypeVar("F", bound=Callable[..., Any])


@click.group("user")
def command() -> None:
    """Users of point-to-site gateways: certificates of hubgw's own authority, and sessions."""


def _options(verb: F) -> F:
    for option in (
        click.argument("name"),
        click.option("--csr", metavar="FILE", help="The client's own request, in PEM; without one a key is made."),
        click.option("--days", metavar="N", default=365, help="How long it is good; 365 if not given."),
        click.option(
            "--out", metavar="FILE", help="The file to write; NAME.p12, or with --csr NAME.pem, if not given."
        ),
        click.option("--password-file", metavar="FILE", help="Holds the PKCS#12's password; without it one is made."),
        click.option(
            "--legacy", is_flag=True, help="PKCS#12 in Triple DES, which Apple's and Android's importers take."
        ),
        common.json_option,
        common.socket_option,
    ):
        verb = option(verb)
    return verb


@command.command("add")
@_options
def add(**options: Any) -> None:
    """Issue a user's first certificate, for root: a PKCS#12 with its key and the authority's certificates.

    NAME is what the client calls itself: user@host, or a name like a host's. Without --password-file a password is
    made, and shown this once. With --csr the key stays where it was made, and the file has certificates alone, as PEM.
    """
    _issue(renews=False, revokes=False, **options)


@command.command("renew")
@click.option("--revoke", "revokes", is_flag=True, help="Revoke what the user had until now.")
@_options
def renew(*, revokes: bool, **options: Any) -> None:
    """Issue a user another certificate, for root, as add does; the one that there is goes on until it ends."""
    _issue(renews=True, revokes=revokes, **options)


def _issue(
    *,
    name: str,
    csr: str | None,
    days: int,
    out: str | None,
    password_file: str | None,
    legacy: bool,
    renews: bool,
    revokes: bool,
    as_json_: bool,
    socket: str | None,
) -> None:
    if not USER.fullmatch(name):
        raise Fail(Code.USAGE, [f"name: {NO_USER}, got {shown(name)}"])
    if csr and (password_file or legacy):
        raise Fail(Code.USAGE, ["--csr: makes no PKCS#12; leave out --password-file and --legacy"])
    key = new_rsa_key() if csr is None else None
    asked = request(key, name) if key else read_request(csr or "")
    password = read_password(password_file) if password_file else new_password()
    path = Path(out or f"{name}.{'p12' if key else 'pem'}")
    # What is issued is issued for good: there is a place for it before the agent is asked.
    with ExitStack() as undone:
        create(path, PRIVATE if key else PUBLIC, "another file with --out")
        undone.callback(path.unlink)
        body = {"request": asked, "name": name, "days": days, "renews": renews, "revokes": revokes}
        answer = common.client(socket).post("/hubgw/users/issue", body)
        undone.pop_all()
    issued, own, chain = answer["issued"], answer["certificate"], answer["chain"]
    if key:
        authorities = (chain, answer["authority"])
        form: Form = "legacy" if legacy else "modern"
        made = pkcs12(own, key, authorities, name=issued["name"], password=password, form=form)
        fill(path, made, "hubgw user")
    else:
        fill(path, own + chain, "hubgw user")
    made_here = {"password": password.reveal()} if key and password_file is None else {}
    tell_issued({"issued": issued, "file": str(path), **made_here}, str(path), for_programs=as_json_)


@command.command("list")
@common.json_option
@common.socket_option
def list_(*, as_json_: bool, socket: str | None) -> None:
    """List users' certificates, the newest last."""
    users: list[dict[str, Any]] = common.client(socket).get("/hubgw/users")["users"]
    heads = ("NAME", "SERIAL", "UNTIL", "RENEW FROM", "REVOKED")
    listing(users, heads, [_row(one) for one in users], for_programs=as_json_)


@command.command("show")
@click.argument("name")
@common.json_option
@common.socket_option
def show(*, name: str, as_json_: bool, socket: str | None) -> None:
    """Tell all of a user's certificates, the newest last."""
    users: list[dict[str, Any]] = common.client(socket).get("/hubgw/users")["users"]
    mine = [one for one in users if one["name"].casefold() == name.casefold()]
    if not mine:
        raise Fail(Code.NOT_FOUND, [f"{shown(name)}: there is no such user; hubgw user list has who there is"])
    if as_json_:
        as_json(mine)
        return
    for number, one in enumerate(mine):
        line(*([] if number == 0 else [""]))
        names = ("name", "serial", "until", "renew from", "revoked")
        rows = [*zip(names, _row(one), strict=True), ("subject", one["subject"]), ("thumbprint", one["thumbprint"])]
        for text in pairs(rows):
            line(text)


@command.command("revoke")
@click.argument("name", metavar="NAME|SERIAL")
@common.yes_option
@common.socket_option
def revoke(*, name: str, yes: bool, socket: str | None) -> None:
    """Revoke a certificate, or all of a user, for ever: what stands by them ends."""
    common.confirm("Revoke?", [name], yes=yes)
    tell_revoked(common.client(socket).post("/hubgw/users/revoke", {"name": name})["revoked"])


@command.command("disconnect")
@click.argument("name", metavar="NAME|ADDRESS")
@common.yes_option
@common.json_option
@common.socket_option
def disconnect(*, name: str, yes: bool, as_json_: bool, socket: str | None) -> None:
    """End the sessions of a user, or the one that was given an address.

    The user may sign on again at once.
    """
    common.confirm("Disconnect?", [name], yes=yes)
    ended: list[dict[str, Any]] = common.client(socket).post("/hubgw/users/disconnect", {"name": name})["sessions"]
    if as_json_:
        as_json(ended)
        return
    for one in ended:
        where = f"{name_of(one['gateway'])}/{one['instance']}"
        line(f"{one['user']}, {' '.join(one['addresses'])} at {where}: disconnected")


@command.command("ca")
@common.socket_option
def ca(*, socket: str | None) -> None:
    """Print the root's certificate, as PEM: clients are told to believe it."""
    _print(common.client(socket).get("/hubgw/users")["authority"])


@command.command("crl")
@common.socket_option
def crl(*, socket: str | None) -> None:
    """Print the list of what is revoked, as PEM; the agent's socket has it in DER at /hubgw/users/crl."""
    _print(common.client(socket).get("/hubgw/users")["revocationList"])


def _print(pem: str) -> None:
    for text in pem.splitlines():
        line(text)


def _row(one: dict[str, Any]) -> list[str]:
    return [one["name"], one["serial"], moment(one["notAfter"]), moment(one["renewFrom"]), revoked_at(one)]
