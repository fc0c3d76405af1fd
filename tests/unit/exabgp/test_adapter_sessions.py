"""The adapter as a process: sessions that come, go, are held down and reloaded. Peers speak octets by hand."""

import errno
import json
import select
import socket
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hubgw.drivers.exabgp.adapter import inside, tcp
from hubgw.drivers.exabgp.frames import Kind
from hubgw.names import Secret
from tests.unit.exabgp.bgp import (
    ENHANCED,
    HUB,
    IPV4_UNICAST,
    KEEPALIVE,
    MARKER,
    PATIENCE,
    REFRESH,
    RawPeer,
    asn4,
    graceful,
    message,
    rig,
    spawn,
    update,
)

GRACEFUL = [IPV4_UNICAST, REFRESH, ENHANCED, asn4(65010), graceful()]


def restarting(peer: RawPeer) -> bool:
    """Whether the OPEN that the peer got has the Restart State bit, beside F of IPv4 unicast and 120 s."""
    at = peer.theirs.index(b"\x40\x06")
    flags, afi, safi, family = struct.unpack_from("!HHBB", peer.theirs, at + 2)
    assert (flags & 0xFFF, afi, safi, family) == (120, 1, 1, 0x80)
    return bool(flags & 0x8000)


def test_what_is_negotiated(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        modern, old, large = (r.neighbor(2), r.neighbor(3, passive=False, asn=65011), r.neighbor(4, asn=4_200_000_001))
        modern.capabilities = [*GRACEFUL[:4], graceful(0xC, 90, forwarding=True)]
        old.asn, old.capabilities, old.hold = 65011, [], 30
        large.asn, large.capabilities = 4_200_000_001, [IPV4_UNICAST, REFRESH, asn4(4_200_000_001)]
        old.listen()
        helper = r.start()

        modern.dial().establish()
        assert helper.session(modern.address, "connected")
        told = helper.session(modern.address, "up")
        assert told["negotiated"] == {
            "hold_time": 90,
            "asn4": True,
            "route_refresh": True,
            "enhanced_refresh": True,
            "router_id": "127.0.0.2",
            "graceful_restart": {"time": 90, "restarting": True, "forwarding": True, "ipv4_unicast": True},
            "ipv4_unicast": True,
        }
        assert restarting(modern)
        assert asn4(65515) in modern.theirs

        old.accept().establish()
        assert helper.session(old.address, "up")["negotiated"] == {
            "hold_time": 30,
            "asn4": False,
            "route_refresh": False,
            "enhanced_refresh": False,
            "router_id": "127.0.0.3",
            "graceful_restart": None,
            "ipv4_unicast": True,
        }

        # RFC 4724, 3: one that lists no family helps others to restart, and keeps nothing itself.
        large.capabilities = [*large.capabilities, b"\x40\x02\x00\x78"]
        large.dial().establish()
        told = helper.session(large.address, "up")
        assert told["negotiated"]["graceful_restart"]["ipv4_unicast"] is False
        large.close()
        helper.session(large.address, "down")
        large.dial().establish()
        assert helper.session(large.address, "up")["negotiated"]["asn4"]


def test_messages_go_both_ways_untouched(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        peers = [r.neighbor(number) for number in (2, 3)]
        helper = r.start()
        for peer in peers:
            peer.dial().establish()
            helper.session(peer.address, "up")
        malformed = message(2, b"\xff" * 40)
        refresh = message(5, b"\0\1\0\1")
        sent = update() + malformed + refresh
        for octet in (update() + KEEPALIVE + malformed + refresh)[:60]:
            peers[0].send(bytes((octet,)))
        peers[0].send((update() + KEEPALIVE + malformed + refresh)[60:])
        assert helper.received(peers[0].address, len(sent)) == sent

        helper.send_to([peer.address for peer in peers] + ["127.9.9.9"], sent)
        for peer in peers:
            assert [peer.receive() for _ in range(3)] == [(2, update()[19:]), (2, b"\xff" * 40), (5, b"\0\1\0\1")]


def test_sockets_are_bound_to_the_device(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.speaker = replace(r.speaker, vrf="lo")
        dialled, passive = r.neighbor(2, passive=False).listen(), r.neighbor(3)
        helper = r.start()
        for peer in (dialled.accept(), passive.dial()):
            peer.establish()
            helper.session(peer.address, "up")
    with rig(tmp_path / "none") as r:
        r.speaker = replace(r.speaker, vrf="hgv99")
        peer = r.neighbor(2, passive=False)
        assert r.start().session(peer.address, "down")["reason"] == "could not connect: No such device"


def test_ways_that_a_session_ends(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        peer, refusing, other = r.neighbor(2), r.neighbor(3, passive=False), r.neighbor(4)
        helper = r.start()
        told = helper.session(refusing.address, "down")
        assert (told["reason"], told["notification"]) == ("could not connect: Connection refused", None)

        def ended(octets: bytes) -> tuple[str, list[tuple[int, bytes]]]:
            peer.dial().establish()
            helper.session(peer.address, "up")
            peer.send(octets)
            came = peer.ends()
            told = helper.session(peer.address, "down")
            if told["notification"]:
                sent, code, subcode = (told["notification"][name] for name in ("sent", "code", "subcode"))
                octets = octets if not sent else message(*came[-1])
                assert octets[19:21] == bytes((code, subcode))
            return told["reason"], came

        text = "Wartung heute Nacht, danach wieder da. " * 5
        shutdown = message(3, b"\x06\x02" + bytes((len(text),)) + text.encode())
        assert ended(shutdown) == (f"their NOTIFICATION: Cease, Administrative Shutdown: {text.strip()}", [])
        assert ended(MARKER + b"\x00\x12\x02") == (
            "our NOTIFICATION: Message Header Error, Bad Message Length",
            [(3, b"\x01\x02\x00\x12")],
        )
        assert ended(b"\0" * 19) == (
            "our NOTIFICATION: Message Header Error, Connection Not Synchronized",
            [(3, b"\x01\x01")],
        )
        assert ended(message(77)) == (
            "our NOTIFICATION: Message Header Error, Bad Message Type: M",
            [(3, b"\x01\x03\x4d")],
        )

        peer.dial().establish()
        helper.session(peer.address, "up")
        peer.close()
        assert helper.session(peer.address, "down")["reason"] == "the TCP connection was lost: closed by the peer"

        other.asn = 65099
        other.dial().open()
        assert other.receive()[0] == 1
        assert other.ends()[0][1].startswith(b"\x02\x02")
        assert "OPEN Message Error, Bad Peer AS: ASN in OPEN" in helper.session(other.address, "down")["reason"]


def test_close_is_said_whatever_is_under_way(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        loud, deaf = r.neighbor(2), r.neighbor(3)
        loud.capabilities = deaf.capabilities = GRACEFUL
        helper = r.start()
        for peer in (loud, deaf):
            peer.dial().establish()
            helper.session(peer.address, "up")

        # It sends more than the adapter reads before it closes, and reads only then.
        assert loud.sock
        loud.sock.settimeout(0)
        helper.end(loud.address, 6, 1, 60, b"\0\1\1\0\0\0\x64")
        with pytest.raises(OSError, match=r"."):
            while True:
                loud.send(update() * 1000)
        loud.sock.settimeout(PATIENCE)
        assert loud.ends() == [(3, b"\x06\x01\0\1\1\0\0\0\x64")]
        told = helper.session(loud.address, "down")
        assert told["reason"] == "our NOTIFICATION: Cease, Maximum Number of Prefixes Reached"

        # It reads nothing of megabytes that are on their way; a message that is partly out is ended first.
        helper.send_to([deaf.address], message(2, bytes(4000)) * 3000)
        helper.send_to([deaf.address], message(2, bytes(1000)))
        assert deaf.sock and select.select([deaf.sock], [], [], PATIENCE)[0], "the first of it has arrived"
        helper.end(deaf.address, 6, 4)
        assert helper.session(deaf.address, "down")["reason"] == "our NOTIFICATION: Cease, Administrative Reset"
        *before, last = deaf.ends()
        assert last == (3, b"\x06\x04")
        assert 0 < len(before) < 3000
        assert set(before) == {(2, bytes(4000))}


def test_held_down(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        active, passive, flapping = r.neighbor(2, passive=False).listen(), r.neighbor(3), r.neighbor(4)
        helper = r.start()
        active.accept().establish()
        helper.session(active.address, "up")
        passive.dial().establish()
        helper.session(passive.address, "up")

        began = time.monotonic()
        for peer in (passive, active):
            helper.end(peer.address, 6, 1, 1)
            assert peer.ends() == [(3, b"\x06\x01")]
            helper.session(peer.address, "down")
        assert passive.dial().ends() == [(3, b"\x06\x05")]
        active.accept()
        assert time.monotonic() - began > 0.95
        active.establish()
        helper.session(active.address, "up")
        passive.dial().establish()
        helper.session(passive.address, "up")

        # Without a code one that is up goes on; one that is down is held.
        helper.end(passive.address, 0, 0, 60)
        helper.end(flapping.address, 0, 0, 60)
        helper.send_to([passive.address], update())
        assert passive.receive() == (2, update()[19:])
        assert flapping.dial().ends() == [(3, b"\x06\x05")]


def test_graceful_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_SETTLE", 0.0)
    with rig(tmp_path) as r:
        kept, plain = r.neighbor(2), r.neighbor(3)
        kept.capabilities = GRACEFUL
        helper = r.start()
        for peer in (kept, plain):
            peer.dial().establish()
            helper.session(peer.address, "up")
            assert restarting(peer)

        # A second connection: a graceful peer has restarted, another is told that it has a session.
        old = kept.sock
        assert old
        kept.dial().establish()
        assert helper.session(kept.address, "down")["reason"] == "the peer restarted: it connected again"
        helper.session(kept.address, "up")
        assert old.recv(100) == b""
        old.close()
        assert not restarting(kept)
        assert RawPeer(plain.address, r.port).dial().ends() == [(3, b"\x06\x07")]

        assert r.process
        r.process.terminate()
        assert (kept.ends(), plain.ends()) == ([], [(3, b"\x06\x02")])
        # That ExaBGP is away is not that sessions are.
        with pytest.raises(ConnectionError):
            helper.session(kept.address, "down")
        assert r.stop() == 0


def test_reload(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        stays, goes, changes, graceful_one = (r.neighbor(number) for number in (2, 3, 4, 5))
        graceful_one.capabilities = GRACEFUL
        helper = r.start()
        for peer in (stays, goes, changes, graceful_one):
            peer.dial().establish()
            helper.session(peer.address, "up")

        r.neighbors[1:] = [replace(one, hold_time=60) for one in r.neighbors[2:]]
        comes = r.neighbor(6)
        r.write()
        helper.send(Kind.RELOAD)
        assert goes.ends() == [(3, b"\x06\x03")]
        assert changes.ends() == [(3, b"\x06\x06")]
        assert graceful_one.ends() == []
        assert helper.session(goes.address, "down")["reason"] == "our NOTIFICATION: Cease, Peer De-configured"
        assert helper.hello()["digest"] == r.digest

        for peer in (changes, graceful_one, comes):
            peer.dial().establish()
            helper.session(peer.address, "up")
        assert restarting(graceful_one)
        assert goes.dial().ends() == []

        # What cannot be loaded changes nothing, nor does it stand in the way of what can.
        conf = tmp_path / "exabgp.conf"
        good = conf.read_text()
        r.neighbors.append(r.neighbors[0])
        r.write()
        helper.send(Kind.RELOAD)
        told = helper.hello()
        assert "duplicate peer definition" in told["refused"]
        conf.write_text(good[:-1])
        helper.send(Kind.RELOAD)
        assert "not whole" in helper.hello()["refused"]
        conf.write_text(good)
        helper.send(Kind.RELOAD)
        assert helper.hello() | {"pid": 0} == {"pid": 0, "digest": told["digest"], "refused": ""}
        helper.send_to([stays.address], update())
        assert stays.receive() == (2, update()[19:])


def test_md5(tmp_path: Path) -> None:
    secret = b"'\"\\#;{} rosebud"
    probe = tcp.opened("")
    try:
        tcp.set_key(probe, HUB, secret)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            pytest.skip("this kernel has no TCP MD5")
        raise
    finally:
        probe.close()
    with rig(tmp_path) as r:
        passive = r.neighbor(2, password=Secret(secret.decode()), digest="d")
        active = r.neighbor(3, password=Secret(secret.decode()), digest="d", passive=False).listen()
        assert active.listening
        tcp.set_key(active.listening, HUB, secret)
        helper = r.start()
        active.accept().establish()
        helper.session(active.address, "up")

        with socket.socket() as sock:
            tcp.set_key(sock, HUB, secret)
            sock.settimeout(PATIENCE)
            sock.bind((passive.address, 0))
            sock.connect((HUB, r.port))
            passive.sock = sock
            passive.establish()
            helper.session(passive.address, "up")
        log = r.close()
        assert "rosebud" not in log


def test_another_exabgp_is_refused(tmp_path: Path) -> None:
    found = tmp_path / "site" / "exabgp-5.1.0.dist-info"
    found.mkdir(parents=True)
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: exabgp\nVersion: 5.1.0\n")
    code, wrote = spawn(tmp_path, str(found.parent))
    assert wrote == "exabgp: version 5.1.0, and hubgw's adapter knows no other than 5.0.15; install that\n"
    assert code == 1


def test_without_a_configuration_it_does_not_start(tmp_path: Path) -> None:
    code, wrote = spawn(tmp_path)
    assert code == 1
    assert "not-started" in wrote
    assert "exabgp.conf" in wrote


def test_frames_that_are_none_cut_the_helper_off(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        peer = r.neighbor(2)
        helper = r.start()
        peer.dial().establish()
        helper.session(peer.address, "up")
        for kind, body in ((Kind.SEND, b"\0\5\4"), (Kind.CLOSE, b"\4\x7f"), (Kind.HELLO, json.dumps({}).encode())):
            helper.send(kind, body)
            with pytest.raises(ConnectionError):
                helper.session(peer.address, "down")
            helper.accept()
            helper.session(peer.address, "up")
