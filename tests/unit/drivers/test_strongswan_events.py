"""Events of charon: which make the agent look at its tunnels, and how they come."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from vici.protocol import Message, Packet

from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.client import listen
from hubgw.drivers.strongswan.heard import moves
from hubgw.drivers.strongswan.logins import read

CONFIRM = bytes([Packet.EVENT_CONFIRM])
UNKNOWN = bytes([Packet.EVENT_UNKNOWN])
NAMES = ("ike-updown", "child-updown")


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("", [], True),
        ("ike-updown", ["up", "hgt1"], True),
        ("child-updown", ["hgt1"], True),
        ("ike-rekey", ["hgt1"], False),
        ("child-rekey", ["hgt1"], False),
        ("child-rekey", ["hgt2"], True),
        ("ike-updown", ["up", "hgt7"], False),
        ("child-updown", ["up", "hgt7-eap"], False),
        ("child-updown", ["up", "hgt77"], True),
    ],
)
def test_what_moves_a_tunnel(kind: str, message: list[str], *, expected: bool) -> None:
    assert moves(kind, message, {"hgt2"}, {"hgt7"}) is expected


def test_events_come_however_their_octets_do(tmp_path: Path) -> None:
    octets = framed(CONFIRM, event("up", "hgt1"), CONFIRM, event("hgt1"), event("up", "hgt2"))

    async def charon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = framed(*map(Packet.register_event, NAMES))
        assert await reader.readexactly(len(asked)) == asked
        for at in range(0, len(octets), 3):
            writer.write(octets[at : at + 3])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    told = heard(tmp_path / "vici", charon)
    # The first came before charon had confirmed all: it says when they all come.
    assert told == [
        *("up hgt1", "", "hgt1", "up hgt2"),
        f"charon: unix://{tmp_path}/vici: the connection was closed",
    ]


def test_an_event_that_charon_does_not_know_is_said(tmp_path: Path) -> None:
    async def charon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(CONFIRM, UNKNOWN))

    (told,) = heard(tmp_path / "vici", charon)
    assert "does not know each of these events: ike-updown, child-updown" in told


@pytest.mark.parametrize(
    "packet", [b"", bytes((Packet.EVENT, 10)) + b"ike", b"\xff", bytes((Packet.EVENT, 1)) + b"a\7"]
)
def test_what_is_no_packet_ends_the_events(tmp_path: Path, packet: bytes) -> None:
    async def charon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(packet))

    (told,) = heard(tmp_path / "vici", charon)
    assert told.endswith("is strongSwan running?")


def test_what_goes_wrong_with_whoever_takes_them_is_no_fault_of_charons(tmp_path: Path) -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(event("up", "hgt1"), event("up", "hgt2")))
        await reader.read()
        writer.close()

    taken = []

    def take(_kind: str, octets: bytes) -> None:
        taken.append(octets)
        raise KeyError("what nobody foresaw")

    async def case() -> None:
        path = tmp_path / "vici"
        async with await asyncio.start_unix_server(served, path):
            with pytest.raises(KeyError):
                await listen(str(path), NAMES, take)

    asyncio.run(asyncio.wait_for(case(), 30))
    assert len(taken) == 1


def test_nobody_there_is_told() -> None:
    async def case() -> None:
        with pytest.raises(DriverError, match="is strongSwan running"):
            await listen("/nowhere/charon.vici", NAMES, lambda *_: None)

    asyncio.run(case())


def heard(
    path: Path, charon: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
) -> list[str]:
    """Returns the words of each event that a charon tells, and why it ended; the connection is closed then."""
    told: list[str] = []

    async def case() -> None:
        closed = asyncio.Event()

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await charon(reader, writer)
            await reader.read()
            closed.set()
            writer.close()

        async with await asyncio.start_unix_server(served, path):
            try:
                await listen(f"unix://{path}", NAMES, lambda kind, octets: told.append(" ".join(read(kind, octets))))
            except DriverError as error:
                told.append(str(error))
            await closed.wait()

    asyncio.run(asyncio.wait_for(case(), 30))
    return told


def event(*words: str) -> bytes:
    """Returns an event as VICI has it, without its length."""
    head = bytes([Packet.EVENT, len(NAMES[1])]) + NAMES[1].encode()
    return head + bytes(Message.serialize({word: {} if word.startswith("hgt") else "yes" for word in words}))


def framed(*packets: bytes) -> bytes:
    """Returns packets as they are sent."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in packets)
