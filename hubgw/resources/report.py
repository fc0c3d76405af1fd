"""What every cross-resource check needs: the inventory, where things stand, and the problems found so far."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from hubgw.resources.base import Ref, Resource
from hubgw.resources.ids import singular
from hubgw.resources.inventory import Inventory
from hubgw.resources.problem import STORED, Finding, Path, Place, Problem, place_text

Where = Callable[[str, Path], Place]
"""Tells the place of a field of the resource with a key; what no file has is at `problem.STORED`."""

R = TypeVar("R", bound=Resource)
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def words(resource: Resource) -> str:
    """Names a resource: ``vpnSite branch1``, ``vpnConnection gw1/branch1``."""
    return f"{singular(resource.type)} {resource.label}"


def seconds(items: Iterable[T], key: Callable[[T], K | None]) -> Iterator[tuple[T, T]]:
    """Yields (item, first) for each item whose key an earlier one has; items with the key None are left out."""
    first: dict[K, T] = {}
    for item in items:
        value = key(item)
        if value is None:
            continue
        if value in first:
            yield item, first[value]
        else:
            first[value] = item


@dataclass(slots=True)
class Report:
    """Collects the problems of one validation."""

    inventory: Inventory
    where: Where
    now: float  # epoch seconds
    problems: list[Problem] = field(default_factory=list)

    def add(self, resource: Resource, path: Path, message: str, value: str = "", hint: str = "") -> None:
        """Adds a problem of a resource's field."""
        self.problems.append(Problem.at(self.where(resource.key, path), Finding(path, message, value, hint)))

    def placed(self, resource: Resource, path: Path) -> str:
        """Names a resource and the place of its field: ``vpnSite branch1 (hub.yaml:12)``."""
        place = self.where(resource.key, path)
        return f"{words(resource)} {STORED[0] if place == STORED else f'({place_text(place)})'}"

    def later(self, one: T, other: T, key: Callable[[T], str]) -> tuple[T, T]:
        """Orders two that disagree: first the one to blame, which comes later, and after all that is stored."""
        places = [self.where(key(either), ()) for either in (one, other)]
        ranks = [(place != STORED, place) for place in places]
        return (other, one) if ranks[0] < ranks[1] else (one, other)

    def of(self, kind: type[R], ref: Ref | str) -> R | None:
        """Returns the resource of a reference or key if it is there and of this kind; says nothing if not."""
        resource = self.inventory.get(ref)
        return resource if isinstance(resource, kind) else None
