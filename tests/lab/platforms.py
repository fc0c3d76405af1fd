"""A profile's file -> how the platform that imports it speaks IKE: what it offers, calls itself, and does by time.

What of this is known from where is in hubgw/profiles/PLATFORMS.md. strongSwan's own clients are here by their source.
"""

import base64
import configparser
import io
import json
import plistlib
import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from hubgw.profiles.types import Platform
from tests.powershell import Quoted, lines

_HOUR: Final = 3600  # seconds
_ALL: Final = "0.0.0.0/0"
_ALL_AND_V6: Final = "0.0.0.0/0, ::/0"


@dataclass(frozen=True, slots=True)
class Typed:
    """What the user types: the password of the account, and that of the key; both empty where there is none."""

    password: str = ""
    key_password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Times are seconds; 0 is never."""

    server: str
    ike: str
    esp: str
    auth: str
    authorities: tuple[bytes, ...]
    ike_rekey: int
    child_rekey: int
    child_life: int
    child_rekey_bytes: int = 0
    identity: str = ""
    eap_identity: str = ""
    remote_identity: str = "%any"
    aaa_identity: str = ""
    own: tuple[bytes, bytes] | None = None
    local_ts: str = "dynamic"
    remote_ts: str = _ALL
    vips: str = "0.0.0.0"
    dpd: int = 0
    encap: bool = False


def _opened(container: bytes, typed: Typed) -> tuple[bytes, bytes]:
    read = load_pkcs12(container, typed.key_password.encode())
    assert read.key and read.cert
    key = read.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return read.cert.certificate.public_bytes(Encoding.DER), key


# Windows' names of algorithms -> charon's. Of a combined mode IKE has the integrity algorithm for its PRF.
_WINDOWS: Final = {
    **{f"AES{bits}": f"aes{bits}" for bits in (128, 192, 256)},
    **{f"GCMAES{bits}": f"aes{bits}gcm16" for bits in (128, 192, 256)},
    "DES3": "3des",
    "SHA384": "sha384",
    "SHA256": "sha256",
    "SHA1": "sha1",
    "SHA256128": "sha256",
    "SHA196": "sha1",
    "ECP384": "ecp384",
    "ECP256": "ecp256",
    "Group24": "modp2048s256",
    "Group14": "modp2048",
    "Group2": "modp1024",
    "PFS24": "modp2048s256",
    "PFS2048": "modp2048",
    "PFS2": "modp1024",
}
_WINDOWS_REKEY_BYTES: Final = 200 * 1024 * 1024


def _suite(encryption: str, integrity: str, group: str, *, ike: bool) -> str:
    """Returns a proposal of one algorithm of each kind, with no group where there is none."""
    parts = [encryption]
    if "gcm" not in encryption:
        parts.append(integrity)
    elif ike:
        parts.append(f"prf{integrity}")
    return "-".join([*parts, group] if group else parts)


def _windows(content: bytes, typed: Typed) -> tuple[Speaker, tuple[str, ...]]:
    script = [line for line in lines(content.decode("utf-8-sig")) if line]
    values = {line[0]: line[-1] for line in script if len(line) > 1 and isinstance(line[-1], Quoted)}
    blobs: list[bytes] = []
    stores: dict[str, list[bytes]] = {}
    for line in script:
        if "[Convert]::FromBase64String" in line:
            blobs.append(base64.b64decode(line[-1]))
        elif line[0] == "Add-Certificate" and isinstance(line[1], Quoted):
            stores.setdefault(line[1], []).append(blobs[-1])
    machine = values["AuthenticationMethod"] == "MachineCertificate"
    method = re.search(r"<common:Type>(\d+)<", values.get("EapConfigXmlStream", ""))
    assert machine or method
    auth = "pubkey" if machine else {"13": "eap-tls", "26": "eap-mschapv2"}[method[1] if method else ""]
    user = "" if "My" in stores else next(line[-1] for line in script if line[0] == "Write-Host")
    group = "" if values["PfsGroup"] == "None" else _WINDOWS[values["PfsGroup"]]
    speaker = Speaker(
        server=values["ServerAddress"],
        ike=_suite(
            _WINDOWS[values["EncryptionMethod"]],
            _WINDOWS[values["IntegrityCheckMethod"]],
            _WINDOWS[values["DHGroup"]],
            ike=True,
        ),
        esp=_suite(
            _WINDOWS[values["CipherTransformConstants"]],
            _WINDOWS[values["AuthenticationTransformConstants"]],
            group,
            ike=False,
        ),
        auth=auth,
        authorities=tuple(stores["Root"]),
        # Without IDr; and a user of EAP names himself by his address, which the gateway does not look at.
        eap_identity=user,
        own=_opened(stores["My"][0], typed) if "My" in stores else None,
        ike_rekey=8 * _HOUR,
        child_rekey=_HOUR - 300,
        child_life=_HOUR,
        child_rekey_bytes=_WINDOWS_REKEY_BYTES,
    )
    routes = tuple(line[line.index("-DestinationPrefix") + 1] for line in script if "-DestinationPrefix" in line)
    return speaker, routes or (_ALL,)


_APPLE: Final = {
    "AES-256-GCM": "aes256gcm16",
    "AES-128-GCM": "aes128gcm16",
    "AES-256": "aes256",
    "AES-128": "aes128",
    "SHA2-384": "sha384",
    "SHA2-256": "sha256",
}
_APPLE_GROUPS: Final = {14: "modp2048", 19: "ecp256", 20: "ecp384"}
_APPLE_DPD: Final = {"None": 0, "Low": 1800, "Medium": 600, "High": 60}


def _apple(content: bytes, typed: Typed) -> tuple[Speaker, tuple[str, ...]]:
    payloads = plistlib.loads(content)["PayloadContent"]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for one in payloads:
        by_kind.setdefault(one["PayloadType"], []).append(one)
    (connection,) = by_kind["com.apple.vpn.managed"]
    said = connection["IKEv2"]
    ike, child = said["IKESecurityAssociationParameters"], said["ChildSecurityAssociationParameters"]
    group = _APPLE_GROUPS[child["DiffieHellmanGroup"]] if said["EnablePFS"] else ""
    own = None
    if uuid := said.get("PayloadCertificateUUID"):
        (identity,) = (one for one in by_kind["com.apple.security.pkcs12"] if one["PayloadUUID"] == uuid)
        own = _opened(identity["PayloadContent"], typed)
    eap = bool(said["ExtendedAuthEnabled"])
    assert eap == (said["AuthenticationMethod"] == "None")
    speaker = Speaker(
        server=said["RemoteAddress"],
        ike=_suite(
            _APPLE[ike["EncryptionAlgorithm"]],
            _APPLE[ike["IntegrityAlgorithm"]],
            _APPLE_GROUPS[ike["DiffieHellmanGroup"]],
            ike=True,
        ),
        esp=_suite(_APPLE[child["EncryptionAlgorithm"]], _APPLE[child["IntegrityAlgorithm"]], group, ike=False),
        auth=("eap-tls" if own else "eap-mschapv2") if eap else "pubkey",
        authorities=tuple(one["PayloadContent"] for one in by_kind["com.apple.security.root"]),
        identity=said["LocalIdentifier"],
        eap_identity=said.get("AuthName", ""),
        remote_identity=said["RemoteIdentifier"],
        own=own,
        ike_rekey=ike["LifeTimeInMinutes"] * 60,
        child_rekey=child["LifeTimeInMinutes"] * 60,
        child_life=child["LifeTimeInMinutes"] * 60 + 300,
        dpd=_APPLE_DPD[said["DeadPeerDetectionRate"]],
    )
    return speaker, ()


_ANDROID: Final = {"ikev2-cert": "pubkey", "ikev2-eap-tls": "eap-tls", "ikev2-eap": "eap"}


def _android(content: bytes, typed: Typed) -> tuple[Speaker, tuple[str, ...]]:
    said = json.loads(content)
    container = said["local"].get("p12")
    user = said["local"].get("eap_id", "")
    speaker = Speaker(
        server=said["remote"]["addr"],
        ike=said["ike-proposal"],
        esp=said["esp-proposal"],
        auth=_ANDROID[said["type"]],
        authorities=(base64.b64decode(said["remote"]["cert"]),),
        identity=said["local"].get("id", user),
        eap_identity=user,
        remote_identity=said["remote"]["id"],
        aaa_identity="%any",
        own=_opened(base64.b64decode(container), typed) if container else None,
        local_ts=_ALL_AND_V6,
        remote_ts=_ALL_AND_V6,
        vips="0.0.0.0, ::",
        encap=True,
        ike_rekey=10 * _HOUR,
        child_rekey=2 * _HOUR,
        child_life=9000,
    )
    return speaker, tuple(said["split-tunneling"].get("subnets", [_ALL]))


_METHODS: Final = {"cert": "pubkey", "eap-tls": "eap-tls", "eap": "eap"}


def files_of(content: bytes) -> dict[str, tuple[bytes, int]]:
    """Returns each file of a tar and its mode."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        read = ((member, archive.extractfile(member)) for member in archive)
        return {member.name: (file.read(), member.mode) for member, file in read if file}


