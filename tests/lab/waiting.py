"""Waiting for a named condition with a deadline: the only way in which a lab case lets time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_STEP = 0.1


def wait_for(what: str, condition: Callable[[], T], seconds: float = 30.0) -> T:
    """Returns the condition's first true value; fails with its name, and its last value, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {value!r}")
        time.sleep(_STEP)
    return value
