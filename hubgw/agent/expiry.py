"""The certificates of gateways, their authorities' and what branches and users were issued -> until when each is good;
events ahead of the end."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from hubgw.agent.certificates import Certificates
from hubgw.agent.desired import Desired
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.references import name_of
from hubgw.agent.statuses import CertificateStatus, Issued, IssuedToUser, Validity
from hubgw.compile.credentials import given
from hubgw.pki.reading import Certificate, Credentials, RevocationList, read_certificates, read_revocation_lists
from hubgw.resources.connection import VpnGateway
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.vpn_server import VpnServerConfiguration

WARNED_BEFORE: Final = 30  # days; of a user's, a third of its life

_DAY: Final = 86_400
_OWN: Final = "hubgw"
_EVENTS: Final = {Validity.EXPIRES: "certificate.expires", Validity.EXPIRED: "certificate.expired"}


def certificate_statuses(desired: Desired, certificates: Certificates, now: float) -> tuple[CertificateStatus, ...]:
    """Returns what gateways prove themselves by, whom they believe, and what hubgw's own authority has issued; what
    several gateways share is told once."""
    found: dict[str, CertificateStatus] = {}
    issued = certificates.issued()
    has_own = issued or any(gateway.key in desired.own for gateway in desired.inventory.gateways)
    authority = read_certificates(certificates.authority()) if has_own else ()
    of_users = desired.users.certificates if desired.users else ()
    for own in (*authority, *of_users):
        found[own.digest] = _certificate("authority", _OWN, "", own, now)
    gateways: tuple[VpnGateway | P2sVpnGateway, ...] = desired.inventory.gateways + desired.inventory.user_gateways
    for gateway in gateways:
        credentials = given(desired.inventory, gateway) or desired.own.get(gateway.key)
        for digest, status in _of_gateway(gateway.id, credentials, now) if credentials else ():
            found.setdefault(digest, status)
    for server in desired.inventory.servers:
        for digest, status in _of_server(desired, server, now):
            found.setdefault(digest, status)
    to_branches = _of_issued("branch", issued, authority[0].subject if authority else "", now)
    to_users = _of_users(certificates.users.issued(), of_users[-1].subject if of_users else "", now)
    return (*found.values(), *to_branches, *to_users)


class Expiry:
    """Tells of each certificate that ends soon or has ended: once a day, and at once where that is new."""

    def __init__(
        self,
        reconciler: Reconciler,
        certificates: Certificates,
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reconciler = reconciler
        self._certificates = certificates
        self._journal = journal
        self._clock = clock
        self._told: dict[tuple[str, ...], float] = {}

    def round(self) -> None:
        """Looks at all of them. Raises StoreError."""
        desired, now = self._reconciler.state.desired, self._clock()
        if desired is None:
            return
        told: dict[tuple[str, ...], float] = {}
        for one in certificate_statuses(desired, self._certificates, now):
            event = _EVENTS.get(one.state)
            if event is None:
                continue
            key = (event, one.kind, one.name, one.subject, one.serial)
            told[key] = self._told.get(key, now - _DAY)
            if now >= told[key] + _DAY:
                told[key] = now
                self._tell(event, one)
        self._told = told

    def _tell(self, event: str, one: CertificateStatus) -> None:
        self._journal.record(
            event,
            one.id,
            logging.WARNING,
            kind=one.kind,
            name=one.name,
            subject=one.subject,
            serial=one.serial,
            days=one.days_left,
        )


def _of_gateway(owner: str, credentials: Credentials, now: float) -> Iterator[tuple[str, CertificateStatus]]:
    """Yields what is told of a gateway's, by digest: its own certificate first, then those of authorities."""
    name = name_of(owner)
    own, *between = credentials.own
    yield own.digest, _certificate("gateway", name, owner, own, now)
    for one in (*between, *credentials.believed):
        yield one.digest, _certificate("authority", name, owner, one, now)
    for revoked in credentials.revoked:
        yield revoked.digest, _revocation_list(name, owner, revoked, now)


def _of_server(desired: Desired, server: VpnServerConfiguration, now: float) -> Iterator[tuple[str, CertificateStatus]]:
    """Yields whom a configuration of users' gateways believes, with the lists of its settings."""
    for root in server.properties.vpn_client_root_certificates:
        yield root.certificate.digest, _certificate("authority", server.name, server.id, root.certificate, now)
    settings = desired.inventory.settings_by_resource.get(server.key)
    for text in (settings and settings.properties.revocation_lists) or ():
        for revoked in read_revocation_lists(text):
            yield revoked.digest, _revocation_list(server.name, server.id, revoked, now)


def _of_users(issued: Sequence[IssuedToUser], issuer: str, now: float) -> Iterator[CertificateStatus]:
    """Yields what users were issued: each is to have another before the last third of its life. None replaces another:
    every device of a user has its own."""
    for one, status in zip(issued, _of_issued("user", issued, issuer, now), strict=True):
        if one.revoked is None:
            due = Validity.EXPIRES if now > one.renew_from else Validity.VALID
            status = replace(status, state=Validity.EXPIRED if now > one.not_after else due)  # noqa: PLW2901
        yield status


def _of_issued(kind: str, issued: Sequence[Issued], issuer: str, now: float) -> Iterator[CertificateStatus]:
    """Yields what was issued; what was followed by another of its name is in force, and nobody's concern."""
    newest = {one.name.lower(): one.serial for one in issued if one.revoked is None}
    for one in issued:
        state = _validity(0.0, one.not_after, now)
        if one.revoked is not None:
            state = Validity.REVOKED
        elif newest[one.name.lower()] != one.serial:
            state = Validity.REPLACED
        days = _days(one.not_after, now)
        yield CertificateStatus(kind, one.name, "", one.subject, issuer, one.serial, one.not_after, days, state)


def _certificate(kind: str, name: str, owner: str, one: Certificate, now: float) -> CertificateStatus:
    state = _validity(one.not_before, one.not_after, now)
    days = _days(one.not_after, now)
    return CertificateStatus(kind, name, owner, one.subject, one.issuer, one.serial, one.not_after, days, state)


def _revocation_list(name: str, owner: str, one: RevocationList, now: float) -> CertificateStatus:
    """A list without a next update is good for ever (RFC 5280 wants one)."""
    until = one.next_update or None
    state = Validity.VALID if until is None else _validity(0.0, until, now)
    days = None if until is None else _days(until, now)
    return CertificateStatus("revocationList", name, owner, one.issuer, one.issuer, "", until, days, state)


def _validity(since: float, until: float, now: float) -> Validity:
    if now < since:
        return Validity.NOT_YET
    if now > until:
        return Validity.EXPIRED
    return Validity.EXPIRES if now > until - WARNED_BEFORE * _DAY else Validity.VALID


def _days(until: float, now: float) -> int:
    """Returns the whole days that are left, negative since the end."""
    return int((until - now) // _DAY)
