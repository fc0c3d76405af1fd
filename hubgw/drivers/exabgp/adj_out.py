"""Adj-RIB-Out of a speaker: one table for all peers, each of which gets what does not exclude its site. Pure state.

What all have in common costs once: the UPDATEs of a group of prefixes, alike in attributes and in excluded sites, are
built once for each `Variant` and the same octets go to all of its peers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

from hubgw.drivers.exabgp.updates import announcements, withdrawals
from hubgw.plan.bgp import Nlri

Sites = frozenset[str]


class Variant(NamedTuple):
    """What UPDATEs differ by between peers."""

    next_hop: IPv4Address
    asn4: bool


class Receiver(NamedTuple):
    """A peer that has its table. `packed` is its address as frames have it."""

    packed: bytes
    site: str
    variant: Variant


class Sending(NamedTuple):
    """Whole messages for each of some peers; `prefixes` says how many they announce or withdraw."""

    to: list[bytes]
    messages: list[bytes]


@dataclass(slots=True, eq=False)
class _Group:
    wire: bytes
    excluded: Sites
    nlris: dict[Nlri, None]
    built: dict[Variant, list[bytes]]

    def alike(self, other: "_Group | None") -> bool:
        return other is not None and (self.wire, self.excluded) == (other.wire, other.excluded)

    def messages(self, variant: Variant) -> list[bytes]:
        built = self.built.get(variant)
        if built is None:
            built = self.built[variant] = announcements(self.wire, [*self.nlris], *variant)
        return built


class _Audience:
    """Peers by what they get."""

    def __init__(self, receivers: Iterable[Receiver]) -> None:
        self._by_variant: defaultdict[Variant, list[bytes]] = defaultdict(list)
        self._by_site: defaultdict[str, list[bytes]] = defaultdict(list)
        for packed, site, variant in receivers:
            self._by_variant[variant].append(packed)
            self._by_site[site].append(packed)

    def by_variant(self, excluded: Sites) -> Iterator[tuple[Variant, list[bytes]]]:
        """Yields the peers outside of the excluded sites."""
        left_out = {packed for site in excluded for packed in self._by_site.get(site, ())}
        for variant, everyone in self._by_variant.items():
            to = [packed for packed in everyone if packed not in left_out] if left_out else everyone
            if to:
                yield variant, to

    def of_sites(self, outside: Sites, inside: Sites | None) -> list[bytes]:
        """Returns the peers of sites that are not in the one set and in the other, where there is one."""
        sites = self._by_site.keys() - outside if inside is None else self._by_site.keys() & (inside - outside)
        return [packed for site in sorted(sites) for packed in self._by_site[site]]


class AdjRibOut:
    """The table. Changes gather until `changes` is asked for; whoever gets `table` must have had them before."""

    def __init__(self) -> None:
        self._routes: dict[Nlri, _Group] = {}
        self._groups: dict[tuple[bytes, Sites], _Group] = {}
        self._before: dict[Nlri, _Group | None] = {}  # of what changed
        self._unconfirmed: set[Nlri] | None = None
        self._excluding: defaultdict[str, int] = defaultdict(int)

    def count(self, site: str) -> int:
        """How many prefixes a peer of the site gets."""
        return len(self._routes) - self._excluding.get(site, 0)

    def begin(self) -> None:
        """All will be advertised anew."""
        self._unconfirmed = set(self._routes)

    def unconfirmed(self) -> list[Nlri]:
        """Returns, once all has been advertised, what was not since `begin`."""
        unconfirmed, self._unconfirmed = self._unconfirmed, None
        return sorted(unconfirmed or ())

    def advertise(self, nlris: Iterable[Nlri], wire: bytes, excluded: Sites) -> None:
        """Takes prefixes with canonical attributes without NEXT_HOP, and the sites that they do not go to."""
        group = self._groups.get((wire, excluded))
        if group is None:
            group = self._groups[wire, excluded] = _Group(wire, excluded, {}, {})
        routes, before = self._routes, self._before
        for nlri in nlris:
            old = routes.get(nlri)
            if old is group:
                continue
            before.setdefault(nlri, old)
            if old is not None:
                self._leave(old, nlri)
            routes[nlri] = group
            group.nlris[nlri] = None
            group.built.clear()
            for site in excluded:
                self._excluding[site] += 1
        if self._unconfirmed:
            self._unconfirmed.difference_update(nlris)

    def withdraw(self, nlris: Iterable[Nlri]) -> None:
        """Takes prefixes out; those that are not there are no matter."""
        for nlri in nlris:
            if old := self._routes.pop(nlri, None):
                self._before.setdefault(nlri, old)
                self._leave(old, nlri)

    def changes(self, receivers: Iterable[Receiver]) -> Iterator[Sending]:
        """Yields what brings peers from the last call's table to this one."""
        announced, withdrawn = self._differences()
        audience = _Audience(receivers)
        for (had, lacks), nlris in withdrawn.items():
            to = audience.of_sites(had, lacks)
            if to:
                yield Sending(to, withdrawals(nlris))
        for group, nlris in announced.items():
            for variant, to in audience.by_variant(group.excluded):
                whole = len(nlris) == len(group.nlris)
                yield Sending(to, group.messages(variant) if whole else announcements(group.wire, nlris, *variant))

    def table(self, receiver: Receiver) -> Iterator[bytes]:
        """Yields the messages that announce all that a peer gets."""
        for group in self._groups.values():
            if receiver.site not in group.excluded:
                yield from group.messages(receiver.variant)

    def excluded(self, site: str) -> list[Nlri]:
        """Returns the prefixes that the site does not get."""
        return [nlri for group in self._groups.values() if site in group.excluded for nlri in group.nlris]

    def _leave(self, group: _Group, nlri: Nlri) -> None:
        del group.nlris[nlri]
        group.built.clear()
        for site in group.excluded:
            self._excluding[site] -= 1
        if not group.nlris:
            del self._groups[group.wire, group.excluded]

    def _differences(self) -> tuple[dict[_Group, list[Nlri]], dict[tuple[Sites, Sites | None], list[Nlri]]]:
        """Returns what is announced, and what is withdrawn from sites outside of one set and inside of another."""
        announced: defaultdict[_Group, list[Nlri]] = defaultdict(list)
        withdrawn: defaultdict[tuple[Sites, Sites | None], list[Nlri]] = defaultdict(list)
        for nlri, old in self._before.items():
            new = self._routes.get(nlri)
            if new is None:
                if old is not None:
                    withdrawn[old.excluded, None].append(nlri)
            elif not new.alike(old):
                announced[new].append(nlri)
                if old and not new.excluded <= old.excluded:
                    withdrawn[old.excluded, new.excluded].append(nlri)
        self._before = {}
        return announced, withdrawn
