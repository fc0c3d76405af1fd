"""A profile -> a PowerShell script, which makes Windows' own IKEv2 connection with the gateway's suite and routes."""

import re
from collections.abc import Iterator
from typing import Final

from hubgw.pki.pkcs12 import pkcs12
from hubgw.profiles.certificates import base64_of, der, thumbprint
from hubgw.profiles.eap import eap_mschapv2, eap_tls
from hubgw.profiles.suite import Names
from hubgw.profiles.templates import fill
from hubgw.profiles.types import Profile, Rendered
from hubgw.resources.problem import Finding

_CBC: Final = {"AES256": "AES256", "AES192": "AES192", "AES128": "AES128", "DES3": "DES3"}
_GCM: Final = {"GCMAES256": "GCMAES256", "GCMAES128": "GCMAES128"}
# The parameters of Set-VpnConnectionIPsecConfiguration. Its cipher None is no ESP without encryption.
_NAMES: Final = Names(
    platform="Windows",
    ike_encryption=_GCM | _CBC,
    ike_integrity={"SHA384": "SHA384", "SHA256": "SHA256", "SHA1": "SHA1"},
    dh_group={
        "ECP384": "ECP384",
        "ECP256": "ECP256",
        "DHGroup24": "Group24",
        "DHGroup14": "Group14",
        "DHGroup2048": "Group14",
        "DHGroup2": "Group2",
    },
    ipsec_encryption=_GCM | {"GCMAES192": "GCMAES192"} | _CBC,
    ipsec_integrity=_GCM | {"GCMAES192": "GCMAES192", "SHA256": "SHA256128", "SHA1": "SHA196"},
    pfs_group={
        "None": "None",
        "ECP384": "ECP384",
        "ECP256": "ECP256",
        "PFS24": "PFS24",
        "PFS14": "PFS2048",
        "PFS2048": "PFS2048",
        "PFS2": "PFS2",
    },
)

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Without it Windows PowerShell 5.1 reads a script in the machine's old code page."""

# PowerShell ends a string that ' began with any of these, and takes two of them for one.
_QUOTES: Final = re.compile("(['\u2018\u2019\u201a\u201b])")


def check(profile: Profile) -> Iterator[Finding]:
    """Yields what Windows cannot do."""
    yield from _NAMES.check(profile.suite)
    if profile.by_certificate and profile.credentials and profile.credentials.key and not profile.password:
        yield Finding(("password",), "Windows imports a key under a password, and there is none")


def quoted(value: str) -> str:
    """Quotes a value as PowerShell's string in which nothing is expanded.

    >>> print(quoted("it's $HOME"))
    'it''s $HOME'
    """
    return f"'{_QUOTES.sub(lambda found: found[1] * 2, value)}'"


def render(profile: Profile) -> Rendered:
    """Returns the script."""
    machine = profile.authentication == "Certificate"
    text = fill(
        "microsoft/windows/template.j2",
        quoted,
        name=profile.name,
        server=profile.server,
        roots=[base64_of(der(one)) for one in profile.authorities],
        chain=[base64_of(der(one)) for one in (profile.credentials.chain if profile.credentials else ())],
        container=_container(profile),
        # Of machine certificates Windows looks into the machine's store alone, of EAP-TLS into the user's.
        location="LocalMachine" if machine else "CurrentUser",
        key_set=f"{'MachineKeySet' if machine else 'UserKeySet'}, PersistKeySet",
        method="MachineCertificate" if machine else "Eap",
        eap=_eap(profile),
        split=not profile.full_tunnel,
        suite=_suite(profile),
        routes=profile.routes,
        user="" if profile.by_certificate else profile.user,
    )
    return Rendered(".ps1", _BYTE_ORDER_MARK + text.replace("\n", "\r\n").encode())


def _suite(profile: Profile) -> dict[str, str | int]:
    suite = profile.suite
    return {
        "ike_encryption": _NAMES.ike_encryption[suite.ike_encryption],
        "ike_integrity": _NAMES.ike_integrity[suite.ike_integrity],
        "dh_group": _NAMES.dh_group[suite.dh_group],
        "ipsec_encryption": _NAMES.ipsec_encryption[suite.ipsec_encryption],
        "ipsec_integrity": _NAMES.ipsec_integrity[suite.ipsec_integrity],
        "pfs_group": _NAMES.pfs_group[suite.pfs_group],
    }


def _eap(profile: Profile) -> str:
    match profile.authentication:
        case "Certificate":
            return ""
        case "EapTls":
            return eap_tls(map(thumbprint, profile.authorities))
        case "EapMsChapV2" | "Radius":
            return eap_mschapv2()


def _container(profile: Profile) -> str:
    credentials = profile.credentials
    if not profile.by_certificate or not credentials or not credentials.key or not profile.password:
        return ""
    return base64_of(
        pkcs12(
            credentials.certificate,
            credentials.key,
            credentials.chain,
            name=profile.user,
            password=profile.password,
            form="modern",
        )
    )
