"""Gateways of users: one a hub, pools that two instances can share, good authorities."""

from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import STORED, Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.vpn_server import VpnServerConfiguration

_LONGEST = 29
"""The longest prefix of a pool: each instance has half of it, without its first and last address."""
_MOST_REVOKED = 200
"""By thumbprint of other authorities: charon is given the certificates in one message, of at most 512 KiB."""


def check_users(report: Report) -> None:
    """What a p2sVpnGateway and its vpnServerConfiguration need."""
    for gateway, other in seconds(report.inventory.user_gateways, lambda one: one.properties.virtual_hub.key):
        message = f"the hub has {words(other)} already"
        report.add(gateway, ("properties", "virtualHub"), message, shown(gateway.properties.virtual_hub.name))
    for gateway in report.inventory.user_gateways:
        _check_pools(report, gateway)
        _check_static_addresses(report, gateway)
        _check_framed_prefixes(report, gateway)
    for server in report.inventory.servers:
        _check_roots(report, server)


def _check_pools(report: Report, gateway: P2sVpnGateway) -> None:
    for index, one in enumerate(gateway.properties.connection_configurations):
        for position, prefix in enumerate(one.properties.vpn_client_address_pool.address_prefixes):
            if prefix.prefixlen > _LONGEST:
                path = ("properties", "p2SConnectionConfigurations", index, "properties", "vpnClientAddressPool")
                message = f"each of the gateway's two instances has half of a pool, and it is longer than /{_LONGEST}"
                report.add(gateway, (*path, "addressPrefixes", position), message, shown(prefix))


def _check_static_addresses(report: Report, gateway: P2sVpnGateway) -> None:
    settings = report.inventory.settings_by_resource.get(gateway.key)
    if settings is None or not settings.properties.static_addresses:
        return
    path = ("properties", "staticAddresses")
    server = report.of(VpnServerConfiguration, gateway.properties.vpn_server_configuration)
    if server and not server.properties.by_certificate:
        message = "are of users with certificates, and the gateway takes none"
        report.add(settings, path, message, hint="add Certificate to vpnAuthenticationTypes")
    every = [(index, one.identity) for index, one in enumerate(settings.properties.static_addresses)]
    for (index, identity), _ in seconds(every, lambda it: it[1].casefold()):
        report.add(settings, (*path, index, "identity"), "has addresses already", shown(identity))


def _check_framed_prefixes(report: Report, gateway: P2sVpnGateway) -> None:
    settings = report.inventory.settings_by_resource.get(gateway.key)
    server = report.of(VpnServerConfiguration, gateway.properties.vpn_server_configuration)
    if settings and settings.properties.framed_address_prefixes and server and not server.properties.by_radius:
        message = "are of users whom a RADIUS server knows, and the gateway asks none"
        report.add(
            settings, ("properties", "framedAddressPrefixes"), message, hint="add Radius to vpnAuthenticationTypes"
        )


def _check_roots(report: Report, server: VpnServerConfiguration) -> None:
    path = ("properties", "vpnClientRootCertificates")
    roots = server.properties.vpn_client_root_certificates
    revoked = server.properties.vpn_client_revoked_certificates
    for said, field in ((roots, path[1]), (revoked, "vpnClientRevokedCertificates")):
        if said and not server.properties.by_certificate:
            message = "nobody proves himself by a certificate: Certificate is not among vpnAuthenticationTypes"
            report.add(server, ("properties", field), message, hint="add it there, or leave these out")
    if roots and len(revoked) > _MOST_REVOKED:
        message = f"expected at most {_MOST_REVOKED} where vpnClientRootCertificates are there"
        hint = "give a list of their authority (revocationLists in settings of the vpnServerConfiguration)"
        report.add(server, ("properties", "vpnClientRevokedCertificates"), message, shown(len(revoked)), hint)
    for index, root in enumerate(roots):
        place: Path = (*path, index, "publicCertData")
        # What is stored may have ended since, and must not keep other changes from being applied.
        is_new = report.where(server.key, place) != STORED
        if report.now and is_new and root.certificate.not_after < report.now:
            report.add(server, place, f"has ended: {root.certificate.subject}")
