"""`hubgw profile`: all that a user's client has to know, as its platform takes it, with a key of its own.

The key is made here, and is in the profile alone.
"""

from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from time import time
from typing import Any, Final

import click
from pydantic import TypeAdapter

from hubgw.cli import common
from hubgw.cli.exits import Code, Fail
from hubgw.cli.handed_out import PRIVATE, create, fill, new_password, read_password
from hubgw.cli.issued import tell_issued
from hubgw.cli.output import as_json, line, note
from hubgw.names import NO_USER, USER, Secret
from hubgw.pki.authority import Use, issue, new_authority, new_rsa_key, request
from hubgw.profiles.errors import ProfileError
from hubgw.profiles.render import PLATFORMS, render
from hubgw.profiles.types import Platform, Profile, Rendered, Terms, UserCredentials
from hubgw.resources.problem import shown

_KEYLESS: Final = frozenset({"azure"})
"""Platforms whose profile has no key in it."""

_OF_ROOT: Final = frozenset({"linux", "networkmanager"})
"""Platforms that read a key which no password protects from files of root's, and so with nothing to type."""


@click.command("profile")
@click.argument("user")
@click.option("--platform", type=click.Choice(PLATFORMS), required=True, help="Whose client it is.")
@click.option("--gateway", metavar="NAME", default="", help="The p2sVpnGateway; not needed where there is one.")
@click.option("--days", metavar="N", default=365, help="How long its certificate is good; 365 if not given.")
@click.option("-o", "--out", metavar="FILE", help="The file to write; USER with the platform's ending if not given.")
@click.option("--password-file", metavar="FILE", help="Holds the key's password; without it one is made.")
@common.json_option
@common.socket_option
def command(
    *,
    user: str,
    platform: Platform,
    gateway: str,
    days: int,
    out: str | None,
    password_file: str | None,
    as_json_: bool,
    socket: str | None,
) -> None:
    """Write a user's profile for a platform, with a new key and certificate, for root.

    A user who has certificates gets another: each device has its own, and can be revoked by its serial. The password of
    the key is shown this once; for linux and networkmanager there is none unless --password-file has one. Azure's zip
    has no key: hubgw user add issues one. Who is among the vpnUsers, or known to a RADIUS server, has a password of his
    own, which is in no profile.
    """
    client = common.client(socket)
    profile = _profile(client.get("/hubgw/users/profile", gateway=gateway, user=user), user)
    if profile.by_certificate and not USER.fullmatch(user):
        raise Fail(Code.USAGE, [f"user: {NO_USER}, got {shown(user)}"])
    if out is None and "/" in user:
        raise Fail(Code.USAGE, [f"user: is no name of a file, got {shown(user)}; name the file with --out"])
    password = _password(platform, password_file) if profile.by_certificate else None
    key = new_rsa_key()
    if profile.by_certificate:
        # Rendered for a certificate that nobody believes, so that what cannot be is said before anything is issued.
        profile = replace(profile, password=password, credentials=_draft(user, key))
    draft = _render(platform, profile)
    path = Path(out or f"{user}{draft.suffix}")
    issued: dict[str, Any] = {}
    with ExitStack() as undone:
        create(path, PRIVATE, "another file with --out")
        undone.callback(path.unlink)
        if profile.by_certificate and platform not in _KEYLESS:
            answer = client.post("/hubgw/users/issue", _asked(client.get("/hubgw/users")["users"], user, key, days))
            issued = answer["issued"]
        undone.pop_all()
    if issued:
        own = UserCredentials(answer["certificate"], key, (answer["chain"],))
        draft = _render(platform, replace(profile, user=issued["name"], credentials=own))
    fill(path, draft.content, "hubgw user")
    _tell(path, issued, password if issued and password_file is None else None, for_programs=as_json_)
    if not profile.by_certificate:
        note("the user's password is not in it: hubgw gives none away")
    elif not issued:
        note("there is no key in it; hubgw user add issues one")


def _tell(path: Path, issued: dict[str, Any], password: Secret | None, *, for_programs: bool) -> None:
    if issued:
        told = {"password": password.reveal()} if password else {}
        tell_issued({"file": str(path), "issued": issued, **told}, str(path), for_programs=for_programs)
    elif for_programs:
        as_json({"file": str(path)})
    else:
        line(str(path))


def _profile(told: dict[str, Any], user: str) -> Profile:
    terms = TypeAdapter(Terms).validate_python(told)
    return Profile(user=user, **{one.name: getattr(terms, one.name) for one in fields(Terms)})


def _render(platform: Platform, profile: Profile) -> Rendered:
    try:
        return render(platform, profile)
    except ProfileError as error:
        raise Fail(Code.REFUSED, str(error).splitlines()) from None


def _draft(user: str, key: Secret) -> UserCredentials:
    nobody = new_authority("nobody", time())
    made = issue(nobody, request(key, user), user, (user,), now=time(), days=1, use=Use.USER)
    return UserCredentials(made, key, (nobody.certificate,))


def _asked(users: list[dict[str, Any]], user: str, key: Secret, days: int) -> dict[str, object]:
    known = any(one["name"].casefold() == user.casefold() for one in users)
    return {"request": request(key, user), "name": user, "days": days, "renews": known, "revokes": False}


def _password(platform: Platform, password_file: str | None) -> Secret | None:
    if password_file:
        return read_password(password_file)
    return None if platform in _OF_ROOT else new_password()
