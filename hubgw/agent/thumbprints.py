"""Thumbprints that resources revoke, of others' authorities; sessions, and what charon remembers -> which of them end.

charon knows nothing of thumbprints, but remembers the certificates that were proved, of some users at least. Who is in
by one that is revoked is ended, and its certificate kept: from then on charon itself refuses by it.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from typing import Final

from hubgw.agent.barred import BarredCertificates
from hubgw.agent.desired import Desired
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.user_sessions import Session
from hubgw.agent.users import Users
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.pki.reading import Certificate
from hubgw.plan.ipsec import IkeServer
from hubgw.plan.types import UsersOf

EVERY: Final = 1.0  # seconds: what no event tells is found by then
TOGETHER: Final = 0.2  # seconds: of many who sign on at once charon is asked together
HURRY: Final = 0.02  # seconds, where somebody may come by what is revoked and was not seen: charon soon forgets
BEGUN: Final = 5.0
BEGUN_BY_EAP: Final = 30.0
"""Seconds for which a session may be there that began before charon refused; by EAP as long as it keeps a half-open SA:
which connection it is going to be, charon decides when the client has said who he is, and the rest takes its time."""

_SKEW: Final = 2.0  # seconds: charon tells the age of an SA in whole ones
_REVOKED: Final = "the certificate is revoked (vpnClientRevokedCertificates)"
_MAYBE: Final = f"{_REVOKED}, or may be"


class Thumbprints:
    """Holds sessions against the thumbprints, each once."""

    def __init__(
        self,
        reconciler: Reconciler,
        strongswan: StrongswanDriver,
        users: Users,
        kept: BarredCertificates,
        journal: Journal,
        *,
        changed: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reconciler = reconciler
        self._strongswan = strongswan
        self._users = users
        self._kept = kept
        self._journal = journal
        self._changed = changed
        self._now = now
        self._sought: Set[str] = frozenset()

    async def follow(self) -> None:
        """Waits for a login, not long, runs a round, and waits for more. Raises DriverError, StoreError."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._users.signed_on.wait(), EVERY)
        self._users.signed_on.clear()
        await self.round()
        await asyncio.sleep(HURRY if self._sought else TOGETHER)

    async def round(self) -> None:
        """Ends who is in by what is revoked, and who may be. Raises DriverError, StoreError."""
        self._users.look()
        while self._users.barred:
            # Where that fails the next list has it again, unless charon is another by then, with numbers of its own.
            await self._strongswan.terminate(self._users.barred.pop())
        desired = self._reconciler.state.desired
        watched = {name: one for one in desired.plan.users for name in one.by_certificate} if desired else {}
        if desired is None or not watched:
            return
        sas = self._reconciler.state.sas
        thumbprints = frozenset[str]().union(*(one.thumbprints for one in watched.values()))
        shown = await self._look(watched, thumbprints)
        for number, session in self._of(watched).items():
            await self._judge(number, session, watched[session.sa.connection].thumbprints)
        # Last of all: a store that refuses keeps nobody in.
        self._learn(shown, thumbprints)
        self._note_refused(desired, thumbprints)
        self._keep(watched, thumbprints, sas.now if sas.ike is not None else -math.inf)

    def _of(self, watched: Mapping[str, UsersOf]) -> dict[int, Session]:
        return {number: one for number, one in self._users.standing.items() if one.sa.connection in watched}

    async def _look(self, watched: Mapping[str, UsersOf], thumbprints: Set[str]) -> tuple[Certificate, ...]:
        """Takes note of by what who is new proved himself; returns what charon remembers, where that may be new."""
        new = {number: one for number, one in self._of(watched).items() if one.proved is None}
        if not new and thumbprints - self._kept.known().keys() <= self._sought:
            return ()
        shown = await self._strongswan.remembered()
        self._sought = frozenset()
        called: defaultdict[str, set[str]] = defaultdict(set)
        for one in shown:
            for name in one.called:
                called[name].add(one.thumbprint)
        for number, session in new.items():
            proved = frozenset(called[session.identity.casefold()])
            self._users.note(number, proved=proved, held=session.held)
        return shown

    def _learn(self, shown: Iterable[Certificate], thumbprints: Set[str]) -> None:
        """Keeps what is revoked, and has charon refuse by it."""
        for one in self._kept.learn(shown, thumbprints):
            self._journal.record(
                "certificate.barred", level=logging.WARNING, subject=one.subject, thumbprint=one.thumbprint
            )
            self._changed()
        self._sought = thumbprints - self._kept.known().keys()

    def _note_refused(self, desired: Desired, thumbprints: Set[str]) -> None:
        """Takes note by which certificates charon refuses."""
        refused = set[str]()
        for thumbprint in thumbprints & desired.barred.keys():
            digest = desired.barred[thumbprint].digest
            servers = [one for one in desired.plan.objects if isinstance(one, IkeServer) and digest in one.barred]
            if servers and self._strongswan.bars(servers):
                refused.add(thumbprint)
        self._kept.refuse(refused, self._now())

    async def _judge(self, number: int, session: Session, thumbprints: Set[str]) -> None:
        due = {one for one in thumbprints - session.held if self._is_due(session, one)}
        if not due:
            return
        proved = session.proved or {one.thumbprint for one in await self._strongswan.remembered(session.identity)}
        if not proved or proved & due:
            self._users.because(number, _REVOKED if proved and proved <= due else _MAYBE)
            await self._strongswan.terminate(number)
        self._users.note(number, proved=session.proved, held=session.held | due)

    def _is_due(self, session: Session, thumbprint: str) -> bool:
        """Tells whether a session is to be held against a thumbprint: not one that was before this agent came, nor one
        that charon made when it refused already."""
        held = self._kept.held(thumbprint) if self._users.is_older(session) else -math.inf
        begun = BEGUN_BY_EAP if session.sa.connection.endswith("-eap") else BEGUN
        return held - _SKEW <= session.login < self._kept.refused(thumbprint) + begun

    def _keep(self, watched: Mapping[str, UsersOf], thumbprints: Set[str], listed: float) -> None:
        """Keeps until when sessions were held against what, for an agent that comes after this one: only where there
        are such as began since, and may be by it."""
        begun = max((one.login for one in self._of(watched).values()), default=-math.inf)
        until: dict[str, float] = {}
        for one in thumbprints:
            held = self._kept.held(one)
            if held < min(listed, self._kept.refused(one) + BEGUN_BY_EAP) and (held < begun or held == -math.inf):
                until[one] = listed
        self._kept.hold(until)
