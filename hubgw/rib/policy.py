"""A route table's policy: what it takes from a peer, why it refuses the rest, and which sites get another's path.

Refused are paths with AS numbers that no path may hold. Those that Azure keeps for itself, and those of documentation,
are refused as a site's own number only, by validation: a branch may well pass on what such a neighbour told it.
What NAT hides of a branch is refused of that branch alone. Adj-RIB-In keeps what is refused, so that it can be shown.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Final

from hubgw.plan.bgp import NOT_ADVERTISED, Attributes, Nlri, PeerOf, RouteTable, nlri
from hubgw.rib.best import Rank, rank
from hubgw.rib.types import Out

MARTIAN: Final = "martian"
OWN_PREFIX: Final = "own-prefix"
NOT_IPV4: Final = "not-ipv4"
OWN_AS: Final = "own-as"
RESERVED_AS: Final = "reserved-as"
PATH_TOO_LONG: Final = "path-too-long"
FIRST_AS: Final = "first-as"
NAT_INTERNAL: Final = "nat-internal"

PATH_LIMIT: Final = 64
"""Most AS numbers in a path, sets included: more than paths of the Internet have, far fewer than an UPDATE holds."""

# RFC 7607 (0), RFC 6793 (AS_TRANS stands for a number that got lost), RFC 7300 (the last of each size).
_RESERVED: Final = frozenset({0, 23456, 65535, 4294967295})

# RFC 6890: this host, loopback, link-local; RFC 1112: multicast and class E, which are one block.
_MARTIANS: Final = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))

DEFAULT: Final = nlri(IPv4Network("0.0.0.0/0"))

_NO_SITES: Final[frozenset[str]] = frozenset()


@dataclass(slots=True, eq=False)
class Path:
    """Attributes as one peer announced them, judged. `refusal` is "" or a reason that holds for any prefix.

    `excluded` are the sites that it may not go to, `out` what is announced if the path is the only best one.
    """

    attributes: Attributes
    rank: Rank
    refusal: str
    excluded: frozenset[str]
    out: Out | None


class Policy:
    """What one route table says about the paths of its peers.

    `originated` is what the hub announces by itself, `statics` the prefixes for which no learned route is used, `apart`
    those for which an only path is not announced as it is, `sites` the sites of each AS, `no_default` the sites that no
    default route goes to.
    """

    def __init__(self, table: RouteTable, peers: Sequence[PeerOf]) -> None:
        self.table = table
        sites: dict[int, set[str]] = {}
        for peer in peers:
            sites.setdefault(peer.asn, set()).add(peer.site)
        self.sites = {asn: frozenset(of_asn) for asn, of_asn in sites.items()}
        self.no_default = frozenset(peer.site for peer in peers if not peer.internet_security)
        self.statics = frozenset(nlri(static.prefix) for static in table.statics)
        self.apart = self.statics | {DEFAULT}
        self.originated = self._originated()
        self._never = _RESERVED | {table.asn}
        # Most paths share the few sets there are; remembered, they are one object each.
        self._excluded = lru_cache(maxsize=4096)(self._excluding)
        blocks = _outermost((*table.own, *table.users))
        self._firsts = [first for first, _, _, _ in blocks]
        self._lasts = [last for _, last, _, _ in blocks]
        self._lengths = [length for _, _, length, _ in blocks]
        self._reasons = [reason for _, _, _, reason in blocks]

    def _originated(self) -> dict[Nlri, Out]:
        of_sites: dict[Nlri, frozenset[str]] = {}
        for static in self.table.statics:
            if self.table.branch_to_branch or not static.site:
                prefix = nlri(static.prefix)
                of_sites[prefix] = of_sites.get(prefix, _NO_SITES) | ({static.site} if static.site else _NO_SITES)
        of_sites.update((nlri(prefix), _NO_SITES) for prefix in self.table.own)
        return {prefix: Out(None, self.spared(prefix, sites)) for prefix, sites in of_sites.items()}

    def changed_sites(self, after: "Policy") -> set[int]:
        """Returns the AS numbers that stand for other sites in another policy."""
        return {asn for asn in self.sites.keys() | after.sites.keys() if self.sites.get(asn) != after.sites.get(asn)}

    def spared(self, prefix: Nlri, sites: frozenset[str]) -> frozenset[str]:
        """Returns the sites that a prefix does not go to, where it does not go to `sites` in any case."""
        return sites | self.no_default if prefix == DEFAULT else sites

    def judge(self, peer: PeerOf, attributes: Attributes) -> Path:
        """Returns a peer's attributes with what follows from them alone."""
        path = attributes.as_path
        # Nearly every path is one sequence.
        asns = path[0][1] if len(path) == 1 else [asn for _, segment in path for asn in segment]
        excluded = self._excluded(peer.site, tuple([asn for asn in asns if asn in self.sites]))
        out = None
        if self.table.branch_to_branch and NOT_ADVERTISED.isdisjoint(attributes.communities):
            out = Out(attributes, excluded)
        length = rank(self.table.preference, attributes.path_length)
        return Path(attributes, length, self._path_refusal(peer, attributes, asns), excluded, out)

    def _excluding(self, site: str, asns: tuple[int, ...]) -> frozenset[str]:
        """Returns the site that a path came from, and those of the AS numbers in it.

        Who is in the path refuses it by its own loop check (RFC 4271, 9.1.2). Not to send it spares the octets, and
        shows in Adj-RIB-Out that two branches with one AS number do not see each other.
        """
        return frozenset((site,)).union(*[self.sites[asn] for asn in asns])

    def _path_refusal(self, peer: PeerOf, attributes: Attributes, asns: Sequence[int]) -> str:
        if not self._never.isdisjoint(asns):
            return OWN_AS if self.table.asn in asns else RESERVED_AS
        if len(asns) > PATH_LIMIT:
            return PATH_TOO_LONG
        if attributes.first_as != peer.asn:
            return FIRST_AS
        return ""

    def prefix_refusal(self, prefix: Nlri) -> str:
        """Returns "" or why the table takes this prefix from no peer.

        A prefix that holds a refused one and more is fine, as a default route is.
        """
        if len(prefix) != 5:
            return NOT_IPV4
        address = prefix[1:]
        at = bisect_right(self._firsts, address) - 1  # the first block begins at 0.0.0.0
        if address <= self._lasts[at] and prefix[0] >= self._lengths[at]:
            return self._reasons[at]
        return ""


