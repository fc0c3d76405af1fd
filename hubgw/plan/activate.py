"""A plan and the tunnels that are up -> the objects wanted now.

The plan says which tunnels may serve a route; which of them do is a fact of the moment. A tunnel that is down, or
serves as a backup, is outside the routing table, so the reverse-path check would drop what it brings in the instant
between its SA and its routes: the exception set `not_in_fib` names it.

A default route makes no exception: it would let a tunnel bring every source, those of the other branches among them.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from itertools import chain

from hubgw.plan.bgp import Nlri, network
from hubgw.plan.kernel import Element, Group, Route, Tiers, Tunnels
from hubgw.plan.numbers import tunnel_interface
from hubgw.plan.types import Object, Plan


def activate(plan: Plan, up: Set[int], admitted: Iterable[tuple[int, Nlri]] = ()) -> list[Object]:
    """Returns the plan's objects with each group's members chosen among the nexthop ids in `up`.

    `admitted` are more sources that tunnels may bring though they do not serve them now, by the tunnel's nexthop id.
    """
    objects: list[Object] = []
    serving: dict[Tiers, tuple[int, ...]] = {}
    for obj in plan.objects:
        if isinstance(obj, Group):
            serving[obj.tiers] = first_tier_up(obj.tiers, up)
            objects.append(replace(obj, active=serving[obj.tiers]))
        else:
            objects.append(obj)
    objects.extend(Element("not_in_fib", item) for item in sorted(_exceptions(plan, serving, admitted)))
    return objects


def _exceptions(
    plan: Plan, serving: Mapping[Tiers, tuple[int, ...]], admitted: Iterable[tuple[int, Nlri]]
) -> Iterator[tuple[str, str]]:
    """Yields (interface, IPv4 prefix) of the tunnels that do not serve a route now."""
    idle: dict[int, list[IPv4Network]] = {}
    more = ((member, network(prefix)) for member, prefix in admitted)
    for member, source in chain(_idle(plan, serving), more):
        if isinstance(source, IPv4Network) and source.prefixlen:
            idle.setdefault(member, []).append(source)
    for member, prefixes in idle.items():
        # The kernel refuses an interval that lies inside one that the set holds.
        for prefix in collapse_addresses(prefixes):
            if prefix.prefixlen:
                yield tunnel_interface(member), str(prefix).removesuffix("/32")


def _idle(plan: Plan, serving: Mapping[Tiers, tuple[int, ...]]) -> Iterator[tuple[int, IPv4Network | IPv6Network]]:
    """Yields what tunnels may bring though none of their own site serves it: where one does, nftables' set of siblings
    says so, and says no more than what the VRF routes there."""
    site_of = {tunnel.nexthop: tunnel.site for tunnel in plan.tunnels}
    for route in plan.objects:
        if isinstance(route, Route) and isinstance(route.via, Tunnels):
            served = {site_of[member] for member in serving[route.via.tiers] if member in site_of}
            members = {member for tier in route.via.tiers for member in tier}
            for member in members.difference(serving[route.via.tiers]):
                if site_of.get(member) not in served:
                    yield member, route.prefix


def first_tier_up(tiers: Tiers, up: Set[int]) -> tuple[int, ...]:
    """Returns the members that are up of the first tier that has one; empty when none is.

    >>> first_tier_up(((1, 2), (3, 4)), {2, 3})
    (2,)
    >>> first_tier_up(((1, 2), (3, 4)), {4})
    (4,)
    """
    for tier in tiers:
        if members := tuple(member for member in tier if member in up):
            return members
    return ()
