"""hubgw's own authority of users: a root, and below it the one that signs, both kept in the store; what that has issued
to users and to the gateways that they call, and the lists of what is revoked.

Everything is one secret of the store, written as a whole.
"""

import math
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from hubgw.agent.journal import Journal
from hubgw.agent.kept import Kept
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.statuses import IssuedToUser
from hubgw.compile.credentials import UserNeeds, UsersAuthority
from hubgw.names import NO_USER, USER, Secret
from hubgw.pki.authority import (
    LIST_DAYS,
    Authority,
    Use,
    issue,
    new_authority,
    new_key,
    new_rsa_key,
    request,
    revocation_list,
    subordinate,
)
from hubgw.pki.reading import Credentials, Unreadable, read_certificates
from hubgw.resources.problem import shown
from hubgw.store.sqlite import SqliteStore

ROOT_DAYS: Final = 7300
SIGNING_DAYS: Final = 1825
GATEWAY_DAYS: Final = 365
GATEWAY_RENEWED_BEFORE: Final = 60  # days
LONGEST: Final = 825  # days; Apple's devices believe no server for longer, and a user has no more

_SIGNING_RENEWED_BEFORE: Final = 900
"""Days: none that it issues ends before its time."""

_KEPT_AS: Final = "users-pki"
_DAY: Final = 86_400
_ADDRESS: Final = re.compile(r"[0-9.]+", re.ASCII)


@dataclass(slots=True)
class _State:
    """All that is kept. PEM; times are epoch seconds."""

    root: str = field(default="", repr=False)
    root_key: str = field(default="", repr=False)
    signing: str = field(default="", repr=False)
    signing_key: str = field(default="", repr=False)
    gateways: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    issued: list[dict[str, Any]] = field(default_factory=list)
    thumbprints: dict[str, float] = field(default_factory=dict)  # since when resources revoke each
    revocations: list[str] = field(default_factory=list, repr=False)  # the list of what signs, and the root's
    number: int = 0  # of the newest revocation list
    listed: float = 0.0  # when that was made


