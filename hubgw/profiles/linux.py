"""A profile -> a tar for /etc/swanctl: a connection, the authorities, the user's certificate and key.

A certificate's user has nothing to edit or to type, unless a password protects the key. A password itself is in no
profile, and swanctl asks for none of EAP: a script in the tar asks for it once.
"""

import shlex
from collections.abc import Iterator

from hubgw.pki.pkcs12 import encrypted_key
from hubgw.profiles.archive import Member, tarred
from hubgw.profiles.strongswan import AUTH, check_user, own_name, quoted, section
from hubgw.profiles.suite import proposals
from hubgw.profiles.templates import fill
from hubgw.profiles.types import Profile, Rendered
from hubgw.resources.problem import Finding

_SECRET = 0o600
_FOLDER = "strongswan/linux"


def check(profile: Profile) -> Iterator[Finding]:
    """Yields what swanctl cannot do."""
    yield from check_user(profile)


def render(profile: Profile) -> Rendered:
    """Returns the tar. Without a key in it, the user's own lies in private/ already."""
    name, credentials = section(profile), profile.credentials
    authorities = {f"{name}-{index}.pem": one for index, one in enumerate(profile.authorities)}
    chosen = proposals(profile.suite)
    text = fill(
        f"{_FOLDER}/template.j2",
        quoted,
        section=name,
        server=profile.server,
        ike=chosen.ike,
        esp=chosen.esp,
        auth=AUTH[profile.authentication],
        certificate=f"{name}.pem" if profile.by_certificate else "",
        user=profile.user,
        own_name=own_name(profile),
        authorities=", ".join(authorities),
        routes=", ".join(map(str, profile.routes)),
    )
    members = [Member(f"conf.d/{name}.conf", text.encode())]
    members += [Member(f"x509ca/{file}", one.encode()) for file, one in authorities.items()]
    if not profile.by_certificate:
        members.append(_password(profile, f"eap-{name}", "id", profile.user))
    elif credentials:
        members.append(Member(f"x509/{name}.pem", credentials.certificate.encode()))
        members += [
            Member(f"x509ca/{name}-chain-{index}.pem", one.encode()) for index, one in enumerate(credentials.chain)
        ]
        if credentials.key:
            key = encrypted_key(credentials.key, profile.password)
            members.append(Member(f"private/{name}.pem", key, _SECRET))
            if profile.password:
                members.append(_password(profile, f"private-{name}", "file", f"{name}.pem"))
    return Rendered(".tar", tarred(members))


def _password(profile: Profile, secret: str, key: str, value: str) -> Member:
    name = section(profile)
    text = fill(
        f"{_FOLDER}/password.j2",
        shlex.quote,
        name=secret,
        key=key,
        value=quoted(value),
        path=f"conf.d/{name}-password.conf",
        of_key=key == "file",
    )
    return Member(f"{name}-password", text.encode(), 0o755)
