"""Addresses that RADIUS gives users: each is routed to who has it, and who has what is not his is ended."""

from pathlib import Path
from typing import Any

import pytest

from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.logins import Went
from hubgw.plan.kernel import OnLink, Route
from tests.unit.agent.rig import Rig, run
from tests.unit.agent.test_user_sessions import CLIENT, CONTENT, listed, sa

SETTINGS = """---
type: settings
name: p1
properties: {resource: p2sVpnGateways/p1, framedAddressPrefixes: [10.97.0.0/24]}
"""
SERVERS = "radiusServers: [{radiusServerAddress: 198.51.100.1, radiusServerSecret: example-secret}]"
FRAMED = CONTENT.decode().replace("Types: [Certificate]", f"Types: [Certificate, Radius]\n  {SERVERS}") + SETTINGS
A = "10.97.0.5"


def by_radius(number: int, user: str, address: str, instance: int = 0, **other: Any) -> IkeSa:
    """An IKE SA of a user whom RADIUS knows."""
    given: dict[str, Any] = {
        "connection": f"hgt{instance + 1}-eap",
        "eap_identity": user,
        "virtual_addresses": (address,),
    }
    return sa(number, "anybody", **given, **other)


async def with_radius(path: Path) -> Rig:
    """Returns an agent with a gateway of users, hgt1 and hgt2, that has run for a while."""
    rig = Rig(path)
    await rig.apply(FRAMED.encode())
    rig.users._started -= 1_000
    return rig


def routed(rig: Rig) -> dict[str, str]:
    """The interface by framed address, as the kernel has it."""
    return {
        str(obj.prefix.network_address): obj.via.interface
        for obj in rig.machine.netlink.objects.values()
        if isinstance(obj, Route) and isinstance(obj.via, OnLink) and str(obj.prefix).startswith("10.97.")
    }


async def gone(rig: Rig, number: int, *left: IkeSa) -> str:
    """Has charon end an SA; returns what is told of it."""
    rig.users.take(Went(number))
    await listed(rig, *left)
    return rig.events("user.logout")[-1]


