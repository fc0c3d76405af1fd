"""Gateways of users on an agent without a machine: whom they believe, by what they prove themselves, who is ended."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hubgw.agent.expiry import certificate_statuses
from hubgw.agent.statuses import Validity
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.users import encode_server
from hubgw.pki.authority import new_key, request
from hubgw.pki.reading import certificate_of, key_id, read_certificates, revocation_list_of
from hubgw.plan.ipsec import IkeCertificate, IkeKey, IkeServer
from tests.certificates import Pair, make, revoke
from tests.fakes.drivers import ike_sa
from tests.unit.agent.rig import BRANCHES, Rig, run

ALICE = "alice@example.com"
DAY = 86_400
USERS = """
  userGatewayInstances:
    - {p2sVpnGateway: p1, instance: 0, publicAddress: 198.51.100.10, interface: eth0}
    - {p2sVpnGateway: p1, instance: 1, publicAddress: 198.51.100.11, interface: eth0}
---
type: p2sVpnGateways
name: p1
properties:
  virtualHub: hub1
  vpnServerConfiguration: users
  p2SConnectionConfigurations: [{name: all, properties: {vpnClientAddressPool: {addressPrefixes: [10.99.0.0/24]}}}]
---
type: vpnServerConfigurations
name: users
properties:
  vpnAuthenticationTypes: [Certificate]
"""
FQDN = """
---
type: settings
name: p1
properties: {resource: p2sVpnGateways/p1, gatewayFqdn: vpn.example.com}
"""


def roots(*pairs: Pair) -> str:
    """What the configuration has of authorities that it believes instead of hubgw's own."""
    named = [
        {"name": f"root{number}", "publicCertData": base64.b64encode(certificate_der(one.pem)).decode()}
        for number, one in enumerate(pairs)
    ]
    return f"  vpnClientRootCertificates: {json.dumps(named)}\n"


def certificate_der(pem: str) -> bytes:
    (read,) = read_certificates(pem)
    return read.der


def lists(*texts: str) -> str:
    properties = {"resource": "vpnServerConfigurations/users", "revocationLists": list(texts)}
    return f"---\ntype: settings\nname: users\nproperties: {json.dumps(properties)}\n"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.store.close()


async def applied(rig: Rig, *more: str) -> None:
    await rig.apply(BRANCHES.rstrip(b"\n") + (USERS + "".join(more)).encode())


async def issue(rig: Rig, name: str = ALICE, *, renews: bool = False) -> tuple[str, str]:
    """Returns the serial, and the certificate as PEM."""
    asked = request(new_key(), name)
    issued, text = await rig.hub.issue_user(asked, name, 90, renews=renews, revokes=False, who="test")
    return issued.serial, text


def held(rig: Rig) -> tuple[list[IkeServer], dict[str, IkeCertificate], set[str]]:
    """What charon has been given of servers, certificates by digest, and keys by id."""
    objects = list(rig.machine.strongswan.objects.values())
    return (
        sorted((one for one in objects if isinstance(one, IkeServer) and not one.eap), key=lambda one: one.name),
        {one.digest: one for one in objects if isinstance(one, IkeCertificate)},
        {one.id for one in objects if isinstance(one, IkeKey)},
    )


def sa(uniqueid: int, server: IkeServer, identity: str = ALICE, established: int = 100) -> IkeSa:
    return replace(ike_sa(server.name, uniqueid=uniqueid, established=established), remote_id=identity)


def test_hubgws_own_authority_is_believed_with_nothing_else_configured(rig: Rig) -> None:
    async def case() -> None:
        await applied(rig, FQDN)
        authority = rig.certificates.users.authority()
        root, signing = authority.certificates
        servers, certificates, keys = held(rig)
        assert [(one.local_id, one.authorities, one.is_strict) for one in servers] == [
            ("vpn.example.com", (root.digest,), True)
        ] * 2
        leaf = certificate_of(certificates[servers[0].certificate].der)
        assert leaf.key_id in keys and leaf.names[0] == "vpn.example.com"
        assert {root.digest, signing.digest, leaf.digest} <= certificates.keys()
        told = [revocation_list_of(one.der) for one in certificates.values() if one.revokes]
        assert {one.key_id for one in told} == {root.key_id, signing.key_id}
        encoded = encode_server(servers[0], certificates, frozenset())[servers[0].name]
        assert isinstance(encoded, dict)
        assert encoded["remote"] == {"auth": "pubkey", "id": "%any", "cacerts": [root.der], "revocation": "strict"}
        assert rig.certificates.issued() == () and "pki" not in str(rig.journal.events())

    run(case())


