"""Connections and preshared keys in charon: plan objects <-> VICI. What is not ours by its name is never touched."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

import vici

from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan import codec
from hubgw.drivers.strongswan.client import Client, Refused, connect, listen
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.ledger import Ledger
from hubgw.names import Secret
from hubgw.plan.types import Delete, IkeConnection, IkeSecret, Object, Op, OpError, Update

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
        """Returns the IKE SAs of our connections, with their children."""
        return await self._commands.call(lambda session: list(codec.ike_sas(session.list_sas({"noblock": "yes"}))))

    async def started(self) -> float:
        """Returns when this charon started, in epoch seconds."""
        return await self._commands.call(lambda session: codec.started(session.stats()))

    async def version(self) -> str:
        """Returns charon's name and version."""
        message = await self._commands.call(lambda session: session.version())
        return f"{message['daemon'].decode()} {message['version'].decode()}"

    async def initiate(self, name: str, *, child: bool) -> str:
        """Starts to bring an IKE SA up, or a child on the one that there is, or both; does not wait.

        Returns why charon would not, or an empty string.
        """
        order = {"ike": name, "timeout": _LATER} | ({"child": name} if child else {})
        return await self._commands.call(lambda session: _try(session, "initiate", order))

    async def terminate(self, ike_sa: int) -> str:
        """Starts to end one IKE SA. Returns why charon would not, or an empty string."""
        order = {"ike-id": str(ike_sa), "force": "yes", "timeout": _LATER}
        return await self._commands.call(lambda session: _try(session, "terminate", order))

    async def reachable(self) -> None:
        """Returns when charon's socket can be connected to."""
        while True:
            try:
                connect(self._path, 5).close()
            except OSError:
                await asyncio.sleep(_RETRY)
            else:
                return

    async def events(self) -> AsyncIterator[str]:
        """Yields the name of a connection whenever an SA of it came or went, and an empty one when events have begun to
        come: what came and went before is for the caller to look at. Raises DriverError when charon is gone."""
        async for kind, message in listen(self._path, _EVENTS):
            if not kind:
                yield ""
            for name in message:
                if name != "up":
                    yield name

    def _observe(self, session: vici.Session) -> list[Object]:
        known = self._ledger.of(codec.started(session.stats()))
        names = codec.connection_names(session.get_conns())
        for name in known.keys() - names:
            self._ledger.drop(name)
        if names - known.keys():
            self._read_back(session, names - known.keys())
        found: list[Object] = [known[name] for name in sorted(names & known.keys())]
        self._ledger.save()
        return [*found, *(IkeSecret(id_, (), Secret("")) for id_ in codec.secrets(session.get_shared()))]

    def _read_back(self, session: vici.Session, names: set[str]) -> None:
        """Adopts connections that the ledger does not know."""
        unknown = IkeConnection("", 0, "", "", "", "", (), (), 0, 0, 0, 0)
        for message in session.list_conns():
            for name in message.keys() & names:
                wanted = self._wanted.get(name, unknown)
                self._ledger.put(codec.read_back(message[name], codec.named(wanted, name)))

    def _apply(self, session: vici.Session, ops: Sequence[Op]) -> list[OpError]:
        errors = [OpError(op, reason) for op in ops if (reason := self._carry_out(session, op))]
        self._ledger.save()
        return errors

    def _carry_out(self, session: vici.Session, op: Op) -> str:
        match op:
            case Delete(IkeConnection(name)):
                self._ledger.drop(name)
                _try(session, "unload-conn", {"name": name})
                _end(session, name)
            case Delete(IkeSecret(id_)):
                _try(session, "unload-shared", {"id": id_})
            case Delete():
                raise DriverError(f"strongswan: {op.old.key} is not charon's")
            case _:
                return self._load(session, op)
        return ""

    def _load(self, session: vici.Session, op: Op) -> str:
        new = op.new if not isinstance(op, Delete) else op.old
        if isinstance(new, IkeSecret):
            return _try(session, "load-shared", codec.encode_secret(new))
        if not isinstance(new, IkeConnection):
            raise DriverError(f"strongswan: {new.key} is not charon's")
        if reason := _try(session, "load-conn", codec.encode_connection(new)):
            return reason
        self._ledger.put(new)
        if isinstance(op, Update) and isinstance(op.old, IkeConnection) and codec.other_ends(op.old, new):
            _end(session, new.name)
        return ""


def _end(session: vici.Session, name: str) -> None:
    """Ends every IKE SA of a connection; there may be none."""
    _try(session, "terminate", {"ike": name, "force": "yes", "timeout": _LATER})


def _try(session: vici.Session, command: str, message: Mapping[str, object]) -> str:
    """Makes one request and returns charon's refusal, or an empty string."""
    try:
        session.request(command, message)
    except Refused as refused:
        return str(refused)
    return ""
