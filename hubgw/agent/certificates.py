"""hubgw's own authority of branches: its key in the store, what it has issued to gateways and branches, and revoked.

What a gateway proves itself by is issued here as it is needed, and anew before it ends. Everything is one secret of the
store, written as a whole.
"""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from hubgw.agent.barred import BarredCertificates
from hubgw.agent.journal import Journal
from hubgw.agent.kept import Kept
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.statuses import Issued
from hubgw.agent.user_certificates import UserCertificates
from hubgw.names import IDENTITY, LABEL, Secret
from hubgw.pki.authority import LIST_DAYS, Authority, issue, new_authority, new_key, request, revocation_list
from hubgw.pki.reading import Credentials, Unreadable, read_certificates
from hubgw.store.sqlite import SqliteStore

Needs = Mapping[str, tuple[str, ...]]
"""The addresses that a gateway calls itself by, by its key."""

GATEWAY_DAYS: Final = 365
RENEWED_BEFORE: Final = 60  # days
LONGEST: Final = 3650  # days

_KEPT_AS: Final = "pki"
_DAY: Final = 86_400
_NAME: Final = re.compile(rf"(?=.{{1,64}}\Z){LABEL}(?:\.{LABEL})*", re.ASCII)
_ADDRESS: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\Z)|\Z)){4}", re.ASCII)
_DIGITS_AND_DOTS: Final = re.compile(r"[0-9.]+", re.ASCII)


@dataclass(slots=True)
class _State:
    """All that is kept. PEM; times are epoch seconds."""

    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    gateways: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    issued: list[dict[str, Any]] = field(default_factory=list)
    revocations: str = ""
    number: int = 0  # of the newest revocation list
    listed: float = 0.0  # when that was made


