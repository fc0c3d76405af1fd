"""Certificates of others' authorities that resources revoke by thumbprint, as soon as their owners have shown them;
since when charon refuses by each, and until when sessions were held against a thumbprint. Kept in the store.

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


class BarredCertificates:
    """What is known of each thumbprint; times are epoch seconds. One call at a time."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        kept = json.loads(store.secret(_KEPT_AS) or b"{}")
        found = [certificate_of(base64.b64decode(one)) for one in kept.get("certificates", [])]
        self._known = {one.thumbprint: one for one in found}
        self._refused: dict[str, float] = kept.get("refused", {})
        self._held: dict[str, float] = kept.get("held", {})

    def known(self) -> Mapping[str, Certificate]:
        """Returns the certificates, by thumbprint."""
        return dict(self._known)

    def refused(self, thumbprint: str) -> float:
        """Returns since when charon refuses by a certificate; infinity where it does not."""
        return self._refused.get(thumbprint, math.inf)

    def held(self, thumbprint: str) -> float:
        """Returns until when sessions had begun that were held against a thumbprint."""
        return self._held.get(thumbprint, -math.inf)

    def learn(self, shown: Iterable[Certificate], thumbprints: Set[str]) -> list[Certificate]:
        """Keeps certificates of these thumbprints; returns those that are new. Raises StoreError."""
        new = {one.thumbprint: one for one in shown if one.thumbprint in thumbprints - self._known.keys()}
        if new:
            self._save(self._known | new, self._refused, self._held)
        return list(new.values())

    def refuse(self, thumbprints: Set[str], now: float) -> None:
        """Keeps by which certificates charon refuses now. Raises StoreError."""
        if thumbprints != self._refused.keys():
            self._save(self._known, {one: self._refused.get(one, now) for one in sorted(thumbprints)}, self._held)

    def hold(self, until: dict[str, float]) -> None:
        """Keeps until when sessions were held against thumbprints. Raises StoreError."""
        if until:
            self._save(self._known, self._refused, self._held | until)

    def ensure(self, thumbprints: Set[str]) -> None:
        """Forgets what is revoked no longer. Raises StoreError."""
        if (self._known.keys() | self._held.keys()) - thumbprints:
            self._save(
                {one: known for one, known in self._known.items() if one in thumbprints},
                {one: when for one, when in self._refused.items() if one in thumbprints},
                {one: when for one, when in self._held.items() if one in thumbprints},
            )

    def _save(self, known: dict[str, Certificate], refused: dict[str, float], held: dict[str, float]) -> None:
        certificates = [base64.b64encode(one.der).decode() for one in known.values()]
        kept = {"certificates": certificates, "refused": refused, "held": held}
        self._store.keep_secret(_KEPT_AS, json.dumps(kept).encode())
        self._known, self._refused, self._held = known, refused, held
