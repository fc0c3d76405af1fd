"""A profile -> what is wrong with its values on any platform."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from hubgw.names import LABEL, NAME
from hubgw.pki.reading import Unreadable, read_certificates
from hubgw.profiles.types import Profile
from hubgw.resources.problem import Finding, shown

_LONGEST_USER: Final = 128
_LONGEST_HOST: Final = 253
_HOST: Final = re.compile(rf"{LABEL}(?:\.{LABEL})*", re.ASCII)


def check(profile: Profile) -> Iterator[Finding]:
    """Yields what is wrong."""
    if not NAME.fullmatch(profile.name):
        hint = "1 to 80 letters, digits, '.', '_' and '-'"
        yield Finding(("name",), "is no name of a connection", shown(profile.name), hint)
    if not _is_server(profile.server):
        yield Finding(("server",), "is neither an IPv4 address nor a host name", shown(profile.server))
    yield from _check_user(profile.user)
    if not profile.authorities:
        yield Finding(("authorities",), "no authority is named that the gateway's certificate is verified by")
    for field, texts in (("authorities", profile.authorities), ("intermediates", profile.intermediates)):
        for index, text in enumerate(texts):
            yield from _check_certificate((field, index), text)
    if not profile.routes:
        yield Finding(("routes",), "nothing would go into the tunnel", "", "0.0.0.0/0 is everything")
    if profile.by_certificate and profile.credentials is None:
        yield Finding(
            ("credentials",), f"users of {profile.authentication} prove themselves by a certificate; none here"
        )
    if profile.credentials:
        yield from _check_certificate(("credentials", "certificate"), profile.credentials.certificate)
        for index, text in enumerate(profile.credentials.chain):
            yield from _check_certificate(("credentials", "chain", index), text)


def _is_server(server: str) -> bool:
    try:
        IPv4Address(server)
    except AddressValueError:
        # Digits and dots alone would be an address to every platform, and this is none.
        return len(server) <= _LONGEST_HOST and bool(_HOST.fullmatch(server)) and not re.fullmatch(r"[0-9.]+", server)
    return True


def _check_user(user: str) -> Iterator[Finding]:
    if not user or len(user) > _LONGEST_USER:
        yield Finding(("user",), f"expected 1 to {_LONGEST_USER} characters", shown(user))
    elif not user.isprintable() or user != user.strip():
        yield Finding(("user",), "expected printable characters, without a space at either end", shown(user))


def _check_certificate(path: tuple[str | int, ...], text: str) -> Iterator[Finding]:
    try:
        read = read_certificates(text)
    except Unreadable as problem:
        yield Finding(path, str(problem))
        return
    if len(read) != 1:
        yield Finding(path, f"expected one certificate as PEM, and there are {len(read)}")
