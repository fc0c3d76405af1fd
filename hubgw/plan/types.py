"""The plan of a machine: all objects of its dataplane, whose each is, and the operations that bring them about.

One generic diff serves all objects. Nothing here knows a resource.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from hubgw.plan.bgp import PeerOf, RouteTable
from hubgw.plan.ipsec import (
    ALL_TRAFFIC,
    IkeCertificate,
    IkeConnection,
    IkeKey,
    IkePool,
    IkeRadius,
    IkeSecret,
    IkeServer,
    IkeUser,
    Selectors,
    child_names,
)
from hubgw.plan.kernel import (
    Address,
    Classifier,
    Element,
    Group,
    Key,
    Nexthop,
    Port,
    Route,
    Rule,
    Ruleset,
    Sysctl,
    Translation,
    Tunnel,
    Vrf,
)
from hubgw.plan.sessions import Neighbor, Speaker

Object = (
    Sysctl
    | Vrf
    | Tunnel
    | Port
    | Address
    | Classifier
    | Translation
    | Nexthop
    | Group
    | Route
    | Rule
    | Ruleset
    | Element
    | IkeSecret
    | IkeUser
    | IkeKey
    | IkeCertificate
    | IkeConnection
    | IkePool
    | IkeRadius
    | IkeServer
    | Speaker
    | Neighbor
)


@dataclass(frozen=True, slots=True)
class Create:
    """The object is wanted and was not seen."""

    new: Object


@dataclass(frozen=True, slots=True)
class Update:
    """The object is there and differs."""

    old: Object
    new: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """The object was seen and is not wanted."""

    old: Object


Op = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class OpError:
    """What the kernel or a daemon refused, in its own words."""

    op: Op
    reason: str


@dataclass(frozen=True, slots=True)
class TunnelOf:
    """Whose tunnel it is: full ids and names of resources as plain strings, for status, events and tables."""

    name: str
    nexthop: int
    connection: str  # full resource id of the vpnConnection
    site: str  # full resource id of the vpnSite
    link: str  # name of the vpnSiteLink
    instance: int
    local_address: str
    remote_address: str
    weight: int = 0  # routingWeight: of a site's tunnels that are up, those of the greatest are used
    initiates: bool = True  # whether the hub brings it up; else it waits for the branch
    selectors: Selectors = ALL_TRAFFIC
    fqdn: str = ""  # the branch's name, where that tells its address; the address is "" until it is known

    @property
    def children(self) -> tuple[str, ...]:
        """The names of its children in charon."""
        return child_names(self.name, self.selectors)


@dataclass(frozen=True, slots=True)
class UsersOf:
    """Whose users share an interface, an IKE connection and pools of that name: full ids as plain strings. `groups` are
    (name of an IKE connection, that of the policy group whose users it is for); `framed` are prefixes, of which each
    address is routed in `table` to the instance at which whoever RADIUS gave it to is signed on. `by_certificate` are
    the names of the IKE connections for certificates of others' authorities, `thumbprints` which of those certificates
    are no good."""

    name: str
    if_id: int
    gateway: str  # full resource id of the p2sVpnGateway
    instance: int
    local_address: str
    groups: tuple[tuple[str, str], ...] = ()
    table: int = 0
    framed: tuple[IPv4Network, ...] = ()
    by_certificate: frozenset[str] = frozenset()
    thumbprints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one machine shall hold, and whose each object is.

    `owners` maps an object's key to the full ids of the resources that it exists for, the most specific first.
    `peers` and `route_tables` say what learned routes mean.
    """

    objects: tuple[Object, ...]
    tunnels: tuple[TunnelOf, ...]
    owners: Mapping[Key, tuple[str, ...]]
    peers: tuple[PeerOf, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    users: tuple[UsersOf, ...] = ()
