"""Point-to-site: what each platform's client proposes is taken, and its rekeys; several devices of one user."""

from collections.abc import Callable

import pytest

from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import Client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

# IKE and ESP of a client as its platform, or hubgw's profile, has them. None has PFS but strongSwan's own.
_PLATFORMS = {
    "windows": ("aes256-sha384-ecp384", "aes256gcm16"),
    "windows-by-hand": ("aes256-sha256-modp2048", "aes256-sha256"),
    "apple": ("aes256gcm16-prfsha384-ecp384", "aes256gcm16"),
    "apple-by-hand": ("aes256-sha256-modp2048", "aes256-sha256"),
    "apple-with-pfs": ("aes256-sha256-ecp256", "aes256-sha256-ecp256"),
    "android": ("aes256gcm16-prfsha256-x25519", "aes256gcm16-x25519"),
    "linux": ("aes128-sha256-ecp256", "aes128gcm16-ecp256"),
}
_POLICY = """  vpnClientIpsecPolicies:
    - {saLifeTimeSeconds: 3600, saDataSizeKilobytes: 102400, ikeEncryption: AES256, ikeIntegrity: SHA384,
       dhGroup: ECP384, ipsecEncryption: GCMAES256, ipsecIntegrity: GCMAES256, pfsGroup: None}
"""
_DEVICES = """
type: settings
name: devices
properties: {{resource: p2sVpnGateways/p1, concurrentSessions: {word}}}
"""


def proposes(one: Client, conf: str, key: str, platform: str) -> bool:
    ike, esp = _PLATFORMS[platform]
    one.charon.load(
        conf.replace("proposals = aes256gcm16-prfsha384-ecp384", f"proposals = {ike}").replace(
            "esp_proposals = aes256gcm16-ecp384", f"esp_proposals = {esp}"
        )
    )
    one.charon.load_key(key)
    return one.charon.swanctl("--initiate", "--child", "hub", "--timeout", "20", check=False).returncode == 0


def rekeys(one: Client, what: str, spis: Callable[[str], set[str]]) -> None:
    before = spis("hub")
    one.charon.swanctl("--rekey", what, "hub")
    wait_for(f"a rekey, {what}", lambda: spis("hub") and not spis("hub") & before)


@pytest.mark.slow
def test_each_platform_has_a_suite_and_rekeys(lab: Lab, clients: list[Client]) -> None:
    root, one = root_of_users(), clients[0]
    alice = user(root, "alice")
    with gateway_of_users(lab, server(root)):
        authority = lab.hub.run("user", "ca").stdout
        for platform in _PLATFORMS:
            assert proposes(one, one.conf(authority, alice), alice.key, platform), platform
            rekeys(one, "--child", one.charon.child_spis)
            rekeys(one, "--ike", one.charon.ike_spis)
            assert pings(one.node, one.virtual, "10.50.0.4"), platform
            one.logout()
        lab.hub.apply_text(f"{server(root).rstrip()}\n{_POLICY}")
        taken = [each for each in _PLATFORMS if proposes(one, one.conf(authority, alice), alice.key, each)]
        assert taken == ["windows"]


@pytest.mark.slow
def test_two_devices_of_one_user(lab: Lab, clients: list[Client]) -> None:
    root, (one, two) = root_of_users(), clients
    alice = user(root, "alice")
    with gateway_of_users(lab, server(root)):
        authority = lab.hub.run("user", "ca").stdout
        try:
            assert one.login(authority, alice) and two.login(authority, alice)
            assert pings(one.node, one.virtual, "10.50.0.4") and pings(two.node, two.virtual, "10.50.0.4")
            one.logout()
            two.logout()
            lab.hub.apply_text(_DEVICES.format(word="replace"))
            assert one.login(authority, alice)
            assert two.login(authority, user(root, "bob"))
            two.logout()
            assert pings(one.node, one.virtual, "10.50.0.4")
            assert two.login(authority, alice)
            wait_for("the first device is off", lambda: lab.hub.sas(one.address) == [])
            assert pings(two.node, two.virtual, "10.50.0.4")
        finally:
            lab.hub.run("delete", "settings/devices", "--yes")
