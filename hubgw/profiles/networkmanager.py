"""A profile -> a tar for /: a connection of NetworkManager-strongswan, and the certificates that it names by path."""

from collections.abc import Iterator, Mapping
from typing import Final

from hubgw.pki.pkcs12 import encrypted_key
from hubgw.profiles.archive import Member, tarred
from hubgw.profiles.identity import identity
from hubgw.profiles.strongswan import check_user, own_name
from hubgw.profiles.suite import proposals
from hubgw.profiles.templates import fill
from hubgw.profiles.types import Authentication, Profile, Rendered
from hubgw.resources.problem import Finding

_METHODS: Final[Mapping[Authentication, str]] = {
    "Certificate": "cert",
    "EapTls": "eap-tls",
    "EapMsChapV2": "eap",
    "Radius": "eap",
}
_CONNECTIONS: Final = "etc/NetworkManager/system-connections"
_CERTIFICATES: Final = "etc/NetworkManager/hubgw"
_SECRET: Final = 0o600


def check(profile: Profile) -> Iterator[Finding]:
    """Yields what NetworkManager-strongswan cannot do."""
    yield from check_user(profile)


def escaped(value: str) -> str:
    """Escapes a value for NetworkManager's key files, in which GLib takes two backslashes for one."""
    return value.replace("\\", "\\\\")


def render(profile: Profile) -> Rendered:
    """Returns the tar. charon-nm takes one authority, the first, and reads the files as root."""
    folder, credentials = f"{_CERTIFICATES}/{profile.name}", profile.credentials
    members = [Member(f"{folder}/authority.pem", profile.authorities[0].encode())]
    asks = not profile.by_certificate
    if profile.by_certificate and credentials:
        members.append(Member(f"{folder}/certificate.pem", credentials.certificate.encode()))
        if credentials.key:
            key = encrypted_key(credentials.key, profile.password)
            members.append(Member(f"{folder}/key.pem", key, _SECRET))
            asks = profile.password is not None
    chosen = proposals(profile.suite)
    text = fill(
        "strongswan/networkmanager/template.j2",
        escaped,
        name=profile.name,
        uuid=identity(profile),
        server=profile.server,
        authority=f"/{folder}/authority.pem",
        method=_METHODS[profile.authentication],
        certificate=f"/{folder}/certificate.pem" if profile.by_certificate else "",
        key=f"/{folder}/key.pem",
        user=profile.user,
        own_name=own_name(profile),
        asks=asks,
        ike=chosen.ike,
        esp=chosen.esp,
        routes=";".join(map(str, profile.routes)),
        dns="".join(f"{one};" for one in profile.dns_servers),
    )
    members.append(Member(f"{_CONNECTIONS}/{profile.name}.nmconnection", text.encode(), _SECRET))
    return Rendered(".tar", tarred(members))
