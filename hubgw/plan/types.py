"""The objects of a machine's dataplane, wanted and seen alike, so that one generic diff serves all.

Each object's `key` is the kernel's or the daemon's own key (a route: table, prefix, metric), never one of ours, and
starts with the class's name. Everything is frozen and hashable. Nothing here knows a resource.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Final, Literal

from hubgw.names import TUNNEL_PREFIX, Secret
from hubgw.plan.bgp import PeerOf, RouteTable

TABLES: Final = range(10_000_000, 20_000_000)
"""Routing tables of our VRFs: 10,000,000 + the VRF's number."""

IF_IDS: Final = range(100_000_000, 200_000_000)
"""if_id of a tunnel's xfrm interface, and the id of its nexthop object: 100,000,000 + the tunnel's number."""

SESSIONS: Final = range(20_000_000, 30_000_000)
"""What a gateway instance's BGP sessions have of their own: the routing table to its peers, and the uid of its process;
20,000,000 + twice the VRF's number + the instance."""

GROUPS: Final = range(200_000_000, 300_000_000)
"""Nexthop groups, numbered by the netlink driver; the first is the blackhole nexthop that an empty group holds."""

PROTOCOL: Final = 250
"""Routing protocol number of our routes and nexthops: one that iproute2 gives no name."""

LEARNED_METRIC: Final = 20
"""Metric of a route that BGP taught; a declared one to the same prefix has 0, and is preferred."""

RULES: Final = range(900, 1000)
"""Priorities of our rules: before the kernel's own l3mdev rule, which has 1000."""

NO_DEFAULT_MARK: Final = 0x48470001
"""Mark of packets from connections that may not use a default route (enableInternetSecurity)."""

VRF_MARKS: Final = range(0x49000000, 0x49000000 + len(TABLES))
"""Marks by which sources are looked up in a VRF's table: 0x49000000 + the VRF's number. No packet leaves with one."""

LEARNED_PROTOCOL: Final = 251
"""Routing protocol number of the routes that BGP taught: they are dumped, and verified, apart from the others."""

UNREACHABLE_METRIC: Final = 4278198272
"""Metric of a VRF's default route of last resort: the one that the kernel's documentation of VRF gives."""

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting, by its path below /proc/sys (``net/ipv4/fib_multipath_hash_policy``). Never deleted."""

    path: str
    value: str

    @property
    def key(self) -> Key:
        return ("Sysctl", self.path)


@dataclass(frozen=True, slots=True)
class Vrf:
    """A hub route table. Forwarding is on for the devices enslaved to it, which decide it; never for the machine.

    `intact` is false where what no other field says is not as we set it: up, rp_filter 0, no IPv6 address generated.
    """

    name: str
    table: int
    alias: str
    intact: bool = True

    @property
    def key(self) -> Key:
        return ("Vrf", self.name)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The xfrm interface of one tunnel, enslaved to the VRF of its table, up, without any IPv6 address.

    `intact` is false where what no other field says is not as we set it: up, forwarding 1, rp_filter 0, no IPv6 address
    generated.
    """

    name: str
    if_id: int
    vrf: str
    mtu: int
    alias: str
    intact: bool = True

    @property
    def key(self) -> Key:
        return ("Tunnel", self.name)


@dataclass(frozen=True, slots=True)
class Port:
    """The interface through which a virtual network is attached, enslaved to the VRF of its table, up.

    `parent` and `vlan_id` are set for a VLAN of ours, `ports` for a bridge of ours; an interface of the operator's has
    neither, no alias of ours either, and is given back (taken out of the VRF, never deleted) when it goes. `ports` are
    sorted. `intact` as for a tunnel; an interface of the operator's may have IPv6 addresses.
    """

    name: str
    vrf: str
    kind: str  # "existing", "vlan" or "bridge"
    alias: str = ""
    parent: str = ""
    vlan_id: int = 0
    ports: tuple[str, ...] = ()
    intact: bool = True

    @property
    def key(self) -> Key:
        return ("Port", self.name)


@dataclass(frozen=True, slots=True)
class Address:
    """An address on an interface, added `noprefixroute`: connected prefixes are routes like any other.

    `intact` is false where the flag is missing. IPv6 is only ever seen, and unwanted.
    """

    interface: str
    address: IPv4Interface | IPv6Interface
    intact: bool = True

    @property
    def key(self) -> Key:
        return ("Address", self.interface, self.address)


