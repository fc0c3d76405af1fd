"""By what users proved themselves: what is believed of what charon remembers, and who ends where nothing is known."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from hubgw.agent.proofs import Proof, Proofs
from hubgw.agent.thumbprints import BEGUN
from hubgw.drivers.strongswan.logins import Rekeyed
from hubgw.pki.reading import Certificate, read_certificates
from hubgw.plan.types import Object
from tests.certificates import make
from tests.unit.agent.rig import BRANCHES, run
from tests.unit.agent.test_thumbprints import ALICE, BOB, RENEWED, ROOT, Agent, sa
from tests.unit.agent.test_users import roots

FULL = frozenset(f"{number:016x}" for number in range(32))  # digests: as many as charon remembers

TWO_GATEWAYS = """
  userGatewayInstances:
    - {p2sVpnGateway: p1, instance: 0, publicAddress: 198.51.100.10, interface: eth0}
    - {p2sVpnGateway: p2, instance: 0, publicAddress: 198.51.100.12, interface: eth0}
---
type: virtualHubs
name: hub2
location: northeurope
properties: {virtualWan: wan1, addressPrefix: 10.222.0.0/24}
---
type: p2sVpnGateways
name: p1
properties:
  virtualHub: hub1
  vpnServerConfiguration: users1
  p2SConnectionConfigurations: [{name: all, properties: {vpnClientAddressPool: {addressPrefixes: [10.99.0.0/24]}}}]
---
type: p2sVpnGateways
name: p2
properties:
  virtualHub: hub2
  vpnServerConfiguration: users2
  p2SConnectionConfigurations: [{name: all, properties: {vpnClientAddressPool: {addressPrefixes: [10.98.0.0/24]}}}]
