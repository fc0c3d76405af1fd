"""Speakers and neighbors: plan objects <-> directories under /run, supervised services, and what ExaBGP has loaded.

A speaker of which anything is missing is seen hollow, and a neighbor that ExaBGP has not loaded in good time is seen
with AS 0, so that the diff has both written anew.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp import conf, events, files, services
from hubgw.drivers.exabgp.changes import Change, merge, speaker_of
from hubgw.drivers.exabgp.client import Client
from hubgw.drivers.exabgp.directory import SPEAKER, Directory
from hubgw.drivers.exabgp.events import Event
from hubgw.drivers.exabgp.frames import Routes
from hubgw.drivers.exabgp.services import Service, Supervisor
from hubgw.names import Secret
from hubgw.plan.bgp import Nlri
from hubgw.plan.kernel import Key
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Delete, Object, Op, OpError, Update

GRACE = 120.0  # seconds: by then a supervisor, also on a slow machine, has started both processes and ExaBGP has loaded
SETTLE = 5.0  # seconds that a pass waits for an ExaBGP that reloads
FAREWELL = 5.0  # seconds for processes that shall end, before they are killed
_GLANCES = 100


@dataclass(slots=True)
class _Unloaded:
    """An ExaBGP that has not loaded `digest`: since when (monotonic), and when its helper was last started anew."""

    digest: str
    since: float
    kicked: float = 0.0


class ExabgpDriver:
    """All speakers of the machine, in one directory under /run."""

    def __init__(self, run_dir: Path) -> None:
        self._directory = run_dir.absolute()
        self._supervisor = Supervisor(self._directory / "services")
        self._client = Client()
        self._wanted: dict[Key, Neighbor] = {}
        self._unloaded: dict[str, _Unloaded] = {}
        self._loaded: dict[str, frozenset[Neighbor]] = {}

    async def close(self) -> None:
        """Ends the connections to the helpers; the speakers go on."""
        await self._client.close()

    def expect(self, objects: Iterable[Object]) -> None:
        """Says what is wanted: no password can be told by the directory to an agent that has just started."""
        self._wanted = {obj.key: obj for obj in objects if isinstance(obj, Neighbor)}

    async def observe(self) -> list[Object]:
        """Returns the speakers and neighbors that are really there, without passwords.

        Raises:
            DriverError: the directory cannot be read.
        """
        try:
            names = self._names()
            await self._follow(names)
            return [obj for name in names for obj in self._seen(name)]
        except OSError as error:
            raise DriverError(f"bgp: {error.filename}: {error.strerror}") from error

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        """Writes and removes, and waits a little for ExaBGP to take, or refuse, what was written."""
        changes: dict[str, list[Op]] = {}
        for op in ops:
            changes.setdefault(speaker_of(op), []).append(op)
        made = await asyncio.gather(*(self._change(name, of_speaker) for name, of_speaker in changes.items()))
        done = dict(zip(changes, made, strict=True))
        standing = [name for name, change in done.items() if change.speaker and change.accepted]
        try:
            await self._settled(standing)
        except OSError as error:
            raise DriverError(f"bgp: {error.filename}: {error.strerror}") from error
        errors = [error for change in done.values() for error in change.errors]
        return errors + [error for name in standing for error in self._refusals(name, done[name].accepted)]

    def events(self) -> AsyncIterator[list[Event]]:
        """Yields all that the helpers of all speakers told since the last batch, for one consumer."""
        return self._client.batches()

    def advertise(self, speaker: str, excluded: Sequence[str], routes: Routes) -> None:
        """Queues prefixes, by their attributes, for all peers but those of these sites.

        As all that is said to a speaker, it is dropped where no connection is known to the reader of `events`: after
        the next `Began` all is said anew.
        """
        if link := self._client.link(speaker):
            link.send(events.advertise(excluded, routes))

    def withdraw(self, speaker: str, nlris: Sequence[Nlri]) -> None:
        """Queues the end of what was advertised, of one address family."""
        if link := self._client.link(speaker):
            link.send(events.withdraw(nlris))

    def advertised(self, speaker: str) -> None:
        """Queues that all was advertised since `Began`."""
        if link := self._client.link(speaker):
            link.send(events.ADVERTISED)

    def ask_anew(self, speaker: str) -> None:
        """Has a helper tell all once more: `Lost` and `Began` are what follows."""
        if link := self._client.link(speaker):
            link.transport.abort()

    async def drain(self, speaker: str) -> bool:
        """Waits until little is queued; tells whether the connection is still the one that it was."""
        link = self._client.link(speaker)
        return await link.drain() if link else False

    def _of(self, name: str) -> Directory:
        return Directory(self._directory / name)

    def _names(self) -> list[str]:
        """Names of all speakers of which anything lies there."""
        directories = {path.name for path in files.entries(self._directory)}
        links = {name.removesuffix("-helper") for name in self._supervisor.linked()}
        return sorted(name for name in directories | links if SPEAKER.fullmatch(name))

    async def _follow(self, names: Iterable[str]) -> None:
        await self._client.follow((name, self._of(name).agent_socket) for name in names)

    def _seen(self, name: str) -> Iterator[Object]:
        directory = self._of(name)
        held = directory.read()
        if held is None:
            yield Speaker(name, "", 0, 0, ())
            return
        speaker, neighbors = held
        whole = directory.intact(speaker) and all(map(self._supervisor.intact, services.of(speaker, directory.path)))
        yield speaker if whole else Speaker(name, "", 0, 0, ())
        digest = directory.digest()
        late = self._late(name, digest, neighbors) if digest else frozenset()
        yield from (replace(one, asn=0) if one in late else one for one in neighbors)

    def _late(self, name: str, digest: str, neighbors: Sequence[Neighbor]) -> frozenset[Neighbor]:
        """Returns the neighbors that ExaBGP should have loaded by now and has not."""
        channel = self._client.channel(name)
        channel.expect(digest)
        if channel.loaded:
            self._unloaded.pop(name, None)
            self._loaded[name] = frozenset(neighbors)
            return frozenset()
        unloaded = self._unloaded.get(name)
        if unloaded is None or unloaded.digest != digest:
            unloaded = self._unloaded[name] = _Unloaded(digest, time.monotonic())
        if not channel.refused and time.monotonic() - unloaded.since < GRACE:
            return frozenset()
        everyone = frozenset(neighbors)
        return everyone - self._loaded.get(name, frozenset()) or everyone

    async def _change(self, name: str, ops: Sequence[Op]) -> Change:
        """Carries out the operations on one speaker and its neighbors."""
        directory = self._of(name)
        held = directory.read() if SPEAKER.fullmatch(name) else None
        before = held[0] if held else None
        change = merge(before, held[1] if held else [], ops)
        try:
            if change.speaker:
                neighbors = [change.neighbors[address] for address in sorted(change.neighbors)]
                self._write(directory, before, change.speaker, neighbors)
            elif any(isinstance(op, Delete) and isinstance(op.old, Speaker) for op in change.accepted):
                await self._remove(directory, before)
        except (OSError, ValueError) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            change.errors += [OpError(op, reason) for op in change.accepted]
            change.accepted.clear()
        return change

    def _write(
        self, directory: Directory, before: Speaker | None, speaker: Speaker, neighbors: Sequence[Neighbor]
    ) -> None:
        text = conf.render(speaker, [replace(one, password=self._password(one)) for one in neighbors])
        files.directory(self._directory, 0o755)
        unheard = directory.write(speaker, neighbors, text)
        exabgp, helper = services.of(speaker, directory.path)
        broken = [service for service in (exabgp, helper) if not self._supervisor.intact(service)]
        for service in broken:
            self._supervisor.install(service)
        if before not in {None, speaker}:
            self._supervisor.control(exabgp, b"t")
        # An ExaBGP goes on with the script that it was started with, for its sessions' sake; a helper begins anew.
        if unheard or helper in broken or before not in {None, speaker}:
            self._supervisor.control(helper, b"t")

    def _password(self, neighbor: Neighbor) -> Secret | None:
        """Returns the password that the digest stands for. Raises ValueError where nobody said it."""
        if neighbor.password or not neighbor.digest:
            return neighbor.password
        wanted = self._wanted.get(neighbor.key)
        if wanted is None or wanted.digest != neighbor.digest or wanted.password is None:
            raise ValueError(f"neighbor {neighbor.address}: its password is not known; it has to go, or be declared")
        return wanted.password

    async def _remove(self, directory: Directory, before: Speaker | None) -> None:
        """Ends both processes, then removes what they ran from."""
        name = directory.path.name
        both = services.names(name, directory.path)
        if before:
            # An ExaBGP that just ends says nothing to peers that would keep its routes; neighbors that go are told so.
            self._write(directory, before, before, [])
            await self._settled([name])
        for service in both:
            self._supervisor.unlink(service)
        await self._ended(both)
        directory.remove()
        self._unloaded.pop(name, None)
        self._loaded.pop(name, None)

    async def _settled(self, names: Sequence[str]) -> None:
        """Has ExaBGP load what lies there, and waits a little for those that answer."""
        await self._follow(self._names())
        for name in names:
            self._reload(name)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                for name in names:
                    await self._client.channel(name).settled()

    async def _ended(self, both: Sequence[Service]) -> None:
        for command in (b"", b"k"):
            for one in both:
                self._supervisor.control(one, command)
            for _ in range(_GLANCES):
                if not any(map(self._supervisor.supervised, both)):
                    return
                await asyncio.sleep(FAREWELL / _GLANCES)

    def _reload(self, name: str) -> None:
        """Has ExaBGP load what lies there, and starts what should have done so long ago."""
        channel = self._client.channel(name)
        channel.expect(self._of(name).digest())
        unloaded = self._unloaded.get(name)
        if channel.loaded or unloaded is None or unloaded.digest != channel.digest:
            return
        channel.ask_again()
        both = services.names(name, self._directory / name)
        now = time.monotonic()
        for service in both:
            self._supervisor.control(service, b"u")
        if not (channel.state and channel.state.connected) and now - max(unloaded.since, unloaded.kicked) > GRACE:
            # Where the sockets are gone from under it, nobody finds it any longer.
            unloaded.kicked = now
            self._supervisor.control(both[1], b"t")

    def _refusals(self, name: str, ops: Sequence[Op]) -> Iterator[OpError]:
        channel = self._client.channel(name)
        if channel.refused:
            yield from (OpError(op, f"ExaBGP: {channel.refused}") for op in ops if not isinstance(op, Delete))
        elif not channel.loaded:
            if channel.state is None:
                why = f"no answer at {channel.path}; does runsvdir run, on {self._supervisor.directory}?"
            elif not channel.state.connected:
                why = "ExaBGP does not run, or does not reach its helper; its log says why"
            else:
                why = "ExaBGP has not loaded its configuration; its log says why"
            # Of those that were asked for just now nothing is known yet.
            yield from (OpError(op, why) for op in ops if isinstance(op, Update) and _was_late(op))


def _was_late(op: Update) -> bool:
    return isinstance(op.old, Neighbor) and op.old.asn == 0
