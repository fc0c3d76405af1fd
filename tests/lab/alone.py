"""One lab in a VM at a time: namespaces have fixed names, and what a killed run left is cleared."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = Path("/run/hubgw-lab.lock")


@contextmanager
def alone() -> Iterator[None]:
    """Waits until no other lab is there, and keeps others away for the time of the block."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