@dataclass(frozen=True, slots=True)
class Classifier:
    """The clsact queueing discipline of a tunnel: the hooks at which the filters of its translations hang."""

    interface: str

    @property
    def key(self) -> Key:
        return ("Classifier", self.interface)


Way = Literal["in", "out"]
"""Of a packet that comes out of a tunnel, or that goes into it."""


@dataclass(frozen=True, slots=True)
class Translation:
    """Stateless NAT of one prefix at a tunnel: the address at `end` moves from `old` to `new`, of the same length.

    What of an ICMP error quotes a packet of the other way is translated with it.
    """

    interface: str
    way: Way
    end: Literal["source", "destination"]
    old: IPv4Network
    new: IPv4Network

    @property
    def key(self) -> Key:
        return ("Translation", self.interface, self.way, self.end, self.old, self.new)


@dataclass(frozen=True, slots=True)
class Nexthop:
    """The nexthop object of one tunnel: `id` equals its if_id."""

    id: int
    interface: str

    @property
    def key(self) -> Key:
        return ("Nexthop", self.id)


Tiers = tuple[tuple[int, ...], ...]
"""Nexthop ids that serve a route: the first tier with a tunnel that is up is used, with equal cost over those that are
up. ``((1, 2),)`` is a site with two tunnels; ``((1, 2), (3, 4))`` adds a backup site. Sorted within a tier."""


@dataclass(frozen=True, slots=True)
class Group:
    """A nexthop group, named by the tiers that it serves; its number belongs to the netlink driver.

    `active` holds the members now (sorted nexthop ids); empty is the blackhole nexthop: routes stay, and fail closed.
    """

    tiers: Tiers
    active: tuple[int, ...] = ()

    @property
    def key(self) -> Key:
        return ("Group", self.tiers)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Answered with ICMP network unreachable."""


@dataclass(frozen=True, slots=True)
class OnLink:
    """Hosts on the interface's own link."""

    interface: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """Behind a router on the interface's link."""

    interface: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Tunnels:
    """Through the nexthop group of these tiers."""

    tiers: Tiers


Via = Unreachable | OnLink | Gateway | Tunnels


@dataclass(frozen=True, slots=True)
class Route:
    """A route of ours (`PROTOCOL`) in a table of ours (`TABLES`, `SESSIONS`)."""

    table: int
    prefix: IPv4Network | IPv6Network
    via: Via
    metric: int = 0

    @property
    def key(self) -> Key:
        return ("Route", self.table, self.prefix, self.metric)


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing rule of ours (`PROTOCOL`), for IPv4. Its selectors are those that are set.

    A rule looks up `table`, or with `l3mdev` the table of the packet's VRF, there without routes of
    `suppress_prefixlength` bits and less; with neither it answers unreachable.
    """

    priority: int
    source: IPv4Address | None = None
    uid: int | None = None
    fwmark: int = 0
    table: int = 0
    l3mdev: bool = False
    suppress_prefixlength: int | None = None

    @property
    def key(self) -> Key:
        return ("Rule", self.priority, self.source, self.uid, self.fwmark)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The constant part of the nftables table: chains, rules, sets; `digest` names the text that made it."""

    digest: str

    @property
    def key(self) -> Key:
        return ("Ruleset",)


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a set of the nftables table, or, with a `value`, of a map. Strings as nft's JSON has them.

    Prefixes are written ``10.1.0.0/24``; a host ``10.1.0.1`` or ``10.1.0.1/32`` is written without its length.
    """

    set: str
    item: tuple[str, ...]
    value: str = ""

    @property
    def key(self) -> Key:
        return ("Element", self.set, self.item)


@dataclass(frozen=True, slots=True)
class IkeSecret:
    """A preshared key and its owners: the identities that may use it to authenticate themselves.

    `id` changes with the secret, which charon never gives back, so that comparing ids compares secrets.
    """

    id: str
    owners: tuple[str, ...] = field(compare=False)
    secret: Secret = field(compare=False)

    @property
    def key(self) -> Key:
        return ("IkeSecret", self.id)


Selectors = tuple[tuple[str, str], ...]
"""Pairs of prefixes, the hub's side and the branch's: what the child SAs of a tunnel carry, one SA a pair."""

ALL_TRAFFIC: Final[Selectors] = (("0.0.0.0/0", "0.0.0.0/0"),)


def child_names(name: str, selectors: Selectors) -> tuple[str, ...]:
    """Returns the names of a connection's children in charon: a pair keeps its SA whatever comes or goes beside it.

    All traffic has the connection's own.

    >>> child_names("hgt1", ALL_TRAFFIC)
    ('hgt1',)
    >>> child_names("hgt1", (("10.50.0.0/24", "10.1.0.0/24"),))
    ('hgt1-10.50.0.0/24-10.1.0.0/24',)
    >>> child_names("hgt1", (*ALL_TRAFFIC, ("10.50.0.0/24", "10.1.0.0/24")))
    ('hgt1', 'hgt1-10.50.0.0/24-10.1.0.0/24')
    """
    return tuple(name if pair in ALL_TRAFFIC else f"{name}-{pair[0]}-{pair[1]}" for pair in selectors)


@dataclass(frozen=True, slots=True)
class IkeKey:
    """A private key of the hub's; `id` is the SHA-1 of its public key, by which charon tells it."""

    id: str
    secret: Secret = field(compare=False)

    @property
    def key(self) -> Key:
        return ("IkeKey", self.id)


