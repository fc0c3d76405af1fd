"""Users' SAs, as charon lists them and tells of them -> the sessions that stand, an event of each login and logout.

Events say what came and went at once, and lists what no event said. An SA that is older than the agent is no login.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Final, Self, TypeVar

from hubgw.agent.desired import Desired
from hubgw.agent.journal import Journal
from hubgw.agent.live import Sas
from hubgw.agent.pools import Pools
from hubgw.agent.proofs import Proof
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.refusals import NO_GOOD, Refusals, words
from hubgw.agent.statuses import SessionStatus, UserStatus
from hubgw.agent.user_sessions import REPLACED, Session, fields, spis, stands, user_of, whose
from hubgw.drivers.strongswan.codec import IkeSa, is_another
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.faults import Ended, Ending, Fault, Why
from hubgw.drivers.strongswan.logins import Barred, Came, Carried, Login, Rekeyed, Went
from hubgw.names import BARRED, interface_of
from hubgw.plan.ipsec import IkeServer
from hubgw.plan.types import UsersOf

PATIENCE: Final = 2.0
"""Seconds for which it is waited to be told why a session has ended: what charon logs comes on its own time."""

_REMEMBERED: Final = 4_096  # SAs that are gone, reasons, users who have signed on
_WORDS: Final[Mapping[Ending, str]] = {
    Ending.PEER: "the client signed off",
    Ending.HUB: "the hub ended it",
    Ending.REPLACED: REPLACED,
}
_NOT_REFUSED: Final = frozenset({Why.NO_ANSWER, Why.OTHER_AUTHORITY})
"""Who is silent has no session; whom one connection does not believe another may, and charon says when none does."""

_PROVED: Final = frozenset({Why.NO_ADDRESS, Why.NO_ADDRESS_ASKED, Why.SELECTORS})
"""What comes when it is proved who the client is. Until then everybody is tried as one of those who get nothing."""

_SILENT: Final = "the client is silent (dead peer detection)"
_CHARON: Final = "charon has ended"
_UNTOLD: Final = "charon did not say why"

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Index:
    """The gateways of users of one generation: anybody can send what makes charon tell of one."""

    desired: Desired | None
    by_interface: Mapping[str, UsersOf]
    by_address: Mapping[str, UsersOf]
    servers: Mapping[str, IkeServer]  # by interface

    @classmethod
    def of(cls, desired: Desired | None) -> Self:
        users = desired.plan.users if desired else ()
        servers = [obj for obj in desired.plan.objects if isinstance(obj, IkeServer)] if desired else []
        return cls(
            desired,
            {one.name: one for one in users},
            {one.local_address: one for one in users},
            # Of several that by public keys, whose name is the shortest.
            {interface_of(obj.name): obj for obj in sorted(servers, key=lambda one: one.name, reverse=True)},
        )


class Users:
    """Who is signed on, and who was refused."""

    def __init__(
        self,
        reconciler: Reconciler,
        strongswan: StrongswanDriver,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reconciler = reconciler
        self._strongswan = strongswan
        self._journal = journal
        self._clock = clock
        self._now = now
        self._started = now()
        self._sessions: dict[int, Session] = {}  # by unique id of the IKE SA
        self._leaving: dict[int, tuple[Session, float]] = {}  # and when it is told at the latest
        self._reasons: OrderedDict[int, str] = OrderedDict()
        self._gone: OrderedDict[tuple[str, str], None] = OrderedDict()  # SPIs
        self._refused: OrderedDict[int, None] = OrderedDict()  # SAs: charon may say several things of one
        self._unheard: set[tuple[str, str]] = set()  # SPIs
        self._missing: set[int] = set()
        self._looked: Sas | None = None
        self._charon = 0.0
        self._index = _Index.of(None)
        self._logins: OrderedDict[str, float] = OrderedDict()
        self.signed_on = asyncio.Event()
        self.barred: set[int] = set()  # IKE SAs of those who are to get nothing
        self.refusals = Refusals(journal, clock, now)
        self.pools = Pools(reconciler, strongswan, journal)

    def take(self, heard: Ended | Login) -> None:
        """Takes in what charon says of an SA."""
        match heard:
            case Came(sa):
                self._came(sa, self._now() - sa.established)
            case Barred(sa):
                self._bar(sa)
            case Went(number):
                self._went(number)
            case Rekeyed(old, new) if old in self._sessions:
                self._rekeyed(old, new)
            case Carried(number, bytes_in, bytes_out):
                self._carried(number, bytes_in, bytes_out)
            case Ended(number, how):
                self.because(number, _WORDS[how])

    def refused(self, fault: Fault) -> bool:
        """Takes in a failure, and tells whether it is of users."""
        gateways = self._gateways()
        users = self._of(fault.connection) if fault.connection else gateways.by_address.get(fault.local)
        if users is None:
            return False
        if fault.ike_sa in self._sessions or fault.ike_sa in self._leaving:
            if fault.why is Why.NO_ANSWER:
                self.because(fault.ike_sa, _SILENT)
        elif fault.why not in _NOT_REFUSED and fault.ike_sa not in self._refused:
            if fault.ike_sa:
                _keep(self._refused, fault.ike_sa, None)
            about = fault.details
            is_barred = fault.connection.endswith(BARRED) and fault.why in _PROVED
            if fault.why is Why.NO_ADDRESS and not is_barred:
                self.pools.full(users, about.get("pool", ""))
            user = user_of(about.get("eap_identity") or about.get("identity", ""))
            reason = NO_GOOD if is_barred else words(fault, gateways.servers.get(users.name))
            self.refusals.take(users, user, fault.address, reason)
        return True

    def look(self) -> None:
        """Compares what is known with what charon listed last."""
        sas = self._reconciler.state.sas
        if sas.ike is None or sas is self._looked:
            return
        self._looked = sas
        users = [sa for sa in sas.ike if self._of(sa.connection)]
        if self._charon and is_another(sas.started, self._charon):
            # Another charon, which numbers from 1 again.
            self.barred.clear()
            self._refused.clear()
            self._end(self._unheard - set(map(spis, users)))
        self._charon, self._unheard = sas.started, set()
        for sa in users:
            self._bar(sa)
        standing = {sa.uniqueid: sa for sa in users if stands(sa)}
        left = {whose(one.sa): old for old, one in self._sessions.items() if old not in standing}
        for number, sa in standing.items():
            if number not in self._sessions and (old := left.pop(whose(sa), None)) is not None:
                self._rekeyed(old, sa)
            self._came(sa, sas.now - sa.established)
            if number in self._sessions:
                # An event has the one child that it is about.
                self._sessions[number] = replace(self._sessions[number], sa=sa)
        # A list may be older than an event.
        absent = self._sessions.keys() - {sa.uniqueid for sa in users}
        for number in absent & self._missing:
            self._went(number)
        self._missing = absent

    def lost(self) -> None:
        """Takes note that charon is not heard any longer: what it says next may be another's word."""
        self._unheard = {spis(one.sa) for one in self._sessions.values()}

    def round(self) -> None:
        """Tells what is due."""
        self.look()
        now, ends = self._clock(), self._reconciler.ends
        for number, (session, at) in list(self._leaving.items()):
            if number in self._reasons or session.sa in ends or now >= at:
                del self._leaving[number]
                reason = self._reasons.pop(number, _UNTOLD)
                self._tell_end(session, ends.take(session.sa) or reason)
        self.refusals.round()

    async def disconnect(self, name: str, who: str) -> list[SessionStatus]:
        """Ends the sessions of a user, or of the one who was given an address. Raises DriverError."""
        wanted = name.casefold()
        found = [
            one for one in self.sessions() if wanted in {one.user.casefold(), one.identity.casefold(), *one.addresses}
        ]
        for one in found:
            self.because(one.ike_sa, f"disconnected by {who}")
            if await self._strongswan.terminate(one.ike_sa):
                self._reasons.pop(one.ike_sa, None)
        return found

    def sessions(self) -> list[SessionStatus]:
        """Returns who is signed on."""
        self.look()
        return sorted(
            (one.status for one in self._sessions.values()), key=lambda one: (one.user, one.since, one.ike_sa)
        )

    def users(self) -> Iterator[UserStatus]:
        """Yields who is signed on, who was, and who was refused."""
        of_user: dict[str, list[SessionStatus]] = {}
        for session in self.sessions():
            of_user.setdefault(session.user, []).append(session)
        for user in sorted({*of_user, *self._logins, *self.refusals.last}):
            sessions, refused = of_user.get(user, []), self.refusals.last.get(user)
            yield UserStatus(
                user=user,
                sessions=len(sessions),
                addresses=tuple(address for one in sessions for address in one.addresses),
                last_login=max([one.since for one in sessions], default=self._logins.get(user)),
                last_refusal=refused.time if refused else None,
                refused_address=refused.address if refused else "",
                refusal=refused.reason if refused else "",
            )

    @property
    def standing(self) -> Mapping[int, Session]:
        """The sessions as they are known, by unique id of the IKE SA."""
        return dict(self._sessions)

    def is_older(self, session: Session) -> bool:
        """Tells whether a session may have begun before the agent; charon tells ages in whole seconds."""
        return session.login - 1 <= self._started

    def note(self, number: int, proof: Proof) -> None:
        """Takes note of by what somebody proved himself, where his session still stands."""
        if number in self._sessions:
            self._sessions[number] = replace(self._sessions[number], proof=proof)

    def because(self, number: int, reason: str) -> None:
        """Says why the session of an IKE SA ends; who asked for it knows better than whoever carried it out."""
        if number in self._sessions or number in self._leaving:
            _keep(self._reasons, number, self._reasons.get(number, reason))

    def _gateways(self) -> _Index:
        desired = self._reconciler.state.desired
        if self._index.desired is not desired:
            self._index = _Index.of(desired)
        return self._index

    def _of(self, connection: str) -> UsersOf | None:
        return self._gateways().by_interface.get(interface_of(connection))

    def _came(self, sa: IkeSa, login: float) -> None:
        users, known = self._of(sa.connection), self._sessions.get(sa.uniqueid)
        is_known = known is not None and spis(known.sa) == spis(sa)
        if is_known or users is None or not stands(sa) or spis(sa) in self._gone:
            return
        if known:  # of a charon before
            self.because(sa.uniqueid, _CHARON)
            self._went(sa.uniqueid)
        session = self._sessions[sa.uniqueid] = Session(sa, users, login)
        status = session.status
        _keep(self._logins, status.user, login)
        self.signed_on.set()
        if not self.is_older(session):
            self._journal.record("user.login", users.gateway, **fields(status))

    def _bar(self, sa: IkeSa) -> None:
        users = self._of(sa.connection)
        if users is None or not sa.connection.endswith(BARRED) or sa.state != "ESTABLISHED":
            return
        self.barred.add(sa.uniqueid)
        self.signed_on.set()
        if sa.uniqueid not in self._refused:
            _keep(self._refused, sa.uniqueid, None)
            self.refusals.take(users, user_of(sa.identity), sa.remote_address, NO_GOOD)

    def _rekeyed(self, old: int, new: IkeSa) -> None:
        session = self._sessions.pop(old)
        _keep(self._gone, spis(session.sa), None)
        initiator, responder = spis(new)
        sa = replace(session.sa, uniqueid=new.uniqueid, initiator_spi=initiator, responder_spi=responder)
        self._sessions[new.uniqueid] = replace(session, sa=sa)

    def _went(self, number: int) -> None:
        if session := self._sessions.pop(number, None):
            _keep(self._gone, spis(session.sa), None)
            self._leaving[number] = session, self._clock() + PATIENCE
            signed_off = self._reasons.get(number, _WORDS[Ending.PEER]) == _WORDS[Ending.PEER]
            if signed_off and whose(session.sa) in (whose(one.sa) for one in self._sessions.values()):
                _keep(self._reasons, number, _WORDS[Ending.REPLACED])

    def _end(self, sas: Set[tuple[str, str]]) -> None:
        for number in [number for number, one in self._sessions.items() if spis(one.sa) in sas]:
            self.because(number, _CHARON)
            self._went(number)

    def _carried(self, number: int, bytes_in: int, bytes_out: int) -> None:
        def more(session: Session) -> Session:
            return replace(session, bytes_in=session.bytes_in + bytes_in, bytes_out=session.bytes_out + bytes_out)

        if number in self._sessions:
            self._sessions[number] = more(self._sessions[number])
        elif number in self._leaving:
            session, at = self._leaving[number]
            self._leaving[number] = more(session), at

    def _tell_end(self, session: Session, reason: str) -> None:
        status = session.status
        lasted = {"seconds": max(0, int(self._now() - session.login))}
        carried = {"bytes_in": status.bytes_in, "bytes_out": status.bytes_out}
        about = fields(status) | lasted | carried | {"reason": reason}
        self._journal.record("user.logout", status.gateway, **about)


def _keep(remembered: OrderedDict[K, V], key: K, value: V) -> None:
    remembered[key] = value
    remembered.move_to_end(key)
    if len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)
