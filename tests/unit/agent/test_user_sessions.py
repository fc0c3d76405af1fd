"""Sessions of users: each login and logout is told once, whatever says so first, and nothing of before the agent."""

import base64
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from hubgw.agent.diagnosis import Diagnosis
from hubgw.agent.dialler import Dialler
from hubgw.agent.refusals import MOST, MOST_NAMELESS, MOST_OF_ONE, SILENCE
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.user_sessions import REVOKED
from hubgw.agent.users import PATIENCE
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.faults import Ended, Ending, Fault, Why
from hubgw.drivers.strongswan.logins import Barred, Came, Carried, Rekeyed, Went
from hubgw.drivers.strongswan.users import Leases
from tests.certificates import make
from tests.fakes.drivers import child_sa, ike_sa
from tests.unit.agent.rig import BRANCHES, Rig, run

ROOT = base64.b64encode(make("CN=users", ca=True).certificate.public_bytes(Encoding.DER)).decode()
CONTENT = (
    BRANCHES.decode()
    + f"""
  userGatewayInstances:
    - {{p2sVpnGateway: p1, instance: 0, publicAddress: 198.51.100.10, interface: eth0}}
    - {{p2sVpnGateway: p1, instance: 1, publicAddress: 198.51.100.11, interface: eth0}}
---
type: vpnServerConfigurations
name: users
properties:
  vpnAuthenticationTypes: [Certificate]
  vpnClientRootCertificates: [{{name: root, publicCertData: {ROOT}}}]
---
type: p2sVpnGateways
name: p1
properties:
  virtualHub: hub1
  vpnServerConfiguration: users
  p2SConnectionConfigurations:
    - {{name: all, properties: {{vpnClientAddressPool: {{addressPrefixes: [10.99.0.0/29]}}}}}}
"""
).encode()
CLIENT = "203.0.113.1"


def sa(number: int, user: str = "alice", *, established: int = 0, **other: Any) -> IkeSa:
    """A user's IKE SA; its address has the number of the SA."""
    made = ike_sa(
        "hgt1",
        uniqueid=number,
        children=(child_sa("hgt1", uniqueid=number),),
        spi=f"a{number}",
        established=established,
    )
    given: dict[str, Any] = {
        "remote_address": CLIENT,
        "remote_port": 4500,
        "remote_id": f"O=Example, CN={user}",
        "virtual_addresses": (f"10.99.0.{number}",),
    }
    return replace(made, **(given | other))


async def with_users(path: Path) -> Rig:
    """Returns an agent with a gateway of users, hgt1 and hgt2, that has run for a while."""
    rig = Rig(path)
    await rig.apply(CONTENT)
    assert [one.name for one in rig.reconciler.state.desired.plan.users] == ["hgt1", "hgt2"]  # type: ignore[union-attr]
    rig.users._started -= 1_000
    return rig


async def listed(rig: Rig, *sas: IkeSa) -> None:
    """Has charon list these, and the agent look."""
    rig.machine.strongswan.ike = list(sas)
    await rig.reconciler.follow()
    rig.users.round()


async def later(rig: Rig) -> None:
    rig.clock.now += PATIENCE
    rig.users.round()


