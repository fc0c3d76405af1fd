"""Which SAs end by a revocation: hubgw's own authority's, or a list of the operator's."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import pytest

from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.pki.authority import new_key, request
from hubgw.pki.reading import read_certificates
from tests.certificates import Pair, make, revoke
from tests.fakes.drivers import ike_sa
from tests.unit.agent.rig import Rig, run

BRANCH = "branch1.example.com"

BY_CERTIFICATE = f"""
type: settings
name: branch1
properties: {{resource: vpnSites/branch1, authentication: Certificate}}
---
type: settings
name: named
properties: {{resource: vpnSites/branch1/vpnSiteLinks/link1, remoteIdentity: {BRANCH}}}
"""
OPERATORS = """
---
type: settings
name: gw1
properties:
  resource: vpnGateways/gw1
  certificate: |
{certificate}
  privateKey: |
{key}
  certificateAuthorities:
  - |
{authority}
  revocationLists:
  - |
{revoked}
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.store.close()


def sa(uniqueid: int, connection: str = "hgt1", established: int = 100) -> IkeSa:
    return replace(ike_sa(connection, uniqueid=uniqueid, established=established), remote_id=BRANCH)


def operators(authority: Pair, gateway: Pair, *revoked: Pair, number: int) -> bytes:
    """What a gateway with the operator's certificate has; each list is newer than that of the number before."""
    listed = revoke(authority, *revoked, now=time.time() - 1_000 + number)
    texts = {"certificate": gateway.pem, "key": gateway.key, "authority": authority.pem, "revoked": listed}
    return (BY_CERTIFICATE + OPERATORS.format(**{name: indent(text, "    ") for name, text in texts.items()})).encode()


def test_what_a_successor_made_stays_and_the_rest_of_the_name_ends(rig: Rig) -> None:
    async def case() -> None:
        await rig.connected()
        await rig.apply(BY_CERTIFICATE.encode())
        charon = rig.machine.strongswan
        old, old_text = await rig.hub.issue(request(new_key(), "b"), "b", [BRANCH], 10, who="test")
        assert charon.forgotten == 0
        _, new_text = await rig.hub.issue(request(new_key(), "b"), "b", [BRANCH.upper()], 10, who="test")
        assert charon.forgotten == 1, "what comes by the old one from now on is seen"
        charon.ike += [sa(50), sa(51), sa(52), sa(53, "hgt3")]
        charon.proved = {50: read_certificates(new_text), 51: read_certificates(old_text + new_text)}
        await rig.reconciler.reconcile()
        assert charon.terminated == []
        await rig.hub.revoke(old.serial, who="test")
        assert {51, 52} <= set(charon.terminated) and not {50, 53} & set(charon.terminated)
        assert len(rig.events("sa.revoked")) == len(charon.terminated)
        charon.fresh.clear()
        charon.terminated.clear()
        charon.proved.clear()
        await rig.reconciler.reconcile()
        assert charon.terminated == [], "once, and not again because more is forgotten"
        await rig.hub.revoke("b", who="test")
        assert {50, 51, 52} <= set(charon.terminated), "nobody has one in force"

    run(case())


def test_a_list_of_the_operators_ends_what_it_names_and_what_is_not_known(rig: Rig) -> None:
    async def case() -> None:
        authority, stranger = (make(f"CN={name}", ca=True, now=time.time()) for name in ("authority", "stranger"))
        gateway = make("CN=gw1", ["198.51.100.10", "198.51.100.11"], by=authority, now=time.time())
        old, new = (make(f"CN={BRANCH}", [BRANCH], by=authority, now=time.time()) for _ in range(2))
        await rig.connected()
        await rig.apply(operators(authority, gateway, stranger, number=1))
        charon = rig.machine.strongswan
        charon.fresh.clear()
        charon.terminated.clear()
        charon.ike += [sa(50), sa(51), sa(52), sa(53, established=0), sa(54, "hgt3")]
        charon.proved = {50: read_certificates(new.pem), 51: read_certificates(old.pem)}
        await rig.reconciler.reconcile()
        assert charon.terminated == []
        await rig.apply(operators(authority, gateway, stranger, old, number=2))
        assert {51, 52} <= set(charon.terminated) and not {50, 53, 54} & set(charon.terminated)
        assert f"connection=hgt1 identity={BRANCH}" in rig.events("sa.revoked")

    run(case())


def test_what_charon_would_not_end_is_not_told_as_ended(rig: Rig) -> None:
    async def case() -> None:
        await rig.connected()
        await rig.apply(BY_CERTIFICATE.encode())
        charon = rig.machine.strongswan
        await rig.hub.issue(request(new_key(), "b"), "b", [BRANCH], 10, who="test")
        charon.ike.append(sa(50))
        charon.refuses_to_terminate = "no matching SAs to terminate found"
        await rig.hub.revoke("b", who="test")
        assert 50 in charon.terminated and rig.events("sa.revoked") == []

    run(case())