class UserCertificates:
    """The authority of users, as the agent has it. One call at a time."""

    def __init__(self, store: SqliteStore, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._kept = Kept(store, _KEPT_AS, _State)

    def authority(self) -> UsersAuthority:
        """Returns its certificates and lists; there is one as soon as it is asked for. Raises StoreError."""
        self._signing()
        return self._told()

    def believed(self) -> UsersAuthority | None:
        """Returns its certificates and lists, where there is one."""
        return self._told() if self._state.root else None

    def issued(self) -> tuple[IssuedToUser, ...]:
        """Returns what users were issued, the newest last; revoked is what resources revoke by thumbprint, too."""
        return tuple(map(self._issued, self._state.issued))

    def known(self) -> Mapping[str, Credentials]:
        """Returns what gateways of users prove themselves by, as it is."""
        return {
            key: Credentials(one["certificate"] + self._state.signing, Secret(one["key"]), (self._state.root,))
            for key, one in self._state.gateways.items()
        }

    def ensure(self, needs: UserNeeds) -> Mapping[str, Credentials]:
        """Returns what gateways of users prove themselves by: issued where it is missing or ends soon, gone where it is
        needed no longer; the lists have what is to be on them. Raises StoreError."""
        now = self._clock()
        if needs.gateways or needs.is_believed:
            self._signing()
        due = {key: names for key, names in needs.gateways.items() if self._is_due(key, names, now)}
        gone = self._state.gateways.keys() - needs.gateways.keys()
        for key in gone:
            del self._state.gateways[key]
        for key, names in due.items():
            self._state.gateways[key] = self._of_gateway(key, names, now)
            self._journal.record("certificate.issued", key, names=" ".join(names))
        is_stale = bool(self._state.root) and now > self._state.listed + LIST_DAYS * _DAY / 2
        is_other = self._state.thumbprints.keys() != needs.thumbprints
        if is_other:
            self._state.thumbprints = {one: self._state.thumbprints.get(one, now) for one in sorted(needs.thumbprints)}
        if self._state.root and (is_stale or is_other):
            self._list_revoked(now)
        if due or gone or is_stale or is_other:
            self._kept.save()
        return self.known()

    def in_force(self, name: str) -> bool:
        """Tells whether a user has a certificate that is neither revoked nor has ended."""
        mine = (one for one in self.issued() if one.name.casefold() == name.casefold())
        return any(one.revoked is None and one.not_after > self._clock() for one in mine)

    def issue(
        self, asked: str, name: str, days: int, *, renews: bool, revokes: bool, who: str
    ) -> tuple[IssuedToUser, str]:
        """Issues a certificate to a user, the first or, where it `renews`, another beside what there is, which it may
        revoke at once; returns what it is, and as PEM.

        Raises:
            Refused: INVALID, with every problem; NOT_FOUND, where there is none to renew.
            StoreError: it could not be kept; nothing was issued.
        """
        problems = [
            *([] if USER.fullmatch(name) else [f"name: {NO_USER}, got {shown(name)}"]),
            *([] if 1 <= days <= LONGEST else [f"days: expected 1 to {LONGEST}, got {days}"]),
        ]
        if problems:
            raise Refused(Refusal.INVALID, problems)
        known = [one["name"] for one in self._state.issued if _is_of(one, name)]
        if renews and not known:
            raise Refused(Refusal.NOT_FOUND, [f"{name}: there is no such user; hubgw user list has who there is"])
        if not renews and self.in_force(name):
            hint = "renew it, or revoke it first"
            raise Refused(Refusal.INVALID, [f"name: the user has a certificate in force, got {name}; {hint}"])
        name = known[-1] if known else name
        now = self._clock()
        try:
            made = issue(self._signing(), asked, name, (name,), now=now, days=days, use=Use.USER)
        except Unreadable as reason:
            raise Refused(Refusal.INVALID, [f"request: {reason}; make one in PEM (openssl req -new)"]) from None
        (read,) = read_certificates(made)
        new = IssuedToUser(
            name=name,
            serial=read.serial,
            subject=read.subject,
            names=read.names,
            not_after=read.not_after,
            revoked=None,
            renew_from=now + (read.not_after - now) * 2 / 3,
            thumbprint=read.thumbprint,
        )
        if revokes:
            self._revoke([one for one in self._state.issued if one["revoked"] is None and _is_of(one, name)], who)
        self._state.issued.append(asdict(new))
        self._kept.save()
        self._journal.record("certificate.issued", name=name, serial=read.serial, who=who)
        return new, made

    def revoke(self, name: str, *, who: str) -> tuple[IssuedToUser, ...]:
        """Revokes a certificate by its serial, or all of a user. Raises Refused (NOT_FOUND), StoreError."""
        found = [
            one
            for one in self._state.issued
            if one["revoked"] is None and (one["serial"] == name.lower() or _is_of(one, name))
        ]
        if not found:
            hint = "hubgw user list has what there is"
            message = f"{shown(name)}: no certificate in force has this name or serial; {hint}"
            raise Refused(Refusal.NOT_FOUND, [message])
        self._revoke(found, who)
        self._kept.save()
        return tuple(map(self._issued, found))

    def standing(self) -> Mapping[str, float]:
        """Returns since when SAs of an identity, by its lower case, may stand: any time where nothing of its is revoked
        (minus infinity), no time where no certificate in force has it (infinity), else after the last revocation. What
        is not among them is nobody's."""
        now, in_force, since = self._clock(), set[str](), dict[str, float]()
        for one in self.issued():
            identities = [name.casefold() for name in (*one.names, one.subject)]
            if one.revoked is None and one.not_after > now:
                in_force.update(identities)
            for name in identities:
                since[name] = max(since.get(name, -math.inf), -math.inf if one.revoked is None else one.revoked)
        revoked = {name for name, when in since.items() if when > -math.inf}
        return {name: math.inf if name in revoked - in_force else when for name, when in since.items()}

    def _revoke(self, found: Iterable[dict[str, Any]], who: str) -> None:
        for one in found:
            one["revoked"] = self._clock()
            self._journal.record("certificate.revoked", name=one["name"], serial=one["serial"], who=who)
        self._list_revoked(self._clock())

    def _of_gateway(self, key: str, names: tuple[str, ...], now: float) -> dict[str, Any]:
        private = new_rsa_key()
        name = key.rpartition("/")[2][:64] if _ADDRESS.fullmatch(names[0]) else names[0]
        asked = request(private, name)
        made = issue(self._signing(), asked, name, names, now=now, days=GATEWAY_DAYS, use=Use.SERVER)
        return {"certificate": made, "key": private.reveal(), "names": list(names)}

    def _is_due(self, key: str, names: tuple[str, ...], now: float) -> bool:
        one = self._state.gateways.get(key)
        if one is None or tuple(one["names"]) != names:
            return True
        # None outlives who signed it: what ends with it would be due again at once.
        longest = _ends(self._state.signing) - _DAY
        return _ends(one["certificate"]) < min(now + GATEWAY_RENEWED_BEFORE * _DAY, longest)

    def _signing(self) -> Authority:
        """Returns what signs. It is made anew with the key that it has: whatever it signed goes on."""
        now, state = self._clock(), self._state
        if not state.root or _ends(state.root) < now + _DAY:
            tag = secrets.token_hex(4)  # a client may believe the roots of several hubs, and tells them by name
            root = new_authority(f"hubgw users root {tag}", now, days=ROOT_DAYS, path_length=1)
            state.root, state.root_key = root.certificate, root.key.reveal()
            state.signing, state.signing_key = "", new_key().reveal()
            state.gateways = {}
            self._journal.record("authority.made")
        due = min(now + _SIGNING_RENEWED_BEFORE * _DAY, _ends(state.root) - _DAY)
        if not state.signing or _ends(state.signing) < due:
            name = _common_name(state.signing) or f"hubgw users {secrets.token_hex(4)}"
            root, key = Authority(state.root, Secret(state.root_key)), Secret(state.signing_key)
            state.signing = subordinate(root, name, key, now=now, days=SIGNING_DAYS).certificate
            self._list_revoked(now)
            self._kept.save()
        return Authority(state.signing, Secret(state.signing_key))

    def _list_revoked(self, now: float) -> None:
        """Makes the lists anew: of what was issued, and the root's, on which there is nothing, since charon believes
        nobody of whom it has no list where it is to be strict."""
        state = self._state
        state.number += 1
        state.listed = now
        revoked = [(one.serial, one.revoked) for one in self.issued() if one.revoked is not None]
        signing = Authority(state.signing, Secret(state.signing_key))
        root = Authority(state.root, Secret(state.root_key))
        state.revocations = [
            revocation_list(signing, revoked, state.number, now),
            revocation_list(root, (), state.number, now),
        ]

    def _told(self) -> UsersAuthority:
        return UsersAuthority(self._state.root, (self._state.signing,), tuple(self._state.revocations))

    def _issued(self, kept: Mapping[str, Any]) -> IssuedToUser:
        times = (kept["revoked"], self._state.thumbprints.get(kept["thumbprint"]))
        revoked = min((one for one in times if one is not None), default=None)
        return IssuedToUser(**{**kept, "names": tuple(kept["names"]), "revoked": revoked})

    @property
    def _state(self) -> _State:
        return self._kept.state


def _is_of(kept: Mapping[str, Any], name: str) -> bool:
    return str(kept["name"]).casefold() == name.casefold()


def _ends(text: str) -> float:
    return read_certificates(text)[0].not_after


def _common_name(text: str) -> str:
    return read_certificates(text)[0].subject.rpartition("CN=")[2] if text else ""
