"""What BGP peers are, and what they tell: the sessions' and routes' own words, shared by compile, rib and the drivers.

Learned routes are a second input, never a thing to compare with, so they are no objects of the plan. Prefixes are kept
as they are on the wire, since a hub may learn a hundred thousand: see `Nlri`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Final, Literal

Nlri = bytes
"""A prefix: its length in bits in one octet, then the whole address (4 octets of IPv4, 16 of IPv6), host bits zero."""

PeerKey = tuple[str, str]
"""(name of the speaker, address of the peer)."""

Preference = Literal["ExpressRoute", "VpnGateway", "ASPath"]
"""hubRoutingPreference."""

AS_SET: Final = 1
AS_SEQUENCE: Final = 2

Segment = tuple[int, tuple[int, ...]]
"""A segment of an AS path: its type and its AS numbers (RFC 4271, 4.3)."""


NOT_ADVERTISED: Final = frozenset({0xFFFFFF01, 0xFFFFFF02, 0xFFFFFF03})
"""Communities of a route that does not leave (RFC 1997): NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED; every peer of a
hub is external."""


def path_length(path: Iterable[Segment]) -> int:
    """Returns the length that paths are compared by: a set counts as one (RFC 4271, 9.1.2.2).

    >>> path_length(((AS_SEQUENCE, (65010, 65011)), (AS_SET, (64512, 64513))))
    3
    """
    return sum(1 if kind == AS_SET else len(asns) for kind, asns in path)


def nlri(prefix: IPv4Network | IPv6Network) -> Nlri:
    """Returns a prefix as the wire has it, with the whole address.

    >>> nlri(IPv4Network("10.1.0.0/16")).hex()
    '100a010000'
    """
    return bytes((prefix.prefixlen,)) + prefix.network_address.packed


def network(prefix: Nlri) -> IPv4Network | IPv6Network:
    """Returns what `nlri` was made from.

    >>> network(bytes.fromhex("100a010000"))
    IPv4Network('10.1.0.0/16')
    """
    return ip_network((prefix[1:], prefix[0]))


@dataclass(frozen=True, slots=True)
class Attributes:
    """The path attributes of a route that are decided by; `wire` is all of them, and what they are equal by.

    `wire` is canonical: each attribute once, in order of type code, AS numbers in four octets (RFC 6793), AS4_PATH and
    AS4_AGGREGATOR merged, without MP_REACH_NLRI and MP_UNREACH_NLRI.
    """

    wire: bytes
    as_path: tuple[Segment, ...] = ()
    communities: tuple[int, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attributes) and self.wire == other.wire

    def __hash__(self) -> int:
        return hash(self.wire)

    @property
    def path_length(self) -> int:
        """The length of `as_path`, as `path_length` has it."""
        return path_length(self.as_path)

    @property
    def first_as(self) -> int | None:
        """The AS that announced the route to us; None for an empty path, or one that starts with a set."""
        if self.as_path and self.as_path[0][0] == AS_SEQUENCE and self.as_path[0][1]:
            return self.as_path[0][1][0]
        return None


@dataclass(frozen=True, slots=True)
class PeerOf:
    """A BGP session, and what a route from it means: `nexthops` are the nexthop ids of the tunnels that it rides.

    Of those that are up, the ones of the greatest weight are used; `weights` has that of each nexthop, or is empty.
    `site`, `connection` and `link` are the full id of the vpnSite, of the vpnConnection, and the link's name ("" where
    the session rides several links).
    """

    speaker: str
    address: IPv4Address
    local_address: IPv4Address
    asn: int
    table: int
    nexthops: tuple[int, ...]
    site: str
    connection: str
    link: str
    instance: int
    internet_security: bool = False  # a default route is announced to it
    weights: tuple[int, ...] = ()
    internal: tuple[IPv4Network, ...] = ()  # what NAT hides of the branch: never taken from it, nor anything inside

    @property
    def key(self) -> PeerKey:
        return self.speaker, str(self.address)


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A prefix that a static site announces by its address space, or that users' clients have; or, with no site, that
    the hub's own table has."""

    prefix: IPv4Network
    site: str = ""  # full id of the vpnSite, or of the p2sVpnGateway


@dataclass(frozen=True, slots=True)
class RouteTable:
    """A hub route table as BGP sees it. `own` is the hub's and the virtual networks' prefixes: announced to every peer,
    and never taken from one, nor anything inside them, nor inside the `users`' prefixes."""

    table: int
    vrf: str
    asn: int
    preference: Preference
    branch_to_branch: bool
    own: tuple[IPv4Network, ...]
    statics: tuple[StaticRoute, ...]
    users: tuple[IPv4Network, ...] = ()
