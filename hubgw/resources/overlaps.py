"""Many prefixes -> those that overlap, at what sorting them costs."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from hubgw.resources.base import Resource
from hubgw.resources.problem import Path

Network = IPv4Network | IPv6Network

Taken = tuple[IPv4Network, Resource, Path]
"""A prefix, and who has it where."""

T = TypeVar("T")


def inside(inner: Network, outer: Network) -> bool:
    """Tells whether a prefix is equal to another, or a part of it."""
    return isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network) and inner.subnet_of(outer)


def around(prefix: Network) -> Iterator[Network]:
    """Yields the prefixes that this one is a part of, but for the default route, which everything is a part of."""
    for length in range(prefix.prefixlen - 1, 0, -1):
        yield prefix.supernet(new_prefix=length)


def overlapping(items: Iterable[T], of: Callable[[T], Network]) -> Iterator[tuple[T, T]]:
    """Yields each two whose prefixes overlap: of two prefixes, one is then around the other."""
    outer: list[T] = []
    for item in sorted(items, key=lambda one: (int(of(one).network_address), of(one).prefixlen)):
        while outer and not inside(of(item), of(outer[-1])):
            outer.pop()
        yield from ((item, other) for other in outer)
        outer.append(item)


class Prefixes:
    """Who has which prefixes."""

    def __init__(self, every: Iterable[tuple[Network, Resource, Path]]) -> None:
        self._at: dict[Network, list[Taken]] = defaultdict(list)
        for prefix, owner, path in every:
            if isinstance(prefix, IPv4Network):
                self._at[prefix].append((prefix, owner, path))
        self._sorted = sorted(prefix for prefix in self._at if isinstance(prefix, IPv4Network))

    def around(self, prefix: Network) -> Iterator[Taken]:
        """Yields what is larger than a prefix and has it as a part, the next larger first; no default route."""
        for outer in around(prefix):
            yield from self._at.get(outer, ())

    def inside(self, prefix: Network) -> Iterator[Taken]:
        """Yields what is equal to a prefix, or a part of it."""
        if isinstance(prefix, IPv4Network):
            at = bisect_left(self._sorted, prefix)
            while at < len(self._sorted) and inside(self._sorted[at], prefix):
                yield from self._at[self._sorted[at]]
                at += 1
