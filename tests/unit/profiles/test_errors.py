"""A profile that cannot be had says why: each reason, in words, and no secret among them."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any, get_args

import pytest

from hubgw.names import Secret
from hubgw.profiles.errors import ProfileError
from hubgw.profiles.render import PLATFORMS, render
from hubgw.profiles.types import Platform, Profile, Suite, UserCredentials
from tests.certificates import Pair, make


def _why(platform: Platform, profile: Profile) -> str:
    with pytest.raises(ProfileError) as caught:
        render(platform, profile)
    return str(caught.value)


def test_every_platform_has_a_renderer() -> None:
    assert set(PLATFORMS) == set(get_args(Platform))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": 'a"b'}, r'name: is no name of a connection, got "a\"b"; 1 to 80'),
        ({"name": "a\nb"}, r'name: is no name of a connection, got "a\nb"'),
        ({"name": "../etc"}, "name: is no name of a connection"),
        ({"name": "x" * 81}, "name: is no name of a connection"),
        ({"server": "vpn example"}, 'server: is neither an IPv4 address nor a host name, got "vpn example"'),
        ({"server": "192.0.2.300"}, "server: is neither"),
        ({"server": "vpn.example.com\n"}, "server: is neither"),
        ({"server": ".".join(["a" * 60] * 5)}, "server: is neither"),
        ({"user": ""}, 'user: expected 1 to 128 characters, got ""'),
        ({"user": "x" * 300}, "user: expected 1 to 128 characters"),
        (
            {"user": "alice\nbob"},
            r'user: expected printable characters, without a space at either end, got "alice\nbob"',
        ),
        ({"user": "alice\0"}, "user: expected printable characters"),
        ({"user": "alice\u2028bob"}, "user: expected printable characters"),
        ({"user": " alice"}, "user: expected printable characters"),
        ({"authorities": ()}, "authorities: no authority is named"),
        ({"authorities": ("text",)}, "authorities[0]: "),
        ({"intermediates": ("text",)}, "intermediates[0]: "),
        ({"routes": ()}, "routes: nothing would go into the tunnel; 0.0.0.0/0 is everything"),
        ({"credentials": None}, "credentials: users of Certificate prove themselves by a certificate; none here"),
    ],
)
def test_a_bad_value_is_refused_by_every_platform(
    profile: Profile, platform: Platform, change: dict[str, Any], text: str
) -> None:
    assert text in _why(platform, replace(profile, **change))


def test_every_problem_at_once(profile: Profile) -> None:
    changed = replace(profile, name="", server="", routes=(), suite=Suite(dh_group="DHGroup24"), password=None)
    fields = [line.partition(":")[0] for line in _why("apple", changed).splitlines()]
    assert fields == ["name", "server", "routes", "vpnClientIpsecPolicies[0].dhGroup", "password"]


@pytest.mark.parametrize(
    ("platform", "suite", "text"),
    [
        (
            "apple",
            Suite(dh_group="DHGroup24"),
            'vpnClientIpsecPolicies[0].dhGroup: Apple cannot do this, got "DHGroup24"',
        ),
        ("apple", Suite(dh_group="DHGroup2"), "dhGroup: Apple cannot do this"),
        ("apple", Suite(ike_encryption="AES192"), "ikeEncryption: Apple cannot do this"),
        ("apple", Suite(ike_integrity="SHA1"), "ikeIntegrity: Apple cannot do this"),
        ("apple", Suite(ipsec_encryption="GCMAES192", ipsec_integrity="GCMAES192"), "ipsecEncryption: Apple cannot"),
        ("apple", Suite(pfs_group="PFS24"), 'pfsGroup: Apple cannot do this, got "PFS24"; it has None, ECP384'),
        (
            "windows",
            Suite(ipsec_encryption="None", ipsec_integrity="SHA256"),
            "ipsecEncryption: Windows cannot do this",
        ),
    ],
)
def test_a_suite_that_a_platform_cannot_do(profile: Profile, platform: Platform, suite: Suite, text: str) -> None:
    assert text in _why(platform, replace(profile, suite=suite))


@pytest.mark.parametrize("platform", ["windows", "apple", "android"])
def test_a_key_without_a_password(profile: Profile, platform: Platform) -> None:
    assert "password: " in _why(platform, replace(profile, password=None))


def test_apple_takes_no_certificate_whose_key_is_elsewhere(profile: Profile, alice: Pair) -> None:
    text = _why("apple", replace(profile, credentials=UserCredentials(alice.pem, None)))
    assert text == "credentials.key: Apple takes a certificate with its key alone, and the key is elsewhere"


def test_apple_needs_the_user_in_the_certificate(profile: Profile) -> None:
    text = _why("apple", replace(profile, user="bob.example.com"))
    assert text == (
        "user: is no subject alternative name of the certificate, and Apple has no other identity, "
        'got "bob.example.com"; it has alice.example.com'
    )


@pytest.mark.parametrize("platform", ["linux", "networkmanager", "android"])
@pytest.mark.parametrize("user", ["%any", "@alice", "CN=alice", "keyid:ab", "*", "192.0.2.1", "{1}alice"])
def test_what_strongswan_takes_for_another_thing(profile: Profile, platform: Platform, user: str) -> None:
    changed = replace(profile, authentication="EapMsChapV2", user=user)
    assert "user: strongSwan takes this for something else than a name" in _why(platform, changed)


@pytest.mark.parametrize("platform", ["windows", "apple", "android", "linux", "networkmanager"])
def test_an_unreadable_key_is_not_shown(profile: Profile, alice: Pair, platform: Platform) -> None:
    bad = UserCredentials(alice.pem, Secret("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"))
    text = _why(platform, replace(profile, credentials=bad))
    assert text == "credentials.key: is no private key in PEM"
    assert "c2VjcmV0" not in text


def test_two_certificates_are_not_one(profile: Profile, root: Pair) -> None:
    other = make("O=Example, CN=other", ca=True)
    text = _why("azure", replace(profile, authorities=(root.pem + other.pem,)))
    assert text == "authorities[0]: expected one certificate as PEM, and there are 2"


def test_a_profile_shows_no_secret(profile: Profile, alice: Pair) -> None:
    shown = repr(replace(profile, routes=(IPv4Network("0.0.0.0/0"),))) + repr(render("linux", profile))
    assert "correct horse" not in shown
    assert alice.key not in shown and "PRIVATE" not in shown
