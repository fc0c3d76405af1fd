"""Each rendered profile, parsed, is a strongSwan that speaks as its platform does."""

import json
from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from hubgw.names import Secret
from hubgw.profiles.render import render
from hubgw.profiles.types import Platform, Profile, Suite, UserCredentials
from tests.certificates import Pair, make
from tests.lab.platforms import Typed
from tests.lab.profiles import Client, client
from tests.settings_language import parse

USER = "alice.example.com"
KEY = Typed(key_password="correct horse")
PASSWORD = Typed(password='p"w\\')
ROUTES = ("10.50.0.0/24", "172.16.0.0/12")


@pytest.fixture(scope="module")
def root() -> Pair:
    return make("O=Example, CN=root", ca=True)


@pytest.fixture(scope="module")
def alice(root: Pair) -> Pair:
    return make("O=Example, CN=alice", [USER], by=root)


@pytest.fixture
def profile(root: Pair, alice: Pair) -> Profile:
    return Profile(
        name="hub1",
        server="vpn.example.com",
        authorities=(root.pem,),
        user=USER,
        authentication="Certificate",
        routes=tuple(map(IPv4Network, ROUTES)),
        credentials=UserCredentials(alice.pem, Secret(alice.key)),
        password=Secret("correct horse"),
    )


def _client(platform: Platform, profile: Profile, typed: Typed, **more: int) -> Client:
    return client(platform, render(platform, profile).content, typed, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("platform", ["windows", "apple", "android", "linux", "networkmanager"])
def test_each_offers_the_suite_and_nothing_else(profile: Profile, platform: Platform) -> None:
    suite = Suite("GCMAES256", "SHA384", "ECP384", "AES256", "SHA256", "PFS2048")
    made = _client(platform, replace(profile, suite=suite), KEY)
    (connection,) = parse(made.conf)["connections"].values()
    assert connection["proposals"] == "aes256gcm16-prfsha384-ecp384"
    assert connection["children"][made.child]["esp_proposals"] == "aes256-sha256-modp2048"
    assert connection["remote_addrs"] == "vpn.example.com"


@pytest.mark.parametrize("platform", ["windows", "apple", "android", "networkmanager"])
def test_certificates_and_keys_are_the_users(profile: Profile, platform: Platform, root: Pair, alice: Pair) -> None:
    made = _client(platform, profile, KEY)
    local = parse(made.conf)["connections"]["profile"]["local"]
    assert local["auth"] == "pubkey" and local["certs"] == "own.der"
    assert x509.load_der_x509_certificate(made.files["x509ca/0.der"]) == root.certificate
    assert x509.load_der_x509_certificate(made.files["x509/own.der"]) == alice.certificate
    key = load_der_private_key(made.files["private/own.der"], None)
    assert key.public_key() == alice.private.public_key()


@pytest.mark.parametrize(
    ("platform", "auth"),
    [("windows", "eap-mschapv2"), ("apple", "eap-mschapv2"), ("android", "eap"), ("networkmanager", "eap")],
)
def test_users_of_eap(profile: Profile, platform: Platform, auth: str) -> None:
    made = _client(platform, replace(profile, authentication="EapMsChapV2"), PASSWORD)
    said = parse(made.conf)
    assert said["connections"]["profile"]["local"]["auth"] == auth
    assert said["connections"]["profile"]["local"]["eap_id"] == USER
    assert said["secrets"] == {"eap-profile": {"id": USER, "secret": PASSWORD.password}}
    assert list(made.files) == ["x509ca/0.der"]


@pytest.mark.parametrize("platform", ["windows", "apple", "android", "networkmanager"])
def test_users_of_eap_tls(profile: Profile, platform: Platform) -> None:
    made = _client(platform, replace(profile, authentication="EapTls"), KEY)
    local = parse(made.conf)["connections"]["profile"]["local"]
    assert local["auth"] == "eap-tls" and local["certs"] == "own.der"


def test_windows_names_nobody_and_rekeys_by_bytes(profile: Profile) -> None:
    made = _client("windows", profile, KEY, hurry=100)
    connection = parse(made.conf)["connections"]["profile"]
    assert connection["remote"]["id"] == "%any" and "id" not in connection["local"]
    child = connection["children"]["profile"]
    assert child["remote_ts"] == "0.0.0.0/0" and child["rekey_bytes"] == str(200 * 1024 * 1024 // 100)
    assert connection["rekey_time"] == "288s" and child["rekey_time"] == "33s" and child["life_time"] == "36s"
    assert made.routes == ROUTES and made.settings == ""


def test_windows_rekeys_its_ike_sa_by_another_group_first(profile: Profile) -> None:
    made = _client("windows", profile, KEY, rekeying=True)
    assert parse(made.conf)["connections"]["profile"]["proposals"] == "aes256-sha384-modp2048-ecp384"
    assert made.settings == "prefer_previous_dh_group = no"


def test_windows_with_a_full_tunnel(profile: Profile) -> None:
    assert _client("windows", replace(profile, routes=(IPv4Network("0.0.0.0/0"),)), KEY).routes == ("0.0.0.0/0",)


def test_apple_names_both_and_rekeys_as_the_profile_says(profile: Profile) -> None:
    made = _client("apple", profile, KEY, hurry=60)
    connection = parse(made.conf)["connections"]["profile"]
    assert connection["remote"]["id"] == "vpn.example.com" and connection["local"]["id"] == USER
    assert connection["rekey_time"] == "1440s" and connection["dpd_delay"] == "10s"
    assert connection["children"]["profile"]["rekey_time"] == "60s"
    assert made.routes == ()


def test_android_asks_for_all_of_both_families(profile: Profile) -> None:
    made = _client("android", profile, KEY)
    connection = parse(made.conf)["connections"]["profile"]
    assert connection["vips"] == "0.0.0.0, ::" and connection["encap"] == "yes"
    assert connection["children"]["profile"]["local_ts"] == "0.0.0.0/0, ::/0"
    assert connection["rekey_time"] == "36000s" and made.routes == ROUTES


def test_networkmanager_asks_for_the_routes(profile: Profile) -> None:
    made = _client("networkmanager", profile, KEY)
    connection = parse(made.conf)["connections"]["profile"]
    assert connection["children"]["profile"]["remote_ts"] == ", ".join(ROUTES)
    assert connection["children"]["profile"]["rekey_time"] == "10200s" and made.routes == ROUTES


def test_linux_is_its_own_file_and_what_the_script_writes(profile: Profile) -> None:
    made = _client("linux", profile, KEY)
    said = parse(made.conf)
    assert made.child == "hub1" and made.routes == ROUTES
    assert said["secrets"] == {"private-hub1": {"file": "hub1.pem", "secret": "correct horse"}}
    assert set(made.files) == {"x509ca/hub1-0.pem", "x509/hub1.pem", "private/hub1.pem", "hub1-password"}
    made = _client("linux", replace(profile, authentication="EapMsChapV2"), PASSWORD)
    assert parse(made.conf)["secrets"] == {"eap-hub1": {"id": USER, "secret": PASSWORD.password}}


def test_a_client_shows_no_key(profile: Profile) -> None:
    made = _client("android", profile, KEY)
    assert "private" not in repr(made)
    assert json.loads(render("android", profile).content)["local"]["p12"] not in repr(made)
