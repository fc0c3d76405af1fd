"""list-certs -> the certificates and lists that charon holds, and those of peers that it remembers. No I/O."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

from hubgw.pki.reading import (
    DIGITS,
    Certificate,
    RevocationList,
    Unreadable,
    certificate_of,
    revocation_list_of,
)
from hubgw.plan.ipsec import IkeCertificate

_REMEMBERED: Final = 32
"""Of so many certificates and lists charon remembers who issued them; of more it forgets any."""


@dataclass(frozen=True)
class Held:
    """What charon told at a time (epoch seconds). What it remembers is everybody's, and no more than it holds."""

    at: float = 0.0
    digests: frozenset[str] = frozenset()
    lists: tuple[RevocationList, ...] = ()
    _certificates: tuple[bytes, ...] = field(default=(), repr=False)
    since: float = 0.0  # when charon was told to forget what there was until then

    @classmethod
    def of(cls, messages: Iterable[Mapping[str, Any]], at: float) -> "Held":
        """Returns what the answers to list-certs say."""
        told = [(message.get("type"), message.get("data", b"")) for message in messages]
        return cls(
            at,
            frozenset(hashlib.sha256(der).hexdigest()[:DIGITS] for _, der in told),
            tuple(read for kind, der in told if kind == b"X509_CRL" and (read := _list(der))),
            tuple(der for kind, der in told if kind == b"X509"),
        )

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """Those that can be read, of authorities and of whoever proved himself."""
        return tuple(read for one in self._certificates if (read := _certificate(one)))

    @property
    def is_whole(self) -> bool:
        """Tells whether charon has forgotten none."""
        return len(self.digests) < _REMEMBERED

    def has(self, wanted: IkeCertificate) -> bool:
        """Tells whether charon needs it no longer: of the lists of one authority it keeps the newest, and drops what
        is older without a word."""
        if wanted.digest in self.digests or not wanted.revokes:
            return wanted.digest in self.digests
        asked = _list(wanted.der)
        return asked is not None and any(asked.same_authority(one) and not asked.replaces(one) for one in self.lists)

    def adds(self, wanted: IkeCertificate) -> frozenset[str]:
        """Returns the serials of a list that none of its authority has so far."""
        asked = _list(wanted.der)
        if asked is None:
            return frozenset()
        return asked.serials.difference(*(one.serials for one in self.lists if asked.same_authority(one)))

    def stays(self, digest: str, wanted: Iterable[IkeCertificate]) -> bool:
        """Tells whether what is wanted no longer may stay: it is gone, or a list in whose place there is another of its
        authority."""
        if digest not in self.digests:
            return True
        lists = [read for one in wanted if one.revokes and (read := _list(one.der))]
        return any(old.digest == digest and any(map(old.same_authority, lists)) for old in self.lists)

    def of_peer(self, identity: str) -> tuple[Certificate, ...]:
        """Returns the certificates that name somebody, as a subject or an alternative name."""
        return tuple(self._called.get(identity.casefold(), ()))

    @cached_property
    def _called(self) -> Mapping[str, Sequence[Certificate]]:
        called: defaultdict[str, list[Certificate]] = defaultdict(list)
        for one in self.certificates:
            for name in one.called:
                called[name].append(one)
        return called


@lru_cache(maxsize=256)
def _certificate(der: bytes) -> Certificate | None:
    try:
        return certificate_of(der)
    except Unreadable:
        return None


@lru_cache(maxsize=16)
def _list(der: bytes) -> RevocationList | None:
    try:
        return revocation_list_of(der)
    except Unreadable:
        return None
