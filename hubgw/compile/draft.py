"""What the passes of compile write to: objects with their owners; and what they read from: the numbers of the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hubgw.names import PORT_PREFIX, TUNNEL_PREFIX, VRF_PREFIX
from hubgw.plan.bgp import PeerOf, RouteTable
from hubgw.plan.kernel import Key
from hubgw.plan.numbers import IF_IDS, SESSIONS, TABLES
from hubgw.plan.types import Object, TunnelOf, UsersOf

Allocations = Mapping[tuple[str, str], int]
"""(kind, owner) -> number, as the store gave them; kinds and owners are those of `hubgw.compile.allocate`."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The kernel's names and numbers of what the store has numbered.

    Raises KeyError for an owner without a number: the store allocates in the transaction that stores the resource.
    """

    allocations: Allocations

    def vrf(self, hub_key: str) -> tuple[str, int]:
        """Returns (device name, routing table) of a hub's default route table."""
        number = self.allocations["vrf", hub_key]
        return f"{VRF_PREFIX}{number}", TABLES[number]

    def session(self, hub_key: str, instance: int) -> int:
        """Returns the routing table and uid of the BGP sessions of a hub's gateway instance."""
        return SESSIONS[2 * self.allocations["vrf", hub_key] + instance]

    def tunnel(self, owner: str) -> tuple[str, int]:
        """Returns (interface name, if_id) of a tunnel; the if_id is its nexthop id too."""
        number = self.allocations["tunnel", owner]
        return f"{TUNNEL_PREFIX}{number}", IF_IDS[number]

    def port(self, vnet_key: str) -> str:
        """Returns the name of the VLAN or bridge that attaches a virtual network."""
        return f"{PORT_PREFIX}{self.allocations['port', vnet_key]}"


@dataclass(slots=True)
class Draft:
    """Collects a plan's objects. An object that two resources ask for is held once, with both as owners."""

    objects: dict[Key, Object] = field(default_factory=dict)
    tunnels: list[TunnelOf] = field(default_factory=list)
    users: list[UsersOf] = field(default_factory=list)
    peers: list[PeerOf] = field(default_factory=list)
    route_tables: list[RouteTable] = field(default_factory=list)
    owners: dict[Key, tuple[str, ...]] = field(default_factory=dict)

    def add(self, obj: Object, *owners: str) -> None:
        """Adds an object for the resources with these ids, the most specific first.

        Raises:
            ValueError: another object has the same key already: validation let a conflict through.
        """
        key = obj.key
        if self.objects.setdefault(key, obj) != obj:
            raise ValueError(f"{key}: both {self.objects[key]} and {obj}; validation should have refused it")
        known = self.owners.get(key, ())
        self.owners[key] = known + tuple(owner for owner in owners if owner not in known)
