"""Certificates of others' authorities that resources revoke by thumbprint, as soon as their owners have shown them,
and since when charon refuses by each at a gateway. Kept in the store.

charon cannot refuse by a thumbprint, but by a certificate.
"""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Set
from typing import Final

from hubgw.pki.reading import Certificate, certificate_of
from hubgw.store.sqlite import SqliteStore

_KEPT_AS: Final = "barred"

Refused = dict[str, dict[str, float]]
"""Since when (epoch seconds), by the gateway's id and thumbprint."""


class BarredCertificates:
    """What is known of each thumbprint. One call at a time."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        kept = json.loads(store.secret(_KEPT_AS) or b"{}")
        found = [certificate_of(base64.b64decode(one)) for one in kept.get("certificates", [])]
        self._known = {one.thumbprint: one for one in found}
        self._refused: Refused = kept.get("gateways", {})

    def known(self) -> Mapping[str, Certificate]:
        """Returns the certificates, by thumbprint."""
        return dict(self._known)

    def refused(self, gateway: str, thumbprint: str) -> float:
        """Returns since when charon refuses by a certificate there; infinity where it does not."""
        return self._refused.get(gateway, {}).get(thumbprint, math.inf)

    def learn(self, shown: Iterable[Certificate], thumbprints: Set[str]) -> list[Certificate]:
        """Keeps certificates of these thumbprints; returns those that are new. Raises StoreError."""
        new = {one.thumbprint: one for one in shown if one.thumbprint in thumbprints - self._known.keys()}
        if new:
            self._save(self._known | new, self._refused)
        return list(new.values())

    def refuse(self, refused: Mapping[str, Set[str]], now: float) -> None:
        """Keeps by which certificates charon refuses now, by the gateway's id. Raises StoreError."""
        since = {name: {one: min(self.refused(name, one), now) for one in sorted(by)} for name, by in refused.items()}
        if since != self._refused:
            self._save(self._known, since)

    def forget(self, thumbprints: Set[str]) -> None:
        """Forgets the certificates that are revoked no longer. Raises StoreError."""
        if self._known.keys() - thumbprints:
            self._save({one: known for one, known in self._known.items() if one in thumbprints}, self._refused)

    def _save(self, known: dict[str, Certificate], refused: Refused) -> None:
        certificates = [base64.b64encode(one.der).decode() for one in known.values()]
        self._store.keep_secret(_KEPT_AS, json.dumps({"certificates": certificates, "gateways": refused}).encode())
        self._known, self._refused = known, refused
