"""Gateways of users on one machine: what its charon, or hubgw, has for all of them must not be two configurations'."""

from collections.abc import Callable, Iterator
from typing import Final

from hubgw.resources.node import Node
from hubgw.resources.problem import shown
from hubgw.resources.report import Report
from hubgw.resources.vpn_server import VpnServerConfiguration

_HINT: Final = "give both gateways one vpnServerConfiguration, or each a machine"

_Hosted = tuple[int, str, VpnServerConfiguration]
"""Index of an instance of the node's, name of its gateway, configuration of that."""


def check_user_machines(report: Report) -> None:
    """Which configurations of users may not be on one machine."""
    inventory = report.inventory
    by_gateway = {one.key: one.properties.vpn_server_configuration.key for one in inventory.user_gateways}
    for node in inventory.nodes:
        hosted = [
            (index, instance.user_gateway.name, server)
            for index, instance in enumerate(node.properties.user_gateway_instances)
            if (server := report.of(VpnServerConfiguration, by_gateway.get(instance.user_gateway.key, "")))
        ]
        # charon takes a password at whatever gateway it is told: it has no owner but the user's name.
        _check(
            report,
            node,
            (one for one in hosted if inventory.users_of(one[2].key)),
            lambda first: (
                "the machine has a gateway of another vpnServerConfiguration with vpnUsers, and who has a password for "
                "one could log in to both"
            ),
        )
        # charon asks the same servers about the users of all gateways.
        _check(
            report,
            node,
            (one for one in hosted if one[2].radius),
            lambda first: f"the machine asks the RADIUS servers of vpnServerConfiguration {first} about all users",
        )
        # hubgw has one authority of users.
        _check(
            report,
            node,
            (one for one in hosted if one[2].properties.by_own_authority),
            lambda first: (
                f"hubgw's own authority issues to users of vpnServerConfiguration {first} on this machine, who could "
                "log in to both"
            ),
        )


def _check(report: Report, node: Node, hosted: Iterator[_Hosted], message: Callable[[str], str]) -> None:
    first: VpnServerConfiguration | None = None
    for index, gateway, server in hosted:
        first = first or server
        if server.key != first.key:
            path = ("properties", "userGatewayInstances", index, "p2sVpnGateway")
            report.add(node, path, message(first.name), shown(gateway), _HINT)
