"""IKE and IPsec of each link: algorithms that fit together, that the site may use, and that its version of IKE has."""

from collections.abc import Iterable, Iterator

from hubgw.resources.base import Resource
from hubgw.resources.connection import VpnConnection
from hubgw.resources.ipsec import GCM, LEGACY, IpsecPolicy
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.uses import Use, used
from hubgw.resources.vpn_server import VpnServerConfiguration

_OF_CLIENTS: Path = ("properties", "vpnClientIpsecPolicies", 0)


def check_ipsec(report: Report) -> None:
    """A policy is Azure's to the letter; legacy algorithms are a site's own choice; IKEv1 lacks what IKEv2 has."""
    for connection in report.inventory.connections:
        for path, policy in _policies(connection):
            _check_combined(report, connection, path, policy)
    for server in report.inventory.servers:
        for policy in server.properties.vpn_client_ipsec_policies:
            _check_combined(report, server, _OF_CLIENTS, policy)
            _check_modern(report, server, policy)
    for use in _once(use for use in used(report) if not report.inventory.legacy(use.link.key)):
        _check_legacy(report, use)
    for use in _once(use for use in used(report) if use.terms.version == 1):
        _check_version(report, use)
    for use in used(report):
        if report.inventory.mobike(use.link.key):
            _check_mobike(report, use)
    _check_addresses(report)


def _once(uses: Iterator[Use]) -> Iterable[Use]:
    """Returns one use of each policy: that of a connection holds on all of its links."""
    return {(use.connection.key, use.written("ipsec_policies")): use for use in uses}.values()


def _policies(connection: VpnConnection) -> Iterator[tuple[Path, IpsecPolicy]]:
    for policy in connection.properties.ipsec_policies:
        yield ("properties", "ipsecPolicies", 0), policy
    for index, one in enumerate(connection.properties.vpn_link_connections):
        for policy in one.properties.ipsec_policies:
            yield ("properties", "vpnLinkConnections", index, "properties", "ipsecPolicies", 0), policy


def _check_combined(report: Report, resource: Resource, path: Path, policy: IpsecPolicy) -> None:
    encryption, integrity = policy.ipsec_encryption, policy.ipsec_integrity
    if encryption != integrity and (encryption.startswith(GCM) or integrity.startswith(GCM)):
        message = f"GCM encrypts and authenticates in one, and ipsecEncryption is {encryption}"
        hint = f"write {encryption if encryption.startswith(GCM) else integrity} for both, or GCM for neither"
        report.add(resource, (*path, "ipsecIntegrity"), message, shown(integrity), hint)


def _check_modern(report: Report, server: VpnServerConfiguration, policy: IpsecPolicy) -> None:
    for field, value in policy.model_dump(by_alias=True).items():
        if value in LEGACY:
            message = "a legacy algorithm, and each platform of users' clients can do better"
            report.add(server, (*_OF_CLIENTS, field), message, shown(value))


def _check_legacy(report: Report, use: Use) -> None:
    policy = use.terms.policy
    if policy is None:
        return
    for field, value in policy.model_dump(by_alias=True).items():
        if value in LEGACY:
            message = f"a legacy algorithm, and the settings of {words(use.site)} do not allow them"
            hint = f"settings of vpnSites/{use.site.name} with legacyAlgorithms: true, if the branch can do no better"
            report.add(use.connection, (*use.written("ipsec_policies"), 0, field), message, shown(value), hint)


def _check_version(report: Report, use: Use) -> None:
    policy = use.terms.policy
    if policy is not None and policy.ike_encryption.startswith(GCM):
        message = "IKEv1 has no GCM for IKE itself (ipsecEncryption may be GCM)"
        path = (*use.written("ipsec_policies"), 0, "ikeEncryption")
        report.add(use.connection, path, message, shown(policy.ike_encryption), "write AES256, or use IKEv2")


def _check_mobike(report: Report, use: Use) -> None:
    said = f"and the settings of {words(use.site)} ask for it on link {use.link.name}"
    if use.terms.version == 1:
        path = use.written("vpn_connection_protocol_type")
        report.add(use.connection, path, f"IKEv1 has no MOBIKE, {said}", shown("IKEv1"), "use IKEv2, or no mobike")
    elif use.terms.mode != "ResponderOnly":
        message = f"by MOBIKE the end that started an IKE SA moves it, {said}, which the hub may start"
        path = (*use.own, "vpnLinkConnectionMode")
        report.add(
            use.connection, path, message, shown(use.terms.mode), "write ResponderOnly, and have the branch start"
        )


def _check_addresses(report: Report) -> None:
    """What comes from one address is told apart by identities, which IKEv1 sends too late, and an IKE header lacks."""

    def at(use: Use) -> tuple[str, str]:
        return use.connection.parent_key, use.link.peer

    for pair in seconds((use for use in used(report) if use.terms.version == 1), at):
        use, other = report.later(*pair, key=lambda one: one.connection.key)
        message = (
            f"IKEv1 with preshared keys knows a branch by its address before it hears its identity, and link "
            f"{use.link.name} of {words(use.site)} has that of link {other.link.name} of {words(other.site)}"
        )
        hint = "use IKEv2, which tells two branches behind one address apart, or give each an address"
        report.add(use.connection, use.written("vpn_connection_protocol_type"), message, shown(use.link.peer), hint)
    for use, other in seconds(used(report), at):
        if (use.terms.mode == "InitiatorOnly") != (other.terms.mode == "InitiatorOnly"):
            only, free = (use, other) if use.terms.mode == "InitiatorOnly" else (other, use)
            message = (
                f"{words(free.connection)} answers link {free.link.name} of {words(free.site)}, which has the same "
                "address, and who starts an IKE SA has not said yet who it is"
            )
            path = (*only.own, "vpnLinkConnectionMode")
            report.add(only.connection, path, message, shown(only.terms.mode), "give both the same mode")
