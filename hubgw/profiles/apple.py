"""A profile -> .mobileconfig, which iOS and macOS install: the connection, the authorities, the user's certificate.

What each key means is in https://github.com/apple/device-management, mdm/profiles/com.apple.vpn.managed.yaml.
"""

import plistlib
from collections.abc import Iterator
from typing import Final

from hubgw.pki.pkcs12 import pkcs12
from hubgw.profiles.certificates import alternative_names, common_name, der, key_kind
from hubgw.profiles.identity import identity
from hubgw.profiles.suite import Names
from hubgw.profiles.types import Profile, Rendered
from hubgw.resources.problem import Finding, shown

# Apple has Triple DES, SHA-1 and group 2 before iOS 26 and macOS 26 alone, and never had group 24 or AES-192.
_ENCRYPTION: Final = {"GCMAES256": "AES-256-GCM", "GCMAES128": "AES-128-GCM", "AES256": "AES-256", "AES128": "AES-128"}
_NAMES: Final = Names(
    platform="Apple",
    ike_encryption=_ENCRYPTION,
    ike_integrity={"SHA384": "SHA2-384", "SHA256": "SHA2-256"},
    dh_group={"ECP384": 20, "ECP256": 19, "DHGroup14": 14, "DHGroup2048": 14},
    ipsec_encryption=_ENCRYPTION,
    # A combined mode has no integrity algorithm, and what is said of one is not offered.
    ipsec_integrity={"GCMAES256": "SHA2-256", "GCMAES128": "SHA2-256", "SHA256": "SHA2-256"},
    pfs_group={"None": 14, "ECP384": 20, "ECP256": 19, "PFS14": 14, "PFS2048": 14},
)
_IKE_MINUTES: Final = 1440
_CHILD_MINUTES: Final = 60
"""As long as the gateway's own, which leaves rekeying to its clients."""


def check(profile: Profile) -> Iterator[Finding]:
    """Yields what Apple cannot do."""
    yield from _NAMES.check(profile.suite)
    credentials = profile.credentials
    if not profile.by_certificate or not credentials:
        return
    if not credentials.key:
        yield Finding(("credentials", "key"), "Apple takes a certificate with its key alone, and the key is elsewhere")
    elif not profile.password:
        yield Finding(("password",), "Apple imports a key under a password, and there is none")
    names = alternative_names(credentials.certificate)
    if profile.user not in names:
        # Apple's IDi is text, so that it never is the certificate's subject.
        message = "is no subject alternative name of the certificate, and Apple has no other identity"
        yield Finding(("user",), message, shown(profile.user), f"it has {', '.join(names) or 'none'}")


def render(profile: Profile) -> Rendered:
    """Returns the file."""
    payloads = [_connection(profile)]
    for index, one in enumerate(profile.authorities):
        payloads.append(_certificate(profile, f"root {index}", "com.apple.security.root", der(one), common_name(one)))
    credentials = profile.credentials
    if profile.by_certificate and credentials and credentials.key and profile.password:
        container = pkcs12(
            credentials.certificate,
            credentials.key,
            credentials.chain,
            name=profile.user,
            password=profile.password,
            form="legacy",
        )
        payloads.append(_certificate(profile, "user", "com.apple.security.pkcs12", container, profile.user))
    document = {
        **_payload(profile, "", "Configuration"),
        "PayloadDisplayName": profile.name,
        "PayloadContent": payloads,
    }
    return Rendered(".mobileconfig", plistlib.dumps(document))


def _payload(profile: Profile, part: str, kind: str) -> dict[str, object]:
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"hubgw.{identity(profile, part)}",
        "PayloadUUID": str(identity(profile, part)).upper(),
    }


def _certificate(profile: Profile, part: str, kind: str, content: bytes, name: str) -> dict[str, object]:
    return {**_payload(profile, part, kind), "PayloadDisplayName": name, "PayloadContent": content}


def _connection(profile: Profile) -> dict[str, object]:
    payload: dict[str, object] = {
        **_payload(profile, "connection", "com.apple.vpn.managed"),
        "PayloadDisplayName": profile.name,
        "UserDefinedName": profile.name,
        "VPNType": "IKEv2",
        "IKEv2": _ikev2(profile),
    }
    if profile.dns_servers:
        # An empty domain is every name: otherwise a split tunnel's servers are asked for none.
        servers = list(map(str, profile.dns_servers))
        payload["DNS"] = {"DNSProtocol": "Cleartext", "ServerAddresses": servers, "SupplementalMatchDomains": [""]}
    return payload


def _ikev2(profile: Profile) -> dict[str, object]:
    """Returns the connection. What goes into the tunnel is what the gateway's selectors say, as with charon."""
    suite = profile.suite
    group = _NAMES.dh_group[suite.dh_group]
    answer: dict[str, object] = {
        "RemoteAddress": profile.server,
        "RemoteIdentifier": profile.server,
        "LocalIdentifier": profile.user,
        "DeadPeerDetectionRate": "Medium",
        "EnablePFS": int(suite.pfs_group != "None"),
        "IKESecurityAssociationParameters": {
            "EncryptionAlgorithm": _NAMES.ike_encryption[suite.ike_encryption],
            "IntegrityAlgorithm": _NAMES.ike_integrity[suite.ike_integrity],
            "DiffieHellmanGroup": group,
            "LifeTimeInMinutes": _IKE_MINUTES,
        },
        "ChildSecurityAssociationParameters": {
            "EncryptionAlgorithm": _NAMES.ipsec_encryption[suite.ipsec_encryption],
            "IntegrityAlgorithm": _NAMES.ipsec_integrity[suite.ipsec_integrity],
            "DiffieHellmanGroup": group if suite.pfs_group == "None" else _NAMES.pfs_group[suite.pfs_group],
            "LifeTimeInMinutes": _CHILD_MINUTES,
        },
    }
    return answer | _proof(profile)


def _proof(profile: Profile) -> dict[str, object]:
    credentials = profile.credentials
    if not profile.by_certificate or not credentials:
        return {"AuthenticationMethod": "None", "ExtendedAuthEnabled": 1, "AuthName": profile.user}
    answer: dict[str, object] = {
        "PayloadCertificateUUID": str(identity(profile, "user")).upper(),
        "CertificateType": key_kind(credentials.certificate),
        # With CertificateType the issuer of the gateway's certificate has to be named.
        "ServerCertificateIssuerCommonName": common_name((*profile.intermediates, profile.authorities[0])[0]),
    }
    if profile.authentication == "EapTls":
        return answer | {"AuthenticationMethod": "None", "ExtendedAuthEnabled": 1, "TLSMinimumVersion": "1.2"}
    return answer | {"AuthenticationMethod": "Certificate", "ExtendedAuthEnabled": 0}
