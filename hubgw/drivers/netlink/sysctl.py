"""Kernel settings below /proc/sys, of the calling thread's network namespace: read and write, no choice of values."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hubgw.plan.kernel import Sysctl
from hubgw.plan.types import Create, Op, OpError, Update

_ROOT: Final = Path("/proc/sys")
_DEFAULTS: Final = "net/ipv4/conf/default"


def read(paths: Sequence[str]) -> list[Sysctl]:
    """Returns the settings that exist; of one that this kernel lacks, nothing."""
    found = []
    for path in paths:
        try:
            found.append(Sysctl(path, (_ROOT / path).read_text().strip()))
        except OSError:
            continue
    return found


def write(ops: Iterable[Op]) -> list[OpError]:
    """Writes the values of the operations; a deletion leaves a setting as it is."""
    errors = []
    for op in ops:
        if not isinstance(op, Create | Update) or not isinstance(op.new, Sysctl):
            continue
        try:
            (_ROOT / op.new.path).write_text(op.new.value)
        except OSError as error:
            errors.append(OpError(op, f"/proc/sys/{op.new.path} = {op.new.value}: {error.strerror}"))
    return errors


def interface_default(setting: str) -> int:
    """Returns what a new interface gets for an IPv4 setting, such as ``forwarding``."""
    seen = read([f"{_DEFAULTS}/{setting}"])
    return int(seen[0].value) if seen else 0
