"""What is text is read back by a reader of its language, hostile values with it."""

import base64
import configparser
import subprocess
import tarfile
from dataclasses import replace
from io import BytesIO
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from hubgw.names import Secret
from hubgw.profiles import networkmanager, strongswan, windows
from hubgw.profiles.render import PLATFORMS, render
from hubgw.profiles.types import Profile, Suite, UserCredentials
from tests.certificates import Pair
from tests.lab.platforms import files_of, keyfile
from tests.powershell import Quoted, lines
from tests.settings_language import parse
from tests.unit.profiles.conftest import PASSWORD, USER

HOSTILE = "a'b\"c\\d$(e)`f`;<g>&{{ h }}#\u2019i\u201bj\u00fc}"
EVERYTHING = (IPv4Network("0.0.0.0/0"),)


def _windows(profile: Profile) -> list[list[str]]:
    rendered = render("windows", profile)
    assert rendered.suffix == ".ps1"
    assert rendered.content.startswith(b"\xef\xbb\xbf#Requires")
    assert rendered.content.count(b"\n") == rendered.content.count(b"\r\n")
    return [line for line in lines(rendered.content.decode("utf-8-sig")) if line]


def _values(script: list[list[str]]) -> dict[str, str]:
    return {line[0]: line[-1] for line in script if len(line) > 1}


def test_windows_says_the_profile(profile: Profile) -> None:
    script = _windows(profile)
    said = _values(script)
    assert said["$name"] == "hub-1.west" and said["ServerAddress"] == "vpn.example.com"
    assert said["AuthenticationMethod"] == "MachineCertificate" and said["SplitTunneling"] == "$true"
    assert {key: said[key] for key in ("EncryptionMethod", "IntegrityCheckMethod", "DHGroup", "PfsGroup")} == {
        "EncryptionMethod": "AES256",
        "IntegrityCheckMethod": "SHA384",
        "DHGroup": "ECP384",
        "PfsGroup": "None",
    }
    assert said["CipherTransformConstants"] == said["AuthenticationTransformConstants"] == "GCMAES256"
    routes = [line[line.index("-DestinationPrefix") + 1] for line in script if "-DestinationPrefix" in line]
    assert routes == ["10.50.0.0/24", "172.16.0.0/12"]
    stores = [line[1:3] for line in script if line[0] == "Add-Certificate" and isinstance(line[1], Quoted)]
    assert stores == [["Root", "LocalMachine"], ["CA", "LocalMachine"], ["My", "LocalMachine"]]
    assert PASSWORD not in render("windows", profile).content.decode("utf-8-sig")


def test_windows_with_eap_tls_looks_into_the_users_store(profile: Profile) -> None:
    script = _windows(replace(profile, authentication="EapTls"))
    assert ["Add-Certificate", "My", "CurrentUser", "$certificate"] in script
    assert _values(script)["EapConfigXmlStream"].startswith("<host:EapHostConfig ")


def test_windows_without_a_key_imports_none(profile: Profile, alice: Pair) -> None:
    script = _windows(replace(profile, credentials=UserCredentials(alice.pem, None), password=None))
    assert not [line for line in script if "My" in line]


def test_windows_sends_everything_into_a_full_tunnel(profile: Profile) -> None:
    script = _windows(replace(profile, routes=EVERYTHING))
    assert "SplitTunneling" not in _values(script)
    assert not [line for line in script if line[0] == "Add-VpnConnectionRoute"]


def test_windows_quotes_the_user(profile: Profile) -> None:
    script = _windows(replace(profile, authentication="EapMsChapV2", user=HOSTILE, credentials=None))
    assert ["Write-Host", "The user name is", HOSTILE] in script
    assert _values(script)["AuthenticationMethod"] == "Eap"


