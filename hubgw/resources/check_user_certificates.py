"""Settings of gateways of users and of their configurations: the operator's own certificate, lists of authorities."""

from typing import Final

from hubgw.resources.check_certificates import (
    EXTEND,
    OF_A_BRANCH,
    WHOLE,
    check_authorities,
    check_lists,
    check_own,
    is_whole,
    leaf_of,
    said_by,
)
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import shown
from hubgw.resources.report import Report
from hubgw.resources.settings import Settings
from hubgw.resources.vpn_server import VpnServerConfiguration

_LISTS: Final = "revocationLists"
_ROOTS: Final = "vpnClientRootCertificates"


def check_user_certificates(report: Report) -> None:
    """What a p2sVpnGateway proves itself by is complete and names it; lists are of authorities that are believed."""
    for settings in report.inventory.settings:
        match report.inventory.get(settings.properties.resource):
            case P2sVpnGateway() as gateway:
                _check_gateway(report, settings, gateway)
            case VpnServerConfiguration() as server:
                _check_server(report, settings, server)


def _check_gateway(report: Report, settings: Settings, gateway: P2sVpnGateway) -> None:
    said = said_by(settings)
    if _LISTS in said:
        message, hint = "is what a vpnServerConfiguration has", "extend the vpnServerConfiguration of the gateway"
        report.add(settings, ("properties", _LISTS), message, hint=hint)
    for field in sorted(said - {*WHOLE, _LISTS}):
        report.add(settings, ("properties", field), OF_A_BRANCH, hint=EXTEND)
    if not is_whole(report, settings, said & set(WHOLE)):
        return
    fqdn = settings.properties.gateway_fqdn
    instances = [one for node in report.inventory.nodes for one in node.properties.user_gateway_instances]
    addresses = {one.instance: str(one.public_address) for one in instances if one.user_gateway.key == gateway.key}
    check_own(report, settings, {} if fqdn else addresses)
    if fqdn and fqdn.lower() not in {name.lower() for name in leaf_of(settings).names}:
        message = "does not name the gateway, which calls itself by its gatewayFqdn"
        hint = f"have one made with the subject alternative name DNS:{fqdn}"
        report.add(settings, ("properties", "certificate"), message, shown(fqdn), hint)
    check_authorities(report, settings)


def _check_server(report: Report, settings: Settings, server: VpnServerConfiguration) -> None:
    said = said_by(settings)
    for field in sorted(said & set(WHOLE)):
        report.add(settings, ("properties", field), "is what a gateway has", hint="extend the p2sVpnGateway")
    for field in sorted(said - {*WHOLE, _LISTS}):
        report.add(settings, ("properties", field), OF_A_BRANCH, hint=EXTEND)
    roots = [root.certificate for root in server.properties.vpn_client_root_certificates]
    if _LISTS in said and not roots:
        message = "the configuration believes hubgw's own authority alone, whose list hubgw makes"
        hint = f"leave the lists out, or name other authorities in {_ROOTS}"
        report.add(settings, ("properties", _LISTS), message, hint=hint)
    elif _LISTS in said:
        check_lists(report, settings, roots, _ROOTS)