class Certificates:
    """The authority, as the agent has it; `users` is the one of users, `barred` what others issued that is no good. One
    call at a time."""

    def __init__(self, store: SqliteStore, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._clock = clock
        self._kept = Kept(store, _KEPT_AS, _State)
        self.users = UserCertificates(store, journal, clock)
        self.barred = BarredCertificates(store)

    def authority(self) -> str:
        """Returns the authority's certificate, as PEM; there is one as soon as it is asked for. Raises StoreError."""
        return self._authority().certificate

    def issued(self) -> tuple[Issued, ...]:
        """Returns what branches were issued, the newest last."""
        return tuple(map(_issued, self._state.issued))

    def known(self) -> Mapping[str, Credentials]:
        """Returns what gateways prove themselves by, as it is."""
        return {key: self._credentials(one) for key, one in self._state.gateways.items()}

    def ensure(self, needs: Needs) -> Mapping[str, Credentials]:
        """Returns what gateways prove themselves by: issued where it is missing or ends soon, gone where it is needed
        no longer. Raises StoreError."""
        now = self._clock()
        if needs:
            self._authority()
        due = {key: names for key, names in needs.items() if self._is_due(key, names, now)}
        gone = self._state.gateways.keys() - needs.keys()
        stale = bool(self._state.revocations) and now > self._state.listed + LIST_DAYS * _DAY / 2
        for key in gone:
            del self._state.gateways[key]
        for key, names in due.items():
            private, name = new_key(), key.rpartition("/")[2]
            made = issue(self._authority(), request(private, name), name, names, now=now, days=GATEWAY_DAYS)
            self._state.gateways[key] = {"certificate": made, "key": private.reveal(), "names": list(names)}
            self._journal.record("certificate.issued", key, names=" ".join(names))
        if stale:
            self._list_revoked(now)
        if due or gone or stale:
            self._kept.save()
        return self.known()

    def names_one(self, names: Sequence[str]) -> bool:
        """Tells whether a certificate in force has one of these identities."""
        asked = {name.casefold() for name in names}
        return any(one.revoked is None and not asked.isdisjoint(map(str.casefold, one.names)) for one in self.issued())

    def issue(self, asked: str, name: str, names: Sequence[str], days: int, *, who: str) -> tuple[Issued, str]:
        """Issues a certificate to a branch; returns what it is, and the certificate as PEM.

        Raises:
            Refused: INVALID, with every problem.
            StoreError: it could not be kept; nothing was issued.
        """
        problems = [
            *([] if _NAME.fullmatch(name) else [f"name: expected a host name of at most 64 characters, got {name!r}"]),
            *(
                f"identity: expected an IPv4 address, a host name or user@host, got {one!r}"
                for one in names
                if not (_ADDRESS if _DIGITS_AND_DOTS.fullmatch(one) else IDENTITY).fullmatch(one)
            ),
            *([] if 1 <= days <= LONGEST else [f"days: expected 1 to {LONGEST}, got {days}"]),
            *([] if names else ["identity: is missing; name at least one"]),
        ]
        if problems:
            raise Refused(Refusal.INVALID, problems)
        try:
            made = issue(self._authority(), asked, name, names, now=self._clock(), days=days)
        except Unreadable as reason:
            raise Refused(Refusal.INVALID, [f"request: {reason}; make one in PEM (openssl req -new)"]) from None
        (read,) = read_certificates(made)
        new = Issued(name, read.serial, read.subject, read.names, read.not_after, None)
        self._state.issued.append(asdict(new))
        self._kept.save()
        self._journal.record("certificate.issued", name=name, serial=read.serial, who=who)
        return new, made

    def revoke(self, name: str, *, who: str) -> tuple[Issued, ...]:
        """Revokes a certificate by its serial, or all of a name. Raises Refused (NOT_FOUND), StoreError."""
        now = self._clock()
        found = [
            one
            for one in self._state.issued
            if one["revoked"] is None and name.lower() in {one["serial"], str(one["name"]).lower()}
        ]
        if not found:
            hint = "hubgw pki list has what there is"
            raise Refused(Refusal.NOT_FOUND, [f"{name}: no certificate in force has this name or serial; {hint}"])
        for one in found:
            one["revoked"] = now
            self._journal.record("certificate.revoked", name=one["name"], serial=one["serial"], who=who)
        self._list_revoked(now)
        self._kept.save()
        return tuple(map(_issued, found))

    def revoked(self) -> Mapping[str, float]:
        """Returns which SAs of an identity, by its lower case, are to end: all (infinity) where no certificate in force
        has it, else those made before the last of its that was revoked."""
        now, in_force, found = self._clock(), set[str](), dict[str, float]()
        for one in self.issued():
            identities = [name.casefold() for name in (*one.names, one.subject)]
            if one.revoked is not None:
                found |= {name: max(one.revoked, found.get(name, 0.0)) for name in identities}
            elif one.not_after > now:
                in_force.update(identities)
        return {name: since if name in in_force else math.inf for name, since in found.items()}

    def _is_due(self, key: str, names: tuple[str, ...], now: float) -> bool:
        one = self._state.gateways.get(key)
        if one is None or tuple(one["names"]) != names:
            return True
        # None outlives the authority: what ends with it would be due again at once.
        longest = self._ends() - _DAY
        return read_certificates(one["certificate"])[0].not_after < min(now + RENEWED_BEFORE * _DAY, longest)

    def _ends(self) -> float:
        return read_certificates(self._state.certificate)[0].not_after

    def _credentials(self, one: Mapping[str, Any]) -> Credentials:
        lists = (self._state.revocations,) if self._state.revocations else ()
        return Credentials(one["certificate"], Secret(one["key"]), (self._state.certificate,), lists)

    def _authority(self) -> Authority:
        # One that has ended, as where the clock was wrong when it was made, proves nothing to anybody.
        if not self._state.certificate or self._ends() < self._clock() + _DAY:
            self._state.gateways, self._state.revocations = {}, ""
            made = new_authority("hubgw authority", self._clock())
            self._state.certificate, self._state.key = made.certificate, made.key.reveal()
            self._kept.save()
            self._journal.record("authority.made")
        return Authority(self._state.certificate, Secret(self._state.key))

    def _list_revoked(self, now: float) -> None:
        self._state.number += 1
        self._state.listed = now
        revoked = [(one.serial, one.revoked) for one in self.issued() if one.revoked is not None]
        self._state.revocations = revocation_list(self._authority(), revoked, self._state.number, now)

    @property
    def _state(self) -> _State:
        return self._kept.state


def _issued(kept: Mapping[str, Any]) -> Issued:
    return Issued(**{**kept, "names": tuple(kept["names"])})
