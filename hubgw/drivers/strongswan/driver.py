"""Connections and preshared keys in charon: plan objects <-> VICI. What is not ours by its name is never touched."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

from hubgw.drivers.strongswan import codec
from hubgw.drivers.strongswan.client import Client, Request, Session, connect, listen
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.faults import Fault, Faults
from hubgw.drivers.strongswan.inbox import Missed
from hubgw.drivers.strongswan.ledger import Ledger
from hubgw.names import Secret
from hubgw.plan.types import Create, Delete, IkeConnection, IkeSecret, Object, Op, OpError, Update

_EVENTS = ["ike-updown", "child-updown"]
_RETRY = 0.2  # seconds between attempts to reach a charon that is not there
_LATER = "-1"  # a timeout of VICI: do not wait


class StrongswanDriver:
    """The charon behind one VICI socket."""

    def __init__(self, vici_path: str, ledger: Path) -> None:
        self._path = vici_path
        self._commands = Client(vici_path)
        self._ledger = Ledger(ledger)
        self._wanted: dict[str, IkeConnection] = {}

    async def close(self) -> None:
        """Ends the connection to charon."""
        self._commands.close()

    def expect(self, objects: Iterable[Object]) -> None:
        """Says what is wanted: where the ledger is lost, charon's answer is compared with it as far as that goes."""
        self._wanted = {obj.name: obj for obj in objects if isinstance(obj, IkeConnection)}

    async def observe(self) -> list[Object]:
        """Returns the connections and keys of ours that charon holds. The text of a key cannot be read back."""
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
        return await self._commands.call(lambda session: list(codec.ike_sas(session.list_sas())))

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
        order = {"ike": name, "timeout": _LATER}
        orders = [("initiate", order | {"child": child}) for child in children] or [("initiate", order)]
        refusals = await self._commands.call(lambda session: session.refusals(orders))
        return next(filter(None, refusals), "")

    async def terminate(self, ike_sa: int) -> str:
        """Starts to end one IKE SA. Returns why charon would not, or an empty string."""
        order = {"ike-id": str(ike_sa), "force": "yes", "timeout": _LATER}
        return await self._commands.call(lambda session: session.refusals([("terminate", order)])[0])

    async def reachable(self) -> None:
        """Returns when charon's socket can be connected to."""
        while True:
            try:
                (await asyncio.to_thread(connect, self._path, _RETRY)).close()
            except OSError:
                await asyncio.sleep(_RETRY)
            else:
                return

    async def events(self) -> AsyncIterator[str]:
        """Yields the name of a connection whenever an SA of it came or went, and an empty one when events have begun to
        come: what came and went before is for the caller to look at. Raises DriverError when charon is gone."""

        def names(kind: str, message: Mapping[str, object]) -> list[str]:
            return [name for name in message if name != "up"] if kind else [""]

        async for name in listen(self._path, _EVENTS, names):
            yield "" if isinstance(name, Missed) else name

    async def faults(self) -> AsyncIterator[Fault | Missed]:
        """Yields why an IKE SA, or its child, came to nothing, as charon logs it. Raises DriverError when charon is
        gone."""
        heard = Faults()
        async for fault in listen(self._path, ["log"], lambda kind, message: heard.hear(message)):
            yield fault

    def _observe(self, session: Session) -> list[Object]:
        known = self._ledger.of(codec.started(session.stats()))
        names = codec.connection_names(session.get_conns())
        for name in known.keys() - names:
            self._ledger.drop(name)
        if names - known.keys():
            self._read_back(session, names - known.keys())
        found: list[Object] = [known[name] for name in sorted(names & known.keys())]
        self._ledger.save()
        return [*found, *(IkeSecret(id_, (), Secret("")) for id_ in codec.secrets(session.get_shared()))]

    def _read_back(self, session: Session, names: set[str]) -> None:
        """Adopts connections that the ledger does not know."""
        for message in session.list_conns():
            for name in message.keys() & names:
                wanted = self._wanted.get(name) or IkeConnection(name, 0, "", "", "", "", (), (), 0, 0, 0, 0)
                self._ledger.put(codec.read_back(message[name], wanted))

    def _apply(self, session: Session, ops: Sequence[Op]) -> list[OpError]:
        requests = [_requests(op) for op in ops]
        answers = iter(session.refusals([request for of_op in requests for request in of_op]))
        errors = []
        for op, of_op in zip(ops, requests, strict=True):
            # Only the first request of an op decides: what it unloads or ends may be gone already.
            refusal, *_ = [next(answers) for _ in of_op]
            if isinstance(op, Delete):
                self._ledger.drop(str(op.old.key[1]))
            elif refusal:
                errors.append(OpError(op, refusal))
            elif isinstance(op.new, IkeConnection):
                self._ledger.put(op.new)
        self._ledger.save()
        return errors


def _requests(op: Op) -> list[Request]:
    """Returns what an operation asks of charon; of what changes its ends, or goes, the SAs go too."""
    match op:
        case Create(IkeSecret() as new) | Update(_, IkeSecret() as new):
            return [("load-shared", codec.encode_secret(new))]
        case Create(IkeConnection() as new):
            return [("load-conn", codec.encode_connection(new))]
        case Update(IkeConnection() as old, IkeConnection() as new):
            ends = [_end(new.name)] if codec.other_ends(old, new) else _end_children(old, new)
            return [("load-conn", codec.encode_connection(new)), *ends]
        case Delete(IkeConnection(name)):
            return [("unload-conn", {"name": name}), _end(name)]
        case Delete(IkeSecret(id_)):
            return [("unload-shared", {"id": id_})]
        case _:
            raise TypeError(f"strongswan: {op} is not charon's to carry out")


def _end_children(old: IkeConnection, new: IkeConnection) -> list[Request]:
    order = {"ike": new.name, "force": "yes", "timeout": _LATER}
    return [("terminate", order | {"child": name}) for name in codec.children_gone(old, new)]


def _end(name: str) -> Request:
    return "terminate", {"ike": name, "force": "yes", "timeout": _LATER}