def test_windows_names_of_another_suite(profile: Profile) -> None:
    suite = Suite("GCMAES128", "SHA256", "DHGroup24", "AES256", "SHA256", "PFS2048")
    said = _values(_windows(replace(profile, suite=suite)))
    assert said["DHGroup"] == "Group24" and said["PfsGroup"] == "PFS2048"
    assert said["AuthenticationTransformConstants"] == "SHA256128" and said["EncryptionMethod"] == "GCMAES128"


@pytest.mark.parametrize("quote", "'\u2018\u2019\u201a\u201b")
def test_each_of_powershells_quotes(quote: str) -> None:
    value = f"a{quote}; Remove-Item C:\\ #{quote}{quote}"
    assert [*lines(windows.quoted(value))] == [[value]]


def _linux(profile: Profile) -> tuple[dict[str, tuple[bytes, int]], dict[str, dict[str, str]]]:
    rendered = render("linux", profile)
    assert rendered.suffix == ".tar"
    files = files_of(rendered.content)
    text = files["conf.d/hub-1_west.conf"][0].decode()
    connection = parse(text)["connections"]["hub-1_west"]
    assert isinstance(connection, dict)
    return files, connection


def test_linux_says_the_profile(profile: Profile, root: Pair, alice: Pair, intermediate: Pair) -> None:
    files, said = _linux(replace(profile, password=None))
    assert said == {
        "version": "2",
        "remote_addrs": "vpn.example.com",
        "vips": "0.0.0.0",
        "proposals": "aes256-sha384-ecp384",
        "dpd_delay": "30s",
        "local": {"auth": "pubkey", "certs": "hub-1_west.pem", "id": USER},
        "remote": {"auth": "pubkey", "id": "vpn.example.com", "cacerts": "hub-1_west-0.pem"},
        "children": {
            "hub-1_west": {
                "remote_ts": "10.50.0.0/24, 172.16.0.0/12",
                "esp_proposals": "aes256gcm16",
                "dpd_action": "restart",
            }
        },
    }
    assert files["x509ca/hub-1_west-0.pem"] == (root.pem.encode(), 0o644)
    assert files["x509ca/hub-1_west-chain-0.pem"][0] == intermediate.pem.encode()
    assert files["x509/hub-1_west.pem"][0] == alice.pem.encode()
    assert files["private/hub-1_west.pem"] == (alice.key.encode(), 0o600)
    assert len(files) == 5


def test_linux_leaves_out_a_key_that_is_elsewhere(profile: Profile, alice: Pair) -> None:
    files, said = _linux(replace(profile, credentials=UserCredentials(alice.pem, None)))
    assert said["local"]["certs"] == "hub-1_west.pem" and "x509/hub-1_west.pem" in files
    assert not [name for name in files if name.startswith("private/") or name.endswith("password")]


def _typed(profile: Profile, password: str, folder: Path) -> tuple[dict[str, dict[str, str]], Path]:
    with tarfile.open(fileobj=BytesIO(render("linux", profile).content)) as archive:
        archive.extractall(folder, filter="fully_trusted")  # noqa: S202 - made here
    subprocess.run(
        ["sh", str(folder / "hub-1_west-password")], input=f"{password}\n", text=True, check=True, capture_output=True
    )
    path = folder / "conf.d/hub-1_west-password.conf"
    return parse(path.read_text())["secrets"], path


@pytest.mark.parametrize("password", ["simple", "b\\1 '\"$(x) %s \u00fc}", "x" * 200])
def test_linux_asks_for_the_password_of_eap(profile: Profile, password: str, tmp_path: Path) -> None:
    changed = replace(profile, authentication="EapMsChapV2", user=HOSTILE, credentials=None)
    _, said = _linux(changed)
    assert said["local"] == {"auth": "eap-mschapv2", "id": HOSTILE, "eap_id": HOSTILE}
    secrets, path = _typed(changed, password, tmp_path)
    (secret,) = secrets.values()
    assert list(secrets) == ["eap-hub-1_west"] and secret["id"] == HOSTILE
    assert _decoded(secret["secret"]) == password
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("password", [PASSWORD, "0s b\\1 '\"$(x) %s \u00fc}#"])
def test_linux_asks_for_the_password_of_a_key(profile: Profile, password: str, tmp_path: Path) -> None:
    files, _ = _linux(profile)
    assert files["private/hub-1_west.pem"][0].startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    secrets, _ = _typed(profile, password, tmp_path)
    # swanctl decodes no 0s here.
    assert secrets == {"private-hub-1_west": {"file": "hub-1_west.pem", "secret": password}}


