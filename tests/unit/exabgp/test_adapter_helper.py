"""The adapter as a process while its helper is late, slow, silent or killed: no session notices."""

import time
from pathlib import Path

import pytest

from hubgw.drivers.exabgp.adapter import channel, inside
from hubgw.drivers.exabgp.frames import Kind, take_peer
from tests.unit.exabgp.bgp import KEEPALIVE, RawPeer, message, rig, update, wait_for


def keep_alive(peers: list[RawPeer], seconds: float) -> None:
    """Speaks for peers of 3 s hold time; all of them must hear from the adapter in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for peer in peers:
            assert peer.receive() == (4, b"")
            peer.send(KEEPALIVE)


def test_late_helper_misses_nothing(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        short, long, idle = r.neighbor(2), r.neighbor(3), r.neighbor(4, passive=False)
        r.write()
        r.run()
        wait_for(lambda: _connects(short), "the adapter listens")
        for peer in (short, long):
            if peer is long:
                peer.dial()
            peer.establish()
        few, many = update(b"\x18\x0a\x01\x01") * 10, message(2, bytes(4000)) * 600
        short.send(few[:50])
        short.send(few[50:])
        long.send(many)
        # Once it reads this, the adapter has read all that came before.
        long.send(message(3, b"\x06\x02"))
        long.ends()
        long.dial().establish().send(many)

        helper = r.helper().accept()
        assert helper.hello()["digest"] == r.digest
        assert helper.session(short.address, "up")["complete"]
        assert helper.received(short.address, len(few)) == few
        assert not helper.session(long.address, "up")["complete"]
        assert helper.session(idle.address, "down")["reason"] == "could not connect: Connection refused"

        # Now they are seen: another helper has missed them.
        helper.hang_up()
        helper.accept()
        assert not helper.session(short.address, "up")["complete"]


def _connects(peer: RawPeer) -> bool:
    try:
        peer.dial()
    except ConnectionRefusedError:
        return False
    return True


def test_helper_that_is_killed_costs_no_session(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        first, second = r.neighbor(2), r.neighbor(3)
        helper = r.start()
        for peer in (first, second):
            peer.dial().establish()
            helper.session(peer.address, "up")
        helper.hang_up()
        first.send(update())
        second.close()
        helper.accept()
        assert helper.hello()["digest"] == r.digest
        told = helper.session(first.address, "up")
        assert told["negotiated"]["hold_time"] == 90
        assert helper.session(second.address, "down")["reason"] == "the TCP connection was lost: closed by the peer"
        helper.send_to([first.address], update())
        assert first.until(2) == update()[19:]


def test_helper_that_does_not_read_stalls_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_FULL", 1_000_000)
    with rig(tmp_path) as r:
        loud, quiet, silent, deaf = (r.neighbor(number) for number in (2, 3, 4, 5))
        for peer in (quiet, silent, deaf):
            peer.hold = 3
        helper = r.start()
        for peer in (loud, quiet, silent, deaf):
            peer.dial().establish()
            helper.session(peer.address, "up")
        helper.send_to([deaf.address], message(2, bytes(4000)) * 5000)

        # More than the adapter queues: it stops reading, and the rest waits in the peer.
        assert loud.sock
        loud.sock.settimeout(0.5)
        sent, octets = 0, message(2, bytes(4000)) * 64
        with pytest.raises(TimeoutError):
            while True:
                sent += loud.sock.send(octets[sent % len(octets) :])
        assert sent > 1_000_000
        keep_alive([quiet], 1.5)

        came = helper.received(loud.address, sent // 4019 * 4019)
        assert len(came) == sent // 4019 * 4019
        assert came[: len(octets)] == octets
        loud.sock.settimeout(10)
        loud.sock.sendall((octets + update())[sent % len(octets) :])

        assert helper.session(silent.address, "down")["reason"] == "hold timer expired"
        assert silent.ends()[-1] == (3, b"\x04\x00")
        assert helper.session(deaf.address, "down")["reason"] == "hold timer expired"
        came = b"".join(message(*one) for one in deaf.ends())
        assert came.count(KEEPALIVE) >= 1
        assert came.endswith(message(3, b"\x04\x00"))


def test_a_peer_that_does_not_read_is_ended_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "_UNREAD", 1_000_000)
    with rig(tmp_path) as r:
        deaf, other = r.neighbor(2), r.neighbor(3)
        helper = r.start()
        for peer in (deaf, other):
            peer.dial().establish()
            helper.session(peer.address, "up")
        helper.send_to([deaf.address], message(2, bytes(4000)) * 5000)
        assert helper.session(deaf.address, "down")["reason"] == "our NOTIFICATION: Cease, Out of Resources"
        assert deaf.ends()[-1] == (3, b"\x06\x08")
        other.send(update())
        assert helper.received(other.address, len(update())) == update()


def test_helper_that_hangs_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_FULL", 1_000_000)
    monkeypatch.setattr(channel, "_STALL", 0.5)
    with rig(tmp_path) as r:
        peer = r.neighbor(2)
        helper = r.start()
        peer.dial().establish()
        helper.session(peer.address, "up")
        # No more than is waited for at first: all of it is read, as soon as nobody waits for the helper.
        peer.send(message(2, bytes(4000)) * 4000)
        helper.accept()
        assert not helper.session(peer.address, "up")["complete"]
        assert "it took nothing for 0.5 s" in r.close()


def test_updates_of_a_full_table_pass_quickly(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        peer = r.neighbor(2)
        helper = r.start()
        peer.dial().establish()
        helper.session(peer.address, "up")
        table = b"".join(update(bytes((24, 10, number >> 8, number & 255))) for number in range(65536))
        began = time.monotonic()
        peer.send(table)
        came: list[bytes] = []
        while sum(len(octets) for octets in came) < len(table):
            body = helper.next(Kind.RECEIVED)
            came.append(body[take_peer(body)[1] :])
        assert b"".join(came) == table
        assert time.monotonic() - began < 5
