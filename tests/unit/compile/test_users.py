"""A gateway of users: who is let in by what, into which pools."""

import time
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.credentials import Barred, UsersAuthority
from hubgw.compile.plan import compile_plan
from hubgw.pki.authority import Authority, issue, new_authority, new_key, request, revocation_list, subordinate
from hubgw.pki.reading import Credentials, read_certificates
from hubgw.plan.ipsec import IkeCertificate, IkeServer, IkeUser
from hubgw.plan.types import Plan
from hubgw.resources.base import Resource
from hubgw.resources.inventory import Inventory
from hubgw.resources.parse import parse

ROOT = new_authority("users", time.time())
OWN = new_authority("own", time.time(), path_length=1)
"""hubgw's own authority of users."""


def resource(type_: str, name: str, **properties: Any) -> Resource:
    located = {"location": "westeurope"} if type_ == "virtualHubs" else {}
    parsed = parse({"type": type_, "name": name, "properties": properties, **located})
    assert parsed.resource is not None, parsed.findings
    return parsed.resource


def server(*types: str, believed: tuple[Authority, ...] = (ROOT,), **more: Any) -> Resource:
    texts = (one.certificate.splitlines() for one in believed if types)
    roots = [
        {"name": f"root{number}", "publicCertData": "".join(line for line in text if not line.startswith("---"))}
        for number, text in enumerate(texts)
    ]
    if "Radius" in types:
        more["radiusServers"] = [{"radiusServerAddress": "192.0.2.1", "radiusServerSecret": "example-secret"}]
    return resource(
        "vpnServerConfigurations", "s", vpnAuthenticationTypes=[*types], vpnClientRootCertificates=roots, **more
    )


def user(name: str, number: int = 1) -> Resource:
    return resource("vpnUsers", name, vpnServerConfiguration="s", password=f"example-password-{number}")


def plan_of(*resources: Resource, barred: Barred = MappingProxyType({})) -> Plan:
    configurations = [{"name": "all", "properties": {"vpnClientAddressPool": {"addressPrefixes": ["10.99.0.0/24"]}}}]
    instance = {"p2sVpnGateway": "p1", "instance": 0, "publicAddress": "198.51.100.10", "interface": "eth0"}
    every = [
        resource("virtualWans", "wan1"),
        resource("virtualHubs", "hub1", virtualWan="wan1", addressPrefix="10.100.0.0/24"),
        resource("nodes", "node1", userGatewayInstances=[instance]),
        *resources,
    ]
    if not any(one.type == "p2sVpnGateways" for one in every):
        properties = {"virtualHub": "hub1", "vpnServerConfiguration": "s"}
        every.append(resource("p2sVpnGateways", "p1", **properties, p2SConnectionConfigurations=configurations))
    inventory = Inventory.of(every)
    hubs, key = new_authority("hub", time.time()), new_key()
    mine = issue(hubs, request(key, "p1"), "p1", ["198.51.100.10"], now=time.time(), days=10)
    own = {inventory.user_gateways[0].key: Credentials(mine, key, (hubs.certificate,), ())}
    numbers = numbered(owners(inventory), {})
    users = own_authority()
    return compile_plan(inventory, inventory.nodes[0], numbers, "digest", b"test", own=own, users=users, barred=barred)


def own_authority() -> UsersAuthority:
    now = time.time()
    signing = subordinate(OWN, "signing", new_key(), now=now, days=10)
    lists = revocation_list(signing, (), 1, now), revocation_list(OWN, (), 1, now)
    return UsersAuthority(OWN.certificate, (signing.certificate,), lists)


def servers(plan: Plan) -> dict[str, IkeServer]:
    return {obj.name: obj for obj in plan.objects if isinstance(obj, IkeServer)}


@pytest.mark.parametrize(
    ("types", "users", "methods"),
    [
        (["Certificate"], [], {"hgt1": "", "hgt1-eap": "tls"}),
        (["Certificate"], ["alice"], {"hgt1": "", "hgt1-eap": "mschapv2"}),
        ([], ["alice"], {"hgt1-eap": "mschapv2"}),
        (["Radius"], [], {"hgt1-eap": "radius"}),
        (["Certificate", "Radius"], [], {"hgt1": "", "hgt1-eap": "radius"}),
    ],
)
def test_each_way_to_prove_who_one_is(types: list[str], users: list[str], methods: dict[str, str]) -> None:
    found = servers(plan_of(server(*types), *map(user, users)))
    assert {name: one.eap for name, one in found.items()} == methods
    # An authority says nothing of who has a password.
    assert {one.eap for one in found.values() if one.authorities} <= {"", "tls"}
    assert all(one.unique == "never" for one in found.values())


