"""The NAT rules of a connection -> which prefixes become which, and what of a site's address space the hub routes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from hubgw.resources.connection import VpnConnection
from hubgw.resources.inventory import Inventory
from hubgw.resources.nat import NatMode, NatRule
from hubgw.resources.overlaps import Network, inside
from hubgw.resources.site import VpnSite


@dataclass(frozen=True, slots=True)
class Pair:
    """Two prefixes of one size that a rule translates into each other; `index` is their place in its lists."""

    rule: NatRule
    index: int
    internal: Network
    external: Network

    @property
    def mode(self) -> NatMode:
        return self.rule.properties.mode


def pairs_of(rule: NatRule) -> Iterator[Pair]:
    """Yields what one rule translates."""
    mappings = zip(rule.properties.internal_mappings, rule.properties.external_mappings, strict=True)
    for index, (internal, external) in enumerate(mappings):
        yield Pair(rule, index, internal.address_space, external.address_space)


def pairs(inventory: Inventory, connection: VpnConnection) -> tuple[Pair, ...]:
    """Returns what is translated on every link of a connection, which all name the same rules."""
    for one in connection.properties.vpn_link_connections:
        keys = dict.fromkeys(ref.key for ref in (*one.properties.ingress_nat_rules, *one.properties.egress_nat_rules))
        rules = [rule for key in keys if isinstance(rule := inventory.get(key), NatRule)]
        return tuple(pair for rule in rules if rule.parent_key == connection.parent_key for pair in pairs_of(rule))
    return ()


def hidden_prefixes(inventory: Inventory, connection: VpnConnection) -> tuple[Network, ...]:
    """Returns the prefixes of which only the branch says that they are its own."""
    return tuple(pair.internal for pair in pairs(inventory, connection) if pair.mode == "IngressSnat")


def routed_prefixes(inventory: Inventory, connection: VpnConnection, site: VpnSite) -> tuple[Network, ...]:
    """Returns the site's address space as the connection's hub routes it: without what only the branch calls so."""
    hidden = hidden_prefixes(inventory, connection)
    space = site.properties.address_space.address_prefixes
    return tuple(prefix for prefix in space if not any(inside(prefix, internal) for internal in hidden))


def rest_of(prefix: IPv4Network, hidden: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """Returns what of a prefix is in none of those that are hidden."""
    rest = [prefix]
    for one in hidden:
        parts = (part.address_exclude(one) if inside(one, part) else (part,) for part in rest)
        rest = [piece for part in parts for piece in part]
    return tuple(sorted(rest))