"""


def configuration(name: str, *revoked: Certificate) -> str:
    named = ", ".join(f"{{name: user{n}, thumbprint: '{one.thumbprint}'}}" for n, one in enumerate(revoked))
    terms = "  vpnAuthenticationTypes: [Certificate]\n" + roots(ROOT)
    terms += f"  vpnClientRevokedCertificates: [{named}]\n" if revoked else ""
    return f"---\ntype: vpnServerConfigurations\nname: {name}\nproperties:\n{terms}"


async def apply_two(rig: Agent, first: tuple[Certificate, ...], second: tuple[Certificate, ...]) -> None:
    text = TWO_GATEWAYS + configuration("users1", *first) + configuration("users2", *second)
    await rig.apply(BRANCHES.rstrip(b"\n") + text.encode())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Agent]:
    one = Agent(tmp_path)
    yield one
    one.store.close()


def test_what_one_gateway_refuses_says_nothing_of_another(rig: Agent) -> None:
    async def case() -> None:
        await apply_two(rig, (ALICE,), ())
        assert rig.reconciler.state.desired
        first, second = sorted(one.name for one in rig.reconciler.state.desired.plan.users)
        assert await rig.come(sa(1, "alice", connection=first), remembers=(ALICE,)) == [1]
        await rig.settle()
        assert await rig.come() == []
        rig.now += 60
        assert await rig.come(sa(2, "alice", connection=second)) == [], "where it is good"
        rig.now += 60
        await apply_two(rig, (ALICE,), (ALICE,))
        await rig.settle()
        assert {f"{first}-barred", f"{second}-barred"} <= rig.barring().keys()
        assert await rig.come() == [2]
        rig.now += BEGUN - 1
        assert await rig.come(sa(3, "alice", connection=second)) == [3], "a login that was under way"
        rig.now += 1
        assert await rig.come(sa(4, "alice", connection=second)) == []

    run(case())


def test_of_two_certificates_of_one_name_that_which_is_remembered_is_not_believed_of_who_came_unseen(
    rig: Agent,
) -> None:
    async def case() -> None:
        await rig.revoke()
        rig.machine.strongswan.remembers = (RENEWED,)
        rig.now += 100
        rig.users._started = rig.now
        assert await rig.come(sa(1, "alice", established=50)) == []
        await rig.revoke(ALICE)
        assert await rig.come() == [1]
        assert rig.users._reasons[1].endswith("or may be")

    run(case())


@pytest.mark.parametrize("lost", ["full", "flushed"])
def test_what_charon_had_to_forget_is_believed_for_a_moment_alone(rig: Agent, lost: str) -> None:
    async def case() -> None:
        await rig.revoke()
        charon = rig.machine.strongswan
        charon.remembers = (RENEWED, BOB)
        if lost == "full":
            charon.remembers_besides = FULL
        else:
            charon.forgot = rig.now - 1
        await rig.come(sa(1, "alice", established=6), sa(2, "bob", established=0))
        await rig.revoke(ALICE)
        assert await rig.come() == ([1] if lost == "full" else [1, 2])

    run(case())


def test_what_was_proved_just_before_charon_had_to_forget_is_none_of_what_it_remembers(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke()
        rig.machine.strongswan.forgot = rig.now - 4
        await rig.come(sa(1, "eva", established=0), sa(2, "bob"), remembers=(BOB,))
        await rig.revoke(ALICE)
        assert await rig.come() == [1]

    run(case())


def test_who_calls_himself_by_a_pattern_is_any_that_it_may_be(rig: Agent) -> None:
    async def case() -> None:
        (gateway,) = read_certificates(make("CN=vpn", ["*.example.com"], by=ROOT).pem)
        (device,) = read_certificates(make("CN=dev", ["dev.example.com"], by=ROOT).pem)
        await rig.revoke(device)
        one = replace(sa(1, "x"), remote_id="*.example.com")
        assert await rig.come(one, remembers=(gateway, device)) == [1]
        rig.machine.strongswan.remembers_besides = FULL
        assert await rig.come(replace(sa(2, "x"), remote_id="*.example.com")) == [2]

    run(case())


def test_a_session_is_ended_until_it_is_gone(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(ALICE)
        charon = rig.machine.strongswan

        async def terminate(number: int) -> str:
            return f"no matching SAs to terminate found: {number}"  # it was rekeyed, and that event is under way

        with patch.object(charon, "terminate", terminate):
            await rig.come(sa(1, "alice"), remembers=(ALICE,))
        rig.users.take(Rekeyed(1, sa(9, "alice")))
        assert await rig.come() == [9]
        assert await rig.come() == []

    run(case())


def test_who_has_no_child_yet_is_ended_as_well(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(ALICE)
        charon = rig.machine.strongswan
        charon.ike = [replace(sa(1, "alice", children=()), established=20)]
        rig.now += 10
        await rig.restart()
        assert await rig.come() == [1]
        charon.terminated.clear()
        charon.ike = [replace(sa(1, "alice", children=()), established=20)]
        await rig.reconciler.follow()
        assert await rig.come() == [1]

    run(case())


def test_a_name_that_cannot_be_compared_ends_nobody_who_came_by_what_is_good(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(BOB)
        eva = replace(sa(1, "x"), remote_id="O=?E?x?a?m?p?l?e, CN=eva")
        assert await rig.come(eva, remembers=(ALICE,)) == [], "none that is remembered is revoked"
        assert await rig.come(replace(eva, uniqueid=2, initiator_spi="2"), remembers=(BOB,)) == [2]
        await rig.settle()
        assert await rig.come() == []
        rig.now += BEGUN + 1
        assert await rig.come(replace(eva, uniqueid=3, initiator_spi="3")) == [], "charon refuses by it"

    run(case())


def test_taking_a_thumbprint_away_ends_nobody(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(ALICE)
        charon = rig.machine.strongswan
        assert await rig.come(sa(1, "alice"), remembers=(ALICE, RENEWED)) == [1]
        await rig.settle()
        assert await rig.come() == []
        rig.now += BEGUN + 60
        assert await rig.come(sa(2, "alice")) == []
        charon.remembers, charon.remembers_besides = (ALICE,), FULL
        assert await rig.come(sa(3, "nobody")) == [], "charon refuses by all that are revoked"
        real = charon.observe

        async def observe() -> list[Object]:
            seen = await real()
            await rig.thumbprints.round()
            return seen

        charon.terminated.clear()
        with patch.object(charon, "observe", observe):
            await rig.revoke()
            await rig.settle()
        assert await rig.come() == [] and rig.certificates.barred.known() == {}
        assert len(rig.events("certificate.barred")) == 1

    run(case())


def test_a_thousand_sessions_outlive_the_first_thumbprint_after_a_restart(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke()
        charon = rig.machine.strongswan
        charon.remembers = (ALICE, BOB)
        many = [
            replace(sa(number, "alice"), virtual_addresses=(f"10.99.{number % 4}.{number // 4}",))
            for number in range(2, 1_000)
        ]
        assert await rig.come(sa(1, "bob"), *many) == []
        charon.remembers, charon.remembers_besides = (), FULL
        rig.now += 100
        await rig.restart()
        await rig.revoke(BOB)
        assert await rig.come() == [1]

    run(case())


def test_a_file_that_cannot_be_read_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "proofs.json"
    for text in ("{", "[1]", '[["1", "2", 3, []]]'):
        path.write_text(text)
        assert Proofs(path).of(("1", "2")) is None
    Proofs(path).keep({("1", "2"): Proof(frozenset({"a"}))}, set())
    assert Proofs(path).of(("1", "2")) == Proof(frozenset({"a"}))
    again = Proofs(path)
    again.keep({}, None)
    assert again.of(("1", "2")), "charon is silent"
    again.keep({}, set())
    assert Proofs(path).of(("1", "2")) is None
