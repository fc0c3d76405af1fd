"""RADIUS: servers where it is asked for and nowhere else, and each with a secret."""

from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds
from hubgw.resources.vpn_server import VpnServerConfiguration

_SERVERS: Path = ("properties", "radiusServers")
_TYPES: Path = ("properties", "vpnAuthenticationTypes")


def check_radius(report: Report) -> None:
    """What RADIUS needs of each vpnServerConfiguration."""
    for server in report.inventory.servers:
        _check_server(report, server)


def _check_server(report: Report, server: VpnServerConfiguration) -> None:
    asked, properties = server.properties.by_radius, server.properties
    at: Path = _SERVERS if properties.radius_servers else ("properties", "radiusServerAddress")
    if asked and not server.radius:
        report.add(
            server, _TYPES, "users prove themselves to a RADIUS server, and none is named", hint="add radiusServers"
        )
    if server.radius and not asked:
        report.add(server, at, "nobody asks these: Radius is not among vpnAuthenticationTypes", hint="add it there")
    if properties.radius_server_address is not None and properties.radius_servers:
        message = "is Azure's form for one server, and radiusServers names others"
        report.add(server, ("properties", "radiusServerAddress"), message, hint="write it into radiusServers")
    hint = "a stored server keeps the one that it has, which is never shown"
    if properties.radius_server_address is not None and properties.radius_server_secret is None:
        report.add(server, ("properties", "radiusServerSecret"), "a new server needs a secret", hint=hint)
    servers = [*enumerate(properties.radius_servers)]
    for index, _ in (it for it in servers if it[1].radius_server_secret is None):
        report.add(server, (*_SERVERS, index, "radiusServerSecret"), "a new server needs a secret", hint=hint)
    for (index, one), _ in seconds(servers, lambda it: it[1].radius_server_address):
        path = (*_SERVERS, index, "radiusServerAddress")
        report.add(server, path, "is the address of another server of the list", shown(one.radius_server_address))
    if asked and (users := report.inventory.users_of(server.key)):
        message = "charon leads no client from one EAP method to another: it is RADIUS's or that of vpnUsers"
        hint = "delete the vpnUsers, or leave Radius out"
        report.add(users[0], ("properties", "vpnServerConfiguration"), message, shown(server.name), hint)
