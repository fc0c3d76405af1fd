"""Connections to the speakers' helpers, each made anew for ever: events of all of them in batches, frames to each.

Who reads slowly is not read for: the kernel's buffers fill, the helper cuts us off, and all is told anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

from hubgw.drivers.exabgp import events
from hubgw.drivers.exabgp.events import Began, Decoder, Event, Lost, SpeakerState
from hubgw.drivers.exabgp.frames import FrameError

LOG = logging.getLogger("hubgw")

FIRST_RETRY = 0.1  # seconds
LONGEST_RETRY = 2.0
UNREAD = 4 * 1024 * 1024  # octets of frames that wait for who takes the events, before no more are read
UNSENT = 1024 * 1024  # octets that wait for the helper, before `drain` waits


class Inbox:
    """What all connections have told and nobody has taken yet."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._octets = 0
        self._filled = asyncio.Event()
        self._taken = False
        self._fresh: list[Link] = []
        self.links: set[Link] = set()

    @property
    def full(self) -> bool:
        return self._octets >= UNREAD

    def put(self, told: list[Event], octets: int) -> None:
        self._events += told
        self._octets += octets
        if told:
            self._filled.set()
        if self.full:
            for link in self.links:
                link.transport.pause_reading()

    def began(self, link: "Link") -> None:
        self._fresh.append(link)

    async def batches(self) -> AsyncIterator[list[Event]]:
        if self._taken:
            # Who begins anew may have lost what was told before: it is told again.
            for link in self.links:
                link.transport.abort()
        self._taken = True
        while True:
            await self._filled.wait()
            self._filled.clear()
            batch, self._events, self._octets = self._events, [], 0
            # What the agent said before it knew of this connection belongs to the one before.
            for link in self._fresh:
                link.open = True
            self._fresh.clear()
            for link in self.links:
                link.transport.resume_reading()
            yield batch


class Link(asyncio.Protocol):
    """One connection to a helper. `open` while what the agent says is for it."""

    transport: asyncio.Transport

    def __init__(self, speaker: str, inbox: Inbox, told: Callable[[SpeakerState], None]) -> None:
        self._speaker = speaker
        self._decoder = Decoder(speaker)
        self._inbox = inbox
        self._told = told
        self._unsent: list[bytes] = []
        self._room = asyncio.Event()
        self._room.set()
        self.began = False
        self.open = False
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=UNSENT)
        self._inbox.links.add(self)
        if self._inbox.full:
            self.transport.pause_reading()

    def data_received(self, octets: bytes) -> None:
        try:
            told = self._decoder.feed(octets)
        except FrameError as error:
            LOG.warning("bgp.frame speaker=%s reason=%s", self._speaker, error, extra={"event": "bgp.frame"})
            self.transport.abort()
            return
        for event in told:
            match event:
                case Began():
                    self.began = True
                    self._inbox.began(self)
                case SpeakerState():
                    self._told(event)
        self._inbox.put(told, len(octets))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        self._inbox.links.discard(self)
        if self.began:
            self._inbox.put([Lost(self._speaker)], 0)
        self._room.set()
        self.ended.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def send(self, octets: bytes) -> None:
        """Queues a frame: those of one turn of the loop leave together."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(octets)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and not self.ended.is_set():
            self.transport.write(b"".join(unsent))

    async def drain(self) -> bool:
        self._flush()
        await asyncio.sleep(0)
        await self._room.wait()
        return self.open


class Channel:
    """The way to one speaker's helper. `state` is what it last said of ExaBGP, None while it does not answer.

    `digest` is the configuration that ExaBGP shall have: where it has another it is told to reload, once, and `refused`
    says why it did not.
    """

    def __init__(self, speaker: str, path: Path, inbox: Inbox) -> None:
        self.speaker = speaker
        self.path = path
        self.state: SpeakerState | None = None
        self.refused = ""
        self.digest = ""
        self._asked = ""
        self._inbox = inbox
        self._link: Link | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"bgp {speaker}")

    @property
    def loaded(self) -> bool:
        """Whether ExaBGP has the configuration that it shall have."""
        return self.state is not None and self.state.connected and self.state.digest == self.digest

    @property
    def link(self) -> Link | None:
        """The connection that the agent knows of."""
        return self._link if self._link and self._link.open else None

    def expect(self, digest: str) -> None:
        """Says which configuration ExaBGP shall have."""
        if digest != self.digest:
            self.digest = digest
            self._asked = self.refused = ""
        self._reload()

    def ask_again(self) -> None:
        """Tells ExaBGP to reload although it refused, or did not answer."""
        self._asked = self.refused = ""
        self._reload()

    async def settled(self) -> None:
        """Returns when an ExaBGP that is there has taken or refused what it shall have."""
        while self.state and self.state.connected and not self.loaded and not self.refused:
            await self.moved()

    async def moved(self) -> None:
        """Returns when `state` was told again, or was lost."""
        await self._changed.wait()

    async def close(self) -> None:
        """Ends the connection."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        retry = FIRST_RETRY
        while True:
            link = await self._connected()
            retry = FIRST_RETRY if link and link.began else min(LONGEST_RETRY, 2 * retry)
            await asyncio.sleep(retry)

    async def _connected(self) -> Link | None:
        """Connects, and returns when the connection has ended; None where there was none."""
        link = self._link = Link(self.speaker, self._inbox, self._told)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: link, str(self.path))
        except OSError:
            return None
        try:
            await link.ended.wait()
        finally:
            link.transport.abort()
            self._forget()
        return link

    def _forget(self) -> None:
        self.state = None
        self._asked = self.refused = ""
        self._note()

    def _told(self, state: SpeakerState) -> None:
        self.state = state
        if state.connected and state.digest == self.digest:
            self.refused = ""
        elif state.connected and self._asked == self.digest:
            self.refused = state.refused or "it keeps the configuration that it had; its log says why"
        elif not state.connected:
            self._asked = self.refused = ""
        self._reload()
        self._note()

    def _reload(self) -> None:
        if self.state and self.state.connected and self._link and not self.loaded and self._asked != self.digest:
            self._asked = self.digest
            self._link.send(events.RELOAD)

    def _note(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Client:
    """The connections to all speakers."""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._channels: dict[str, Channel] = {}

    async def follow(self, paths: Iterable[tuple[str, Path]]) -> None:
        """Connects to these speakers (name and socket) and ends the connections to others."""
        wanted = dict(paths)
        gone = [self._channels.pop(speaker) for speaker in self._channels.keys() - wanted.keys()]
        for speaker in wanted.keys() - self._channels.keys():
            self._channels[speaker] = Channel(speaker, wanted[speaker], self._inbox)
        for channel in gone:
            await channel.close()

    def channel(self, speaker: str) -> Channel:
        """Returns the way to a speaker that is followed."""
        return self._channels[speaker]

    def link(self, speaker: str) -> Link | None:
        """Returns the connection to a speaker that the agent knows of."""
        channel = self._channels.get(speaker)
        return channel.link if channel else None

    def batches(self) -> AsyncIterator[list[Event]]:
        """Yields all events that came since the last batch, never none. To a second reader everything is told anew."""
        return self._inbox.batches()

    async def close(self) -> None:
        """Ends all connections."""
        await self.follow(())
