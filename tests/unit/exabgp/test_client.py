"""The agent's connections to helpers: typed events in batches, what is said to whom, and what is lost."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from hubgw.drivers.exabgp import client as client_module
from hubgw.drivers.exabgp import events
from hubgw.drivers.exabgp.client import Client
from hubgw.drivers.exabgp.events import (
    Began,
    EndOfRib,
    Event,
    Flushed,
    GracefulRestart,
    Learned,
    Lost,
    Negotiated,
    Notification,
    PeerState,
    SpeakerState,
    Withdrawn,
)
from hubgw.drivers.exabgp.frames import Kind, document, frame, pack_nlris, pack_peer, pack_routes
from tests.fakes.helper import FakeHelper

NAME = "hgv1-0"
PEER = "10.1.0.1"
KEY = (NAME, PEER)
PREFIX = bytes.fromhex("180a010200")
SECONDS = 30


class Reader:
    """What the agent has read, batch by batch."""

    def __init__(self, batches: AsyncIterator[list[Event]]) -> None:
        self._batches = batches
        self.read: list[Event] = []
        self.batches = 0

    async def until(self, *wanted: Event) -> None:
        left = [event for event in wanted if event not in self.read]
        async with asyncio.timeout(SECONDS):
            while left:
                batch = await anext(self._batches)
                left = [event for event in left if event not in batch]
                self.read += batch
                self.batches += 1


def learned(nlris: list[bytes], attributes: bytes = b"a") -> bytes:
    return frame(Kind.LEARNED, pack_peer(PEER), *pack_routes([(attributes, nlris)]))


def run(tmp_path: Path, case: Callable[[Client, FakeHelper, Reader], Awaitable[None]]) -> None:
    async def main() -> None:
        directory = tmp_path / NAME
        directory.joinpath("sockets").mkdir(parents=True)
        helper = FakeHelper(directory)
        client = Client()
        try:
            await client.follow([(NAME, directory / "sockets/agent.sock")])
            await case(client, helper, Reader(client.batches()))
        finally:
            await client.close()
            helper.kill()

    asyncio.run(main())


def test_frames_become_events_in_their_order(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"), SpeakerState(NAME, True, ""))
        peer = pack_peer(PEER)
        told = {
            "peer": PEER,
            "state": "established",
            "since": 1.5,
            "reason": "",
            "notification": {"sent": False, "code": 6, "subcode": 2, "text": "maintenance"},
            "negotiated": {
                "hold_time": 90,
                "asn4": True,
                "route_refresh": True,
                "enhanced_refresh": False,
                "router_id": "10.1.0.1",
                "graceful_restart": {"time": 120, "restarting": False, "forwarding": True},
                "ipv4_unicast": True,
            },
            "learned": 2,
            "a field of a later version": 1,
        }
        helper.tell(document(Kind.PEER, told))
        helper.tell(learned([PREFIX, PREFIX[:3] + b"\3\0"]))
        helper.tell(frame(Kind.WITHDRAWN, peer, pack_nlris([PREFIX])))
        helper.tell(frame(Kind.FLUSHED, peer) + frame(Kind.END_OF_RIB, peer))
        await reader.until(EndOfRib(KEY))
        graceful = GracefulRestart(120, False, True)
        negotiated = Negotiated(90, True, True, False, "10.1.0.1", graceful, True)
        notification = Notification(False, 6, 2, "maintenance")
        assert reader.read[2:] == [
            PeerState(KEY, "established", 1.5, notification=notification, negotiated=negotiated, learned=2),
            Learned(KEY, [(b"a", [PREFIX, bytes.fromhex("180a010300")])]),
            Withdrawn(KEY, [PREFIX]),
            Flushed(KEY),
            EndOfRib(KEY),
        ]

    run(tmp_path, case)


def test_a_hundred_thousand_prefixes_cost_a_few_batches(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"))
        prefixes = [b"\x18" + number.to_bytes(4, "big") for number in range(100_000)]
        octets = b"".join(learned([prefix], prefix * 12) for prefix in prefixes)
        octets += frame(Kind.END_OF_RIB, pack_peer(PEER))
        await asyncio.gather(asyncio.to_thread(helper.tell, octets), reader.until(EndOfRib(KEY)))
        assert sum(isinstance(event, Learned) for event in reader.read) == len(prefixes)
        assert reader.batches < 200

    run(tmp_path, case)


def test_a_slow_reader_is_not_read_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "UNREAD", 1024 * 1024)

    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        # All that the helper says of itself: in the middle of a frame of the block it would make another of it.
        await reader.until(Began(NAME, "1"), SpeakerState(NAME, True, ""))
        block = learned([PREFIX] * 10_000) * 20
        (peer,) = helper._open
        peer.settimeout(0.5)
        sent = 0

        def fill() -> None:
            nonlocal sent
            with pytest.raises(TimeoutError):
                while sent < 64 * 1024 * 1024:
                    sent += peer.send(block[sent % len(block) :])

        await asyncio.to_thread(fill)
        assert sent < 8 * 1024 * 1024

        def finish() -> None:
            peer.settimeout(SECONDS)
            peer.sendall(block[sent % len(block) :] + frame(Kind.END_OF_RIB, pack_peer(PEER)))

        await asyncio.gather(asyncio.to_thread(finish), reader.until(EndOfRib(KEY)))

    run(tmp_path, case)


def test_a_helper_that_died_is_lost_and_found_again(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"))
        helper.kill()
        await reader.until(Lost(NAME))
        helper.start()
        await reader.until(Began(NAME, "2"))

    run(tmp_path, case)


def test_no_frame_ends_the_connection_and_it_is_made_anew(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"))
        peer = pack_peer(PEER)
        cut_short = frame(Kind.LEARNED, peer, *[piece[:-1] for piece in pack_routes([(b"a", [PREFIX])])])
        other_format = document(Kind.BEGIN, {"speaker": NAME, "incarnation": "1"})
        nonsenses = (frame(Kind.SEND), b"\xff" * 5, frame(Kind.LEARNED, b"\x09"), frame(Kind.LEARNED, peer, b"\x09"))
        for nonsense in (*nonsenses, cut_short, other_format):
            reader.read.clear()
            helper.tell(nonsense)
            await reader.until(Lost(NAME), Began(NAME, "1"))

    run(tmp_path, case)


def test_what_is_said_reaches_the_helper(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"))
        link = client.link(NAME)
        assert link
        link.send(events.advertise(["/sites/a", "/sites/b"], [(b"wire", [PREFIX])]))
        link.send(events.advertise([], [(b"other", [bytes(5)])]))
        link.send(events.withdraw([bytes(5)]))
        link.send(events.ADVERTISED)
        assert await link.drain()
        await asyncio.to_thread(helper.until, Kind.ADVERTISED)
        assert helper.out == {PREFIX: (b"wire", ("/sites/a", "/sites/b"))}

    run(tmp_path, case)


def test_before_its_reader_knows_of_a_connection_nothing_is_said_to_it(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        channel = client.channel(NAME)
        async with asyncio.timeout(SECONDS):
            while channel.state is None:
                await channel.moved()
        assert client.link(NAME) is None
        await reader.until(Began(NAME, "1"))
        assert client.link(NAME)

    run(tmp_path, case)


def test_drain_tells_that_the_connection_was_lost_meanwhile(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"))
        (accepted,) = helper._open
        link = client.link(NAME)
        assert link
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(64):
            link.send(events.advertise(["site"], [(b"wire", [PREFIX] * 100_000)]))
        drained = asyncio.create_task(link.drain())
        await asyncio.to_thread(helper.kill)
        assert not await drained
        assert client.link(NAME) is None

    run(tmp_path, case)


def test_a_reader_that_begins_anew_is_told_all_anew(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"))
        again = Reader(client.batches())
        await again.until(Lost(NAME), Began(NAME, "1"))
        assert client.link(NAME)

    run(tmp_path, case)


def test_who_is_not_followed_any_longer_is_disconnected(tmp_path: Path) -> None:
    async def case(client: Client, helper: FakeHelper, reader: Reader) -> None:
        await reader.until(Began(NAME, "1"))
        await client.follow([])
        await reader.until(Lost(NAME))
        assert client.link(NAME) is None

    run(tmp_path, case)
