"""Connections and preshared keys in charon: plan objects <-> VICI. What is not ours by its name is never touched."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan import codec, radius
from hubgw.drivers.strongswan.client import Client, Session, connect, tell
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.faults import Ended, Fault, Faults
from hubgw.drivers.strongswan.heard import Heard, Moved
from hubgw.drivers.strongswan.held import Held
from hubgw.drivers.strongswan.ledger import Fresh, Ledger
from hubgw.drivers.strongswan.log import LogFile, Missed
from hubgw.drivers.strongswan.logins import Login
from hubgw.drivers.strongswan.peers import Peers
from hubgw.drivers.strongswan.requests import LATER, RELOAD_SETTINGS, SAY_SOMETHING, requests_of, unload
from hubgw.drivers.strongswan.users import (
    MOST_TOLD,
    Leases,
    Users,
    behind,
    encode_server,
    leased,
    leases,
    pool_names,
)
from hubgw.names import USER_PREFIX, Secret
from hubgw.pki.reading import Certificate
from hubgw.plan.diff import target
from hubgw.plan.ipsec import IkeCertificate, IkeConnection, IkeKey, IkePool, IkeRadius, IkeSecret, IkeServer, IkeUser
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Update

_RETRY = 0.2  # seconds between attempts to reach a charon that is not there
_LAST_WORDS = 2.0  # seconds that a charon may take which is told that the agent ends


class StrongswanDriver:
    """The charon behind one VICI socket."""

    def __init__(self, vici_path: str, ledger: Path) -> None:
        self._path = vici_path
        self._commands = Client(vici_path)
        self._ledger = Ledger(ledger)
        self._radius = ledger.parent / "charon.d" / "radius.conf"
        self._wanted: dict[str, IkeConnection] = {}
        self._users: dict[str, Users] = {}
        self._credentials: list[_Credential] = []
        self._held = Held()
        self._peers = Peers()
        self._heard = Heard(vici_path, self._ledger, self._peers)
        self._log = LogFile(ledger.parent)

    async def close(self) -> None:
        """Ends the connection to charon, which from then on writes no log that nobody reads."""
        self._commands.close()
        if self._log.withdraw():
            await asyncio.to_thread(tell, self._path, RELOAD_SETTINGS, _LAST_WORDS)

    def expect(self, objects: Iterable[Object]) -> None:
        """Says what is wanted: where the ledger is lost, charon's answer is compared with it as far as that goes."""
        objects = list(objects)
        self._wanted = {obj.name: obj for obj in objects if isinstance(obj, IkeConnection)}
        self._users = {obj.name: obj for obj in objects if isinstance(obj, Users)}
        self._heard.expect(self._users)
        self._credentials = [obj for obj in objects if isinstance(obj, _Credential)]

    async def observe(self) -> list[Object]:
        """Returns the connections, keys and certificates of ours that charon holds. No secret can be read back."""
        return await self._commands.call(self._observe)

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        """Loads and unloads. What is deleted takes its SAs along; what only changes its suites or timers keeps them."""
        return await self._commands.call(lambda session: self._apply(session, ops))

    async def connections(self) -> set[str]:
        """Returns the names of our connections that charon holds."""
        return await self._commands.call(lambda session: codec.connection_names(session.get_conns()))

    async def sas(self) -> list[IkeSa]:
        """Returns the IKE SAs of our connections, with their children.

        Never `noblock`: charon would leave out every SA that a worker is at, and a tunnel would look down.
        """
        sas = await self._commands.call(lambda session: list(codec.ike_sas(session.list_sas())))
        self._peers.look(sas, self._held)
        return sas

    def made_by(self, sa: IkeSa) -> tuple[Certificate, ...]:
        """Returns the certificates by one of which an SA was made; none where that is not known."""
        return self._peers.of(sa)

    async def remembered(self, identity: str = "") -> Held:
        """Returns the certificates that charon has, or those that name somebody, by its own rules: what was proved
        lately is among them. Of the lists, which take up its memory too, it knows what charon told last."""
        asked = {"type": "X509", **({"subject": identity} if identity else {})}
        found = await self._commands.call(lambda session: Held.of(session.list_certs(asked), 0.0))
        return replace(found, digests=found.digests | self._held.digests, since=self._peers.forgotten)

    def bars(self, names: Iterable[str], digest: str) -> bool:
        """Tells whether charon refuses by a certificate what comes to each of these connections."""
        given = map(self._ledger.users.get, names)
        return all(isinstance(one, IkeServer) and digest in one.barred for one in given)

    async def forget_peers(self) -> None:
        """Has charon forget by what peers have proved themselves: what it remembers is of those that come from now on.

        SAs, and what charon was given, are as they were.
        """
        await self._commands.call(lambda session: session.refusals([("flush-certs", {"type": "X509"})]))
        self._peers.forget(time.time())

    @property
    def fresh(self) -> Mapping[str, Fresh]:
        """What revocation lists have newly, by digest, until `judged`."""
        return self._ledger.fresh

    def judged(self, before: float) -> None:
        """Says that SAs were held against the lists that charon was given before (epoch seconds)."""
        self._ledger.drop_fresh(before)
        self._ledger.save()

    async def started(self) -> float:
        """Returns when this charon started, in epoch seconds."""
        return await self._commands.call(lambda session: codec.started(session.stats()))

    async def version(self) -> str:
        """Returns charon's name and version."""
        message = await self._commands.call(lambda session: session.version())
        return f"{message['daemon'].decode()} {message['version'].decode()}"

    async def initiate(self, name: str, *children: str) -> str:
        """Starts to bring an IKE SA up, or children on the one that there is, or both; does not wait.

        Returns why charon would not, or an empty string.
        """
        order = {"ike": name, "timeout": LATER}
        orders = [("initiate", order | {"child": child}) for child in children] or [("initiate", order)]
        refusals = await self._commands.call(lambda session: session.refusals(orders))
        return next(filter(None, refusals), "")

    async def terminate(self, ike_sa: int) -> str:
        """Starts to end one IKE SA. Returns why charon would not, or an empty string."""
        return await self._terminate("ike-id", ike_sa)

    async def terminate_child(self, child_sa: int) -> str:
        """Starts to end one child SA. Returns why charon would not, or an empty string."""
        return await self._terminate("child-id", child_sa)

    async def _terminate(self, by: str, number: int) -> str:
        order = {by: str(number), "force": "yes", "timeout": LATER}
        return await self._commands.call(lambda session: session.refusals([("terminate", order)])[0])

    @property
    def changed(self) -> Mapping[str, float]:
        """When the terms of a connection changed under its SAs, by its name, on the machine's monotonic clock, which is
        charon's own for the age of an SA."""
        return self._ledger.changed

    async def settled(self, name: str) -> None:
        """Says that no SA of a connection stands on terms that have changed."""
        await self._commands.call(lambda session: self._settle(name))

    def _settle(self, name: str) -> None:
        self._ledger.settle(name)
        self._ledger.save()

    async def reachable(self) -> None:
        """Returns when charon's socket can be connected to."""
        while True:
            try:
                (await asyncio.to_thread(connect, self._path, _RETRY)).close()
            except OSError:
                await asyncio.sleep(_RETRY)
            else:
                return

    async def events(self, take: Callable[[Moved | Login], None]) -> None:
        """Has `take` called where SAs came or went, and with what becomes of users'. Raises DriverError, and what
        `take` raises."""
        await self._heard.events(take)

    async def faults(self) -> AsyncIterator[Fault | Ended | Missed]:
        """Has charon write its log, and yields why SAs came to nothing, or how they end. Raises DriverError."""
        self._log.ask()
        (refusal,) = await self._commands.call(lambda session: session.refusals([RELOAD_SETTINGS]))
        if refusal:
            raise DriverError(f"charon: {refusal}")
        # Not before: the loggers of another time may write there still.
        start = self._log.size
        await self._commands.call(lambda session: session.refusals([SAY_SOMETHING]))
        self._log.require(start)
        faults = Faults()
        async for lines in self._log.lines(start):
            if isinstance(lines, Missed):
                yield lines
            else:
                for fault in faults.hear(lines):
                    yield fault

    async def leases(self) -> list[Leases]:
        """Returns how full the pools of ours are."""
        return await self._commands.call(lambda session: list(leases(session.get_pools())))

    async def leased(self, pool: str) -> Set[tuple[str, str]] | None:
        """Returns the addresses of a pool that somebody has, and whose each is; None of one with too many to tell."""
        return await self._commands.call(lambda session: self._leased(session, pool))

    def _leased(self, session: Session, pool: str) -> Set[tuple[str, str]] | None:
        count = sum(one.online + one.offline for one in leases(session.get_pools({"name": pool})))
        return set(leased(session.get_pools({"leases": "yes", "name": pool}))) if count <= MOST_TOLD else None

    def _observe(self, session: Session) -> list[Object]:
        known = self._ledger.of(codec.started(session.stats()))
        names = codec.connection_names(session.get_conns())
        users = self._observe_users(session, names)
        names -= users.keys() | self._users.keys()
        for name in known.keys() - names:
            self._ledger.drop(name)
        if names - known.keys():
            self._read_back(session, names - known.keys())
        found: list[Object] = [known[name] for name in sorted(names & known.keys())]
        found += map(_seen_secret, codec.secrets(session.get_shared()))
        found += users.values()
        found += self._observe_credentials(session)
        self._ledger.save()
        return found

    def _observe_users(self, session: Session, names: Set[str]) -> dict[str, Users]:
        """Returns what is there for users. What a lost ledger does not know is loaded again, which ends no SA; but a
        pool's name has its prefix, and charon replaces none that somebody uses."""
        if not self._users and not self._ledger.users:
            return {}
        names |= pool_names(session.get_pools())
        names |= {one.name for one in radius.read(self._radius) if self._ledger.users.get(one.name) == one}
        for name in self._ledger.users.keys() - names:
            self._ledger.drop_users(name)
        for name in names & self._users.keys() - self._ledger.users.keys():
            if isinstance(pool := self._users[name], IkePool):
                self._ledger.put_users(pool)
        return dict(self._ledger.users)

    def _observe_credentials(self, session: Session) -> list[Object]:
        """Ours is what is wanted, and what this charon was given: an id tells nobody whose it is."""
        ours = dict(self._ledger.credentials)
        for obj in self._credentials:
            if isinstance(obj, IkeKey | IkeCertificate):
                ours[str(obj.key[1])] = _kind(obj)
        if not ours:
            self._held = Held()
            return []
        # Before it is asked: an SA that is made meanwhile may be by what it does not tell.
        self._held = Held.of(session.list_certs(), time.time())
        held = codec.private_keys(session.get_keys()) | self._held.digests
        held |= {one.digest for one in self._credentials if isinstance(one, IkeCertificate) and self._held.has(one)}
        for id_, kind in ours.items():
            if id_ in held:
                self._ledger.put_credential(kind, id_)
            else:
                self._ledger.drop_credential(id_)
        return [_seen(kind, id_) for id_, kind in sorted(ours.items()) if id_ in held]

    def _read_back(self, session: Session, names: set[str]) -> None:
        """Adopts connections that the ledger does not know."""
        for message in session.list_conns():
            for name in message.keys() & names:
                wanted = self._wanted.get(name) or IkeConnection(name, 0, "", "", "", "", (), (), 0, 0, 0, 0)
                self._ledger.put(codec.read_back(message[name], wanted))

    def _apply(self, session: Session, ops: Sequence[Op]) -> list[OpError]:
        certificates = {obj.digest: obj for obj in self._credentials if isinstance(obj, IkeCertificate)}
        loads = any(not isinstance(op, Delete) and isinstance(op.new, IkeConnection | IkeServer) for op in ops)
        for new in (op.new for op in ops if isinstance(op, Create) and isinstance(op.new, IkeCertificate)):
            # Kept before charon has the list: an agent that ends in between holds its SAs against it later.
            # One that has just started has made no SA by what it says.
            if new.revokes and self._ledger.connections and (serials := self._held.adds(new)):
                self._ledger.put_fresh(new.digest, Fresh(time.time(), serials))
        self._ledger.save()
        methods = codec.key_exchanges(session.get_algorithms()) if loads else frozenset()
        requests = [requests_of(op, certificates, methods) for op in ops]
        asked = [one for one in self._users.values() if isinstance(one, IkeRadius)]
        of_radius = [op for op in ops if isinstance(target(op), IkeRadius)]
        unwritten = radius.write(self._radius, asked) if of_radius else ""
        last = [
            request
            for server in behind(ops, self._users.values())
            for request in (unload(server.name), ("load-conn", encode_server(server, certificates, methods)))
        ]
        answers = iter(session.refusals([*(request for of_op in requests for request in of_op), *last]))
        errors = []
        for op, of_op in zip(ops, requests, strict=True):
            # Only the first request of an op decides: what it unloads or ends may be gone already.
            refusal, *_ = [*(next(answers) for _ in of_op), ""]
            refusal = (unwritten if op in of_radius else "") or refusal
            if isinstance(op, Delete) and isinstance(op.old, IkePool) and "online leases" in refusal:
                continue  # those who have them are being ended; it goes in a later pass
            if isinstance(op, Delete):
                self._ledger.drop(str(op.old.key[1]))
                self._ledger.drop_credential(str(op.old.key[1]))
                self._ledger.drop_users(str(op.old.key[1]))
            elif refusal:
                errors.append(OpError(op, refusal))
            elif isinstance(op.new, IkeConnection):
                self._ledger.put(op.new)
                if isinstance(op, Update) and isinstance(op.old, IkeConnection) and codec.other_terms(op.old, op.new):
                    self._ledger.change(op.new.name, time.monotonic())
            elif isinstance(op.new, Users):
                self._ledger.put_users(op.new)
            elif isinstance(op.new, IkeKey | IkeCertificate):
                self._ledger.put_credential(_kind(op.new), str(op.new.key[1]))
        if any(isinstance(op, Delete) and isinstance(op.old, IkeCertificate) for op in ops):
            self._clear(session, {id_ for op in ops if isinstance(op, Delete) for id_ in op.old.key[1:]})
        self._ledger.save()
        return errors

    def _clear(self, session: Session, gone: Set[object]) -> None:
        """Rids charon of certificates, which it unloads in no other way than with all keys and secrets; what is wanted
        is loaded again at once. A list stays where there is another of its authority: the newer is in force. Where
        there are keys or secrets of others nothing is cleared: what proves nothing without its key, and nothing to a
        connection that does not name it, stays until charon ends."""
        held = Held.of(session.list_certs(), time.time())
        wanted = [obj for obj in self._credentials if isinstance(obj, IkeCertificate)]
        if all(held.stays(str(digest), wanted) for digest in gone):
            return
        keys = {obj.id for obj in self._credentials if isinstance(obj, IkeKey)}
        shared = session.get_shared()
        others = codec.private_keys(session.get_keys()) - keys or codec.foreign_secrets(shared)
        if not others:
            again = [request for obj in self._credentials for request in requests_of(Create(obj), {}, frozenset())]
            session.refusals([("clear-creds", {}), *again])
            self._peers.forget(time.time())


_Credential = IkeSecret | IkeUser | IkeKey | IkeCertificate


def _kind(obj: IkeKey | IkeCertificate) -> str:
    if isinstance(obj, IkeKey):
        return "key"
    return "revocation list" if obj.revokes else "certificate"


def _seen_secret(id_: str) -> Object:
    return IkeUser(id_, "", Secret("")) if id_.startswith(USER_PREFIX) else IkeSecret(id_, (), Secret(""))


def _seen(kind: str, id_: str) -> Object:
    return IkeKey(id_, Secret("")) if kind == "key" else IkeCertificate(id_, "", b"", kind == "revocation list")