def test_an_address_is_routed_to_where_its_user_is_and_while_he_is_there(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        await listed(rig, by_radius(1, "alice", A, instance=1), by_radius(2, "bob", "10.97.0.6"))
        assert routed(rig) == {A: "hgt2", "10.97.0.6": "hgt1"}
        (shown,) = [one for one in (await rig.hub.status()).routes if one.prefix == f"{A}/32"]
        assert shown.origin.endswith("/p2sVpnGateways/p1")
        rig.machine.log.clear()
        await rig.reconciler.reconcile()
        assert rig.machine.log == [] and rig.events("drift.repaired") == []
        await listed(rig, by_radius(2, "bob", "10.97.0.6"))
        assert routed(rig) == {"10.97.0.6": "hgt1"}
        await rig.reconciler.reconcile()
        assert rig.events("drift.repaired") == [] and rig.machine.strongswan.terminated == []
        rig.machine.netlink.objects = {
            key: obj for key, obj in rig.machine.netlink.objects.items() if "10.97.0.6" not in str(key)
        }
        await rig.reconciler.reconcile()
        assert routed(rig) == {"10.97.0.6": "hgt1"} and len(rig.events("drift.repaired")) == 1

    run(case())


def test_an_agent_that_comes_back_takes_no_route_away(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        await listed(rig, by_radius(1, "alice", A))
        rig.store.close()
        again = Rig(tmp_path, rig.machine)
        rig.machine.log.clear()
        rig.machine.strongswan.reach.away = "no charon"
        await again.reconciler.reconcile()
        assert routed(again) == {A: "hgt1"}
        rig.machine.strongswan.reach.away = ""
        await again.reconciler.reconcile()
        assert routed(again) == {A: "hgt1"} and rig.machine.log == []
        rig.machine.strongswan.reach.away = "no charon"
        await again.reconciler.reconcile()
        assert routed(again) == {A: "hgt1"}, "the kernel's SAs go on without charon"
        await again.delete("settings/p1")
        assert routed(again) == {}, "not where the prefix is gone"

    run(case())


def test_a_client_that_comes_back_takes_over_its_address(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        old, new = by_radius(1, "alice", A), by_radius(2, "ALICE", A, instance=1)
        await listed(rig, old)
        await listed(rig, old, new)
        assert rig.machine.strongswan.terminated == [1] and routed(rig) == {A: "hgt2"}
        await listed(rig, old, new)
        assert rig.machine.strongswan.terminated == [1], "once"
        assert (await gone(rig, 1, new)).endswith("reason='another login took its place'")
        assert routed(rig) == {A: "hgt2"} and rig.events("address.refused") == []

    run(case())


def test_an_address_that_another_user_has_is_not_taken_from_him(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        alice = by_radius(1, "alice", A)
        await listed(rig, alice)
        await listed(rig, alice, by_radius(2, "bob", A, instance=1))
        assert rig.machine.strongswan.terminated == [2] and routed(rig) == {A: "hgt1"}
        reason = "reason='RADIUS gave 10.97.0.5, which alice has'"
        assert rig.events("address.refused") == [f"user=bob address={A} client={CLIENT} instance=1 {reason}"]
        assert (await gone(rig, 2, alice)).endswith(reason)

    run(case())


def test_another_user_never_takes_it_when_its_holder_rekeys(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        await listed(rig, by_radius(5, "alice", A))
        await listed(rig, by_radius(9, "mallory", A, instance=1), by_radius(12, "Alice", A))
        assert rig.machine.strongswan.terminated == [9] and routed(rig) == {A: "hgt1"}
        assert [one.split()[0] for one in rig.events("address.refused")] == ["user=mallory"]
        # When she has gone it is anybody's.
        await listed(rig)
        await listed(rig, by_radius(13, "mallory", A, instance=1))
        assert routed(rig) == {A: "hgt2"}

    run(case())


def test_of_users_whose_order_nobody_knows_none_keeps_the_address(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        mallory, alice = by_radius(9, "mallory", A), by_radius(12, "alice", A, instance=1)
        await listed(rig, mallory, alice, by_radius(13, "bob", "10.97.0.6"))
        assert rig.machine.strongswan.terminated == [9, 12] and routed(rig) == {"10.97.0.6": "hgt1"}
        assert [one.partition("reason=")[2] for one in rig.events("address.refused")] == [
            f"'RADIUS gave {A} to alice as well'",
            f"'RADIUS gave {A} to mallory as well'",
        ]
        await listed(rig, mallory, by_radius(14, "alice", A))
        assert rig.machine.strongswan.terminated == [9, 12] and routed(rig)[A] == "hgt1"

    run(case())


def test_why_an_sa_ended_is_said_of_no_other_with_its_number(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        await rig.reconciler.ends.end(by_radius(3, "eve", "10.50.0.4", initiator_spi="dead"), "it is revoked")
        rig.machine.strongswan.terminated.clear()
        alice = by_radius(3, "alice", A)
        await listed(rig, alice)
        await listed(rig, alice, by_radius(4, "mallory", A))
        assert rig.machine.strongswan.terminated == [4] and routed(rig) == {A: "hgt1"}

    run(case())


def test_what_ended_with_another_charon_is_forgotten(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        await listed(rig, alice := by_radius(3, "alice", A))
        await rig.reconciler.ends.end(alice, "it is revoked")
        await listed(rig, alice)
        assert alice in rig.reconciler.ends and routed(rig) == {}
        rig.machine.strongswan.since += 1  # charon's start is its clock less its uptime, in whole seconds
        await listed(rig, alice)
        assert alice in rig.reconciler.ends and routed(rig) == {}
        rig.machine.strongswan.since += 60
        await listed(rig, alice)
        assert alice not in rig.reconciler.ends and routed(rig) == {A: "hgt1"}

    run(case())


def test_an_address_that_is_nobodys_to_give(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        lease = by_radius(1, "alice", "10.99.0.1")
        rig.machine.strongswan.leased_by = {("10.99.0.1", "alice")}
        wrong = [
            by_radius(2, "bob", "10.50.0.4"),  # a virtual network's
            by_radius(3, "carol", "10.99.0.1"),  # another has it
            by_radius(4, "dave", "10.99.0.6"),  # the other instance's, and nobody has it
            by_radius(5, "erin", "10.99.0.2"),  # nobody has it yet
            by_radius(6, "frank", "2001:db8::1"),
        ]
        await listed(rig, lease, *wrong)
        assert rig.machine.strongswan.terminated == [2, 4, 6, 3, 5] and routed(rig) == {}
        neither, of_pool = "is neither of a pool nor in framedAddressPrefixes", "which is of a pool"
        assert [one.partition("reason=")[2] for one in rig.events("address.refused")] == [
            f"'10.50.0.4 {neither}'",
            f"'10.99.0.6 {neither}'",
            f"'2001:db8::1 {neither}'",
            f"'RADIUS gave 10.99.0.1, {of_pool}'",
            f"'RADIUS gave 10.99.0.2, {of_pool}'",
        ]
        # What charon gave itself is asked about once.
        rig.machine.strongswan.reach.fail_calls["leased"] = 1
        await listed(rig, lease)
        assert rig.machine.strongswan.reach.fail_calls["leased"] == 1

    run(case())


def test_who_could_not_be_ended_is_ended_at_the_next_look(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        bob = by_radius(2, "bob", "10.50.0.4")
        rig.machine.strongswan.reach.fail_calls["terminate"] = 1
        await listed(rig, bob)
        assert rig.machine.strongswan.terminated == []
        rig.machine.strongswan.refuses_to_terminate = "no matching SAs to terminate found"
        await listed(rig, bob)
        assert rig.machine.strongswan.terminated == [2] and rig.events("address.refused") == []
        rig.machine.strongswan.refuses_to_terminate = ""
        await listed(rig, bob)
        assert rig.machine.strongswan.terminated == [2, 2] and len(rig.events("address.refused")) == 1

    run(case())


def test_whose_leases_are_not_known_keeps_nobody_else_in(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        charon = rig.machine.strongswan
        charon.reach.fail_calls["leased"] = 2
        alice = by_radius(1, "alice", "10.99.0.2")
        await listed(rig, alice, by_radius(2, "eve", "10.50.0.4"))
        assert charon.terminated == [2] and rig.reconciler.state.unfinished
        assert not await rig.reconciler.reconcile(), "it is looked at again soon"
        assert len(rig.events("address.unchecked")) == 1 and not rig.reconciler.state.unreachable
        assert await rig.reconciler.reconcile(), "charon answers, and nobody leases it"
        assert charon.terminated == [2, 1] and rig.events("address.unchecked")[1:] == []

    run(case())


@pytest.mark.parametrize("fails", [True, False])
def test_an_address_of_a_pool_that_two_have_and_nobody_is_known_to_lease(tmp_path: Path, *, fails: bool) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        charon, x = rig.machine.strongswan, "10.99.0.2"
        charon.leased_by = {(x, "alice")}
        known, bob, eve = by_radius(1, "alice", x), by_radius(2, "bob", "10.99.0.3"), by_radius(3, "eve", "10.99.0.1")
        await listed(rig, known)
        charon.leased_by = None
        charon.reach.fail_calls["leased"] = 9 * fails
        await listed(rig, known, bob, eve, by_radius(4, "BOB", "10.99.0.3"))
        assert charon.terminated == []
        mallory, carol = by_radius(5, "mallory", x), sa(6, "carol", virtual_addresses=("10.99.0.3",))
        await listed(rig, known, bob, eve, mallory, carol)
        assert charon.terminated == [2, 5], "who leases his, or had none given by RADIUS, or is alone, stays"
        refused = rig.events("address.refused")
        assert "10.99.0.3 is another's as well, and charon does not say who leases it" in refused[0]

    run(case())


def test_an_address_of_a_pool_is_not_a_users_because_an_older_sa_of_his_leases_it(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        charon, x = rig.machine.strongswan, "10.99.0.2"
        old, pinned, bob = by_radius(1, "alice", x), by_radius(2, "alice", x), by_radius(3, "bob", x)
        charon.leased_by = {(x, "alice")}
        await listed(rig, old)
        await listed(rig, old, pinned)
        assert charon.terminated == []
        charon.leased_by = {(x, "bob")}
        await listed(rig, pinned, bob)
        assert charon.terminated == [2]
        charon.leased_by = {(x, "carol")}
        await listed(rig, carol := by_radius(4, "carol", x), again := by_radius(5, "carol", x))
        charon.leased_by = set()
        await listed(rig, again)
        assert charon.terminated == [2, 5], "before anybody else has it"
        assert carol not in rig.reconciler.ends
        # Signed on between the list and the question, an SA of his own that leases it is in no list.
        charon.leased_by = {(x, "dave")}
        await listed(rig, dave := by_radius(6, "dave", x))
        charon.leased_by = {(x, "erin")}
        await listed(rig, dave, by_radius(7, "erin", x))
        assert charon.terminated == [2, 5, 6]

    run(case())


def test_prefixes_that_go_take_their_users_along(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_radius(tmp_path)
        await listed(rig, by_radius(1, "alice", A))
        await rig.apply(SETTINGS.replace("10.97.0.0/24", "10.98.0.0/24").encode())
        assert rig.machine.strongswan.terminated == [1] and routed(rig) == {}

    run(case())