def test_a_password_is_known_by_a_digest_that_changes_with_it() -> None:
    def ids(*users: Resource) -> dict[str, str]:
        objects = plan_of(server(), *users).objects
        return {obj.name: obj.id for obj in objects if isinstance(obj, IkeUser)}

    before, after = ids(user("alice"), user("bob")), ids(user("alice", 2), user("bob"))
    assert before.keys() == after.keys() == {"alice", "bob"}
    assert before["bob"] == after["bob"] != before["alice"] != after["alice"]
    assert not any("example" in id_ for id_ in before.values())


@pytest.mark.parametrize(("word", "unique"), [("both", "never"), ("replace", "replace")])
def test_several_devices_of_one_user(word: str, unique: str) -> None:
    settings = resource("settings", "devices", resource="p2sVpnGateways/p1", concurrentSessions=word)
    found = servers(plan_of(server("Certificate"), settings))
    assert {one.unique for one in found.values()} == {unique}


def test_a_policy_is_the_one_suite_and_bounds_a_child_sa() -> None:
    policy = {
        "saLifeTimeSeconds": 7200,
        "saDataSizeKilobytes": 102_400,
        "ikeEncryption": "AES256",
        "ikeIntegrity": "SHA384",
        "dhGroup": "ECP384",
        "ipsecEncryption": "GCMAES256",
        "ipsecIntegrity": "GCMAES256",
        "pfsGroup": "None",
    }
    one = servers(plan_of(server("Certificate", vpnClientIpsecPolicies=[policy])))["hgt1"]
    assert (one.proposals, one.esp_proposals) == (("aes256-sha384-ecp384",), ("aes256gcm16",))
    assert (one.child_life_time, one.child_life_bytes) == (7200, 102_400 * 1024)


def grouped(*, default: bool, users: tuple[Resource, ...] = ()) -> dict[str, IkeServer]:
    """Servers of a gateway with a pool for each group."""
    return servers(plan_of(*grouped_resources(default=default), *users))


def grouped_resources(*, default: bool, believed: tuple[Authority, ...] = (ROOT,)) -> tuple[Resource, Resource]:
    def group(name: str, priority: int, *values: str, is_default: bool = False) -> dict[str, Any]:
        members = [{"attributeType": "CertificateGroupId", "attributeValue": value} for value in values]
        return {
            "name": name,
            "properties": {"isDefault": is_default, "priority": priority, "policyMembers": members},
        }

    groups = [group("a", 1, "a.example"), group("b", 2, "b.example", "O=Example,OU=b,CN=*")]
    groups += [group("rest", 3, is_default=True)] if default else []
    configurations = [
        {
            "name": one["name"],
            "properties": {
                "vpnClientAddressPool": {"addressPrefixes": [f"10.99.{number}.0/24"]},
                "configurationPolicyGroupAssociations": [one["name"]],
            },
        }
        for number, one in enumerate(groups)
    ]
    gateway = resource(
        "p2sVpnGateways",
        "p1",
        virtualHub="hub1",
        vpnServerConfiguration="s",
        p2SConnectionConfigurations=configurations,
    )
    return server("Certificate", believed=believed, configurationPolicyGroups=groups), gateway


def test_a_group_is_chosen_by_what_a_public_key_proves_and_nothing_else() -> None:
    found = grouped(default=True, users=(user("alice"),))
    pools = {(one.eap, one.remote_id): one.pools for one in found.values()}
    assert pools == {
        ("", "*@a.example"): ("hgt1-10.99.0.0-25",),
        ("", "*@b.example"): ("hgt1-10.99.1.0-25",),
        ("", "O=Example, OU=b, CN=*"): ("hgt1-10.99.1.0-25",),
        ("", "%any"): ("hgt1-10.99.2.0-25",),
        ("mschapv2", "%any"): ("hgt1-10.99.2.0-25",),
    }


def test_each_connection_is_known_by_its_group() -> None:
    plan = plan_of(*grouped_resources(default=True))
    names = {one.remote_id: name for name, one in servers(plan).items() if not one.eap}
    assert dict(plan.users[0].groups) == {
        names["*@a.example"]: "a",
        names["*@b.example"]: "b",
        names["O=Example, OU=b, CN=*"]: "b",
        "hgt1": "rest",
        "hgt1-eap": "rest",
    }


def test_without_a_default_group_there_is_no_way_for_the_rest() -> None:
    found = grouped(default=False)
    assert {one.remote_id for one in found.values()} == {"*@a.example", "*@b.example", "O=Example, OU=b, CN=*"}
    # Sessions are of a connection: its name is the same whatever else there is.
    assert found.keys() <= grouped(default=True).keys()


