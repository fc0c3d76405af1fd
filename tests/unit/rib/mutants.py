"""Faults of the RIB made on purpose. Each has to fail the property test (`test_mutants.py`), or that sees too little.

Whoever changes a line that is named here changes it here too; whoever adds a rule adds its mutants.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In hubgw/rib/`file`, `old` (which is there once) becomes `new`; `why` says what is then wrong."""

    file: str
    old: str
    new: str
    why: str


MUTANTS = (
    # best path
    Mutant("best", "MAX_NEXTHOPS: Final = 8", "MAX_NEXTHOPS: Final = 9", "nine nexthops share the packets"),
    Mutant("best", "MAX_NEXTHOPS: Final = 8", "MAX_NEXTHOPS: Final = 7", "an eighth nexthop is not used"),
    Mutant(
        "best",
        "tuple(sorted(islice(nexthops, MAX_NEXTHOPS)))",
        "tuple(sorted(nexthops)[:MAX_NEXTHOPS])",
        "the limit cuts by nexthop id, not by the peers' order",
    ),
    Mutant("best", "return path_length, remote, second_kind", "return 0, remote, second_kind", "no AS path in ASPath"),
    Mutant("best", "return remote, second_kind, path_length", "return remote, second_kind, 0", "no AS path otherwise"),
    Mutant("table", "least = min([", "least = max([", "the longest AS path is best"),
    Mutant("table", ".rank == least]", ".rank == least][:1]", "equal paths do not share the packets"),
    Mutant("table", ".rank == least]", ".rank >= least]", "worse paths share the packets"),
    Mutant("table", "if not usable or prefix in self.policy.statics:", "if not usable:", "learned over static"),
    Mutant(
        "table", "[holder for holder in holders if holder.live]", "list(holders)", "a path is best whose tunnel is down"
    ),
    Mutant(
        "table", "route = best[0].paths[prefix].out", "route = best[-1].paths[prefix].out", "ties: the last peer wins"
    ),
    Mutant(
        "table", "if holders and peer.key < holders[-1].key:", "if not holders:", "ties: the first to announce wins"
    ),
    Mutant(
        "table", "peer.paths[prefix].out if group else None", "peer.paths[prefix].out", "announced with no tunnel up"
    ),
    Mutant("adj_in", "if nexthop in up", "", "tunnels that are down are used"),
    # policy: prefixes
    Mutant(
        "policy", "prefix[0] >= self._lengths[at]", "prefix[0] == self._lengths[at]", "only the very prefix is refused"
    ),
    Mutant("policy", "prefix[0] >= self._lengths[at]", "prefix[0] > self._lengths[at]", "the very prefix is taken"),
    Mutant("policy", "if address <= self._lasts[at] and ", "if ", "what lies behind a block is refused"),
    Mutant(
        "policy", "if address <= self._lasts[at]", "if address < self._lasts[at]", "a block's last address is taken"
    ),
    Mutant("policy", " and prefix[0] >= self._lengths[at]", "", "a supernet of an own prefix is refused"),
    Mutant("policy", "or last > outermost[-1][1]", "or last", "an own prefix inside another hides the rest of it"),
    Mutant("policy", "if len(prefix) != 5:", "if not prefix:", "IPv6 is taken"),
    Mutant("policy", '"224.0.0.0/3"', '"224.0.0.0/4"', "class E is taken"),
    Mutant("policy", '"0.0.0.0/8"', '"0.0.0.0/0"', "a default route is a martian"),
    # policy: what NAT hides
    Mutant("table", "if internal and not refusal:", "if False:", "what NAT hides is taken"),
    Mutant("table", "if internal and not refusal:", "if internal:", "another refusal is forgotten"),
    Mutant("policy", "if first <= address <= last", "if first <= address", "what lies behind is refused"),
    Mutant("policy", "if first <= address <= last", "if first < address <= last", "the very prefix is taken"),
    Mutant("policy", "last and prefix[0] >= length", "last", "a supernet of what NAT hides is refused"),
    # policy: paths
    Mutant("policy", "_RESERVED | {table.asn}", "_RESERVED", "a loop is taken"),
    Mutant("policy", "frozenset({0, 23456,", "frozenset({0,", "AS_TRANS is taken"),
    Mutant("policy", "23456, 65535, 4294967295}", "23456, 65535, 4294967295, 12076}", "a number of Azure's is refused"),
    Mutant("policy", "if len(asns) > PATH_LIMIT:", "if len(asns) >= PATH_LIMIT:", "64 numbers are too many"),
    Mutant("policy", "PATH_LIMIT: Final = 64", "PATH_LIMIT: Final = 65", "65 numbers are not too many"),
    Mutant("policy", "if len(asns) > PATH", "if attributes.path_length > PATH", "a set hides how long a path is"),
    Mutant("policy", "if attributes.first_as != peer.asn:", "if not asns:", "a path need not begin with the peer"),
    Mutant(
        "policy", "if attributes.first_as != peer.asn:", "if peer.asn not in asns:", "the peer may be anywhere in it"
    ),
    # out
    Mutant("policy", "if self.table.branch_to_branch and ", "if ", "branches hear branches though they may not"),
    Mutant("policy", "if self.table.branch_to_branch or not static.site:", "if True:", "and static ones"),
    Mutant(
        "policy", "if self.table.branch_to_branch or not static.site:", "if self.table.branch_to_branch:", "the hub's"
    ),
    Mutant("policy", "NOT_ADVERTISED.is", "(NOT_ADVERTISED - {0xFFFFFF01}).is", "NO_EXPORT is exported"),
    Mutant("policy", ".union(*[self.sites[asn] for asn in asns])", "", "sent to sites that are in its path"),
    Mutant("policy", "sites | self.no_default if", "sites if", "a default route goes to every site"),
    Mutant("policy", "of_sites.get(prefix, _NO_SITES) | (", "(", "one static site only"),
    Mutant("policy", "of_sites.update(", "of_sites.update((p, of_sites.get(p, s)) for p, s in ", "static before own"),
    Mutant("table", ".excluded for peer in best]", ".excluded for peer in best[:1]]", "sent back by an equal path"),
    # admitted sources
    Mutant("table", "if holder.weight == weight]", "if True]", "a lighter session shares the packets"),
    Mutant("table", "max([holder.weight for", "min([holder.weight for", "the lightest session wins"),
    Mutant("adj_in", "max([weights.get(", "min([weights.get(", "the lightest tunnels of a session are used"),
    Mutant("best", "in way.used)", "in way.live)", "a session's lighter tunnels share the packets"),
    Mutant("table", "for nexthop in other.live}", "for nexthop in other.used}", "only the heaviest may send"),
    Mutant("table", ".difference(group)", "", "what the table says is admitted again"),
    Mutant(
        "table",
        "for other in others for nexthop in other.live}",
        "for other in best for nexthop in other.live}",
        "the sources of a worse path are dropped",
    ),
    Mutant("table", "if {one.of.site} != sites]", "]", "the site's own sources are admitted by prefix"),
    Mutant("table", "[] if prefix in self.policy.statics else ", "", "the sources of a static site are another's too"),
    Mutant("table", "if nexthop not in rest)", "if not rest)", "what is admitted no longer stays so"),
    # one step after the other
    Mutant(
        "table",
        "            if before is path:\n                continue\n",
        "            if before is not None:\n                continue\n",
        "a second announcement changes nothing",
    ),
    Mutant(
        "table",
        "                self.part(peer, prefix)\n            elif",
        "            elif",
        "used until refused, and then still",
    ),
    Mutant("table", "                refused.pop(prefix, None)\n", "", "refused once, shown as refused for ever"),
    Mutant(
        "table",
        "        self._choices.clear()\n\n    def dissolve",
        "        pass\n\n    def dissolve",
        "an old choice is remembered",
    ),
    Mutant(
        "table",
        "        peer.unconfirmed = earlier.unconfirmed\n",
        "",
        "a changed peer keeps what it no longer announces",
    ),
    Mutant("table", "peer.unconfirmed.difference_update(prefixes)", "pass", "End-of-RIB sweeps what was confirmed"),
    Mutant("rib", "if name == speaker:", "if name:", "another speaker's start leaves routes unconfirmed"),
    Mutant("rib", "if prefix in unconfirmed]", "]", "End-of-RIB sweeps everything"),
    Mutant(
        "rib", "old.changed_sites(policy) if", "set() if", "a site that comes is sent what its AS is in the path of"
    ),
    Mutant(
        "rib",
        "(*old.originated, *policy.originated, DEFAULT)",
        "(*policy.originated, DEFAULT)",
        "own is never taken back",
    ),
    Mutant(
        "rib", "*policy.originated, DEFAULT)", "*policy.originated)", "who gets a default route is not looked at again"
    ),
    Mutant(
        "rib", "        self._up = frozenset(up)\n", "        self._up |= frozenset(up)\n", "a tunnel that was up is up"
    ),
)