Block = tuple[bytes, bytes, int]
"""The first address of a prefix, its last, and its length."""


def blocks_of(internal: Iterable[IPv4Network]) -> tuple[Block, ...]:
    """Returns the prefixes that NAT hides of a peer's branch, as `peer_refusal` wants them."""
    return tuple((one.network_address.packed, one.broadcast_address.packed, one.prefixlen) for one in internal)


def peer_refusal(prefix: Nlri, internal: Iterable[Block]) -> str:
    """Returns "" or why an IPv4 prefix is not taken from a peer, that others may well announce."""
    address = prefix[1:]
    for first, last, length in internal:
        if first <= address <= last and prefix[0] >= length:
            return NAT_INTERNAL
    return ""


def _outermost(own: Iterable[IPv4Network]) -> list[tuple[bytes, bytes, int, str]]:
    """Returns (first address, last address, length, reason) of the blocks that are taken from nobody, in order of their
    addresses; a block inside another is left out, so that they are disjoint."""
    blocks = [(block, MARTIAN) for block in _MARTIANS] + [(block, OWN_PREFIX) for block in own]
    blocks.sort(key=lambda pair: (pair[0].network_address, pair[0].prefixlen, pair[1]))
    outermost: list[tuple[bytes, bytes, int, str]] = []
    for block, reason in blocks:
        first, last = block.network_address.packed, block.broadcast_address.packed
        if not outermost or last > outermost[-1][1]:
            outermost.append((first, last, block.prefixlen, reason))
    return outermost
