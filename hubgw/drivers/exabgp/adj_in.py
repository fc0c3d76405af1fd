"""Adj-RIB-In of one peer: what it announced, after RFC 7606 and before policy. Pure state.

Routes may be stale: kept over a loss of the session (RFC 4724), or while the peer tells all anew (RFC 7313). A method
returns the prefixes that the agent must hear of.
"""

from collections import defaultdict
from collections.abc import Iterable

from hubgw.plan.bgp import Nlri


class AdjRibIn:
    """The routes of one peer: {prefix: canonical attributes}."""

    def __init__(self) -> None:
        self._routes: dict[Nlri, bytes] = {}
        self._stale: set[Nlri] = set()

    def __len__(self) -> int:
        return len(self._routes)

    @property
    def stale(self) -> int:
        """How many routes are stale."""
        return len(self._stale)

    @property
    def fresh(self) -> int:
        """How many routes the peer has announced since the others became stale."""
        return len(self._routes) - len(self._stale)

    def announce(self, nlris: list[Nlri], wire: bytes) -> list[Nlri]:
        """Takes prefixes with their attributes; returns those that are new, changed, or no longer stale."""
        routes, stale = self._routes, self._stale
        if stale:
            told = [nlri for nlri in nlris if nlri in stale or routes.get(nlri) != wire]
            stale.difference_update(told)
        else:
            told = [nlri for nlri in nlris if routes.get(nlri) != wire]
        routes.update(dict.fromkeys(told, wire))
        return told

    def withdraw(self, nlris: Iterable[Nlri]) -> list[Nlri]:
        """Returns the prefixes that were there."""
        routes = self._routes
        told = [nlri for nlri in nlris if routes.pop(nlri, None) is not None]
        if self._stale:
            self._stale.difference_update(told)
        return told

    def mark_stale(self) -> None:
        """Makes all routes stale."""
        self._stale.update(self._routes)

    def sweep(self) -> list[Nlri]:
        """Removes the stale routes; returns their prefixes."""
        told = sorted(self._stale)
        for nlri in told:
            del self._routes[nlri]
        self._stale.clear()
        return told

    def flush(self) -> None:
        """Removes all routes."""
        self._routes.clear()
        self._stale.clear()

    def grouped(self) -> list[tuple[bytes, list[Nlri]]]:
        """Returns all prefixes by their attributes."""
        groups: defaultdict[bytes, list[Nlri]] = defaultdict(list)
        for nlri, wire in self._routes.items():
            groups[wire].append(nlri)
        return list(groups.items())