def test_the_operators_authorities_and_certificate_leave_nothing_of_hubgws(rig: Rig) -> None:
    async def case() -> None:
        now = time.time()
        root, ca = (make(f"O=Example, CN={name}", ca=True, now=now) for name in ("users", "servers"))
        own = make("O=Example, CN=p1", ["198.51.100.10", "198.51.100.11"], by=ca, kind="rsa2048", now=now)
        given = {
            "resource": "p2sVpnGateways/p1",
            "certificate": own.pem,
            "privateKey": own.key,
            "certificateAuthorities": [ca.pem],
        }
        settings = f"---\ntype: settings\nname: p1\nproperties: {json.dumps(given)}\n"
        await applied(rig, roots(root), settings)
        servers, certificates, keys = held(rig)
        subjects = {one.subject for one in certificates.values()}
        assert subjects == {"O=Example, CN=users", "O=Example, CN=servers", "O=Example, CN=p1"}
        assert [(one.local_id, one.is_strict) for one in servers] == [
            ("198.51.100.10", False),
            ("198.51.100.11", False),
        ]
        assert certificates[servers[0].certificate].subject == "O=Example, CN=p1"
        (believed,) = servers[0].authorities
        assert certificates[believed].subject == "O=Example, CN=users"
        assert rig.certificates.users.believed() is None and len(keys) == 1
        await applied(rig, roots(root), settings, lists(revoke(root, now=now)))
        assert all(one.is_strict for one in held(rig)[0]), "a list that is missing or too old refuses"

    run(case())


def test_hubgws_own_root_among_others_has_its_lists(rig: Rig) -> None:
    async def case() -> None:
        now = time.time()
        other = make("O=Example, CN=users", ca=True, now=now)
        own = (await rig.hub.users()).authority
        (root,) = read_certificates(own)
        both = [{"name": "own", "publicCertData": base64.b64encode(root.der).decode()}]
        both.append({"name": "other", "publicCertData": base64.b64encode(certificate_der(other.pem)).decode()})
        await applied(rig, f"  vpnClientRootCertificates: {json.dumps(both)}\n", lists(revoke(other, now=now)))
        servers, certificates, _ = held(rig)
        assert servers[0].is_strict and len(servers[0].authorities) == 2 and root.digest in servers[0].authorities
        assert len([one for one in certificates.values() if one.revokes]) == 3

    run(case())


def test_a_revoked_user_is_off_and_nobody_else(rig: Rig) -> None:
    async def case() -> None:
        await applied(rig)
        charon = rig.machine.strongswan
        first, first_text = await issue(rig)
        await issue(rig, "bob")
        assert charon.forgotten == 0
        _, second_text = await issue(rig, renews=True)
        assert charon.forgotten == 1, "what comes by the old one from now on is seen"
        (server, other), _, _ = held(rig)
        charon.ike += [sa(50, server), sa(51, other), sa(52, server, "bob")]
        charon.ike += [sa(54, server, established=0), sa(55, server, f"O=hubgw, OU=example.com, CN={ALICE.title()}")]
        charon.proved = {50: read_certificates(second_text), 51: read_certificates(first_text)}
        charon.fresh.clear()
        await rig.reconciler.reconcile()
        assert charon.terminated == []
        await rig.hub.revoke_user(first, who="test")
        assert set(charon.terminated) == {51, 55}, "by the old one, or by what is not known"
        charon.fresh.clear()
        charon.terminated.clear()
        await rig.reconciler.reconcile()
        assert charon.terminated == []
        await rig.hub.revoke_user(ALICE, who="test")
        assert set(charon.terminated) >= {50, 51, 55} and not {52, 54} & set(charon.terminated)
        assert f"connection={server.name} identity={ALICE}" in rig.events("sa.revoked")
        (listed,) = (one for one in held(rig)[1].values() if one.revokes and revocation_list_of(one.der).serials)
        assert first in revocation_list_of(listed.der).serials

    run(case())


@pytest.mark.parametrize("identity", ["*", "*@example.com", "O=hubgw, OU=example.com, CN=*", "0a:0b:0c", "carol", ""])
def test_who_is_nobody_is_off(rig: Rig, identity: str) -> None:
    async def case() -> None:
        await applied(rig)
        await issue(rig)
        (server, _), _, _ = held(rig)
        rig.machine.strongswan.ike += [sa(50, server, ALICE.upper()), sa(51, server, identity)]
        await rig.reconciler.reconcile()
        assert rig.machine.strongswan.terminated == [51]

    run(case())


