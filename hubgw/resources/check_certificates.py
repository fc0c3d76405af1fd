"""Certificates: whole, good now, of the gateway's addresses, and only where there are any to prove oneself by."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from hubgw.pki.reading import Certificate, key_id, read_certificates, read_revocation_lists, signed_by
from hubgw.resources.connection import VpnGateway
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import STORED, Path, shown
from hubgw.resources.report import Report, words
from hubgw.resources.settings import OF_USERS, Settings
from hubgw.resources.uses import used
from hubgw.resources.vpn_server import VpnServerConfiguration

WHOLE: Final = {
    "certificate": "certificate",
    "privateKey": "private_key",
    "certificateAuthorities": "certificate_authorities",
}
OF_A_BRANCH: Final = "is what a branch has"
EXTEND: Final = "extend the vpnSite, or one of its links"
_OWN: Final = (*WHOLE, "revocationLists")


def check_certificates(report: Report) -> None:
    """What a gateway proves itself by is complete and fits; only IKEv2 has certificates, and only they a subject."""
    for settings in report.inventory.settings:
        target = report.inventory.get(settings.properties.resource)
        if isinstance(target, VpnGateway):
            _check_gateway(report, settings)
        elif not isinstance(target, P2sVpnGateway | VpnServerConfiguration):
            _check_branch(report, settings)
    for use in used(report):
        if use.terms.version == 1 and report.inventory.by_certificate(use.link.key):
            message = f"IKEv1 has preshared keys alone, and the settings of {words(use.site)} say Certificate"
            path = use.written("vpn_connection_protocol_type")
            report.add(use.connection, path, message, shown("IKEv1"), "use IKEv2, or authentication: PSK")


def said_by(settings: Settings) -> set[str]:
    """Returns the fields that settings have, but for whose they are and what is looked at for all of them."""
    said: dict[str, object] = settings.properties.model_dump(by_alias=True, exclude_none=True)
    return set(said) - {"resource", *OF_USERS}


def _check_branch(report: Report, settings: Settings) -> None:
    for field in (field for field in _OWN if field in said_by(settings)):
        path = ("properties", field)
        report.add(settings, path, "is what a vpnGateway has", hint="extend the vpnGateway that the branch connects to")
    identity = settings.properties.remote_identity or ""
    if "=" in identity and not report.inventory.by_certificate(settings.properties.resource.key):
        message = "a subject is proved by a certificate, and the branch has a preshared key"
        report.add(
            settings, ("properties", "remoteIdentity"), message, shown(identity), "add authentication: Certificate"
        )


def _check_gateway(report: Report, settings: Settings) -> None:
    said, own = said_by(settings), settings.properties
    for field in sorted(said - set(_OWN)):
        report.add(settings, ("properties", field), OF_A_BRANCH, hint=EXTEND)
    if not is_whole(report, settings, said & set(_OWN)):
        return
    instances = [one for node in report.inventory.nodes for one in node.properties.gateway_instances]
    of_gateway = [one for one in instances if one.vpn_gateway.key == own.resource.key]
    check_own(report, settings, {one.instance: str(one.public_address) for one in of_gateway})
    check_lists(report, settings, check_authorities(report, settings), "certificateAuthorities")


def is_whole(report: Report, settings: Settings, said: Iterable[str]) -> bool:
    """Tells whether settings give a gateway all that it proves itself by; some of it alone is a problem."""
    missing = [field for field, name in WHOLE.items() if getattr(settings.properties, name) is None]
    if missing and (some := sorted(said)):
        message = f"a gateway's own certificate needs {' and '.join(missing)} too"
        hint = "give all three, or none for one by hubgw's own authority"
        report.add(settings, ("properties", some[0]), message, hint=hint)
    return not missing


def check_lists(report: Report, settings: Settings, authorities: Iterable[Certificate], named: str) -> None:
    """Each list is by one of the authorities, and found there by charon; `named` is the field that has them."""
    authorities = list(authorities)
    for index, text in enumerate(settings.properties.revocation_lists or ()):
        path: Path = ("properties", "revocationLists", index)
        (revoked,) = read_revocation_lists(text)
        if not signed_by(revoked, authorities):
            message = f"none of {named} signed this list of {revoked.issuer}"
            report.add(settings, path, message, hint="add the authority, or leave the list out")
        # charon looks for a list by that alone, and takes who is on one that it does not find for good.
        elif revoked.key_id not in {one.key_id for one in authorities}:
            message = f"this list of {revoked.issuer} does not name its authority's key as charon looks for it"
            hint = "have it made with the authority key identifier of RFC 5280: the SHA-1 of the key"
            report.add(settings, path, message, hint=hint)


def check_own(report: Report, settings: Settings, addresses: Mapping[int, str]) -> None:
    """The certificate is of the key, good now, and names the address of each instance."""
    own = settings.properties
    leaf = leaf_of(settings)
    path = ("properties", "certificate")
    if own.private_key and key_id(own.private_key) != leaf.key_id:
        message = f"is not the key of the certificate of {leaf.subject}"
        report.add(settings, ("properties", "privateKey"), message, hint="give the key of the first certificate")
    if leaf.is_authority:
        message = f"is that of an authority ({leaf.subject})"
        report.add(settings, path, message, hint="put the gateway's own certificate first")
    _check_times(report, settings, path, leaf)
    for instance, address in addresses.items():
        if address not in leaf.names:
            message = f"does not name instance {instance}, which calls itself by its publicAddress"
            hint = f"have one made with the subject alternative name IP:{address}"
            report.add(settings, path, f"{message} {address}", hint=hint)


def leaf_of(settings: Settings) -> Certificate:
    """Returns the gateway's own certificate, which comes before those of the authorities between it and the root."""
    leaf, *_ = read_certificates(settings.properties.certificate or "")
    return leaf


def check_authorities(report: Report, settings: Settings) -> list[Certificate]:
    """Returns certificateAuthorities: each is one, and good now."""
    authorities = []
    for index, text in enumerate(settings.properties.certificate_authorities or ()):
        path: Path = ("properties", "certificateAuthorities", index)
        (authority,) = read_certificates(text)
        authorities.append(authority)
        if not authority.is_authority:
            message = f"the certificate of {authority.subject} is not that of an authority (no CA bit)"
            report.add(settings, path, message, hint="give the certificate of whoever issued those of the branches")
        _check_times(report, settings, path, authority)
    return authorities


def _check_times(report: Report, settings: Settings, path: Path, one: Certificate) -> None:
    """What is stored may have ended since, and must not keep other changes from being applied."""
    if not report.now or report.where(settings.key, path) == STORED:
        return
    if report.now > one.not_after:
        message = f"the certificate of {one.subject} ended on {_day(one.not_after)}"
        report.add(settings, path, message, hint="have a new one made")
    elif report.now < one.not_before:
        message = f"the certificate of {one.subject} begins on {_day(one.not_before)}"
        report.add(settings, path, message, hint="wait until then, or set this machine's clock")


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
