"""What is revoked, and what is known of SAs -> which of them end: charon looks at lists only as one is made."""

import math
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Final

from hubgw.agent.desired import Desired
from hubgw.agent.live import Sas
from hubgw.compile.ways import MSCHAPV2
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.ledger import Fresh
from hubgw.pki.reading import Certificate, certificate_of, read_revocation_lists, revocation_list_of, signed_by
from hubgw.plan.ipsec import IkeCertificate, IkeConnection, IkeServer, IkeUser

LOADED_WITHIN: Final = 5.0
"""Seconds after a revocation in which an SA may still be made by what is revoked: charon has not heard of it yet."""

MadeBy = Callable[[IkeSa], tuple[Certificate, ...]]
"""The certificates by one of which an SA was made; none where that is not known."""


def revoked_sas(desired: Desired, sas: Sas, fresh: Mapping[str, Fresh], made_by: MadeBy) -> Iterator[IkeSa]:
    """Yields the SAs that were made by what is revoked, or may have been: whose certificate is good comes back at once.

    Args:
        desired: with what hubgw's own authority has revoked.
        sas: those that there are.
        fresh: the lists that charon was given and that no SA was held against yet, by digest.
        made_by: what is known of an SA.
    """
    servers = {obj.name: obj for obj in desired.plan.objects if isinstance(obj, IkeServer)}
    if not fresh and not desired.revoked and desired.users is None and not servers:
        return
    certificates = {obj.digest: obj for obj in desired.plan.objects if isinstance(obj, IkeCertificate)}
    connections = {obj.name: obj for obj in desired.plan.objects if isinstance(obj, IkeConnection) and obj.certificate}
    own = {one.own[0].digest for one in desired.own.values()}
    by_own = {revoked.digest for one in desired.own.values() for revoked in one.revoked} & fresh.keys()
    root, by_users = _of_users(desired)
    signers = {one: _signers(certificates, one) for one in fresh.keys() & certificates.keys() - by_own}
    # What hubgw's own root stands for, it has another sign.
    signers |= {one: {root} for one in by_users & fresh.keys()}
    for sa in sas.ike or ():
        connection, server = connections.get(sa.connection), servers.get(sa.connection)
        if not sa.established or (connection is None and server is None):
            continue
        since = None
        if connection and connection.certificate in own:
            since, lists = _revoked(desired, sa, connection), by_own
        elif server and server.authorities == (root,):
            # charon lets a client in as a pattern that its certificate matches, or as the id of its key: as nobody.
            # Of EAP-TLS it is the EAP identity that the certificate has to have; the IKE identity says nothing.
            whose = sa.identity
            since, lists = desired.standing.get(whose.casefold(), math.inf), by_users & fresh.keys()
        made = sas.now - sa.established
        if since is not None:
            until = since + LOADED_WITHIN
            newly = frozenset[str]().union(*(fresh[one].serials for one in lists))
            ends = made < until and (until == math.inf or (bool(newly) and not _is_good(sa, newly, made_by)))
        else:
            authorities = set((connection or server).authorities)  # type: ignore[union-attr]
            held = (fresh[one] for one, by in signers.items() if by & authorities)
            ends = any(made < one.since + LOADED_WITHIN and not _is_good(sa, one.serials, made_by) for one in held)
        if ends:
            yield sa


def without_password(desired: Desired, sas: Sas) -> Iterator[IkeSa]:
    """Yields the SAs of users whose password is gone; who has another now stays.

    The name is that of the password: charon takes it from MSCHAPv2, whatever else the client calls itself. Windows may
    put a domain before it.
    """
    objects = desired.plan.objects
    by_password = {obj.name for obj in objects if isinstance(obj, IkeServer) and obj.eap == MSCHAPV2}
    known = {obj.name.lower() for obj in objects if isinstance(obj, IkeUser)}
    for sa in sas.ike or ():
        if sa.established and sa.connection in by_password:
            name = sa.identity.lower().rpartition("\\")[2]
            if name not in known:
                yield sa


def _of_users(desired: Desired) -> tuple[str, set[str]]:
    """Returns the digests of the root of users and of its lists."""
    if desired.users is None:
        return "", set()
    lists = (read_revocation_lists(text) for text in desired.users.revocation_lists)
    return desired.users.certificates[0].digest, {one.digest for (one,) in lists}


def _revoked(desired: Desired, sa: IkeSa, connection: IkeConnection) -> float:
    # What a branch calls itself may differ in case from what it is here.
    return max(desired.revoked.get(one.casefold(), -math.inf) for one in (sa.remote_id, connection.remote_id))


def _is_good(sa: IkeSa, revoked: Set[str], made_by: MadeBy) -> bool:
    known = made_by(sa)
    return bool(known) and revoked.isdisjoint(one.serial for one in known)


def _signers(certificates: Mapping[str, IkeCertificate], digest: str) -> set[str]:
    """Returns the digests of the certificates by which a list was signed."""
    read = revocation_list_of(certificates[digest].der)
    authorities = (obj for obj in certificates.values() if not obj.revokes and obj.subject == read.issuer)
    return {obj.digest for obj in authorities if signed_by(read, [certificate_of(obj.der)])}
