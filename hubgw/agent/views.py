"""What was observed -> what one connection or hub sees of it."""

from collections.abc import Mapping
from contextlib import suppress

from hubgw.agent.edit import find
from hubgw.agent.references import parent_of
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.statuses import Json, ResourceStatus, RouteStatus, Status

_DEFAULT = "0.0.0.0/0"
_WITH_ROUTES = ("virtualHubs", "vpnConnections", "hubVirtualNetworkConnections")


def effective_routes(status: Status, name: str) -> tuple[RouteStatus, ...]:
    """Returns the routes that a hub, or a connection to it, forwards by: those of its hub's default table.

    A default route is not for a connection without enableInternetSecurity.

    Raises:
        Refused: NOT_FOUND; no such resource, or none that has routes.
    """
    by_key = {resource.id.lower(): resource for resource in status.resources}
    key = _key_of({key: resource.body for key, resource in by_key.items()}, name)
    hub = _hub_of(by_key, key)
    if not hub:
        raise Refused(Refusal.NOT_FOUND, [f"{name}: has no routes; name a connection or a virtualHub"])
    routes = (route for route in status.routes if route.hub.lower() == hub)
    match by_key[key].body:
        case {"properties": {"enableInternetSecurity": False}}:
            return tuple(route for route in routes if route.prefix != _DEFAULT or route.via == "unreachable")
    return tuple(routes)


def _key_of(bodies: Mapping[str, Json], name: str) -> str:
    """Finds what has routes by its bare name too: ``hub1``, ``gw1/branch1``."""
    for kind in _WITH_ROUTES:
        with suppress(Refused):
            return find(bodies, f"{kind}/{name}")
    return find(bodies, name)


def _hub_of(by_key: Mapping[str, ResourceStatus], key: str) -> str:
    while key:
        if "/virtualhubs/" in key and not parent_of(key):
            return key
        match by_key[key].body if key in by_key else {}:
            case {"properties": {"virtualHub": {"id": str(hub)}}}:
                return hub.lower()
        key = parent_of(key)
    return ""