def keyfile(text: str) -> configparser.RawConfigParser:
    """Returns NetworkManager's key file, read."""
    parser = configparser.RawConfigParser(delimiters="=", comment_prefixes="#", strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def _networkmanager(content: bytes, typed: Typed) -> tuple[Speaker, tuple[str, ...]]:
    files = files_of(content)
    (text,) = (one for name, (one, _) in files.items() if PurePosixPath(name).suffix == ".nmconnection")
    said = keyfile(text.decode())["vpn"]

    def named(key: str) -> bytes:
        return files[said[key].removeprefix("/")][0]

    user = said.get("user", "").replace("\\\\", "\\")
    speaker = Speaker(
        server=said["address"],
        ike=said["ike"],
        esp=said["esp"],
        auth=_METHODS[said["method"]],
        authorities=(_der(named("certificate")),),
        identity=said.get("local-identity", "") or user,
        eap_identity=user,
        remote_identity=said["remote-identity"],
        aaa_identity="" if said["method"] == "cert" else "%any",
        own=(_der(named("usercert")), _key(named("userkey"), typed)) if "usercert" in said else None,
        remote_ts=said["remote-ts"].replace(";", ", "),
        vips="0.0.0.0, ::",
        ike_rekey=10 * _HOUR,
        child_rekey=10_200,
        child_life=3 * _HOUR,
    )
    return speaker, tuple(said["remote-ts"].split(";"))


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _key(pem: bytes, typed: Typed) -> bytes:
    key = load_pem_private_key(pem, typed.key_password.encode() or None)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


Reader = Callable[[bytes, Typed], tuple[Speaker, tuple[str, ...]]]

READERS: Final[Mapping[Platform, Reader]] = {
    "windows": _windows,
    "apple": _apple,
    "android": _android,
    "networkmanager": _networkmanager,
}
"""Each returns also what the platform sends into the tunnel: nothing where the gateway's selectors say it."""
