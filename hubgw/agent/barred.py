"""Certificates of others' authorities that resources revoke by thumbprint, as soon as their owners have shown them, and
until when standing sessions were held against each thumbprint; kept in the store.

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
    """What is known of each thumbprint. One call at a time."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        kept = json.loads(store.secret(_KEPT_AS) or b"{}")
        found = [certificate_of(base64.b64decode(one)) for one in kept.get("certificates", [])]
        self._known = {one.thumbprint: one for one in found}
        self._held: dict[str, float] = kept.get("held", {})

    def known(self) -> Mapping[str, Certificate]:
        """Returns the certificates, by thumbprint."""
        return dict(self._known)

    def held(self, thumbprint: str) -> float:
        """Returns until when sessions had begun that were held against a thumbprint (epoch seconds): infinity where
        charon refuses by its certificate."""
        return self._held.get(thumbprint, -math.inf)

    def learn(self, shown: Iterable[Certificate], thumbprints: Set[str]) -> list[Certificate]:
        """Keeps certificates of these thumbprints; returns those that are new. Raises StoreError."""
        new = {one.thumbprint: one for one in shown if one.thumbprint in thumbprints - self._known.keys()}
        if new:
            self._save(self._known | new, self._held)
        return list(new.values())

    def hold(self, until: dict[str, float]) -> None:
        """Keeps until when sessions were held against thumbprints. Raises StoreError."""
        if any(self._held.get(one) != when for one, when in until.items()):
            self._save(self._known, self._held | until)

    def ensure(self, thumbprints: Set[str]) -> Mapping[str, Certificate]:
        """Returns the certificates, without those that are revoked no longer. Raises StoreError."""
        if (self._known.keys() | self._held.keys()) - thumbprints:
            self._save(
                {one: known for one, known in self._known.items() if one in thumbprints},
                {one: when for one, when in self._held.items() if one in thumbprints},
            )
        return self.known()

    def _save(self, known: dict[str, Certificate], held: dict[str, float]) -> None:
        kept = {"certificates": [base64.b64encode(one.der).decode() for one in known.values()], "held": held}
        self._store.keep_secret(_KEPT_AS, json.dumps(kept).encode())
        self._known, self._held = known, held