@dataclass(frozen=True, slots=True)
class IkeCertificate:
    """A certificate, an authority's or the hub's own, or with `revokes` a revocation list; by its own digest.

    `subject` is whose it is; of a revocation list, whose certificates it revokes.
    """

    digest: str
    subject: str = field(compare=False)
    der: bytes = field(compare=False, repr=False)
    revokes: bool = False

    @property
    def key(self) -> Key:
        return ("IkeCertificate", self.digest)


@dataclass(frozen=True, slots=True)
class IkeConnection:
    """One tunnel's IKE connection, with a child for each pair of `selectors`; by preshared key, or, where there is a
    `certificate` (digest of the hub's), by certificates that one of the `authorities` has issued.

    `version` is that of IKE, 1 or 2; `dpd_timeout` (seconds) is IKEv1's alone, and `mobike` (RFC 4555) IKEv2's. A child
    SA lives for `child_life_time` or so many bytes (0: any number), whichever comes first.
    """

    name: str
    if_id: int
    local_address: str
    remote_address: str
    local_id: str
    remote_id: str
    proposals: tuple[str, ...]
    esp_proposals: tuple[str, ...]
    dpd_delay: int  # seconds
    rekey_time: int  # of the IKE SA, seconds
    child_rekey_time: int  # seconds
    child_life_time: int  # seconds
    child_rekey_bytes: int = 0
    child_life_bytes: int = 0
    version: int = 2
    dpd_timeout: int = 0
    selectors: Selectors = ALL_TRAFFIC
    certificate: str = ""
    authorities: tuple[str, ...] = ()
    mobike: bool = False

    @property
    def key(self) -> Key:
        return ("IkeConnection", self.name)


SA_TERMS: Final = frozenset(
    {
        "proposals",
        "esp_proposals",
        "dpd_delay",
        "dpd_timeout",
        "rekey_time",
        "child_rekey_time",
        "child_life_time",
        "child_rekey_bytes",
        "child_life_bytes",
        "mobike",
    }
)
"""The fields of a connection that charon keeps for an SA as they were when the SA was made, and rekeys it with."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """ExaBGP and its helper for one gateway instance: its sockets are bound to the VRF, and it runs under its own uid.

    `name` is ``<vrf>-<instance>``; it listens at `addresses`, the first of which is its router id.
    """

    name: str
    vrf: str
    uid: int
    asn: int
    addresses: tuple[IPv4Address, ...]

    @property
    def key(self) -> Key:
        return ("Speaker", self.name)


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A BGP session of a speaker. Routes never go back to the `site` (full id of the vpnSite) that they came from.

    `digest` tells one password from another and nothing of it; "" where there is none. `hold_time` is in seconds.
    """

    speaker: str
    address: IPv4Address
    local_address: IPv4Address
    asn: int
    site: str
    hold_time: int
    passive: bool
    ttl_security: bool
    maximum_prefixes: int
    digest: str = ""
    password: Secret | None = field(default=None, compare=False)

    @property
    def key(self) -> Key:
        return ("Neighbor", self.speaker, self.address)


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
    | IkeKey
    | IkeCertificate
    | IkeConnection
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


def tunnel_interface(number: int) -> str:
    """Returns the interface name of the tunnel with this if_id or nexthop id.

    >>> tunnel_interface(IF_IDS[12])
    'hgt12'
    """
    return f"{TUNNEL_PREFIX}{number - IF_IDS.start}"
