"""The RIB of a machine: what BGP peers announce, and what the plan says of them, in; changes of each route table out.

Every step answers with a delta, and deltas add up: applied one after the other to nothing they give `fib`, `out` and
`exceptions`. A step costs what it changes: one prefix for one prefix, a peer's prefixes where its tunnels come up or go
down, a table's where its policy changes. Whatever order the steps come in, the state is what a recomputation from the
Adj-RIBs-In gives.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from types import MappingProxyType

from hubgw.plan.bgp import Attributes, Nlri, PeerKey, PeerOf, RouteTable
from hubgw.rib.adj_in import AdjRibIn
from hubgw.rib.policy import DEFAULT, Policy
from hubgw.rib.table import Table
from hubgw.rib.types import NOTHING, Admitted, Delta, Learned, Out, merge

_Moved = dict[int, dict[Nlri, None]]
"""By routing table, prefixes to decide anew: each once, in a stable order."""


class Rib:
    """Adj-RIB-In of every peer, and the Loc-RIB of every route table.

    A step for a peer that is not configured changes nothing. The mappings that `fib` and `out` return are views.
    """

    def __init__(self) -> None:
        self._configured: tuple[tuple[RouteTable, ...], tuple[PeerOf, ...]] = ((), ())
        self._tables: dict[int, Table] = {}
        self._peers: dict[PeerKey, AdjRibIn] = {}
        self._up: Set[int] = frozenset()

    def configure(self, tables: Sequence[RouteTable], peers: Sequence[PeerOf]) -> Delta:
        """Takes over which tables and peers there are; a peer of a table that is not among them is none.

        A peer that goes takes its paths with it; those of a peer that changes stay, and are judged anew.
        """
        configured = tuple(tables), tuple(peers)
        if configured == self._configured:
            return NOTHING
        self._configured = configured
        numbers = {table.table for table in tables}
        wanted = {peer.key: peer for peer in peers if peer.table in numbers}
        policies = [Policy(table, [of for of in wanted.values() if of.table == table.table]) for table in tables]
        moved: _Moved = {number: {} for number in numbers}
        anew = self._enact(policies, moved)
        kept = self._part(wanted, anew, moved)
        gone = [self._tables.pop(number).dissolve() for number in sorted(self._tables.keys() - numbers)]
        for key, of in wanted.items():
            if key not in self._peers:
                peer = self._peers[key] = AdjRibIn(of, self._up)
                if key in kept:
                    moved[of.table].update(dict.fromkeys(self._tables[of.table].adopt(peer, kept[key])))
        return merge((*gone, *self._decide(moved)))

    def _enact(self, policies: Iterable[Policy], moved: _Moved) -> dict[int, Set[int] | None]:
        """Puts policies into force; returns by table the AS numbers whose paths are to be judged anew, None for all."""
        anew: dict[int, Set[int] | None] = {}
        for policy in policies:
            number = policy.table.table
            table = self._tables.setdefault(number, Table(policy))
            old = table.policy
            table.enforce(policy)
            anew[number] = old.changed_sites(policy) if old.table == policy.table else None
            moved[number].update(dict.fromkeys((*old.originated, *policy.originated, DEFAULT)))
        return anew

    def _part(
        self, wanted: Mapping[PeerKey, PeerOf], anew: Mapping[int, Set[int] | None], moved: _Moved
    ) -> dict[PeerKey, AdjRibIn]:
        """Takes out the peers that go, and those whose paths are to be judged anew; returns the latter."""
        kept = {}
        for key, peer in list(self._peers.items()):
            number = peer.of.table
            asns = anew.get(number)
            if wanted.get(key) == peer.of and asns is not None and not peer.holds(asns):
                continue
            del self._peers[key]
            accepted = peer.accepted()
            for prefix in accepted:
                self._tables[number].part(peer, prefix)
            moved.get(number, {}).update(dict.fromkeys(accepted))
            if key in wanted:
                kept[key] = peer
        return kept

    def _decide(self, moved: _Moved) -> Iterator[Delta]:
        return (self._tables[number].decide(prefixes) for number, prefixes in moved.items())

    def set_up(self, up: Set[int]) -> Delta:
        """Takes over the nexthop ids of the tunnels that are up now."""
        self._up = frozenset(up)
        moved: _Moved = {}
        for peer in self._peers.values():
            if peer.set_up(self._up):
                moved.setdefault(peer.of.table, {}).update(dict.fromkeys(peer.accepted()))
        for number in moved:
            self._tables[number].forget()
        return merge(self._decide(moved))

    def learn(self, peer: PeerKey, attributes: Attributes, nlris: Sequence[Nlri]) -> Delta:
        """Takes in what a peer announces: each prefix has these attributes now."""
        return self.learn_all(peer, ((attributes, nlris),))

    def learn_all(self, peer: PeerKey, routes: Iterable[tuple[Attributes, Sequence[Nlri]]]) -> Delta:
        """Takes in one announcement of a peer after another, and decides once, when all are in."""
        adj_in = self._peers.get(peer)
        if adj_in is None:
            return NOTHING
        table = self._tables[adj_in.of.table]
        return table.decide([prefix for route in routes for prefix in table.learn(adj_in, *route)])

    def withdraw(self, peer: PeerKey, nlris: Iterable[Nlri]) -> Delta:
        """Takes in what a peer withdraws; what it never announced is of no account."""
        adj_in = self._peers.get(peer)
        if adj_in is None:
            return NOTHING
        table = self._tables[adj_in.of.table]
        return table.decide(table.withdraw(adj_in, nlris))

    def begin(self, speaker: str) -> None:
        """Leaves all paths of a speaker's peers unconfirmed. They stay in use until End-of-RIB sweeps them."""
        for (name, _), peer in self._peers.items():
            if name == speaker:
                peer.unconfirmed = set(peer.paths)

    def end_of_rib(self, peer: PeerKey) -> Delta:
        """Sweeps what the peer has not announced since `begin`."""
        adj_in = self._peers.get(peer)
        if adj_in is None or not adj_in.unconfirmed:
            return NOTHING
        unconfirmed, adj_in.unconfirmed = adj_in.unconfirmed, set()
        return self.withdraw(peer, [prefix for prefix in adj_in.paths if prefix in unconfirmed])

    def flush(self, peer: PeerKey) -> Delta:
        """Drops all that a peer has announced."""
        adj_in = self._peers.get(peer)
        return self.withdraw(peer, list(adj_in.paths)) if adj_in else NOTHING

    def learned(self, peer: PeerKey | None = None) -> Iterator[Learned]:
        """Yields the paths of one peer, or of all in order of their keys; refused ones too."""
        for key in sorted(self._peers) if peer is None else [peer]:
            if adj_in := self._peers.get(key):
                table = self._tables[adj_in.of.table]
                for prefix, path in adj_in.paths.items():
                    refusal = adj_in.refused.get(prefix, "")
                    best = adj_in in table.best(prefix)
                    yield Learned(key, adj_in.of.table, prefix, path.attributes, refusal, best)

    def refused(self, peer: PeerKey | None = None) -> Iterator[Learned]:
        """Yields what `learned` does and policy refuses."""
        return (path for path in self.learned(peer) if path.refusal)

    def counts(self) -> dict[PeerKey, tuple[int, dict[str, int]]]:
        """Returns how many paths of each peer are accepted, and how many are refused by reason."""
        return {
            key: (len(adj_in.paths) - len(adj_in.refused), dict(sorted(Counter(adj_in.refused.values()).items())))
            for key, adj_in in sorted(self._peers.items())
        }

    def fib(self, table: int) -> Mapping[Nlri, tuple[int, ...]]:
        """Returns the nexthop ids of each learned route's group, sorted; nothing for an unknown table."""
        return MappingProxyType(self._tables[table].fib if table in self._tables else {})

    def out(self, table: int) -> Mapping[Nlri, Out]:
        """Returns what is announced; nothing for an unknown table."""
        return MappingProxyType(self._tables[table].out if table in self._tables else {})

    def exceptions(self) -> set[Admitted]:
        """Returns what a tunnel may send from although no route leads back over it."""
        return {admitted for table in self._tables.values() for admitted in table.admitted()}
