"""One route table: the accepted paths of its peers -> FIB, Adj-RIB-Out and admitted sources, prefix by prefix.

What a peer announces changes its Adj-RIB-In and who has a path to a prefix (`learn`, `withdraw`, `join`, `part`);
`decide` then derives the rest of these prefixes anew, and says what became different.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final

from hubgw.plan.bgp import Attributes, Nlri
from hubgw.rib.adj_in import AdjRibIn
from hubgw.rib.best import spread
from hubgw.rib.policy import Path, Policy, peer_refusal
from hubgw.rib.types import NOTHING, Admitted, Delta, Out

_NOBODY: tuple[AdjRibIn, ...] = ()
_KEY = attrgetter("key")

_Choice = tuple[tuple[int, ...] | None, Out | None, tuple[int, ...]]
"""The nexthop ids of a prefix's group, what is announced, and the spare nexthop ids."""

_MOST_CHOICES: Final = 4096


class Table:
    """The Loc-RIB of a route table.

    `fib`, `out` and `spare` (nexthop ids that no route of the prefix takes, though another site's path to it does) have
    no entry where there is nothing.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.fib: dict[Nlri, tuple[int, ...]] = {}
        self.out: dict[Nlri, Out] = {}
        self.spare: dict[Nlri, tuple[int, ...]] = {}
        self._holders: dict[Nlri, tuple[AdjRibIn, ...]] = {}  # whose paths are accepted, in order of the peers' keys
        self._choices: dict[tuple[Path, ...], _Choice] = {}

    def learn(self, peer: AdjRibIn, attributes: Attributes, prefixes: Sequence[Nlri]) -> list[Nlri]:
        """Puts paths into a peer's Adj-RIB-In; returns the prefixes that are to be decided anew."""
        path = peer.path(attributes, self.policy)
        paths, refused, holders, refusal_of = peer.paths, peer.refused, self._holders, self.policy.prefix_refusal
        internal = peer.internal
        if peer.unconfirmed:
            peer.unconfirmed.difference_update(prefixes)
        moved = []
        for prefix in prefixes:
            before = paths.get(prefix)
            if before is path:
                continue
            paths[prefix] = path
            held = before is not None and prefix not in refused
            refusal = path.refusal or refusal_of(prefix)
            if internal and not refusal:
                refusal = peer_refusal(prefix, internal)
            if refusal:
                refused[prefix] = refusal
                if not held:
                    continue
                self.part(peer, prefix)
            elif not held:
                refused.pop(prefix, None)
                if prefix in holders:
                    self.join(peer, prefix)
                else:
                    holders[prefix] = peer.alone
            moved.append(prefix)
        return moved

    def withdraw(self, peer: AdjRibIn, prefixes: Iterable[Nlri]) -> list[Nlri]:
        """Takes paths out of a peer's Adj-RIB-In; returns the prefixes that are to be decided anew."""
        moved = []
        for prefix in prefixes:
            if peer.paths.pop(prefix, None) is None:
                continue
            if peer.refused.pop(prefix, None) is None:
                self.part(peer, prefix)
                moved.append(prefix)
        return moved

    def adopt(self, peer: AdjRibIn, earlier: AdjRibIn) -> list[Nlri]:
        """Learns for a peer all that it had announced earlier, under another policy."""
        announced: dict[Path, list[Nlri]] = {}
        for prefix, path in earlier.paths.items():
            announced.setdefault(path, []).append(prefix)
        moved = [
            prefix for path, prefixes in announced.items() for prefix in self.learn(peer, path.attributes, prefixes)
        ]
        peer.unconfirmed = earlier.unconfirmed
        return moved

    def join(self, peer: AdjRibIn, prefix: Nlri) -> None:
        """Adds a peer to those that have an accepted path."""
        holders = self._holders.get(prefix, _NOBODY)
        joined = (*holders, peer)
        if holders and peer.key < holders[-1].key:
            joined = tuple(sorted(joined, key=_KEY))
        self._holders[prefix] = joined

    def part(self, peer: AdjRibIn, prefix: Nlri) -> None:
        """Removes a peer from those that have an accepted path."""
        holders = self._holders[prefix]
        if len(holders) == 1:
            del self._holders[prefix]
        else:
            self._holders[prefix] = tuple([holder for holder in holders if holder is not peer])

    def enforce(self, policy: Policy) -> None:
        """Puts another policy into force; what it says otherwise of a path or a prefix is the caller's to bring up."""
        self.policy = policy
        self.forget()

    def forget(self) -> None:
        """Drops the choices that are remembered: policy changed, or tunnels came up or went down."""
        self._choices.clear()

    def dissolve(self) -> Delta:
        """Returns the delta that takes back everything."""
        number = self.policy.table.table
        return Delta(
            {number: dict.fromkeys(self.fib)} if self.fib else {},
            {number: dict.fromkeys(self.out)} if self.out else {},
            dismissed=set(self.admitted()),
        )

    def admitted(self) -> Iterator[Admitted]:
        """Yields what is admitted although no route leads there."""
        return ((nexthop, prefix) for prefix, nexthops in self.spare.items() for nexthop in nexthops)

    def best(self, prefix: Nlri) -> tuple[AdjRibIn, ...]:
        """Returns the peers whose paths packets to this prefix take, in order of their keys."""
        return self._best(prefix, self._holders.get(prefix, _NOBODY))

    def decide(self, prefixes: Iterable[Nlri]) -> Delta:
        """Derives what follows from the paths to these prefixes; the delta has what became different."""
        fib, out, spare, holders_of = self.fib, self.out, self.spare, self._holders
        apart, originated = self.policy.apart, self.policy.originated
        routed: dict[Nlri, tuple[int, ...] | None] = {}
        announced: dict[Nlri, Out | None] = {}
        admitted: set[Admitted] = set()
        dismissed: set[Admitted] = set()
        for prefix in prefixes:
            holders = holders_of.get(prefix, _NOBODY)
            group: tuple[int, ...] | None
            route: Out | None
            rest: tuple[int, ...]
            if not holders:
                group, route, rest = None, originated.get(prefix), ()
            elif len(holders) == 1 and prefix not in apart:
                peer = holders[0]
                group, rest = peer.group, ()
                route = peer.paths[prefix].out if group else None
            else:
                group, route, rest = self._choose(prefix, holders)
            if group != fib.get(prefix):
                routed[prefix] = group
                if group is None:
                    del fib[prefix]
                else:
                    fib[prefix] = group
            before = out.get(prefix)
            if route is not before and route != before:
                announced[prefix] = route
                if route is None:
                    del out[prefix]
                else:
                    out[prefix] = route
            if rest or prefix in spare:
                old = spare.pop(prefix, ())
                if rest:
                    spare[prefix] = rest
                admitted.update((nexthop, prefix) for nexthop in rest if nexthop not in old)
                dismissed.update((nexthop, prefix) for nexthop in old if nexthop not in rest)
        if not (routed or announced or admitted or dismissed):
            return NOTHING
        number = self.policy.table.table
        return Delta({number: routed} if routed else {}, {number: announced} if announced else {}, admitted, dismissed)

    def _choose(self, prefix: Nlri, holders: tuple[AdjRibIn, ...]) -> _Choice:
        if prefix in self.policy.apart:
            return self._choose_anew(prefix, holders)
        # A site has a session with each instance, so most prefixes have the same few paths, and the same choice.
        paths = tuple([holder.paths[prefix] for holder in holders])
        choice = self._choices.get(paths)
        if choice is None:
            if len(self._choices) >= _MOST_CHOICES:
                self._choices.clear()
            choice = self._choices[paths] = self._choose_anew(prefix, holders)
        return choice

    def _choose_anew(self, prefix: Nlri, holders: tuple[AdjRibIn, ...]) -> _Choice:
        best = self._best(prefix, holders)
        group = spread(best)
        route = self._announcement(prefix, best) if best else self.policy.originated.get(prefix)
        sites = {holder.of.site for holder in best}
        # The tunnels of one site bring what is routed through any of them, by nftables' set of siblings.
        others = [] if prefix in self.policy.statics else [one for one in holders if {one.of.site} != sites]
        spare = {nexthop for other in others for nexthop in other.live}.difference(group)
        return group or None, route, tuple(sorted(spare))

    def _best(self, prefix: Nlri, holders: tuple[AdjRibIn, ...]) -> tuple[AdjRibIn, ...]:
        usable = [holder for holder in holders if holder.live]
        if not usable or prefix in self.policy.statics:
            return _NOBODY
        least = min([holder.paths[prefix].rank for holder in usable])
        best = [holder for holder in usable if holder.paths[prefix].rank == least]
        weight = max([holder.weight for holder in best])
        return tuple([holder for holder in best if holder.weight == weight])

    def _announcement(self, prefix: Nlri, best: tuple[AdjRibIn, ...]) -> Out | None:
        """Returns the first of the best paths as it is announced.

        Sites that another of them came from, or that are in its AS path, do not get it either: some of their packets
        would come back to them.
        """
        route = best[0].paths[prefix].out
        if route is None:
            return None
        excluded = self.policy.spared(prefix, route.excluded.union(*[peer.paths[prefix].excluded for peer in best]))
        return route if excluded == route.excluded else Out(route.attributes, excluded)
