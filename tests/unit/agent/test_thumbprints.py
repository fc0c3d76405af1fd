"""Thumbprints of certificates that others' authorities issued: whom charon refuses, who is ended, and who stays."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from hubgw.agent.barred import BarredCertificates
from hubgw.agent.proofs import Proofs
from hubgw.agent.thumbprints import BEGUN, BEGUN_BY_EAP, Thumbprints
from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.faults import Fault, Why
from hubgw.drivers.strongswan.logins import Barred, Came, Carried, Rekeyed, Went
from hubgw.pki.reading import Certificate, read_certificates
from hubgw.plan.ipsec import IkeServer
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import StoreError
from tests.certificates import make
from tests.fakes.drivers import child_sa, ike_sa
from tests.unit.agent.rig import Rig, run
from tests.unit.agent.test_users import applied, roots

CLIENT = "192.0.2.202"
NOW = time.time()
ROOT = make("O=Example, CN=users", ca=True, now=NOW)


def certificate(name: str, **names: str) -> Certificate:
    (read,) = read_certificates(make(f"O=Example, CN={name}", [*names.values()], by=ROOT, now=NOW).pem)
    return read


ALICE, RENEWED, BOB = certificate("alice"), certificate("alice"), certificate("bob", mail="bob@example.com")


def sa(number: int, name: str, **other: object) -> IkeSa:
    made = ike_sa(str(other.pop("connection", "hgt1")), uniqueid=number, established=0)
    child = child_sa("hgt1", uniqueid=number)
    spis = {"initiator_spi": f"{number:016x}", "responder_spi": f"{number + 1:016x}"}
    given = {"remote_id": f"O=Example, CN={name}", "virtual_addresses": (f"10.99.0.{number}",), "children": (child,)}
    return replace(made, remote_address=CLIENT, **(given | spis | other))  # type: ignore[arg-type]


class Agent(Rig):
    """A rig that holds users against thumbprints; `now` is the time that this goes by."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.now = time.time()
        self.proofs = path / "proofs.json"
        self.thumbprints = Thumbprints(
            self.reconciler,
            self.machine.strongswan,  # type: ignore[arg-type]
            self.users,
            self.certificates.barred,
            proofs=Proofs(self.proofs),
            journal=self.journal,
            changed=self._fire,
            now=lambda: self.now,
        )
        self.users._now = lambda: self.now
        self.users._started = self.now - 1_000

    async def revoke(self, *revoked: Certificate, more: str = "") -> None:
        named = ", ".join(f"{{name: user{n}, thumbprint: '{one.thumbprint.upper()}'}}" for n, one in enumerate(revoked))
        await applied(self, roots(ROOT), f"  vpnClientRevokedCertificates: [{named}]\n" if revoked else "", more)

    async def restart(self) -> None:
        """Has another agent take the place of this one, and look at what there is."""
        self.users._sessions.clear()
        self.users._gone.clear()
        self.thumbprints._kept = self.certificates.barred = BarredCertificates(self.store)
        self.thumbprints._proofs = Proofs(self.proofs)
        self.thumbprints._sought = frozenset()
        self.users._started = self.now
        await self.reconciler.follow()

    async def come(self, *sas: IkeSa, remembers: tuple[Certificate, ...] = ()) -> list[int]:
        """Has users sign on; returns whose SAs end, and has them go."""
        charon = self.machine.strongswan
        charon.remembers += remembers
        charon.terminated.clear()
        charon.ike += sas
        for one in sas:
            self.users.take(Came(one))
        await self.thumbprints.round()
        charon.ike = [one for one in charon.ike if one.uniqueid not in charon.terminated]
        for number in charon.terminated:
            self.users.take(Went(number))
        return charon.terminated

    def barring(self) -> dict[str, tuple[str, ...]]:
        objects = self.machine.strongswan.objects.values()
        return {one.name: one.barred for one in objects if isinstance(one, IkeServer) and one.barred}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Agent]:
    one = Agent(tmp_path)
    yield one
    one.store.close()


