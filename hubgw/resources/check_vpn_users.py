"""Users with passwords: each name once, a password for each, and one configuration of them a machine."""

from hubgw.resources.problem import shown
from hubgw.resources.report import Report, seconds
from hubgw.resources.vpn_user import VpnUser, user_name_problem

_SERVER = ("properties", "vpnServerConfiguration")


def check_vpn_users(report: Report) -> None:
    """What each vpnUser needs, and what those of one machine must not have in common."""
    for user in report.inventory.vpn_users:
        _check_user(report, user)
    for pair in seconds(report.inventory.vpn_users, _login):
        user, other = report.later(*pair, key=lambda one: one.key)
        path = ("properties", "userName") if user.properties.user_name else ("name",)
        message = f"is the name of {report.placed(other, path)} already"
        report.add(user, path, message, shown(user.user_name), "upper and lower case are one")
    for server in report.inventory.servers:
        if not server.properties.vpn_authentication_types and not report.inventory.users_of(server.key):
            message = "nobody could prove who they are: there is no way to, and no vpnUser refers to it"
            report.add(
                server, ("properties", "vpnAuthenticationTypes"), message, hint="write Certificate, or add vpnUsers"
            )
    _check_machines(report)


def _login(user: VpnUser) -> tuple[str, str]:
    return user.properties.vpn_server_configuration.key, user.user_name.lower()


def _check_user(report: Report, user: VpnUser) -> None:
    if user.properties.user_name is None and (problem := user_name_problem(user.name)):
        report.add(user, ("name",), problem, shown(user.name), "give the user a userName")
    if user.properties.password is None:
        hint = "a stored user keeps the one that it has, which is never shown"
        report.add(user, ("properties", "password"), "a new user needs one", hint=hint)


def _check_machines(report: Report) -> None:
    """charon takes a password at whatever gateway it is told: it has no owner but the user's name."""
    servers = {gateway.key: gateway.properties.vpn_server_configuration for gateway in report.inventory.user_gateways}
    with_users = {user.properties.vpn_server_configuration.key: user for user in report.inventory.vpn_users}
    for node in report.inventory.nodes:
        first = ""
        for index, instance in enumerate(node.properties.user_gateway_instances):
            server = servers.get(instance.user_gateway.key)
            if server is None or server.key not in with_users:
                continue
            if first and server.key != first:
                path = ("properties", "userGatewayInstances", index, "p2sVpnGateway")
                message = (
                    "the machine has a gateway of another vpnServerConfiguration with vpnUsers, and who has a password "
                    "for one could log in to both"
                )
                hint = "give both gateways one vpnServerConfiguration, or each a machine"
                report.add(node, path, message, shown(instance.user_gateway.name), hint)
            first = first or server.key
