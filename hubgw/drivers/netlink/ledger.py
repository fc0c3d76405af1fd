"""Which number each nexthop group has: {tiers: number}, in a file under /run, so that a restart knows it again.

The kernel shows the members of now, not the tiers that they were chosen from. Losing the file costs groups made anew
and routes moved to them, never a packet. It does no netlink.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hubgw.drivers import ledger_file
from hubgw.plan.kernel import Tiers
from hubgw.plan.numbers import GROUPS

_BLACKHOLE: Final = GROUPS[0]


class Ledger(Mapping[Tiers, int]):
    """The numbers of our groups by their tiers, and in `names` the tiers by their number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers: dict[Tiers, int] = {}
        self.names: dict[int, Tiers] = {}
        self._next = _BLACKHOLE
        for tiers, number in _read(path):
            self.adopt(tiers, number)

    def __getitem__(self, tiers: Tiers) -> int:
        return self._numbers[tiers]

    def __iter__(self) -> Iterator[Tiers]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def adopt(self, tiers: Tiers, number: int) -> None:
        """Gives a group that is in the kernel a name."""
        self._numbers[tiers] = number
        self.names[number] = tiers

    def allocate(self, tiers: Tiers) -> int:
        """Returns the group's number, a free one if it has none."""
        if tiers not in self._numbers:
            self._next += 1
            while self._next in self.names:
                self._next += 1
            self.adopt(tiers, self._next)
        return self._numbers[tiers]

    def keep(self, numbers: Collection[int]) -> None:
        """Forgets all groups but these."""
        self.names = {number: tiers for number, tiers in self.names.items() if number in numbers}
        self._numbers = {tiers: number for number, tiers in self.names.items()}

    def save(self) -> None:
        """Replaces the file."""
        ledger_file.write(self._path, json.dumps([[number, tiers] for tiers, number in self._numbers.items()]))


def _read(path: Path) -> list[tuple[Tiers, int]]:
    """Returns the file's entries; none of them where it is missing or not ours to read."""
    try:
        entries: Any = json.loads(path.read_text())
        return [(tuple(tuple(int(id_) for id_ in tier) for tier in tiers), int(number)) for number, tiers in entries]
    except (OSError, ValueError, TypeError):
        return []
