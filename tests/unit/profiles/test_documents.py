"""What is JSON, XML or a property list is read back by its own library, and says what the profile says."""

import base64
import io
import json
import plistlib
import zipfile
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from hubgw.names import Secret
from hubgw.profiles.eap import eap_mschapv2, eap_tls
from hubgw.profiles.render import render
from hubgw.profiles.types import Profile, Suite, UserCredentials
from tests.certificates import Pair, make
from tests.unit.profiles.conftest import PASSWORD, USER

HOSTILE = "a'b\"c\\d$(e)`f`;<g>&{{ h }}\u2019i\u00fc"
EVERYTHING = (IPv4Network("0.0.0.0/0"),)
PROVISIONING = "http://www.microsoft.com/provisioning"


def _android(profile: Profile) -> dict[str, Any]:
    rendered = render("android", profile)
    assert rendered.suffix == ".sswan"
    document = json.loads(rendered.content)
    assert isinstance(document, dict)
    return document


def test_android_says_the_profile(profile: Profile, root: Pair, alice: Pair, intermediate: Pair) -> None:
    said = _android(profile)
    assert said["name"] == "hub-1.west" and said["type"] == "ikev2-cert"
    assert said["remote"]["addr"] == said["remote"]["id"] == "vpn.example.com"
    read = x509.load_der_x509_certificate(base64.b64decode(said["remote"]["cert"]))
    assert read == root.certificate
    container = load_pkcs12(base64.b64decode(said["local"]["p12"]), PASSWORD.encode())
    assert container.cert and container.cert.certificate == alice.certificate
    assert [one.certificate for one in container.additional_certs] == [intermediate.certificate]
    assert said["ike-proposal"] == "aes256-sha384-ecp384" and said["esp-proposal"] == "aes256gcm16"
    assert said["split-tunneling"] == {"subnets": ["10.50.0.0/24", "172.16.0.0/12"]}
    assert said["dns-servers"] == ["10.50.0.53"]


def test_android_with_a_password_or_with_a_key_of_its_own(profile: Profile, alice: Pair) -> None:
    said = _android(replace(profile, authentication="Radius", user=HOSTILE))
    assert said["type"] == "ikev2-eap" and said["local"] == {"eap_id": HOSTILE}
    assert _android(replace(profile, authentication="EapMsChapV2"))["type"] == "ikev2-eap"
    said = _android(replace(profile, authentication="EapTls", credentials=UserCredentials(alice.pem, None)))
    assert said["type"] == "ikev2-eap-tls" and said["local"] == {"id": USER}
    said = _android(replace(profile, user="another", credentials=UserCredentials(alice.pem, None)))
    assert said["local"] == {}, "no name of the certificate's"


def test_android_lets_no_ipv6_past_a_full_tunnel(profile: Profile) -> None:
    assert _android(replace(profile, routes=EVERYTHING))["split-tunneling"] == {"block-ipv6": True}


def test_the_next_profile_of_a_user_takes_the_place_of_the_last(profile: Profile) -> None:
    known = _android(profile)["uuid"]
    assert _android(replace(profile, routes=EVERYTHING))["uuid"] == known
    password = replace(profile, authentication="EapMsChapV2")
    others = [replace(password, user="bob"), replace(password, name="hub2"), replace(password, server="192.0.2.1")]
    assert len({known, *(_android(one)["uuid"] for one in others)}) == 4


def _azure(profile: Profile) -> tuple[dict[str, str | None], bytes]:
    rendered = render("azure", profile)
    assert rendered.suffix == ".zip"
    with zipfile.ZipFile(io.BytesIO(rendered.content)) as archive:
        assert archive.namelist() == ["Generic/VpnServerRoot.cer", "Generic/VpnSettings.xml"]
        assert archive.testzip() is None
        top = ElementTree.fromstring(archive.read("Generic/VpnSettings.xml"))  # noqa: S314
        assert top.tag == "VpnProfile"
        return {one.tag: one.text for one in top}, archive.read("Generic/VpnServerRoot.cer")


def test_azures_zip(profile: Profile, root: Pair) -> None:
    said, authority = _azure(profile)
    assert said == {
        "VpnServer": "vpn.example.com",
        "VpnType": "IkeV2",
        "Routes": "10.50.0.0/24,172.16.0.0/12",
        "Auth": "Certificate",
        "ServerCertRootCn": "root",
        "ServerCertIssuerCn": "users",
        "CustomDnsServers": "10.50.0.53",
    }
    assert x509.load_der_x509_certificate(authority) == root.certificate


def test_azures_zip_quotes_and_has_no_key(profile: Profile, alice: Pair) -> None:
    hostile = make(f"O=Example, CN={HOSTILE}", ca=True)
    said, _ = _azure(replace(profile, authorities=(hostile.pem,), intermediates=()))
    assert said["ServerCertRootCn"] == said["ServerCertIssuerCn"] == HOSTILE
    assert alice.key.encode() not in render("azure", profile).content


def _apple(profile: Profile) -> dict[str, list[dict[str, Any]]]:
    rendered = render("apple", profile)
    assert rendered.suffix == ".mobileconfig"
    document = plistlib.loads(rendered.content)
    assert document["PayloadType"] == "Configuration" and document["PayloadVersion"] == 1
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for one in document["PayloadContent"]:
        by_kind.setdefault(one["PayloadType"], []).append(one)
    uuids = [one["PayloadUUID"] for one in (document, *document["PayloadContent"])]
    assert len(set(uuids)) == len(uuids)
    return by_kind


