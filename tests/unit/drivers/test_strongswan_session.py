"""The session with charon: answers that come as events, what charon refuses, and what is no answer."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import vici
from vici.protocol import Message, Packet, Transport

from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.client import Session

CONFIRM = bytes([Packet.EVENT_CONFIRM])
SA = bytes([Packet.EVENT, 7]) + b"list-sa" + bytes(Message.serialize({"hgt1": {"uniqueid": "1"}}))


def answer(**words: str) -> bytes:
    return bytes([Packet.CMD_RESPONSE]) + bytes(Message.serialize(words))


Serve = Callable[..., tuple[Session, list[bytes]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Has a charon answer each packet by those of the next argument; returns the session, and what charon was sent."""
    ours, theirs = socket.socketpair()
    threads = []

    def begin(*answers: tuple[bytes, ...]) -> tuple[Session, list[bytes]]:
        sent: list[bytes] = []

        def answered() -> None:
            transport = Transport(theirs)
            for packets in answers:
                sent.append(transport.receive())
                for packet in packets:
                    transport.send(packet)

        threads.append(threading.Thread(target=answered))
        threads[-1].start()
        return Session(ours), sent

    yield begin
    ours.close()
    for thread in threads:
        thread.join()
    theirs.close()


def test_events_are_asked_for_once(serve: Serve) -> None:
    session, sent = serve((CONFIRM,), (SA, SA, answer()), (SA, answer()))
    told: dict[str, Any] = {"hgt1": {"uniqueid": b"1"}}
    assert list(session.list_sas()) == [told, told]
    assert list(session.list_sas()) == [told]
    asked = bytes([Packet.CMD_REQUEST, 8]) + b"list-sas"
    assert sent == [bytes([Packet.EVENT_REGISTER, 7]) + b"list-sa", asked, asked]


def test_what_charon_refuses_is_told_in_its_words(serve: Serve) -> None:
    refused = answer(success="no", errmsg="not now")
    session, _ = serve((refused,), (CONFIRM,), (SA, refused), (refused,), (answer(success="yes"),))
    with pytest.raises(DriverError, match="charon: refuses stats: not now"):
        session.stats()
    with pytest.raises(DriverError, match="charon: refuses list-sas: not now"):
        session.list_sas()
    assert session.refusals([("unload-conn", {"name": "hgt1"}), ("clear-creds", {})]) == ["not now", ""]


def test_a_command_that_charon_does_not_know_is_told(serve: Serve) -> None:
    session, _ = serve((bytes([Packet.CMD_UNKNOWN]),))
    with pytest.raises(vici.exception.SessionException, match="charon answered with a packet of type 2"):
        session.version()
