"""Overlaps are found as by looking at each two, and what is left of a prefix is all that is not hidden."""

import random
from ipaddress import IPv4Network, collapse_addresses
from itertools import combinations

from hubgw.resources.overlaps import Prefixes, overlapping
from hubgw.resources.translation import rest_of
from tests.unit.compile.worlds import document, inventory_of

OWNER = next(iter(inventory_of([document("virtualWans", "wan1")]).by_key.values()))
DEFAULT = IPv4Network("0.0.0.0/0")


def some(count: int) -> list[IPv4Network]:
    """Returns different prefixes of 10.0.0.0/20, many of which overlap."""
    choice = random.Random(7)
    lengths = [choice.randint(20, 32) for _ in range(count)]
    start = int(IPv4Network("10.0.0.0/20").network_address)
    return sorted({IPv4Network((start + choice.randrange(4096), length), strict=False) for length in lengths})


def test_each_two_that_overlap_are_found_once() -> None:
    prefixes = some(120)
    found = [frozenset(two) for two in overlapping(prefixes, lambda one: one)]
    expected = {frozenset((one, other)) for one, other in combinations(prefixes, 2) if one.overlaps(other)}
    assert len(found) == len(expected) and set(found) == expected


def test_equal_prefixes_overlap() -> None:
    one = IPv4Network("10.0.0.0/24")
    assert len(list(overlapping([(one, 1), (one, 2), (one, 3)], lambda item: item[0]))) == 3


def test_who_is_inside_and_around_and_no_default_route() -> None:
    every = some(120)
    prefixes = Prefixes([(prefix, OWNER, ()) for prefix in (*every, DEFAULT)])
    for prefix in some(40):
        assert [one for one, _, _ in prefixes.inside(prefix)] == [one for one in every if one.subnet_of(prefix)]
        outer = {one for one in every if prefix.subnet_of(one) and one != prefix}
        assert {one for one, _, _ in prefixes.around(prefix)} == outer


def test_the_rest_and_what_is_hidden_are_the_whole() -> None:
    whole = IPv4Network("10.0.0.0/20")
    hidden = [IPv4Network("10.0.3.0/24"), IPv4Network("10.0.3.128/25"), IPv4Network("10.0.15.252/30")]
    rest = rest_of(whole, hidden)
    assert not any(one.overlaps(other) for one in rest for other in hidden)
    assert list(collapse_addresses([*rest, *hidden])) == [whole]
    assert rest_of(whole, [whole]) == ()
