"""Which tunnels serve a route now, and which prefixes the others may still bring."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from hubgw.plan.activate import activate, first_tier_up
from hubgw.plan.bgp import nlri
from hubgw.plan.kernel import Element, Group, Route, Tiers, Tunnels, Vrf
from hubgw.plan.numbers import IF_IDS, tunnel_interface
from hubgw.plan.types import Object, Plan, TunnelOf

A, B, C = IF_IDS[1], IF_IDS[2], IF_IDS[3]
members = st.lists(st.sampled_from(IF_IDS[:8]), unique=True, min_size=1)


@st.composite
def tiers(draw: st.DrawFn) -> Tiers:
    rest = draw(members)
    made = []
    while rest:
        cut = draw(st.integers(1, len(rest)))
        made.append(tuple(sorted(rest[:cut])))
        rest = rest[cut:]
    return tuple(made)


def plan(ways: Iterable[tuple[str, Tiers]]) -> Plan:
    objects: dict[object, Object] = {}
    for prefix, one in ways:
        objects.setdefault(one, Group(one))
        objects[prefix] = Route(10_000_001, IPv4Network(prefix), Tunnels(one))
    return Plan((Vrf("hgv1", 10_000_001, ""), *objects.values()), (), {})


def exceptions(objects: Iterable[Object]) -> set[tuple[str, ...]]:
    return {obj.item for obj in objects if isinstance(obj, Element) and obj.set == "not_in_fib"}


@given(tiers(), st.sets(st.sampled_from(IF_IDS[:8])))
def test_the_first_tier_with_a_tunnel_that_is_up_serves_alone(one: Tiers, up: set[int]) -> None:
    serving = first_tier_up(one, up)
    tier = next((tier for tier in one if up & set(tier)), ())
    assert serving == tuple(member for member in tier if member in up)
    assert list(serving) == sorted(serving)


@given(tiers(), st.sets(st.sampled_from(IF_IDS[:8])))
def test_every_tunnel_of_a_route_serves_it_or_is_an_exception(one: Tiers, up: set[int]) -> None:
    objects = activate(plan([("10.1.0.0/24", one)]), up)
    (group,) = (obj for obj in objects if isinstance(obj, Group))
    serving = {tunnel_interface(member) for member in group.active}
    idle = {interface for interface, _ in exceptions(objects)}
    assert not serving & idle
    assert serving | idle == {tunnel_interface(member) for tier in one for member in tier}


networks = st.builds(
    lambda number, length: str(IPv4Network((number >> (32 - length) << (32 - length), length))),
    st.integers(0x0A000000, 0x0A0003FF),
    st.integers(20, 32),
)


@given(st.lists(networks, unique=True, min_size=1, max_size=6))
def test_exceptions_cover_what_the_tunnel_may_bring_and_never_overlap(prefixes: list[str]) -> None:
    # The kernel refuses an interval inside another: 10.1.5.0/24 after 10.1.0.0/16 is "File exists".
    found = [IPv4Network(item[1]) for item in exceptions(activate(plan((p, ((A,),)) for p in prefixes), set()))]
    assert not any(one.overlaps(two) for one in found for two in found if one != two)
    assert all(any(IPv4Network(p).subnet_of(one) for one in found) for p in prefixes)
    assert sum(one.num_addresses for one in found) == len({a for p in prefixes for a in IPv4Network(p)})


def test_a_tunnel_whose_site_serves_the_route_by_another_is_no_exception() -> None:
    """It would let it bring what is another site's inside that prefix; its siblings' routes say what it may bring."""
    sites = {A: "one", B: "one", C: "two"}
    tunnels = tuple(
        TunnelOf(tunnel_interface(nexthop), nexthop, "c", site, "l", 0, "192.0.2.1", "192.0.2.2")
        for nexthop, site in sites.items()
    )
    made = replace(plan([("10.0.0.0/8", ((A,), (B,), (C,)))]), tunnels=tunnels)
    assert exceptions(activate(made, {A, B, C})) == {(tunnel_interface(C), "10.0.0.0/8")}
    assert exceptions(activate(made, {B})) == {(tunnel_interface(C), "10.0.0.0/8")}
    assert exceptions(activate(made, set())) == {(tunnel_interface(one), "10.0.0.0/8") for one in (A, B, C)}


def test_a_backup_is_an_exception_while_it_is_up_and_does_not_serve() -> None:
    one: Tiers = ((A, B), (C,))
    assert exceptions(activate(plan([("10.1.0.0/24", one)]), {A, B, C})) == {("hgt3", "10.1.0.0/24")}
    assert exceptions(activate(plan([("10.1.0.0/24", one)]), {C})) == {
        ("hgt1", "10.1.0.0/24"),
        ("hgt2", "10.1.0.0/24"),
    }


def test_a_tunnel_serves_one_route_and_is_an_exception_of_another() -> None:
    objects = activate(plan([("10.1.0.1/32", ((A,), (B,))), ("10.2.0.0/24", ((B,),))]), {A, B})
    assert exceptions(objects) == {("hgt2", "10.1.0.1")}


def test_a_default_route_makes_no_exception() -> None:
    assert exceptions(activate(plan([("0.0.0.0/0", ((A,),))]), set(), [(B, nlri(IPv4Network("0.0.0.0/0")))])) == set()


def test_what_is_admitted_is_one_with_the_exceptions_of_the_plan() -> None:
    admitted = [(A, nlri(IPv4Network(p))) for p in ("10.1.0.0/25", "10.2.0.0/24")]
    admitted += [
        (B, nlri(IPv4Network("10.2.1.0/24"))),
        (C, bytes.fromhex("20") + bytes.fromhex("20010db8") + bytes(12)),
    ]
    found = exceptions(activate(plan([("10.1.0.0/24", ((A,),)), ("10.2.0.0/24", ((B,),))]), set(), admitted))
    assert found == {("hgt1", "10.1.0.0/24"), ("hgt1", "10.2.0.0/24"), ("hgt2", "10.2.0.0/23")}


def test_what_is_no_group_is_as_it_was() -> None:
    wanted = plan([("10.1.0.0/24", ((A,),))])
    assert [obj for obj in activate(wanted, {A}) if not isinstance(obj, Group | Element)] == [
        obj for obj in wanted.objects if not isinstance(obj, Group)
    ]


def test_two_halves_of_everything_are_no_exception_either() -> None:
    halves = [(A, nlri(IPv4Network(half))) for half in ("0.0.0.0/1", "128.0.0.0/1")]
    assert exceptions(activate(plan([]), {A}, halves)) == set()
    assert exceptions(activate(plan([]), {A}, halves[:1])) == {("hgt1", "0.0.0.0/1")}
