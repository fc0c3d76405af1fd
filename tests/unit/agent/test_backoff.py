"""When the next attempt is due."""

import random

from hypothesis import given
from hypothesis import strategies as st

from hubgw.agent.backoff import Backoff


@given(st.integers(0, 100), st.floats(0, 1e9))
def test_delays_double_up_to_the_longest_with_a_spread(failures: int, now: float) -> None:
    backoff = Backoff(2.0, 30.0)
    for count in range(failures):
        delay = backoff.failed("t", now)
        whole = min(30.0, 2.0 * 2**count)
        assert 0.75 * whole <= delay <= 1.25 * whole
        assert not backoff.due("t", now)
        assert backoff.due("t", now + delay)
    assert backoff.failures("t") == failures


def test_names_are_apart_and_forgotten_apart() -> None:
    backoff = Backoff(2.0, 30.0, random.Random(1))
    for name in ("a", "b", "c"):
        backoff.failed(name, 0.0)
    backoff.reset("a")
    backoff.keep({"b", "never"})
    assert [backoff.due(name, 0.0) for name in ("a", "b", "c", "d")] == [True, False, True, True]
    assert [backoff.failures(name) for name in ("a", "b", "c")] == [0, 1, 0]


def test_many_do_not_come_at_once() -> None:
    backoff = Backoff(2.0, 30.0)
    assert len({backoff.failed(str(number), 0.0) for number in range(100)}) > 90
