"""Users with passwords: each name once, and a password for each."""

from hubgw.resources.problem import shown
from hubgw.resources.report import Report, seconds
from hubgw.resources.vpn_user import VpnUser, user_name_problem

_SERVER = ("properties", "vpnServerConfiguration")


def check_vpn_users(report: Report) -> None:
    """What each vpnUser needs."""
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


def _gateway_names(report: Report, user: VpnUser) -> set[str]:
    server = user.properties.vpn_server_configuration.key
    gateways = [one for one in report.inventory.user_gateways if one.properties.vpn_server_configuration.key == server]
    return {(report.inventory.gateway_fqdn(one.key) or "").lower() for one in gateways}


def _login(user: VpnUser) -> tuple[str, str]:
    return user.properties.vpn_server_configuration.key, user.user_name.lower()


def _check_user(report: Report, user: VpnUser) -> None:
    if user.properties.user_name is None and (problem := user_name_problem(user.name)):
        report.add(user, ("name",), problem, shown(user.name), "give the user a userName")
    if user.user_name.lower() in _gateway_names(report, user):
        # charon looks for a password that either end owns.
        message = "is what the gateway calls itself (gatewayFqdn), so that anybody could log in by this password"
        report.add(user, ("properties", "userName"), message, shown(user.user_name), "give the user another name")
    if user.properties.password is None:
        hint = "a stored user keeps the one that it has, which is never shown"
        report.add(user, ("properties", "password"), "a new user needs one", hint=hint)
