"""`hubgw profile` against an agent on a real socket: each platform's file, with a key and certificate of its own."""

import asyncio
import io
import json
import stat
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from hubgw.cli.exits import Code
from hubgw.names import Secret
from hubgw.pki.reading import key_id, read_certificates, signed_by
from hubgw.plan.ipsec import IkeServer
from hubgw.profiles.render import PLATFORMS
from tests.certificates import make
from tests.unit.agent.rig import Rig
from tests.unit.agent.test_users import FQDN, applied, roots
from tests.unit.cli.ended import Hubgw

ALICE = "alice@example.com"
ENDINGS = {"linux": ".tar", "networkmanager": ".tar", "azure": ".zip"}
POLICY = """  vpnClientIpsecPolicies:
    - {ikeEncryption: AES256, ikeIntegrity: SHA256, dhGroup: DHGroup24, ipsecEncryption: GCMAES256,
       ipsecIntegrity: GCMAES256, pfsGroup: PFS24, saLifeTimeSeconds: 3600, saDataSizeKilobytes: 102400}
"""
PASSWORDS = """---
type: vpnUsers
name: bob
properties: {vpnServerConfiguration: users, userName: bob_smith, password: example-password}
"""


GROUPS = """---
type: vpnServerConfigurations
name: users
properties:
  vpnAuthenticationTypes: [Certificate]
  configurationPolicyGroups:
    - {name: sales, properties: {priority: 1, policyMembers: [{name: a, attributeType: CertificateGroupId,
       attributeValue: sales.example.com}]}}
    - {name: rest, properties: {isDefault: true, priority: 2}}
---
type: p2sVpnGateways
name: p1
properties:
  virtualHub: hub1
  vpnServerConfiguration: users
  p2SConnectionConfigurations:
    - {name: sales, properties: {vpnClientAddressPool: {addressPrefixes: [10.98.0.0/24]}, enableInternetSecurity: true,
       configurationPolicyGroupAssociations: [{id: sales}]}}
    - {name: rest, properties: {vpnClientAddressPool: {addressPrefixes: [10.99.0.0/24]},
       configurationPolicyGroupAssociations: [{id: rest}]}}
"""
RADIUS = """---
type: vpnServerConfigurations
name: users
properties:
  vpnAuthenticationTypes: [Radius]
  radiusServers: [{radiusServerAddress: 192.0.2.200, radiusServerSecret: example-secret}]
"""


def _apply(rig: Rig, *more: str) -> None:
    asyncio.run(applied(rig, *more))


def _here() -> list[Path]:
    return sorted(Path().iterdir())


def _tar(path: str) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {one.name: member.read() for one in archive if (member := archive.extractfile(one))}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_platform_has_its_file(rig: Rig, hubgw: Hubgw, platform: str) -> None:
    _apply(rig, FQDN)
    ended = hubgw("profile", ALICE, "--platform", platform)
    assert ended.code == 0
    (path,) = _here()
    assert path.name.startswith(ALICE) and path.name.endswith(ENDINGS.get(platform, ""))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ("password: " in ended.out) is (platform not in {"linux", "networkmanager", "azure"})
    assert len(rig.certificates.users.issued()) == (platform != "azure")
    content = path.read_bytes()
    if platform == "azure":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read("Generic/VpnSettings.xml")
        assert "there is no key in it" in ended.err
    assert b"vpn.example.com" in content
    assert b"10.50.0.0" in content or platform == "apple", "Apple routes what the gateway narrows it to"
    assert b"nobody" not in content, "what was only to see whether it can be"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_who_has_a_password_has_no_key_and_no_password_in_it(rig: Rig, hubgw: Hubgw, platform: str) -> None:
    _apply(rig, FQDN, PASSWORDS)
    ended = hubgw("profile", "bob_smith", "--platform", platform)
    assert (ended.code, "password: " in ended.out) == (0, False)
    (path,) = _here()
    assert path.name.startswith("bob_smith") and b"example-password" not in path.read_bytes()
    assert "hubgw gives none away" in ended.err
    assert rig.certificates.users.issued() == ()
    assert hubgw("profile", "bob;smith", "--platform", platform).code == Code.USAGE


def test_that_of_linux_is_whole_and_asks_for_what_the_gateway_accepts(rig: Rig, hubgw: Hubgw) -> None:
    _apply(rig, FQDN)
    assert hubgw("profile", ALICE, "--platform", "linux", "-o", "a.tar").code == 0
    files = _tar("a.tar")
    one = {name.partition("/")[0]: content.decode() for name, content in files.items()}
    (own,) = read_certificates(one["x509"])
    assert key_id(Secret(one["private"])) == own.key_id
    authorities = [read_certificates(text.decode())[0] for name, text in files.items() if name.startswith("x509ca/")]
    expected = rig.certificates.users.authority().certificates
    assert {one.subject for one in authorities} == {one.subject for one in expected}
    assert signed_by(own, authorities)
    told = {
        key.strip(): value.strip('"')
        for key, _, value in (line.partition(" = ") for line in one["conf.d"].splitlines())
    }
    server = next(obj for obj in rig.machine.strongswan.objects.values() if isinstance(obj, IkeServer))
    for asked, accepted in ((told["proposals"], server.proposals), (told["esp_proposals"], server.esp_proposals)):
        assert any(set(asked.split("-")) <= set(one.split("-")) for one in accepted)


