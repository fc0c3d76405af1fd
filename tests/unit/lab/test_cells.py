"""The matrix of interoperability: which cells there are, and that the small set has every pair of values."""

import pytest

from tests.lab.cells import FACTORS, Cell, cells, combinations_of, pairs, pairwise, why_not


def test_every_combination_is_a_cell_or_has_a_reason() -> None:
    every = list(combinations_of(FACTORS))
    assert [cell for cell in every if not why_not(cell)] == cells()
    assert len(every) == len(set(every)) > len(cells())


def test_every_pair_of_values_is_in_the_small_set() -> None:
    small = pairwise(cells())
    assert {pair for cell in small for pair in pairs(cell)} == {pair for cell in cells() for pair in pairs(cell)}
    assert len(small) < len(cells()) / 3


@pytest.mark.parametrize("left_out", pairwise(cells()), ids=str)
def test_each_cell_of_the_small_set_or_another_is_needed_for_some_pair(left_out: Cell) -> None:
    """Without it, and with what is not of the set, the pairs are still had: the set is computed, not listed."""
    others = [cell for cell in cells() if cell != left_out]
    assert left_out not in pairwise(others)
    assert {pair for cell in pairwise(others) for pair in pairs(cell)} == {
        pair for cell in others for pair in pairs(cell)
    }
