"""What a hub does with the routes of its branches, case by case; `test_properties.py` has all of it at once."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from hubgw.plan.bgp import Attributes, PeerOf, RouteTable, StaticRoute, nlri
from hubgw.rib.rib import Rib
from hubgw.rib.types import NOTHING, Out
from tests.unit.rib.worlds import attributes

VNET = IPv4Network("10.1.0.0/16")
BRANCH = nlri(IPv4Network("192.0.2.0/24"))
DEFAULT = nlri(IPv4Network("0.0.0.0/0"))
TABLE = RouteTable(1, "hgv1", 65515, "ExpressRoute", True, (VNET,), ())


def peer(site: str, asn: int, nexthop: int, instance: int = 0) -> PeerOf:
    return PeerOf(
        speaker=f"hgv1-{instance}",
        address=IPv4Address(f"172.16.0.{nexthop}"),
        local_address=IPv4Address("10.0.0.4"),
        asn=asn,
        table=1,
        nexthops=(nexthop,),
        site=site,
        connection="",
        link="",
        instance=instance,
    )


PARIS = peer("paris", 65001, 1)
PARIS_1 = peer("paris", 65001, 2, instance=1)
ROME = peer("rome", 65002, 3)
BERN = peer("bern", 65001, 4)


def rib_of(*peers: PeerOf, table: RouteTable = TABLE) -> Rib:
    rib = Rib()
    rib.configure([table], peers)
    rib.set_up({1, 2, 3, 4})
    return rib


def path(*asns: int, communities: tuple[int, ...] = ()) -> Attributes:
    return attributes(((2, asns),), communities)


def test_a_prefix_moves_to_the_tunnel_that_is_left_and_back() -> None:
    rib = rib_of(PARIS, PARIS_1)
    rib.learn(PARIS.key, path(65001), [BRANCH])
    rib.learn(PARIS_1.key, path(65001), [BRANCH])
    assert rib.fib(1) == {BRANCH: (1, 2)}
    assert rib.set_up({2}).fib == {1: {BRANCH: (2,)}}
    gone = rib.set_up(set())
    assert gone.fib == {1: {BRANCH: None}}
    assert gone.out == {1: {BRANCH: None}}
    assert rib.set_up({1, 2}).fib == {1: {BRANCH: (1, 2)}}


def test_the_longer_path_waits_and_its_sources_are_admitted() -> None:
    rib = rib_of(PARIS, ROME)
    rib.learn(PARIS.key, path(65001), [BRANCH])
    delta = rib.learn(ROME.key, path(65002, 65009), [BRANCH])
    assert (delta.fib, delta.admitted) == ({}, {(3, BRANCH)})
    delta = rib.withdraw(PARIS.key, [BRANCH])
    assert delta.fib == {1: {BRANCH: (3,)}}
    assert delta.dismissed == {(3, BRANCH)}


def test_the_sources_of_a_site_are_its_tunnels_own_affair_and_a_static_sites_nobody_elses() -> None:
    """The packet filter knows which tunnels are of one site; an exception by prefix might be wide."""
    rib = rib_of(PARIS, PARIS_1)
    rib.learn(PARIS.key, path(65001), [BRANCH])
    rib.learn(PARIS_1.key, path(65001, 65001), [BRANCH])
    assert (rib.fib(1), rib.exceptions()) == ({BRANCH: (1,)}, set())
    rib = rib_of(ROME, table=replace(TABLE, statics=(StaticRoute(IPv4Network("192.0.2.0/24"), "oslo"),)))
    rib.learn(ROME.key, path(65002), [BRANCH])
    assert rib.exceptions() == set()


def test_a_static_route_hides_a_learned_one_which_stays_visible() -> None:
    rib = rib_of(ROME, table=replace(TABLE, statics=(StaticRoute(IPv4Network("192.0.2.0/24"), "oslo"),)))
    rib.learn(ROME.key, path(65002), [BRANCH])
    assert rib.fib(1) == {}
    assert rib.out(1)[BRANCH] == Out(None, frozenset({"oslo"}))
    assert [(learned.refusal, learned.best) for learned in rib.learned()] == [("", False)]


def test_branches_with_one_as_do_not_see_each_other() -> None:
    rib = rib_of(PARIS, ROME, BERN)
    rib.learn(PARIS.key, path(65001), [BRANCH])
    assert rib.out(1)[BRANCH].excluded == {"paris", "bern"}


def test_without_branch_to_branch_only_the_own_prefixes_are_announced() -> None:
    statics = (StaticRoute(IPv4Network("198.51.100.0/24"), "oslo"),)
    rib = rib_of(PARIS, ROME, table=replace(TABLE, statics=statics))
    rib.learn(PARIS.key, path(65001), [BRANCH])
    assert len(rib.out(1)) == 3
    closed = replace(TABLE, statics=statics, branch_to_branch=False)
    delta = rib.configure([closed], [PARIS, ROME])
    assert (delta.fib, rib.out(1)) == ({}, {nlri(VNET): Out(None)})
    assert rib.fib(1) == {BRANCH: (1,)}


def test_a_default_route_goes_only_to_whom_it_is_of_use() -> None:
    rib = rib_of(PARIS, ROME, replace(BERN, internet_security=True))
    rib.learn(ROME.key, path(65002), [DEFAULT])
    assert rib.fib(1) == {DEFAULT: (3,)}
    assert rib.out(1)[DEFAULT].excluded == {"paris", "rome"}


def test_what_may_not_be_advertised_is_used_all_the_same() -> None:
    rib = rib_of(PARIS, ROME)
    rib.learn(PARIS.key, path(65001, communities=(0xFFFFFF01,)), [BRANCH])
    assert (rib.fib(1), BRANCH in rib.out(1)) == ({BRANCH: (1,)}, False)


@pytest.mark.parametrize(
    ("prefix", "asns", "reason"),
    [
        ("127.1.0.0/16", (65001,), "martian"),
        ("169.254.21.2/32", (65001,), "martian"),
        ("10.1.0.0/16", (65001,), "own-prefix"),
        ("10.1.2.3/32", (65001,), "own-prefix"),
        ("192.0.2.0/24", (65001, 65515), "own-as"),
        ("192.0.2.0/24", (65001, 0), "reserved-as"),
        ("192.0.2.0/24", (65001,) * 65, "path-too-long"),
        ("192.0.2.0/24", (65002, 65001), "first-as"),
        ("192.0.2.0/24", (), "first-as"),
    ],
)
def test_a_refusal_is_counted_and_shown(prefix: str, asns: tuple[int, ...], reason: str) -> None:
    rib = rib_of(PARIS, ROME)
    refused = nlri(IPv4Network(prefix))
    assert rib.learn(PARIS.key, path(*asns), [refused]) == NOTHING
    rib.learn(PARIS.key, path(65001), [nlri(IPv4Network("10.0.0.0/8")), DEFAULT])
    assert [(row.peer, row.prefix, row.refusal) for row in rib.refused()] == [(PARIS.key, refused, reason)]
    assert rib.counts() == {PARIS.key: (2, {reason: 1}), ROME.key: (0, {})}
    rib.withdraw(PARIS.key, [refused])
    assert rib.counts()[PARIS.key] == (2, {})


def test_what_nat_hides_is_refused_of_its_branch_alone() -> None:
    rib = rib_of(replace(PARIS, internal=(IPv4Network("192.0.2.0/24"),)), ROME)
    inside = nlri(IPv4Network("192.0.2.128/25"))
    assert rib.learn(PARIS.key, path(65001), [inside]) == NOTHING
    assert [(row.prefix, row.refusal) for row in rib.refused()] == [(inside, "nat-internal")]
    rib.learn(ROME.key, path(65002), [inside])
    assert inside in rib.fib(1)
    rib.configure([TABLE], [PARIS, ROME])
    assert list(rib.refused()) == []


def test_own_prefixes_that_come_and_go_judge_anew_what_was_learned() -> None:
    rib = rib_of(PARIS)
    rib.learn(PARIS.key, path(65001), [BRANCH])
    attached = replace(TABLE, own=(VNET, IPv4Network("192.0.0.0/16")))
    assert rib.configure([attached], [PARIS]).fib == {1: {BRANCH: None}}
    assert rib.configure([TABLE], [PARIS]).fib == {1: {BRANCH: (1,)}}


def test_no_branch_takes_the_addresses_of_users() -> None:
    rib = rib_of(PARIS)
    one, around = nlri(IPv4Network("10.99.0.7/32")), nlri(IPv4Network("10.0.0.0/8"))
    rib.learn(PARIS.key, path(65001), [one, around])
    served = replace(TABLE, users=(IPv4Network("10.99.0.0/24"),))
    assert rib.configure([served], [PARIS]).fib == {1: {one: None}}
    assert [(row.prefix, row.refusal) for row in rib.refused()] == [(one, "own-prefix")]
    assert one not in rib.out(1)


def test_a_replay_changes_nothing_until_end_of_rib_sweeps_the_rest() -> None:
    rib = rib_of(PARIS)
    other = nlri(IPv4Network("198.51.100.0/24"))
    rib.learn(PARIS.key, path(65001), [BRANCH, other])
    rib.begin("hgv1-0")
    assert rib.learn(PARIS.key, path(65001), [BRANCH]) == NOTHING
    assert rib.fib(1) == {BRANCH: (1,), other: (1,)}
    assert rib.end_of_rib(PARIS.key).fib == {1: {other: None}}
    assert rib.end_of_rib(PARIS.key) == NOTHING


def test_who_is_not_configured_is_not_heard() -> None:
    rib = rib_of(PARIS)
    assert rib.learn(ROME.key, path(65002), [BRANCH]) == NOTHING
    assert (rib.withdraw(ROME.key, [BRANCH]), rib.flush(ROME.key), rib.end_of_rib(ROME.key)) == (NOTHING,) * 3
    assert (list(rib.learned(ROME.key)), rib.fib(7), rib.out(7)) == ([], {}, {})


def test_a_table_that_goes_takes_all_of_it_back() -> None:
    rib = rib_of(PARIS, ROME)
    rib.learn(PARIS.key, path(65001), [BRANCH])
    rib.learn(ROME.key, path(65002, 65009), [BRANCH])
    delta = rib.configure([], [PARIS, ROME])
    assert delta.fib == {1: {BRANCH: None}}
    assert delta.out == {1: {BRANCH: None, nlri(VNET): None}}
    assert delta.dismissed == {(3, BRANCH)}
    assert rib.counts() == {}