def test_apple_says_the_profile(profile: Profile, root: Pair, alice: Pair) -> None:
    said = _apple(profile)
    (connection,) = said["com.apple.vpn.managed"]
    (identity,) = said["com.apple.security.pkcs12"]
    (authority,) = said["com.apple.security.root"]
    assert connection["UserDefinedName"] == "hub-1.west" and connection["VPNType"] == "IKEv2"
    assert connection["DNS"] == {
        "DNSProtocol": "Cleartext",
        "ServerAddresses": ["10.50.0.53"],
        "SupplementalMatchDomains": [""],
    }
    assert connection["IKEv2"] == {
        "RemoteAddress": "vpn.example.com",
        "RemoteIdentifier": "vpn.example.com",
        "LocalIdentifier": USER,
        "DeadPeerDetectionRate": "Medium",
        "EnablePFS": 0,
        "AuthenticationMethod": "Certificate",
        "ExtendedAuthEnabled": 0,
        "PayloadCertificateUUID": identity["PayloadUUID"],
        "CertificateType": "ECDSA256",
        "ServerCertificateIssuerCommonName": "users",
        "IKESecurityAssociationParameters": {
            "EncryptionAlgorithm": "AES-256",
            "IntegrityAlgorithm": "SHA2-384",
            "DiffieHellmanGroup": 20,
            "LifeTimeInMinutes": 1440,
        },
        "ChildSecurityAssociationParameters": {
            "EncryptionAlgorithm": "AES-256-GCM",
            "IntegrityAlgorithm": "SHA2-256",
            "DiffieHellmanGroup": 20,
            "LifeTimeInMinutes": 60,
        },
    }
    assert x509.load_der_x509_certificate(authority["PayloadContent"]) == root.certificate
    container = load_pkcs12(identity["PayloadContent"], PASSWORD.encode())
    assert container.cert and container.cert.certificate == alice.certificate
    assert not any("Password" in key for one in (connection["IKEv2"], identity) for key in one)


def test_apple_with_eap(profile: Profile) -> None:
    (tls,) = _apple(replace(profile, authentication="EapTls"))["com.apple.vpn.managed"]
    assert tls["IKEv2"]["AuthenticationMethod"] == "None" and tls["IKEv2"]["ExtendedAuthEnabled"] == 1
    assert tls["IKEv2"]["TLSMinimumVersion"] == "1.2" and "PayloadCertificateUUID" in tls["IKEv2"]
    said = _apple(replace(profile, authentication="EapMsChapV2", user=HOSTILE, credentials=None, password=None))
    (connection,) = said["com.apple.vpn.managed"]
    assert connection["IKEv2"]["AuthName"] == connection["IKEv2"]["LocalIdentifier"] == HOSTILE
    assert connection["IKEv2"]["ExtendedAuthEnabled"] == 1 and "AuthPassword" not in connection["IKEv2"]
    assert set(said) == {"com.apple.vpn.managed", "com.apple.security.root"}


def test_apple_has_the_group_of_its_rekeys(profile: Profile) -> None:
    suite = Suite(pfs_group="PFS2048", ike_encryption="GCMAES128", ike_integrity="SHA256", dh_group="ECP256")
    (connection,) = _apple(replace(profile, suite=suite))["com.apple.vpn.managed"]
    assert connection["IKEv2"]["EnablePFS"] == 1
    assert connection["IKEv2"]["ChildSecurityAssociationParameters"]["DiffieHellmanGroup"] == 14
    ike = connection["IKEv2"]["IKESecurityAssociationParameters"]
    assert ike["EncryptionAlgorithm"] == "AES-128-GCM" and ike["IntegrityAlgorithm"] == "SHA2-256"


def test_apple_knows_the_kind_of_a_key(profile: Profile, root: Pair) -> None:
    rsa = make("O=Example, CN=alice", [USER], by=root, kind="rsa")
    said = _apple(replace(profile, credentials=UserCredentials(rsa.pem, Secret(rsa.key))))
    assert said["com.apple.vpn.managed"][0]["IKEv2"]["CertificateType"] == "RSA"


def test_windows_is_told_of_eap_tls() -> None:
    top = ElementTree.fromstring(eap_tls(["00ff" * 10]))  # noqa: S314
    assert top.tag == f"{{{PROVISIONING}/EapHostConfig}}EapHostConfig"
    assert top.findtext(f".//{{{PROVISIONING}/EapCommon}}Type") == "13"
    assert top.findtext(f".//{{{PROVISIONING}/BaseEapConnectionPropertiesV1}}Type") == "13"
    tls = f"{{{PROVISIONING}/EapTlsConnectionPropertiesV1}}"
    assert top.findtext(f".//{tls}TrustedRootCA") == " ".join(["00", "ff"] * 10)
    assert top.findtext(f".//{tls}SimpleCertSelection") == "true"
    assert top.findtext(f".//{{{PROVISIONING}/EapTlsConnectionPropertiesV2}}PerformServerValidation") == "true"


def test_windows_is_told_of_eap_mschapv2() -> None:
    top = ElementTree.fromstring(eap_mschapv2())  # noqa: S314
    assert top.findtext(f".//{{{PROVISIONING}/EapCommon}}Type") == "26"
    assert top.findtext(f".//{{{PROVISIONING}/MsChapV2ConnectionPropertiesV1}}UseWinLogonCredentials") == "false"


@pytest.mark.parametrize("platform", ["azure", "networkmanager"])
def test_the_same_profile_is_the_same_octets(profile: Profile, platform: Any) -> None:
    without = replace(profile, authentication="EapMsChapV2")
    assert render(platform, without) == render(platform, without)
