"""Plan, state and counters -> the status of resources, tunnels and routes, as `hubgw show` has them. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from hubgw.agent.desired import Desired
from hubgw.agent.live import states, summary
from hubgw.agent.reconcile import Counters, State
from hubgw.agent.statuses import (
    Connection,
    PoolStatus,
    Provisioning,
    ResourceStatus,
    RouteStatus,
    SessionStatus,
    TunnelStatus,
    UserGateway,
)
from hubgw.drivers.strongswan.codec import ChildSa
from hubgw.plan.ipsec import ALL_TRAFFIC
from hubgw.plan.kernel import Group, Key, OnLink, Route, Tiers, Tunnels, Vrf
from hubgw.plan.numbers import TABLES, tunnel_interface
from hubgw.plan.types import Object, Plan, TunnelOf
from hubgw.plan.words import few, via

_SESSIONS = frozenset({"strongswan", "exabgp"})
"""The drivers that only connections need."""


def resource_statuses(desired: Desired, state: State) -> Iterator[ResourceStatus]:
    """Yields every resource with how far it has come."""
    tunnels = states(desired.plan.tunnels, state.sas, state.up)
    of_connection: dict[str, list[Connection]] = {}
    for tunnel in desired.plan.tunnels:
        of_connection.setdefault(tunnel.connection, []).append(tunnels[tunnel.name])
    for resource in desired.inventory.by_key.values():
        is_connection = resource.type == "vpnGateways/vpnConnections"
        provisioning, reason = _provisioning(resource.id, desired, state, is_connection)
        yield ResourceStatus(
            id=resource.id,
            body=resource.to_json(secrets=False),
            provisioning_state=provisioning,
            reason=reason,
            connection_status=summary(of_connection.get(resource.id, ())) if is_connection else None,
        )


def _provisioning(resource: str, desired: Desired, state: State, is_connection: bool) -> tuple[Provisioning, str]:
    if state.desired is None or state.desired.snapshot.generation != desired.snapshot.generation:
        return Provisioning.UPDATING, ""
    if reason := state.failures.get(resource):
        return Provisioning.FAILED, reason
    away = [reason for driver, reason in state.unreachable.items() if is_connection or driver not in _SESSIONS]
    return (Provisioning.UPDATING, "; ".join(away)) if away else (Provisioning.SUCCEEDED, "")


def tunnel_statuses(plan: Plan, state: State, counters: Counters) -> Iterator[TunnelStatus]:
    """Yields every tunnel as charon and the kernel have it."""
    now = states(plan.tunnels, state.sas, state.up)
    children, installed = state.sas.children, state.sas.installed
    for tunnel in plan.tunnels:
        ike, child = children.get(tunnel.name, (None, None))
        carrying = tuple(installed.get(tunnel.name, {}).values())
        yield TunnelStatus(
            name=tunnel.name,
            connection=tunnel.connection,
            site=tunnel.site,
            link=tunnel.link,
            instance=tunnel.instance,
            local_address=tunnel.local_address,
            remote_address=ike.remote_address if ike else tunnel.remote_address,
            state=now[tunnel.name],
            since=state.since.get(tunnel.name),
            spi_in=child.spi_in if child else "",
            spi_out=child.spi_out if child else "",
            bytes_in=sum(one.bytes_in for one in carrying),
            bytes_out=sum(one.bytes_out for one in carrying),
            packets_in=sum(one.packets_in for one in carrying),
            packets_out=sum(one.packets_out for one in carrying),
            spoofed=counters.spoofed.get(tunnel.name, 0),
            replayed=counters.replayed.get(tunnel.nexthop, 0),
            integrity_failed=counters.integrity_failed.get(tunnel.nexthop, 0),
            cipher=child.cipher if child else "",
            ike_version=ike.version if ike else 0,
            ike_cipher=ike.cipher if ike else "",
            selectors=", ".join(sorted(one.selectors for one in carrying)),
            last_error=state.last_errors.get(tunnel.name, "") or narrowed(tunnel, carrying),
        )


def user_gateways(
    plan: Plan,
    sessions: Iterable[SessionStatus],
    pools: Iterable[PoolStatus],
    carried: Mapping[str, tuple[int, int]],
) -> Iterator[UserGateway]:
    """Yields what each gateway instance of users has together; `carried` is by interface."""
    signed_on = Counter((one.gateway, one.instance) for one in sessions)
    of_instance: dict[tuple[str, int], list[PoolStatus]] = {}
    for pool in pools:
        of_instance.setdefault((pool.gateway, pool.instance), []).append(pool)
    for users in plan.users:
        key = users.gateway, users.instance
        own = of_instance.get(key, [])
        bytes_in, bytes_out = carried.get(users.name, (0, 0))
        yield UserGateway(
            *key,
            sessions=signed_on[key],
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            addresses=sum(one.size for one in own),
            addresses_used=sum(one.online for one in own),
            exhausted=any(one.exhausted for one in own),
        )


def narrowed(tunnel: TunnelOf, children: Iterable[ChildSa]) -> str:
    """Returns what is amiss where the SAs carry less than they should: all else is closed, whatever is routed."""
    wanted = dict(zip(tunnel.children, map(" === ".join, tunnel.selectors), strict=True))
    got = {child.name: child.selectors for child in children}
    if narrow := {name: selectors for name, selectors in got.items() if selectors not in {"", wanted.get(name)}}:
        hint = f"set the branch to what the hub has, {', '.join(few([wanted.get(name, '') for name in narrow]))}"
        if tunnel.selectors == ALL_TRAFFIC:
            hint = "set it to 0.0.0.0/0 both ways, routes select"
        return f"the branch narrowed the traffic selectors to {', '.join(few(list(narrow.values())))}; {hint}"
    if got and (missing := [selectors for name, selectors in wanted.items() if name not in got]):
        hint = "does the branch have the same pairs?"
        return f"closed to {', '.join(few(missing))}, for which no SA is set up; {hint}"
    return ""


def route_statuses(plan: Plan, seen: Iterable[Object]) -> Iterator[RouteStatus]:
    """Yields every declared route of a VRF that the kernel has, by table and prefix."""
    objects = list(seen)
    active: dict[Tiers, tuple[int, ...]] = {obj.tiers: obj.active for obj in objects if isinstance(obj, Group)}
    vrf_of = {obj.table: obj.name for obj in plan.objects if isinstance(obj, Vrf)}
    hub_of = {table: plan.owners[("Vrf", name)][0] for table, name in vrf_of.items()}
    routes = [obj for obj in objects if isinstance(obj, Route) and obj.table in TABLES]
    for route in sorted(routes, key=lambda route: (route.table, route.prefix.version, route.prefix, route.metric)):
        members = active.get(route.via.tiers, ()) if isinstance(route.via, Tunnels) else ()
        yield RouteStatus(
            table=route.table,
            vrf=vrf_of.get(route.table, ""),
            hub=hub_of.get(route.table, ""),
            prefix=str(route.prefix),
            via=via(route.via),
            nexthops=tuple(tunnel_interface(member) for member in members),
            origin=_origin(plan, route),
        )


def _origin(plan: Plan, route: Route) -> str:
    """Returns whose a route is; that of a user's own address is no object of the plan, but its interface is."""
    interface: Key = ("Tunnel", route.via.interface) if isinstance(route.via, OnLink) else ()
    return plan.owners.get(route.key, plan.owners.get(interface, ("",)))[0]