def test_a_thumbprint_revokes_what_hubgw_issued(rig: Rig) -> None:
    async def case() -> None:
        await applied(rig)
        await issue(rig)
        (server, _), _, _ = held(rig)
        rig.machine.strongswan.ike.append(sa(50, server))
        (alice,) = rig.certificates.users.issued()
        revoked = f"  vpnClientRevokedCertificates: [{{name: alice, thumbprint: {alice.thumbprint.upper()}}}]\n"
        await applied(rig, revoked)
        assert rig.machine.strongswan.terminated == [50]
        assert [one.revoked is None for one in (await rig.hub.users()).users] == [False]
        await applied(rig)
        assert [one.revoked is None for one in (await rig.hub.users()).users] == [True]

    run(case())


def test_a_list_of_the_operators_ends_whom_it_names_and_who_is_not_known(rig: Rig) -> None:
    async def case() -> None:
        now = time.time()
        root = make("O=Example, CN=users", ca=True, now=now)
        alice, bob = (make(f"O=Example, CN={name}", [name], by=root, now=now) for name in ("alice", "bob"))
        await applied(rig, roots(root), lists(revoke(root, now=now - 1_000)))
        charon = rig.machine.strongswan
        (server, _), _, _ = held(rig)
        charon.fresh.clear()
        charon.ike += [sa(50, server, "alice"), sa(51, server, "bob"), sa(52, server, "carol")]
        charon.proved = {50: read_certificates(alice.pem), 51: read_certificates(bob.pem)}
        await applied(rig, roots(root), lists(revoke(root, alice, now=now - 500)))
        assert set(charon.terminated) == {50, 52}

    run(case())


def test_certificates_of_users_are_told_a_third_of_their_life_ahead(rig: Rig) -> None:
    async def case() -> None:
        await applied(rig)
        await issue(rig, "bob")
        await issue(rig)
        old, _ = await issue(rig, renews=True)
        await rig.hub.revoke_user("bob", who="test")
        desired, now = await rig.compiler.latest(), time.time()

        def states(days: float) -> list[tuple[str, Validity]]:
            found = certificate_statuses(desired, rig.certificates, now + days * DAY)
            return [(one.name, one.state) for one in found if one.kind == "user"]

        # Each device of a user has its own: none replaces another.
        assert states(59) == [("bob", Validity.REVOKED), (ALICE, Validity.VALID), (ALICE, Validity.VALID)]
        assert states(61) == [("bob", Validity.REVOKED), (ALICE, Validity.EXPIRES), (ALICE, Validity.EXPIRES)]
        assert states(91) == [("bob", Validity.REVOKED), (ALICE, Validity.EXPIRED), (ALICE, Validity.EXPIRED)]
        found = certificate_statuses(desired, rig.certificates, now)
        (newest,) = (one for one in found if one.serial == old)
        authorities = {one.subject for one in found if (one.kind, one.name) == ("authority", "hubgw")}
        assert newest.issuer in authorities and len(authorities) == 2
        assert {one.name for one in found if one.kind == "gateway"} == {"p1"}

    run(case())


def test_keys_of_the_plan_are_those_of_its_certificates(rig: Rig) -> None:
    async def case() -> None:
        await applied(rig)
        (credentials,) = (await rig.compiler.latest()).own.values()
        assert held(rig)[2] == {key_id(credentials.key)} == {credentials.own[0].key_id}
        assert "PRIVATE KEY" not in repr(await rig.compiler.latest())

    run(case())


def test_who_has_no_password_any_longer_is_ended(rig: Rig) -> None:
    async def case() -> None:
        password = "---\ntype: vpnUsers\nname: bob\nproperties: {vpnServerConfiguration: users, password: a-password}\n"
        await applied(rig, password)
        charon = rig.machine.strongswan
        server, _ = (obj for obj in charon.objects.values() if isinstance(obj, IkeServer) and obj.eap == "mschapv2")
        names = ("BOB", "EXAMPLE\\bob", "carol", "*")
        given = [(replace(sa(number, server), responder_spi=f"b{number}"), name) for number, name in enumerate(names)]
        charon.ike = [replace(one, eap_identity=name) for one, name in given]
        await rig.settle()
        assert set(charon.terminated) == {2, 3}
        ended, refused = charon.ike[2], replace(charon.ike[2], uniqueid=4, responder_spi="b4")
        assert ended in rig.reconciler.ends and charon.ike[0] not in rig.reconciler.ends
        charon.refuses_to_terminate = "no matching SAs to terminate found"
        charon.ike.append(refused)
        await rig.settle()
        assert charon.terminated.count(4) == 1 and refused not in rig.reconciler.ends, "nobody asks why it ended"
        assert ended in rig.reconciler.ends, "it is told yet"
        charon.reach.fail_calls["terminate"] = 1
        charon.ike = [refused]
        await rig.settle()
        assert refused not in rig.reconciler.ends and "strongswan" in rig.reconciler.state.unreachable

    run(case())