def _decoded(secret: str) -> str:
    assert secret.startswith("0s")
    return base64.b64decode(secret[2:], validate=True).decode()


@pytest.mark.parametrize(("authentication", "auth"), [("EapTls", "eap-tls"), ("Radius", "eap")])
def test_linux_words_for_the_ways_of_proof(profile: Profile, authentication: str, auth: str) -> None:
    _, said = _linux(replace(profile, authentication=authentication))  # type: ignore[arg-type]
    assert said["local"]["auth"] == auth


def test_settings_are_quoted() -> None:
    value = HOSTILE + "\n"
    assert parse(f"a = {strongswan.quoted(value)}\nb = c\n") == {"a": value, "b": "c"}


def _networkmanager(profile: Profile) -> tuple[dict[str, tuple[bytes, int]], configparser.RawConfigParser]:
    rendered = render("networkmanager", profile)
    assert rendered.suffix == ".tar"
    files = files_of(rendered.content)
    text, mode = files[f"etc/NetworkManager/system-connections/{profile.name}.nmconnection"]
    assert mode == 0o600
    return files, keyfile(text.decode())


def test_networkmanager_says_the_profile(profile: Profile, root: Pair, alice: Pair) -> None:
    files, said = _networkmanager(replace(profile, password=None))
    folder = "/etc/NetworkManager/hubgw/hub-1.west"
    assert dict(said["connection"]) | {"uuid": ""} == {
        "id": "hub-1.west",
        "uuid": "",
        "type": "vpn",
        "autoconnect": "false",
    }
    assert dict(said["vpn"]) == {
        "service-type": "org.freedesktop.NetworkManager.strongswan",
        "address": "vpn.example.com",
        "certificate": f"{folder}/authority.pem",
        "remote-identity": "vpn.example.com",
        "method": "cert",
        "cert-source": "file",
        "usercert": f"{folder}/certificate.pem",
        "userkey": f"{folder}/key.pem",
        "local-identity": USER,
        "virtual": "yes",
        "encap": "no",
        "ipcomp": "no",
        "proposal": "yes",
        "ike": "aes256-sha384-ecp384",
        "esp": "aes256gcm16",
        "remote-ts": "10.50.0.0/24;172.16.0.0/12",
    }
    assert said["ipv4"]["dns"] == "10.50.0.53;"
    assert files[f"{folder[1:]}/authority.pem"][0] == root.pem.encode()
    assert files[f"{folder[1:]}/certificate.pem"][0] == alice.pem.encode()
    assert files[f"{folder[1:]}/key.pem"] == (alice.key.encode(), 0o600)


def test_networkmanager_asks_for_what_is_not_in_the_file(profile: Profile) -> None:
    files, said = _networkmanager(profile)
    assert said["vpn"]["password-flags"] == "1"
    assert b"ENCRYPTED" in files["etc/NetworkManager/hubgw/hub-1.west/key.pem"][0]
    changed = replace(profile, authentication="EapMsChapV2", user=HOSTILE, dns_servers=())
    files, said = _networkmanager(changed)
    assert said["vpn"]["method"] == "eap" and said["vpn"]["password-flags"] == "1"
    assert said["vpn"]["user"] == networkmanager.escaped(HOSTILE) and "\\\\" in said["vpn"]["user"]
    assert "usercert" not in said["vpn"] and "dns" not in said["ipv4"] and len(files) == 2


def test_no_password_is_in_a_file(profile: Profile) -> None:
    for platform in PLATFORMS:
        assert PASSWORD.encode() not in render(platform, replace(profile, password=Secret(PASSWORD))).content
