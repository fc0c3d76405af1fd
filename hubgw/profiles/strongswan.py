"""What the platforms of strongSwan's own share: how it reads names and values, and its words for the ways of proof."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from hubgw.profiles.certificates import alternative_names
from hubgw.profiles.templates import Word
from hubgw.profiles.types import Authentication, Profile
from hubgw.resources.problem import Finding, shown

AUTH: Final[Mapping[Authentication, str]] = {
    "Certificate": "pubkey",
    "EapTls": "eap-tls",
    "EapMsChapV2": "eap-mschapv2",
    "Radius": "eap",
}
"""By the user's way of proof: swanctl.conf's `auth`. That of RADIUS takes whatever method the server begins with."""

# An identity is text to strongSwan unless it looks like a subject, an address, a key id or a type before a colon.
_NO_NAME: Final = re.compile(r"[%@{*].*|.*[=:].*|[0-9.]+", re.ASCII)


def check_user(profile: Profile) -> Iterator[Finding]:
    """Yields what strongSwan would not take for the user's name."""
    if not profile.by_certificate and _NO_NAME.fullmatch(profile.user):
        hint = "no '=' or ':' in it, no '%', '@', '{' or '*' before it, and no number alone"
        yield Finding(("user",), "strongSwan takes this for something else than a name", shown(profile.user), hint)


def own_name(profile: Profile) -> str:
    """Returns what the client calls itself in IKE; empty where that is its certificate's subject. Groups by the domain
    of users' names know nobody by a subject, so it is the user's name where the certificate has it."""
    credentials = profile.credentials
    if not profile.by_certificate:
        return profile.user
    return profile.user if credentials and profile.user in alternative_names(credentials.certificate) else ""


def quoted(value: str) -> str:
    """Quotes a value for swanctl.conf.

    >>> print(quoted('say "hi" # \\\\'))
    "say \\"hi\\" # \\\\"
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def section(profile: Profile) -> Word:
    """Returns the profile's name as that of a section, which has no dots: they part the sections of a path."""
    return Word(profile.name.replace(".", "_"))
