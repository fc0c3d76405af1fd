"""Thumbprints that resources revoke, of others' authorities; sessions, and what charon remembers -> which of them end.

charon knows nothing of thumbprints, but remembers the certificates that were proved, of some users at least. Who is in
by one that his gateway revokes is ended, and its certificate kept: from then on charon itself refuses by it.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from hubgw.agent.barred import BarredCertificates
from hubgw.agent.desired import Desired
from hubgw.agent.journal import Journal
from hubgw.agent.live import Sas
from hubgw.agent.proofs import Proof, Proofs
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.user_sessions import Session, spis
from hubgw.agent.users import Users
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.held import Held
from hubgw.names import interface_of
from hubgw.pki.reading import Certificate
from hubgw.plan.ipsec import IkeCertificate, IkeServer
from hubgw.plan.types import UsersOf

EVERY: Final = 1.0  # seconds for which a login is waited for, before what no event told is looked for
TOGETHER: Final = 0.2  # seconds: of many who sign on at once charon is asked together
LEISURE: Final = 1.0  # seconds, where nothing is revoked
HURRY: Final = 0.02  # seconds, where somebody may come by what is revoked and was not seen: charon soon forgets
BEGUN: Final = 5.0
BEGUN_BY_EAP: Final = 30.0
"""Seconds for which a session may be there that began before charon refused; by EAP as long as it keeps a half-open SA:
which connection it is going to be, charon decides when the client has said who he is, and the rest takes its time."""

_SKEW: Final = 2.0  # seconds: charon tells the age of an SA in whole ones
_HEARD_WITHIN: Final = 5.0  # seconds from a proof until its session is there, and looked at
_REVOKED: Final = "the certificate is revoked (vpnClientRevokedCertificates)"
_MAYBE: Final = f"{_REVOKED}, or may be"


@dataclass(frozen=True, slots=True)
class _Watch:
    """What one generation's gateways revoke: they by IKE connection, the connections that refuse by (gateway,
    thumbprint), and the digests of what charon was given that no user proves himself by."""

    desired: Desired | None
    gateways: Mapping[str, UsersOf]
    thumbprints: frozenset[str]
    refusing: Mapping[tuple[str, str], list[str]]
    given: frozenset[str]

    @classmethod
    def of(cls, desired: Desired | None) -> Self:
        plan = desired.plan if desired else None
        users = plan.users if plan else ()
        barred = {known.digest: one for one, known in desired.barred.items()} if desired else {}
        by_interface = {one.name: one.gateway for one in users}
        refusing: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for server in plan.objects if plan else ():
            if isinstance(server, IkeServer):
                for digest in server.barred:
                    refusing[by_interface[interface_of(server.name)], barred[digest]].append(server.name)
        given = {obj.digest for obj in plan.objects if isinstance(obj, IkeCertificate)} if plan else set()
        return cls(
            desired,
            {name: one for one in users for name in one.by_certificate},
            frozenset[str]().union(*(one.thumbprints for one in users)),
            refusing,
            frozenset(given - barred.keys()),
        )


class Thumbprints:
    """Holds sessions against the thumbprints that their gateways revoke, until none is left that is in by one."""

    def __init__(
        self,
        reconciler: Reconciler,
        strongswan: StrongswanDriver,
        users: Users,
        kept: BarredCertificates,
        *,
        proofs: Proofs,
        journal: Journal,
        changed: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reconciler = reconciler
        self._strongswan = strongswan
        self._users = users
        self._kept = kept
        self._proofs = proofs
        self._journal = journal
        self._changed = changed
        self._now = now
        self._sought: Set[str] = frozenset()
        self._watch = _Watch.of(None)
        self._judged: Sas | None = None

    async def follow(self) -> None:
        """Waits for a login, not long, runs a round, and waits for more. Raises DriverError, StoreError."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._users.signed_on.wait(), EVERY)
        self._users.signed_on.clear()
        await self.round()
        await asyncio.sleep(HURRY if self._sought else TOGETHER if self._watch.thumbprints else LEISURE)

    async def round(self) -> None:
        """Ends who is in by what is revoked, and who may be. Raises DriverError, StoreError."""
        self._users.look()
        while self._users.barred:
            # Where that fails the next list has it again, unless charon is another by then, with numbers of its own.
            await self._strongswan.terminate(self._users.barred.pop())
        desired, sas = self._reconciler.state.desired, self._reconciler.state.sas
        if desired is None:
            return
        if self._watch.desired is not desired:
            self._watch = _Watch.of(desired)
        watch = self._watch
        shown = await self._look(watch, sas)
        for number, session in self._of(watch, sas).items():
            await self._judge(number, session, watch.gateways[session.sa.connection].thumbprints)
        self._judged = sas
        # Last of all: a store that refuses keeps nobody in.
        self._learn(shown, watch.thumbprints)
        self._note_refused(watch)
        # By the same resources that were judged by: those of a pass under way are not in force.
        self._kept.forget(desired.user_needs.others)

    def _of(self, watch: _Watch, sas: Sas) -> dict[int, Session]:
        """Returns the sessions that stand; and of each new list who has proved himself and has no child yet."""
        found = {number: one for number, one in self._users.standing.items() if one.sa.connection in watch.gateways}
        if sas is not self._judged:
            for sa in sas.ike or ():
                users = watch.gateways.get(sa.connection)
                if users and sa.state == "ESTABLISHED" and sa.uniqueid not in found:
                    found[sa.uniqueid] = Session(sa, users, sas.now - sa.established)
        return found

    def _proof(self, session: Session) -> Proof | None:
        return session.proof or self._proofs.of(spis(session.sa))

    async def _look(self, watch: _Watch, sas: Sas) -> tuple[Certificate, ...]:
        """Takes note of by what who is new proved himself; returns what charon remembers, where that may be new."""
        new = {number: one for number, one in self._of(watch, sas).items() if self._proof(one) is None}
        shown: tuple[Certificate, ...] = ()
        found = dict[tuple[str, str], Proof]()
        if not watch.thumbprints:
            # charon takes long to tell all that it remembers.
            for number, made in (await self._prove_by_name(new, watch)).items():
                found[spis(new.pop(number).sa)] = made
                self._users.note(number, made)
        if new or not watch.thumbprints - self._kept.known().keys() <= self._sought:
            held = await self._strongswan.remembered()
            self._sought = frozenset()
            shown = held.certificates
            for number, session in new.items():
                found[spis(session.sa)] = made = await self._prove(session, watch, held)
                self._users.note(number, made)
        for number, session in self._of(watch, sas).items():
            if proof := self._proof(session):
                found[spis(session.sa)] = proof
                if session.proof is None:
                    # From here on it goes along where the SA is rekeyed.
                    self._users.note(number, proof)
        self._proofs.keep(found, None if sas.ike is None else set(map(spis, sas.ike)))
        return shown

    async def _prove_by_name(self, new: Mapping[int, Session], watch: _Watch) -> dict[int, Proof]:
        """Finds out by what those proved themselves who have just come, as far as charon finds it by their names."""
        found, asked = dict[int, Proof](), dict[str, Held]()
        for number, session in new.items():
            identity, login = session.identity, session.login
            if self._users.is_older(session) or "*" in identity or self._now() - login > _HEARD_WITHIN:
                continue
            if identity not in asked:
                asked[identity] = await self._strongswan.remembered(identity)
            held = asked[identity]
            by = frozenset(one.thumbprint for one in held.certificates if one.digest not in watch.given)
            if by and login - _SKEW > held.since:
                found[number] = Proof(by)
        return found

    async def _prove(self, session: Session, watch: _Watch, held: Held) -> Proof:
        """Finds out by what somebody proved himself: it was remembered then, and is while charon has forgotten none.
        Where it had to, that is likely for a moment; of who came while nobody looked nothing is known."""
        gateway, identity, login = watch.gateways[session.sa.connection], session.identity, session.login
        begun = BEGUN_BY_EAP if session.sa.connection.endswith("-eap") else BEGUN
        refused = {one: self._kept.refused(gateway.gateway, one) for one in gateway.thumbprints}
        not_by = frozenset(one for one, since in refused.items() if login >= since + begun)
        if self._users.is_older(session) or login - _SKEW <= held.since:
            return Proof(not_by=not_by)
        is_whole = held.is_whole and login - _HEARD_WITHIN > held.since
        # charon believes whoever calls himself by a pattern that his certificate matches.
        is_name = "*" not in identity and (is_whole or self._now() - login <= _HEARD_WITHIN)
        of_name = held.of_peer(identity) if is_name else ()
        named = {one.thumbprint for one in of_name if one.digest not in watch.given}
        if not named and is_whole:
            # A name that is not written here as charon writes it is of one of these all the same.
            named = {one.thumbprint for one in held.certificates}
        if not named and is_name:
            named = {one.thumbprint for one in (await self._strongswan.remembered(identity)).certificates}
        by = frozenset(named - not_by)
        return Proof(by) if by else Proof(not_by=not_by)

    def _learn(self, shown: Iterable[Certificate], thumbprints: Set[str]) -> None:
        """Keeps what is revoked, and has charon refuse by it."""
        for one in self._kept.learn(shown, thumbprints):
            self._journal.record(
                "certificate.barred", level=logging.WARNING, subject=one.subject, thumbprint=one.thumbprint
            )
            self._changed()
        self._sought = thumbprints - self._kept.known().keys()

    def _note_refused(self, watch: _Watch) -> None:
        """Takes note by which certificates charon refuses, and where."""
        barred = watch.desired.barred if watch.desired else {}
        refused: defaultdict[str, set[str]] = defaultdict(set)
        for (gateway, thumbprint), names in watch.refusing.items():
            if self._strongswan.bars(names, barred[thumbprint].digest):
                refused[gateway].add(thumbprint)
        self._kept.refuse(refused, self._now())

    async def _judge(self, number: int, session: Session, thumbprints: Set[str]) -> None:
        """Ends a session again and again until it is gone: one whose SA was rekeyed meanwhile goes on as another."""
        proof = self._proof(session)
        if proof and (revoked := proof.against(thumbprints)):
            self._users.because(number, _REVOKED if proof.by and proof.by <= revoked else _MAYBE)
            await self._strongswan.terminate(number)