def test_whose_thumbprint_is_added_is_ended_at_once_and_refused_from_then_on(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke()
        assert await rig.come(sa(1, "alice"), sa(2, "bob"), remembers=(ALICE, BOB)) == []
        rig.machine.strongswan.remembers = (ALICE,)  # and has forgotten bob's
        await rig.revoke(ALICE)
        assert await rig.come() == [1]
        assert rig.fired == 1 and ALICE.thumbprint in rig.events("certificate.barred")[0]
        assert await rig.come() == [], "once he is gone"
        assert rig.barring() == {}
        await rig.settle()
        assert rig.barring() == dict.fromkeys(
            ("hgt1-barred", "hgt1-eap-barred", "hgt2-barred", "hgt2-eap-barred"), (ALICE.digest,)
        )
        await rig.revoke()
        assert rig.barring() == {}
        assert await rig.come(sa(3, "alice")) == []
        assert rig.certificates.barred.known() == {}

    run(case())


def test_who_comes_by_one_that_nobody_has_seen_is_in_for_a_moment_alone(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(BOB)
        by_mail = replace(sa(1, "x"), remote_id="BOB@example.com")
        by_eap = sa(2, "alice", connection="hgt1-eap", eap_identity="bob@example.com")
        assert await rig.come(by_mail, by_eap, sa(3, "alice"), remembers=(ALICE, BOB)) == [1, 2]
        rig.users.because(1, "another reason comes too late")
        assert rig.users._reasons[1] == "the certificate is revoked (vpnClientRevokedCertificates)"

    run(case())


def test_who_has_shown_what_charon_has_forgotten_is_asked_for_and_else_ended(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(BOB)
        rig.machine.strongswan.by_its_own_rules = {"O=Example, CN=?": (ALICE,), "CN=*": (ALICE, BOB)}
        assert await rig.come(sa(1, "?"), sa(2, "carol"), replace(sa(3, ""), remote_id="CN=*")) == [2, 3]
        assert rig.users._reasons[2].endswith("or may be")
        assert await rig.come() == []

    run(case())


def test_a_renewed_one_of_the_same_name_gets_in_as_soon_as_charon_refuses_the_other(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(ALICE)
        assert await rig.come(sa(1, "alice"), remembers=(RENEWED, ALICE)) == [1], "by which of them nobody knows"
        await rig.settle()
        by_eap = sa(8, "x", connection="hgt1-eap", eap_identity="O=Example, CN=alice")
        assert await rig.come(sa(2, "alice"), by_eap) == [2, 8], "may have begun before"
        rig.now += BEGUN
        assert await rig.come(sa(3, "alice"), replace(by_eap, uniqueid=9, initiator_spi="9")) == [9]
        rig.now += BEGUN_BY_EAP - BEGUN
        assert await rig.come(replace(by_eap, uniqueid=10, initiator_spi="10")) == []
        rig.thumbprints._kept = BarredCertificates(rig.store)
        assert await rig.come(sa(4, "alice")) == [], "an agent that comes back knows that charon refuses"

    run(case())


def test_an_agent_that_comes_back_ends_whom_the_one_before_did_not_see_and_nobody_else(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(ALICE)
        assert await rig.come(sa(1, "bob"), remembers=(BOB,)) == []
        rig.machine.strongswan.ike = [sa(1, "bob")]
        await rig.settle()
        assert await rig.come() == []
        rig.users.take(Rekeyed(1, sa(9, "bob")))
        assert await rig.come() == []
        charon = rig.machine.strongswan
        charon.remembers = ()
        charon.ike = [sa(9, "bob", established=0), sa(2, "carol"), sa(3, "alice")]
        rig.now += 10
        await rig.restart()
        assert await rig.come(remembers=(ALICE,)) == [2, 3]
        rig.users.take(Rekeyed(9, sa(10, "bob")))
        assert await rig.come() == []
        charon.ike = []
        await rig.reconciler.follow()
        rig.users.take(Went(10))
        await rig.come()
        assert json.loads(rig.proofs.read_text()) == []

    run(case())


def test_what_a_session_carries_meanwhile_is_counted(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(BOB)
        charon = rig.machine.strongswan

        async def terminate(number: int) -> str:
            rig.users.take(Carried(number, 7, 8))
            return ""

        charon.remembers = (BOB,)
        with patch.object(charon, "terminate", terminate):
            await rig.come(sa(1, "bob"))
        assert [(one.bytes_in, one.bytes_out) for one in rig.users.standing.values()] == [(7, 8)]

    run(case())


def test_who_is_refused_is_told_once_and_gets_nothing(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(ALICE)
        refused = sa(1, "alice", connection="hgt1-barred", children=(), virtual_addresses=())
        about = {"identity": "O=Example, CN=alice"}
        assert rig.users.refused(Fault(Why.NO_ADDRESS, "hgt1-barred", CLIENT, "", about, 1))
        rig.users.take(Barred(refused))
        assert rig.users.refused(Fault(Why.SELECTORS, "hgt1-barred", CLIENT, "", about, 1))
        assert await rig.come() == [1]
        (told,) = rig.events("user.refused")
        assert told.startswith(f"user=alice client={CLIENT} instance=0 reason='the certificate is revoked")
        rig.machine.strongswan.ike = [replace(refused, uniqueid=2)]
        await rig.reconciler.follow()
        rig.users.look()
        assert await rig.come() == [2], "who came while the agent was away"
        assert rig.users.sessions() == [] and rig.events("pool.exhausted") == []
        # Whoever is tried as one of those, and fails for another reason, is told that.
        assert rig.users.refused(Fault(Why.NO_PROOF, "hgt1-barred", CLIENT, "", {"identity": "eve"}, 3))
        assert "proves itself in no way" in rig.events("user.refused")[-1]

    run(case())


def test_whom_hubgws_own_authority_believes_charon_is_not_asked_for(rig: Agent) -> None:
    async def case() -> None:
        await applied(rig, f"  vpnClientRevokedCertificates: [{{name: alice, thumbprint: '{ALICE.thumbprint}'}}]\n")
        rig.machine.strongswan.reach.fail_calls["remembered"] = 9
        assert await rig.come(sa(1, "alice")) == []

    run(case())


def test_a_store_or_a_charon_that_refuses_is_tried_again_and_keeps_nobody_in(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke()
        await rig.come(sa(1, "alice"), remembers=(ALICE,))
        await rig.revoke(ALICE)
        charon = rig.machine.strongswan
        charon.reach.fail_calls["terminate"] = 1
        with pytest.raises(DriverError):
            await rig.come()
        with patch.object(SqliteStore, "keep_secret", side_effect=StoreError("no space")), pytest.raises(StoreError):
            await rig.come()
        assert charon.terminated == [1] and rig.certificates.barred.known() == {}
        assert await rig.come() == [1] and rig.certificates.barred.known() == {ALICE.thumbprint: ALICE}

    run(case())


def test_charon_is_asked_where_that_may_tell_something_new(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke(BOB)
        charon = rig.machine.strongswan
        for sas in ((), (sa(1, "alice"), sa(2, "alice")), ()):
            assert await rig.come(*sas, remembers=(ALICE,)) == []
        assert charon.asked_for == ["", ""]
        charon.reach.fail_calls["terminate"] = 1
        with pytest.raises(DriverError):
            await rig.come(sa(3, "bob"), remembers=(BOB,))
        assert await rig.come() == [3] and rig.certificates.barred.known() == {BOB.thumbprint: BOB}
        charon.ike.append(sa(4, "nobody"))
        await rig.settle()
        assert await rig.come() == [4], "no event told of it"

    run(case())


def test_where_nothing_is_revoked_charon_is_asked_for_those_who_have_come_alone(rig: Agent) -> None:
    async def case() -> None:
        await rig.revoke()
        charon = rig.machine.strongswan
        alice, pattern = "O=Example, CN=alice", "O=Example, CN=*"
        charon.by_its_own_rules = {alice: (ALICE, RENEWED), pattern: (ALICE,)}
        await rig.come(sa(1, "alice"), sa(2, "alice"), remembers=(ALICE, BOB))
        assert charon.asked_for == [alice]
        await rig.come(sa(3, "*"), sa(4, "bob"))
        assert charon.asked_for == [alice, "O=Example, CN=bob", ""], "a pattern, and whom charon does not find so"
        await rig.revoke(RENEWED)
        assert await rig.come() == [1, 2], "who may be in by it"

    run(case())
