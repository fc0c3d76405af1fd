"""A profile -> Azure's zip: Generic/VpnSettings.xml and the authority that the gateway's certificate is verified by."""

from collections.abc import Iterator, Mapping
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hubgw.profiles.archive import Member, zipped
from hubgw.profiles.certificates import common_name, der
from hubgw.profiles.types import Authentication, Profile, Rendered
from hubgw.resources.problem import Finding

_AUTH: Final[Mapping[Authentication, str]] = {
    "Certificate": "Certificate",
    "EapTls": "EapTls",
    "EapMsChapV2": "EapMsChapV2",
    "Radius": "EapMsChapV2",
}


def check(_profile: Profile) -> Iterator[Finding]:
    """Yields nothing: the zip has no suite in it, and no key."""
    yield from ()


def render(profile: Profile) -> Rendered:
    """Returns the zip. The authority is in DER, as Azure's own is."""
    root = profile.authorities[0]
    members = (
        Member("Generic/VpnServerRoot.cer", der(root)),
        Member("Generic/VpnSettings.xml", _settings(profile, root)),
    )
    return Rendered(".zip", zipped(members))


def _settings(profile: Profile, root: str) -> bytes:
    top = Element("VpnProfile")
    for name, text in (
        ("VpnServer", profile.server),
        ("VpnType", "IkeV2"),
        ("Routes", ",".join(map(str, profile.routes))),
        ("Auth", _AUTH[profile.authentication]),
        ("ServerCertRootCn", common_name(root)),
        ("ServerCertIssuerCn", common_name((*profile.intermediates, root)[0])),
        ("CustomDnsServers", ",".join(map(str, profile.dns_servers))),
    ):
        SubElement(top, name).text = text
    indent(top)
    octets: bytes = tostring(top, encoding="utf-8", xml_declaration=True)
    return octets + b"\n"