def test_a_login_is_told_once_whoever_says_so_first(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        rig.users.take(Came(sa(1)))
        about = f"user=alice identity='O=Example, CN=alice' address=10.99.0.1 client={CLIENT} instance=0"
        assert rig.events("user.login") == [about]
        await listed(rig, sa(1), sa(2, "bob"))
        assert len(rig.events("user.login")) == 2, "bob is in the list, and no event said so"
        rig.users.take(Came(sa(2, "bob")))
        another = replace(child_sa("hgt1", uniqueid=9), bytes_in=7)
        rig.users.take(Came(replace(sa(2, "bob"), children=(another,))))
        assert [one.bytes_in for one in rig.users.sessions()] == [0, 0], "the list knows all children"
        await listed(rig, sa(1), sa(2, "bob"))
        assert len(rig.events("user.login")) == 2
        rig.users.take(Came(replace(sa(4), connection="hgt1-eap", eap_identity="carol")))
        assert [one.user for one in rig.users.sessions()] == ["alice", "bob", "carol"]

    run(case())


def test_who_is_no_session(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        await listed(
            rig,
            sa(1, virtual_addresses=()),
            sa(2, children=()),
            sa(3, state="CONNECTING"),
            sa(4, connection="hgt5"),
            sa(5, state="REKEYED"),
        )
        rig.users.take(Came(sa(6, connection="hgt5")))
        assert rig.users.sessions() == [] and rig.events("user.login") == []

    run(case())


def test_sessions_that_stood_before_the_agent_are_known_and_no_logins(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        rig.users._started = time.time()
        await listed(rig, sa(1, established=300))
        (session,) = rig.users.sessions()
        assert session.since == pytest.approx(time.time() - 300, abs=5)
        assert rig.events("user.login") == []
        await listed(rig)
        await listed(rig)
        await later(rig)
        assert len(rig.events("user.logout")) == 1, "but their end is told"

    run(case())


@pytest.mark.parametrize("first", ["event", "list"])
def test_a_rekey_is_no_login(tmp_path: Path, first: str) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        await listed(rig, sa(1, established=300))
        (before,) = rig.users.sessions()
        new = sa(2, virtual_addresses=("10.99.0.1",))
        if first == "event":
            rig.users.take(Rekeyed(1, replace(new, children=(), virtual_addresses=())))
        await listed(rig, sa(1, state="REKEYED"), new)
        rig.users.take(Rekeyed(1, new))
        await listed(rig, new)
        await listed(rig, new)
        await later(rig)
        (after,) = rig.users.sessions()
        assert (after.since, after.ike_sa, after.addresses) == (before.since, 2, before.addresses)
        assert len(rig.events("user.login")) == 1 and rig.events("user.logout") == []

    run(case())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([Ended(1, Ending.PEER)], "'the client signed off'"),
        ([Ended(1, Ending.HUB)], "'the hub ended it'"),
        ([Ended(1, Ending.REPLACED), Ended(1, Ending.HUB)], "'another login took its place'"),
        ([Fault(Why.NO_ANSWER, "hgt1", ike_sa=1)], "'the client is silent (dead peer detection)'"),
        ([], "'charon did not say why'"),
    ],
)
def test_a_logout_has_its_reason_and_is_told_once(tmp_path: Path, said: list[Ended | Fault], reason: str) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        diagnosis = Diagnosis(rig.reconciler, rig.machine.strongswan, rig.journal, rig.users, rig.clock)  # type: ignore[arg-type]
        await listed(rig, sa(1))
        rig.users.take(Went(1))
        assert rig.users.sessions() == []
        # charon logs in its own time.
        for one in said:
            if isinstance(one, Fault):
                diagnosis.take(one)
            else:
                rig.users.take(one)
        rig.users.take(Carried(1, 7, 8))
        await listed(rig, sa(1))  # a list that was made before
        await later(rig)
        await listed(rig)
        await later(rig)
        (told,) = rig.events("user.logout")
        assert told.startswith("user=alice ") and told.endswith(f" bytes_in=7 bytes_out=8 reason={reason}")
        assert rig.events("user.refused") == [] and len(rig.events("user.login")) == 1

    run(case())


def test_who_is_revoked_is_told_to_be_so_whatever_charon_says(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        await listed(rig, sa(1))
        await rig.reconciler.ends.end(sa(1), REVOKED)
        rig.users.take(Ended(1, Ending.HUB))
        rig.users.take(Went(1))
        await later(rig)
        (told,) = rig.events("user.logout")
        assert told.endswith("reason='the certificate is revoked, or may be'")
        assert sa(1) not in rig.reconciler.ends

    run(case())


def test_what_was_known_of_sas_by_number_is_not_held_against_those_of_another_charon(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        await listed(rig)
        rig.users.take(Barred(sa(3, "eve", connection="hgt1-barred", children=())))
        assert rig.users.barred == {3}
        rig.machine.strongswan.since += 60
        await listed(rig, sa(3))
        assert rig.users.barred == set(), "alice has that number"
        rig.users.take(Barred(sa(3, "mallory", connection="hgt1-barred", children=())))
        assert [one.split()[0] for one in rig.events("user.refused")] == ["user=eve", "user=mallory"]

    run(case())


def test_who_signs_on_again_takes_the_place_of_the_session_before(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        again = sa(2, virtual_addresses=("10.99.0.1",))
        await listed(rig, sa(1))
        await listed(rig, sa(1), again)
        assert len(rig.events("user.login")) == 2 and len(rig.users.sessions()) == 2
        for one in (Ended(1, Ending.PEER), Went(1)):
            rig.users.take(one)
        await listed(rig, again)
        (told,) = rig.events("user.logout")
        assert told.endswith("reason='another login took its place'")
        # A client that ends its session first, and begins another at once, has signed off.
        for heard in (Went(2), Came(sa(3, virtual_addresses=("10.99.0.1",))), Ended(2, Ending.PEER)):
            rig.users.take(heard)
        rig.users.round()
        assert rig.events("user.logout")[1].endswith("reason='the client signed off'")

    run(case())


def test_a_charon_that_is_another_has_ended_all_sessions(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        await listed(rig, sa(1), sa(2, "bob"))
        rig.machine.strongswan.reach.away = "charon is gone"
        await rig.reconciler.follow()
        rig.users.lost()
        rig.users.look()
        assert len(rig.users.sessions()) == 2, "nobody knows"
        rig.machine.strongswan.reach.away = ""
        rig.machine.strongswan.restart(since=2_000.0)
        # Its numbers begin at one again.
        rig.users.take(Came(sa(1, "carol", initiator_spi="ff")))
        await listed(rig, sa(1, "carol", initiator_spi="ff"))
        await later(rig)
        assert [one.user for one in rig.users.sessions()] == ["carol"]
        told = rig.events("user.logout")
        assert len(told) == 2 and all(one.endswith("reason='charon has ended'") for one in told)

    run(case())


def test_what_a_session_carries_outlives_its_children(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        old = replace(child_sa("hgt1", uniqueid=1), bytes_in=100, bytes_out=50)
        new = replace(child_sa("hgt1", uniqueid=2), bytes_in=10, bytes_out=5)
        await listed(rig, sa(1, children=(old,)))
        rig.users.take(Carried(1, 100, 50))
        await listed(rig, sa(1, children=(replace(old, state="DELETED"), new)))
        (session,) = rig.users.sessions()
        assert (session.bytes_in, session.bytes_out) == (110, 55)

    run(case())


def test_refusals_are_told_and_a_flood_of_them_is_counted(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        diagnosis = Diagnosis(rig.reconciler, rig.machine.strongswan, rig.journal, rig.users, rig.clock)  # type: ignore[arg-type]

        def fails(user: str, address: str) -> None:
            details = {"identity": f"CN={user}", "unbelieved": f"CN={user}"} if user else {}
            diagnosis.take(Fault(Why.CERTIFICATE, "hgt1" if user else "", address, "198.51.100.10", details))

        for _ in range(50):
            fails("eve", "203.0.113.66")
        told = rig.events("user.refused")
        assert len(told) == MOST_OF_ONE[0]
        assert told[0].startswith("user=eve client=203.0.113.66 instance=0 reason='the certificate (CN=eve) is of ")
        # Those of another are told all the same, and that there were more; those of everybody until there are too many.
        for number in range(100):
            fails(f"user{number}", f"192.0.2.{number}")
        told = rig.events("user.refused")
        assert len(told) == MOST[0] and told[MOST_OF_ONE[0]].endswith(" more=45")
        # Who needs not even an address of his own takes no room from those who do.
        for number in range(100):
            fails("", f"198.18.0.{number}")
        assert len(rig.events("user.refused")) == MOST[0] + MOST_NAMELESS[0]
        rig.clock.now += MOST[1]
        fails("user1", "192.0.2.1")
        assert rig.events("user.refused")[-1].startswith("user=user1 ")
        fails("user1", "192.0.2.1")
        rig.clock.now += SILENCE
        rig.users.round()
        rig.users.round()
        assert rig.events("user.refused")[-1] == "more=1"
        counted = [int(one.partition("more=")[2] or 0) for one in rig.events("user.refused")]
        assert sum(counted) + len(counted) - 1 == 50 + 100 + 100 + 2
        (eve,) = (one for one in rig.users.users() if one.user == "eve")
        assert (eve.sessions, eve.refused_address, eve.last_login) == (0, "203.0.113.66", None)

    run(case())


def test_names_that_somebody_makes_up_are_forgotten(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        await listed(rig, sa(1))
        for number in range(3_000):
            details = {"identity": f"CN=user{number}"}
            rig.users.refused(Fault(Why.CERTIFICATE, "hgt1", f"10.0.{number // 256}.{number % 256}", "", details))
        users = {one.user for one in rig.users.users()}
        assert len(users) == 1_001 and {"alice", "user2999"} <= users

    run(case())


def test_charon_says_several_things_of_one_attempt_and_one_is_told(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        for why in (Why.OTHER_AUTHORITY, Why.NO_PROOF, Why.CERTIFICATE):
            assert rig.users.refused(Fault(why, "hgt1", "203.0.113.66", "198.51.100.10", ike_sa=3))
        (told,) = rig.events("user.refused")
        assert "proves itself in no way" in told
        assert not rig.users.refused(Fault(Why.NO_PROPOSAL, "", "203.0.113.66", "198.51.100.20"))
        assert not rig.users.refused(Fault(Why.NO_PROPOSAL, "hgt5", "203.0.113.66", "198.51.100.10"))

    run(case())


def test_an_exhausted_pool_is_told_once_and_when_it_is_free(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        pools = rig.machine.strongswan
        pools.pools = [
            Leases("hgt1-10.99.0.0-30", 2, 1, 0),
            Leases("hgt2-10.99.0.4-30", 2, 0, 0),
            Leases("hgt9-10.99.0.8-30", 1, 1, 0),
        ]
        await rig.users.pools.round()
        assert rig.events("pool.exhausted") == []
        # Somebody had no address, and by the next look there is one again.
        rig.users.refused(Fault(Why.NO_ADDRESS, "hgt1", CLIENT, "", {"pool": "hgt1-10.99.0.0-30"}, 7))
        assert rig.events("pool.exhausted") == ["pool=hgt1-10.99.0.0-30 prefix=10.99.0.0/30 size=2 instance=0"]
        await rig.users.pools.round()
        assert len(rig.events("pool.freed")) == 1
        pools.pools[0] = Leases("hgt1-10.99.0.0-30", 2, 2, 0)
        for _ in range(3):
            await rig.users.pools.round()
        assert len(rig.events("pool.exhausted")) == 2
        states = {one.name: (one.exhausted, one.online) for one in (await rig.hub.status()).pools}
        assert states == {"hgt1-10.99.0.0-30": (True, 2), "hgt2-10.99.0.4-30": (False, 0)}
        rig.machine.netlink.carried = {"hgt1": (1_000, 2_000)}
        text = (await rig.hub.metrics()).decode()
        assert 'hubgw_p2s_pool_exhausted{gateway="p1",instance="0"} 1.0' in text
        assert 'hubgw_p2s_ingress_bytes_total{gateway="p1",instance="0"} 1000.0' in text
        pools.pools[0] = Leases("hgt1-10.99.0.0-30", 2, 1, 1)
        await rig.users.pools.round()
        assert len(rig.events("pool.freed")) == 2

    run(case())


def test_disconnect_ends_who_is_named_and_nobody_else(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        rig.machine.strongswan.ike = [sa(1), sa(2, "bob"), sa(3)]
        assert [one.ike_sa for one in await rig.hub.disconnect("ALICE", who="root")] == [1, 3]
        assert rig.machine.strongswan.terminated == [1, 3]
        assert [one.user for one in await rig.hub.disconnect("10.99.0.2", who="root")] == ["bob"]
        for name in ("carol", "10.99.0.200"):
            with pytest.raises(Refused) as refused:
                await rig.hub.disconnect(name, who="root")
            assert refused.value.why is Refusal.NOT_FOUND
        for name in ("", "a\nb", "a\0", "x" * 300):
            with pytest.raises(Refused) as refused:
                await rig.hub.disconnect(name, who="root")
            assert refused.value.why is Refusal.INVALID
        for one in (Went(1), Ended(1, Ending.HUB)):
            rig.users.take(one)
        rig.users.round()
        (told,) = rig.events("user.logout")
        assert told.endswith("reason='disconnected by root'")

    run(case())


def test_the_dialler_ends_no_session_of_users(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_users(tmp_path)
        rig.machine.strongswan.ike = [sa(1), sa(2, connection="hgt2-eap"), sa(3, connection="hgt99-eap")]
        await Dialler(rig.reconciler, rig.machine.strongswan, rig.journal).round()  # type: ignore[arg-type]
        assert rig.machine.strongswan.terminated == [3]

    run(case())
