"""A profile -> .sswan, the JSON that strongSwan's app for Android imports."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from hubgw.pki.pkcs12 import pkcs12
from hubgw.profiles.certificates import base64_of, der
from hubgw.profiles.identity import identity
from hubgw.profiles.strongswan import check_user, own_name
from hubgw.profiles.suite import proposals
from hubgw.profiles.types import Authentication, Profile, Rendered
from hubgw.resources.problem import Finding

_TYPES: Final[Mapping[Authentication, str]] = {
    "Certificate": "ikev2-cert",
    "EapTls": "ikev2-eap-tls",
    "EapMsChapV2": "ikev2-eap",
    "Radius": "ikev2-eap",
}


def check(profile: Profile) -> Iterator[Finding]:
    """Yields what the app cannot do."""
    yield from check_user(profile)
    if profile.credentials and profile.credentials.key and not profile.password:
        yield Finding(("password",), "Android imports a key under a password, and there is none")


def render(profile: Profile) -> Rendered:
    """Returns the file. The app takes one authority: the first."""
    offered = proposals(profile.suite)
    document: dict[str, object] = {
        "uuid": str(identity(profile)),
        "name": profile.name,
        "type": _TYPES[profile.authentication],
        "remote": {"addr": profile.server, "id": profile.server, "cert": base64_of(der(profile.authorities[0]))},
        "local": _local(profile),
        "ike-proposal": offered.ike,
        "esp-proposal": offered.esp,
        "split-tunneling": _split(profile),
    }
    if profile.dns_servers:
        document["dns-servers"] = list(map(str, profile.dns_servers))
    return Rendered(".sswan", json.dumps(document, indent=2).encode() + b"\n")


def _local(profile: Profile) -> dict[str, str]:
    credentials = profile.credentials
    if not profile.by_certificate:
        return {"eap_id": profile.user}
    called = {"id": name} if (name := own_name(profile)) else {}
    if not credentials or not credentials.key or not profile.password:
        # The app asks which certificate of the device's own it is to be.
        return called
    container = pkcs12(
        credentials.certificate,
        credentials.key,
        credentials.chain,
        name=profile.user,
        password=profile.password,
        form="legacy",
    )
    return {**called, "p12": base64_of(container)}


def _split(profile: Profile) -> dict[str, object]:
    # The gateway carries no IPv6, so that with everything in the tunnel it would go past it.
    return {"block-ipv6": True} if profile.full_tunnel else {"subnets": list(map(str, profile.routes))}
