"""By which certificates users have proved themselves, by the SPIs of their SAs: a file under /run, whole or not at all.

charon tells that nowhere, and forgets it: an agent that comes back has it from the one before. SPIs are random, so
what is kept of one charon says nothing of another's SAs.
"""

import json
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from hubgw.drivers import ledger_file

Spis = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Proof:
    """The thumbprints of certificates by one of which a user proved himself; none where that is not known. Then
    `not_by` are those by which he did not: charon refused by them already."""

    by: frozenset[str] = frozenset()
    not_by: frozenset[str] = frozenset()

    def against(self, revoked: Set[str]) -> frozenset[str]:
        """Returns those of the revoked by which he is in, or may be."""
        return self.by & revoked or (frozenset() if self.by else frozenset(revoked - self.not_by))


class Proofs:
    """What was found out of each SA, once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._read()

    def of(self, spis: Spis) -> Proof | None:
        """Returns what is known of an SA; None before anybody looked."""
        return self._known.get(spis)

    def keep(self, found: dict[Spis, Proof], others: Set[Spis] | None) -> None:
        """Keeps what was found, and what is known of others that there are; where that is not known (None), of all."""
        known = {spis: one for spis, one in self._known.items() if others is None or spis in others} | found
        if known != self._known:
            self._known = known
            entries = [[*spis, sorted(one.by), sorted(one.not_by)] for spis, one in known.items()]
            ledger_file.write(self._path, json.dumps(entries))

    def _read(self) -> dict[Spis, Proof]:
        try:
            entries = json.loads(self._path.read_text())
            return {
                (str(initiator), str(responder)): Proof(frozenset(by), frozenset(not_by))
                for initiator, responder, by, not_by in entries
            }
        except (OSError, ValueError, TypeError):
            return {}