@pytest.mark.parametrize("believed", [(), (ROOT, OWN)], ids=["nobody else", "the operator's too"])
def test_who_calls_himself_by_his_subject_is_in_the_group_of_the_domain_that_hubgw_put_in_it(
    believed: tuple[Authority, ...],
) -> None:
    plan = plan_of(*grouped_resources(default=True, believed=believed))
    (root,) = read_certificates(OWN.certificate)
    own = {one.remote_id: one for one in servers(plan).values() if one.remote_id.startswith("O=hubgw, ")}
    # Others are believed as to names, and their subjects are not of hubgw's making.
    assert {(one.eap, one.authorities, one.is_strict) for one in own.values()} == {("", (root.digest,), True)}
    groups = dict(plan.users[0].groups)
    assert {name: (groups[one.name], one.pools) for name, one in own.items()} == {
        "O=hubgw, OU=a.example, CN=*": ("a", ("hgt1-10.99.0.0-25",)),
        "O=hubgw, OU=b.example, CN=*": ("b", ("hgt1-10.99.1.0-25",)),
    }


def test_a_subject_that_a_group_has_itself_is_asked_for_once() -> None:
    subject = "O=hubgw, OU=a.example, CN=*"
    members = [{"attributeType": "CertificateGroupId", "attributeValue": value} for value in ("A.example", subject)]
    groups = [{"name": "a", "properties": {"isDefault": True, "policyMembers": members}}]
    gateway = resource(
        "p2sVpnGateways",
        "p1",
        virtualHub="hub1",
        vpnServerConfiguration="s",
        p2SConnectionConfigurations=[
            {
                "name": "a",
                "properties": {
                    "vpnClientAddressPool": {"addressPrefixes": ["10.99.0.0/24"]},
                    "configurationPolicyGroupAssociations": ["a"],
                },
            }
        ],
    )
    found = servers(plan_of(server("Certificate", believed=(), configurationPolicyGroups=groups), gateway))
    assert sorted(one.remote_id for one in found.values() if not one.eap) == ["%any", "*@A.example", subject]


def test_what_is_revoked_and_was_seen_is_refused_before_each_way_in_by_a_certificate() -> None:
    (alice,) = read_certificates(ROOT.certificate)
    (bob,) = read_certificates(new_authority("bob", time.time()).certificate)
    seen = {alice.thumbprint: alice, bob.thumbprint: bob}
    revoked = [{"name": "alice", "thumbprint": alice.thumbprint.upper()}, {"name": "x", "thumbprint": "0" * 40}]
    static = [{"identity": "carol@example.com", "addresses": ["10.98.0.1", "10.98.0.2"]}]
    settings = resource("settings", "static", resource="p2sVpnGateways/p1", staticAddresses=static)
    plan = plan_of(server("Certificate", vpnClientRevokedCertificates=revoked), settings, barred=seen)
    found = servers(plan)
    names = list(found)
    ways = [name for name in names if not name.endswith("-barred")]
    assert len(ways) == 3 and names == [one for way in ways for one in (f"{way}-barred", way)]
    for way in ways:
        barring, admitting = found[f"{way}-barred"], found[way]
        assert (barring.remote_id, barring.eap) == (admitting.remote_id, admitting.eap)
        assert (barring.barred, barring.pools, barring.authorities) == ((alice.digest,), (), ())
        assert admitting.pools and admitting.authorities and not admitting.barred
    assert alice.digest in {one.digest for one in plan.objects if isinstance(one, IkeCertificate)}
    assert plan.users[0].thumbprints == {alice.thumbprint, "0" * 40} and plan.users[0].by_certificate == set(ways)


def test_who_shows_charon_no_certificate_is_not_held_against_one() -> None:
    (alice,) = read_certificates(ROOT.certificate)
    revoked = [{"name": "alice", "thumbprint": alice.thumbprint}]
    both = server("Certificate", "Radius", vpnClientRevokedCertificates=revoked)
    plan = plan_of(both, barred={alice.thumbprint: alice})
    assert [*servers(plan)] == ["hgt1-barred", "hgt1", "hgt1-eap"] and plan.users[0].by_certificate == {"hgt1"}
    plan = plan_of(server("Certificate"), user("bob"), barred={alice.thumbprint: alice})
    assert [*servers(plan)] == ["hgt1", "hgt1-eap"] and plan.users[0].thumbprints == set()


def test_certificates_that_do_not_fit_into_one_message_are_left_to_the_agent() -> None:
    alice = read_certificates(ROOT.certificate)[0]
    revoked = [{"name": str(number), "thumbprint": f"{number:040X}"} for number in range(200)]
    many = {f"{number:040x}": replace(alice, der=number.to_bytes(2, "big") + bytes(3_000)) for number in range(200)}
    barring = servers(plan_of(server("Certificate", vpnClientRevokedCertificates=revoked), barred=many))["hgt1-barred"]
    assert 100 < len(barring.barred) < 448 * 1024 / 3_000
    assert many[f"{0:040x}"].digest in barring.barred and many[f"{199:040x}"].digest not in barring.barred
