"""The matrix of interoperability: factors -> cells that can be, and a small set of them with every pair of values.

Knows no kernel; `tests.lab.test_interop` carries the cells out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from typing import Final


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination: a value for each factor."""

    daemon: str
    ike: str
    authentication: str
    suite: str
    starts: str
    nat: str

    def __str__(self) -> str:
        return ", ".join(self.values.values())

    @property
    def values(self) -> dict[str, str]:
        return asdict(self)


FACTORS: Final[tuple[tuple[str, ...], ...]] = (
    ("strongSwan", "Libreswan"),
    ("IKEv2", "IKEv1"),
    ("preshared key", "certificate"),
    ("default", "custom policy", "legacy"),
    ("hub starts", "branch starts"),
    ("no NAT", "NAT"),
)


def why_not(cell: Cell) -> str:
    """Returns why a combination cannot be; nothing where it can."""
    if cell.daemon == "Libreswan" and cell.ike == "IKEv1" and cell.starts == "hub starts":
        return "as responder of IKEv1, Libreswan 5.2 has one tunnel for 0.0.0.0/0 and gives up the second"
    if cell.ike == "IKEv1" and cell.authentication == "certificate":
        return "with IKEv1 hubgw has preshared keys alone"
    return ""


def cells() -> list[Cell]:
    """Returns every cell that can be."""
    return [cell for cell in combinations_of(FACTORS) if not why_not(cell)]


def combinations_of(factors: tuple[tuple[str, ...], ...]) -> Iterator[Cell]:
    """Yields each combination of one value of every factor."""
    yield from (Cell(*values) for values in product(*factors))


Pair = frozenset[tuple[str, str]]


def pairs(cell: Cell) -> Iterator[Pair]:
    """Yields each pair of values of two factors that a cell has."""
    yield from (frozenset(two) for two in combinations(cell.values.items(), 2))


def pairwise(among: Sequence[Cell]) -> list[Cell]:
    """Returns some of the cells, in their order, that have every pair of values which any of them has.

    Greedy: each time the first cell that has the most pairs still missing.
    """
    missing = _all_pairs(among)
    chosen: set[Cell] = set()
    while missing:
        best = max(among, key=lambda cell: len(missing.intersection(pairs(cell))))
        chosen.add(best)
        missing.difference_update(pairs(best))
    return [cell for cell in among if cell in chosen]


def _all_pairs(among: Iterable[Cell]) -> set[Pair]:
    return {pair for cell in among for pair in pairs(cell)}
