"""A lab's place in the VM: what is named by it meets no other lab, and what a killed run left there is cleared."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TextIO

PLACES: Final = 2
"""Labs at a time: one waits for its daemons half of the time, and a third would find no processor."""

_taken: list[int] = []


def prefix() -> str:
    """Returns what the names of this lab's namespaces begin with."""
    if not _taken:
        raise RuntimeError("no place was taken for a lab")
    return f"lab{_taken[0]}-"


@contextmanager
def place() -> Iterator[None]:
    """Takes a place that no other lab has; waits where there is none."""
    with ExitStack() as stack:
        locks = [stack.enter_context(_lock(number).open("w")) for number in range(PLACES)]
        number = next((number for number, lock in enumerate(locks) if _is_free(lock)), 0)
        fcntl.flock(locks[number], fcntl.LOCK_EX)
        yield from _at(number)


@contextmanager
def alone() -> Iterator[None]:
    """Takes every place: nothing else is to be measured."""
    with ExitStack() as stack:
        for number in range(PLACES):
            fcntl.flock(stack.enter_context(_lock(number).open("w")), fcntl.LOCK_EX)
        yield from _at(0)


def _at(number: int) -> Iterator[None]:
    _taken.append(number)
    try:
        yield
    finally:
        _taken.remove(number)


def _lock(number: int) -> Path:
    return Path(f"/run/hubgw-lab-{number}.lock")


def _is_free(lock: TextIO) -> bool:
    """Tells whether nobody had it; it is held from then on."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
