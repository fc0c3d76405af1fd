"""Gateways of users: one a hub, each instance hosted once, pools that two instances can share, good authorities."""

from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import STORED, Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.vpn_server import VpnServerConfiguration

_LONGEST = 29
"""The longest prefix of a pool: each instance has half of it, without its first and last address."""


def check_users(report: Report) -> None:
    """What a p2sVpnGateway and its vpnServerConfiguration need."""
    for gateway, other in seconds(report.inventory.user_gateways, lambda one: one.properties.virtual_hub.key):
        message = f"the hub has {words(other)} already"
        report.add(gateway, ("properties", "virtualHub"), message, shown(gateway.properties.virtual_hub.name))
    for gateway in report.inventory.user_gateways:
        _check_pools(report, gateway)
    for server in report.inventory.servers:
        _check_roots(report, server)
    _check_instances(report)


def _check_pools(report: Report, gateway: P2sVpnGateway) -> None:
    for index, one in enumerate(gateway.properties.connection_configurations):
        for position, prefix in enumerate(one.properties.vpn_client_address_pool.address_prefixes):
            if prefix.prefixlen > _LONGEST:
                path = ("properties", "p2SConnectionConfigurations", index, "properties", "vpnClientAddressPool")
                message = f"each of the gateway's two instances has half of a pool, and it is longer than /{_LONGEST}"
                report.add(gateway, (*path, "addressPrefixes", position), message, shown(prefix))


def _check_roots(report: Report, server: VpnServerConfiguration) -> None:
    path = ("properties", "vpnClientRootCertificates")
    roots = server.properties.vpn_client_root_certificates
    if roots and server.properties.vpn_client_revoked_certificates:
        # Who is refused before he is in has to be on a list that his own authority signed.
        message = "a thumbprint revokes what hubgw's own authority issued, and vpnClientRootCertificates names others"
        hint = "give their revocationLists in settings of the vpnServerConfiguration"
        report.add(server, ("properties", "vpnClientRevokedCertificates"), message, hint=hint)
    for index, root in enumerate(roots):
        place: Path = (*path, index, "publicCertData")
        # What is stored may have ended since, and must not keep other changes from being applied.
        is_new = report.where(server.key, place) != STORED
        if report.now and is_new and root.certificate.not_after < report.now:
            report.add(server, place, f"has ended: {root.certificate.subject}")


def _check_instances(report: Report) -> None:
    hosted = [
        (node, ("properties", "userGatewayInstances", index), instance)
        for node in report.inventory.nodes
        for index, instance in enumerate(node.properties.user_gateway_instances)
    ]
    hosts: dict[str, str] = {}
    for node, path, instance in hosted:
        # Each agent has an authority of its own, and would believe no user of the other's.
        if hosts.setdefault(instance.user_gateway.key, node.key) != node.key:
            message = f"a second node for p2sVpnGateway {instance.user_gateway.name} is not implemented yet"
            hint = "host both instances on one machine"
            report.add(node, (*path, "p2sVpnGateway"), message, shown(instance.user_gateway.name), hint)
    for (node, path, instance), _ in seconds(hosted, lambda it: (it[2].user_gateway.key, it[2].instance)):
        message = f"instance {instance.instance} of p2sVpnGateway {instance.user_gateway.name} is hosted twice"
        report.add(node, (*path, "instance"), message, shown(instance.instance))
    for (node, path, instance), (_, _, other) in seconds(hosted, lambda it: it[2].public_address):
        message = f"instance {other.instance} of p2sVpnGateway {other.user_gateway.name} has this address already"
        report.add(node, (*path, "publicAddress"), message, shown(instance.public_address))
