"""What the kernel and nftables hold of ours, wanted and seen alike: settings, interfaces, routes, rules, elements.

Each object's `key` is the kernel's own (a route: table, prefix, metric), never one of ours, and starts with the class's
name. Everything is frozen and hashable.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Literal

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
