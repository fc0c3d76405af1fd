"""Which tunnels are up, which SAs nobody keeps, and each tunnel's state, from what charon and the kernel hold."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubgw.agent.live import (
    ORPHANS_SERVE,
    REPLACED_AFTER,
    Sas,
    left_of_users,
    states,
    summary,
    uncollected,
    up_tunnels,
)
from hubgw.agent.observed import narrowed
from hubgw.agent.statuses import Connection
from hubgw.drivers.netlink.xfrm import KernelSa
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.plan.numbers import IF_IDS
from hubgw.plan.types import TunnelOf, UsersOf
from tests.fakes.drivers import child_sa, ike_sa, kernel_sa

START = 10_000.0
A, B = IF_IDS[1], IF_IDS[2]
TUNNELS = tuple(
    TunnelOf(f"hgt{number}", IF_IDS[number], "c", "s", "link1", 0, "198.51.100.10", "192.0.2.2") for number in (1, 2)
)


def sas(ike: Sequence[IkeSa] | None = (), kernel: Sequence[KernelSa] = (), after: float = 10.0) -> Sas:
    return Sas(ike, kernel, START if ike is not None else 0.0, START + after)


def up(name: str, state: str = "INSTALLED", installed: int = 100, uniqueid: int = 1) -> IkeSa:
    child = child_sa(name, state=state, installed=installed, uniqueid=uniqueid)
    return ike_sa(name, children=(child,), uniqueid=uniqueid)


OLD = [kernel_sa("hgt1", 900, int(START) - 50), kernel_sa("hgt1", 901, int(START) - 50)]
"""Of a charon before this one."""


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("INSTALLED", {A}),
        ("REKEYING", {A}),
        ("UPDATING", {A}),
        ("REKEYED", set()),
        ("DELETING", set()),
        ("CREATED", set()),
    ],
)
def test_a_child_that_carries_makes_its_tunnel_up(state: str, expected: set[int]) -> None:
    assert up_tunnels(TUNNELS, sas([up("hgt1", state)])) == expected


def test_an_ike_sa_without_a_child_carries_nothing() -> None:
    now = sas([ike_sa("hgt1"), ike_sa("", state="CONNECTING")])
    assert up_tunnels(TUNNELS, now) == set()
    assert states(TUNNELS, now, set()) == {"hgt1": Connection.CONNECTING, "hgt2": Connection.NOT_CONNECTED}


def test_the_youngest_child_speaks_for_its_connection() -> None:
    both = ike_sa("hgt1", children=(child_sa("hgt1", uniqueid=5), child_sa("hgt1", uniqueid=4)))
    assert sas([both, up("hgt1", uniqueid=3)]).children["hgt1"][1].uniqueid == 5


def test_sas_of_other_ipsec_users_make_nothing_up() -> None:
    others = [kernel_sa("hgt1", 900, 1), kernel_sa("hgt7", 902, 1)]
    assert up_tunnels(TUNNELS[1:], sas(None, others)) == set()


def test_while_charon_is_away_the_kernel_speaks() -> None:
    now = sas(None, OLD)
    assert up_tunnels(TUNNELS, now) == {A}
    assert uncollected(TUNNELS, now) == ([], set())
    assert set(states(TUNNELS, now, {A}).values()) == {Connection.UNKNOWN}


def test_orphans_serve_for_a_time_and_are_collected_after_it() -> None:
    early, late = sas([], OLD, ORPHANS_SERVE - 1), sas([], OLD, ORPHANS_SERVE)
    assert [up_tunnels(TUNNELS, early), up_tunnels(TUNNELS, late)] == [{A}, frozenset()]
    assert uncollected(TUNNELS, early) == ([], set())
    assert uncollected(TUNNELS, late) == (OLD, {A})


def test_what_was_replaced_goes_once_the_new_has_stood_and_its_policies_stay() -> None:
    young, old = (sas([up("hgt1", installed=age)], OLD) for age in (REPLACED_AFTER - 1, REPLACED_AFTER))
    assert uncollected(TUNNELS, young) == ([], set())
    assert uncollected(TUNNELS, old) == (OLD, set())


def test_a_tunnel_that_is_wanted_no_more_is_collected_at_once() -> None:
    assert uncollected(TUNNELS[1:], sas([], OLD, 1)) == (OLD, {A})


def test_sas_of_the_charon_that_runs_are_its_own() -> None:
    fresh = kernel_sa("hgt1", 77, int(START))
    assert uncollected((), sas([up("hgt1")], [fresh], 100)) == ([], set())


def test_what_charon_has_is_never_collected_whatever_the_clocks_say() -> None:
    # A clock that was set, or an hour that came twice, makes charon seem younger than its SAs.
    held = [kernel_sa("hgt1", spi, int(START) - 3_600) for spi in (2, 3)]
    assert uncollected(TUNNELS, sas([up("hgt1", uniqueid=1)], [*held, *OLD], 100)) == (OLD, set())


@given(
    st.lists(st.sampled_from(list(Connection)), max_size=4),
)
def test_a_connection_is_as_good_as_its_best_tunnel(found: list[Connection]) -> None:
    order = [Connection.CONNECTED, Connection.UNKNOWN, Connection.CONNECTING, Connection.NOT_CONNECTED]
    assert summary(found) == min(found, key=order.index, default=Connection.NOT_CONNECTED)


times = st.integers(int(START) - 5, int(START) + 5)
kernel_sas = st.builds(
    kernel_sa,
    st.sampled_from(["hgt1", "hgt2", "hgt3"]),
    st.integers(1, 20),
    times,
)
ike_sas = st.builds(
    up,
    st.sampled_from(["hgt1", "hgt2"]),
    st.sampled_from(["INSTALLED", "REKEYED"]),
    st.integers(0, 20),
    st.integers(1, 9),
)


@given(st.none() | st.lists(ike_sas, max_size=3), st.lists(kernel_sas, max_size=6), st.floats(0, 200))
def test_nothing_that_carries_a_tunnel_alone_is_collected(
    ike: list[IkeSa] | None, kernel: list[KernelSa], after: float
) -> None:
    now = sas(ike, kernel, after)
    doomed, policies = uncollected(TUNNELS, now)
    left = Sas(now.ike, [sa for sa in kernel if sa not in doomed], now.started, now.now)
    assert up_tunnels(TUNNELS, left) == up_tunnels(TUNNELS, now)
    assert not policies & up_tunnels(TUNNELS, now)
    assert uncollected(TUNNELS, left)[0] == []


@pytest.mark.parametrize("selectors", ["", "0.0.0.0/0 === 0.0.0.0/0"])
def test_selectors_that_let_all_through_are_no_matter(selectors: str) -> None:
    assert narrowed(TUNNELS[0], ()) == narrowed(TUNNELS[0], [replace(child_sa("hgt1"), selectors=selectors)]) == ""


def test_selectors_that_a_branch_narrowed_are_told() -> None:
    assert narrowed(TUNNELS[0], [replace(child_sa("hgt1"), selectors="0.0.0.0/0 === 10.2.0.0/24")]) == (
        "the branch narrowed the traffic selectors to 0.0.0.0/0 === 10.2.0.0/24; set it to 0.0.0.0/0 both ways, "
        "routes select"
    )


def test_of_a_policy_based_tunnel_what_is_missing_or_narrower_is_told() -> None:
    based = replace(TUNNELS[0], selectors=(("10.50.0.0/24", "10.1.0.0/24"), ("10.60.0.0/16", "10.1.0.0/24")))
    one, other = (
        replace(child_sa(name), selectors=" === ".join(pair))
        for name, pair in zip(based.children, based.selectors, strict=True)
    )
    assert narrowed(based, [one, other]) == narrowed(based, []) == ""
    assert narrowed(based, [one]) == (
        "closed to 10.60.0.0/16 === 10.1.0.0/24, for which no SA is set up; does the branch have the same pairs?"
    )
    assert narrowed(based, [one, replace(other, selectors="10.60.5.0/24 === 10.1.0.0/24")]) == (
        "the branch narrowed the traffic selectors to 10.60.5.0/24 === 10.1.0.0/24; set the branch to what the hub "
        "has, 10.60.0.0/16 === 10.1.0.0/24"
    )


USERS = (UsersOf("hgt1", A, "p1", 0, "198.51.100.10"),)


def test_sas_of_users_that_outlived_their_charon_go_before_anybody_logs_in() -> None:
    young = [kernel_sa("hgt1", 902, int(START))]  # in the second of charon's start: nobody could log in yet
    assert left_of_users(USERS, sas([], [*OLD, *young])) == ([*OLD, *young], {A})
    assert uncollected((), sas([], OLD, ORPHANS_SERVE), USERS) == ([], set())
    assert left_of_users(USERS, sas(None, OLD)) == ([], set())
    assert left_of_users((), sas([], OLD)) == ([], set())


def test_sas_of_users_of_the_charon_that_runs_stay_with_their_policies() -> None:
    own = up("hgt1")
    held = [kernel_sa("hgt1", int(own.children[0].spi_in, 16), int(START) + 5)]
    coming = kernel_sa("hgt1", 903, int(START) + 9)
    assert left_of_users(USERS, sas([own], [*held, coming])) == ([], set())
    assert left_of_users(USERS, sas([own], [*held, *OLD])) == (OLD, set())