def test_a_policy_of_the_gateway_is_the_profiles(rig: Rig, hubgw: Hubgw) -> None:
    _apply(rig, POLICY)
    assert hubgw("profile", ALICE, "--platform", "linux", "-o", "a.tar").code == 0
    (conf,) = (content.decode() for name, content in _tar("a.tar").items() if name.startswith("conf.d/"))
    assert 'proposals = "aes256-sha256-modp2048s256"' in conf and 'remote_addrs = "198.51.100.10"' in conf
    ended = hubgw("profile", ALICE, "--platform", "apple")
    assert ended.code == 1 and "vpnClientIpsecPolicies[0].dhGroup" in ended.err
    assert len(rig.certificates.users.issued()) == 1 and [path.name for path in _here()] == ["a.tar"]


def test_each_profile_has_a_certificate_of_its_own(rig: Rig, hubgw: Hubgw) -> None:
    _apply(rig)
    Path("password").write_text("correct horse\n")
    first = hubgw("profile", ALICE, "--platform", "apple", "--days", "30", "-o", "1")
    second = hubgw("profile", ALICE.upper(), "--platform", "linux", "-o", "2", "--password-file", "password", "--json")
    assert (first.code, second.code) == (0, 0)
    assert set(json.loads(second.out)) == {"file", "issued"}
    users = rig.certificates.users.issued()
    assert [one.name for one in users] == [ALICE, ALICE] and len({one.serial for one in users}) == 2
    assert b"ENCRYPTED PRIVATE KEY" in b"".join(_tar("2").values())
    again = hubgw("profile", ALICE, "--platform", "apple", "-o", "1")
    assert again.code == 2 and "1: File exists; move it away, or name another file with --out" in again.err
    assert len(rig.certificates.users.issued()) == 2


def test_what_cannot_be_is_said_before_anything_is_issued(rig: Rig, hubgw: Hubgw) -> None:
    ended = hubgw("profile", ALICE, "--platform", "linux")
    assert (ended.code, ended.err) == (4, "gateway: there is no such p2sVpnGateway; there is none\n")
    _apply(rig)
    for arguments, code, said in (
        (("al/ice",), 2, 'user: expected user@host, or a name like a host\'s, of at most 64 characters, got "al/ice"'),
        ((ALICE, "--days", "0"), 1, "days: expected 1 to 825, got 0"),
        ((ALICE, "--gateway", "p2"), 4, "p2: there is no such p2sVpnGateway; there is p1"),
        ((ALICE, "--gateway", "\udcff"), 4, "\ufffd: there is no such p2sVpnGateway; there is p1"),
    ):
        ended = hubgw("profile", *arguments, "--platform", "linux")
        assert (ended.code, ended.out, ended.err) == (code, "", f"{said}\n")
    _apply(rig, roots(make("O=Example, CN=users", ca=True, now=time.time())))
    ended = hubgw("profile", ALICE, "--platform", "linux")
    assert ended.code == 1 and ended.err.startswith("p1: does not believe hubgw's own authority; leave ")
    assert (_here(), rig.certificates.users.issued()) == ([], ())


@pytest.mark.parametrize(
    ("user", "routes"),
    [("alice@sales.example.com", "0.0.0.0/0"), (ALICE, "10.50.0.0/24"), ("bob_smith", "10.50.0.0/24")],
)
def test_what_goes_into_the_tunnel_is_what_the_users_group_has(rig: Rig, hubgw: Hubgw, user: str, routes: str) -> None:
    asyncio.run(applied(rig))
    asyncio.run(rig.apply((GROUPS + PASSWORDS).encode()))
    assert hubgw("profile", user, "--platform", "linux", "-o", "a.tar").code == 0
    (conf,) = (content.decode() for name, content in _tar("a.tar").items() if name.startswith("conf.d/"))
    (told,) = (line.partition(" = ")[2].strip('"') for line in conf.splitlines() if "remote_ts" in line)
    assert routes in told.split(", ")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_who_is_known_to_a_radius_server_has_neither_key_nor_password_in_it(
    rig: Rig, hubgw: Hubgw, platform: str
) -> None:
    asyncio.run(applied(rig))
    asyncio.run(rig.apply(RADIUS.encode()))
    ended = hubgw("profile", "carol", "--platform", platform)
    assert ended.code == 0 and "password: " not in ended.out and rig.certificates.users.issued() == ()
    ended = hubgw("profile", "../carol", "--platform", platform)
    assert ended.code == Code.USAGE and "name the file with --out" in ended.err
    (path,) = _here()
    assert b"example-secret" not in path.read_bytes()
