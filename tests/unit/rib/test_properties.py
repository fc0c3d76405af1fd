"""Whatever comes in whatever order, the incremental Rib is where a full recomputation is, and its deltas lead there."""

from random import Random
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from hubgw.rib.rib import Rib
from hubgw.rib.types import merge
from tests.unit.rib.worlds import Sums, check, expectations, steps

randoms = st.randoms(use_true_random=False)


@given(randoms)
def test_any_steps_lead_to_what_a_recomputation_gives(random: Random) -> None:
    sequence = steps(random)
    check(Rib, sequence, expectations(sequence))


@given(randoms)
def test_so_they_do_where_nothing_is_remembered_for_long(random: Random) -> None:
    sequence = steps(random)
    with patch("hubgw.rib.adj_in._SLACK", 0), patch("hubgw.rib.table._MOST_CHOICES", 1):
        check(Rib, sequence, expectations(sequence))


@given(randoms, st.integers(0, 10))
def test_a_merged_delta_does_what_they_do_one_after_the_other(random: Random, start: int) -> None:
    rib, one_by_one, merged = Rib(), Sums(), Sums(exact=False)
    deltas = [getattr(rib, step.method)(*step.arguments) for step in steps(random) if step.method != "begin"]
    for delta in deltas:
        one_by_one.add(delta)
    merged.add(merge(deltas[:start]))
    merged.add(merge(deltas[start:]))
    assert (merged.fib, merged.out) == (one_by_one.fib, one_by_one.out)
    assert merged.exceptions == one_by_one.exceptions
