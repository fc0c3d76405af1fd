"""An `Exchange` whose time stands still, whose adapter and agent are lists of what they were told."""

import json
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import Any

from hubgw.drivers.exabgp.attributes import Code, canonical, exported, items
from hubgw.drivers.exabgp.events import ADVERTISED, advertise, withdraw
from hubgw.drivers.exabgp.exchange import Exchange
from hubgw.drivers.exabgp.frames import Kind, Reader, pack_peer, take_nlris, take_peer, take_routes
from hubgw.drivers.exabgp.outgoing import Clock
from hubgw.drivers.exabgp.updates import announcements
from hubgw.plan.bgp import Nlri
from hubgw.plan.sessions import Neighbor, Speaker

LOCAL = IPv4Address("10.1.0.4")
SPEAKER = Speaker("hgv1-0", "hgv1", 20_000_002, 65515, (LOCAL,))
ONE, TWO = "10.200.0.1", "10.200.0.2"
EPOCH = 1_700_000_000.0

GRACEFUL = {"time": 90, "restarting": False, "forwarding": True, "ipv4_unicast": True}


def neighbor(address: str, site: str = "", maximum: int = 0) -> Neighbor:
    return Neighbor("hgv1-0", IPv4Address(address), LOCAL, 65001, site or f"/s/{address}", 180, False, False, maximum)


NEIGHBORS = (neighbor(ONE), neighbor(TWO))


def negotiated(**changed: Any) -> dict[str, Any]:
    return {
        "hold_time": 180,
        "asn4": True,
        "route_refresh": True,
        "enhanced_refresh": True,
        "router_id": "192.0.2.1",
        "graceful_restart": None,
        "ipv4_unicast": True,
    } | changed


def nlris(count: int, start: int = 0) -> list[Nlri]:
    return [bytes((24, 20, number >> 8, number & 255, 0)) for number in range(start, start + count)]


def wire(asn: int = 65001) -> bytes:
    """What a peer announces."""
    return canonical([*items(exported(None, asn) or b""), (0x40, Code.NEXT_HOP, bytes((10, 200, 0, 1)))])


def announced(prefixes: Sequence[Nlri], asn: int = 65001) -> bytes:
    return b"".join(announcements(wire(asn), prefixes, IPv4Address(ONE), True))


class Exchanged:
    """`to_agent` and `to_adapter` empty what was sent to each, in words that tests compare."""

    def __init__(self, neighbors: Iterable[Neighbor] = NEIGHBORS) -> None:
        self.now = 1000.0
        clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.exchange = Exchange(SPEAKER, neighbors, clock, "first")
        self.shown: dict[str, dict[str, Any]] = {}

    def pass_(self, seconds: float) -> None:
        """Lets time pass, a second at a time as the loop does."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1)
            self.exchange.tick()
            self.exchange.settle()

    def hello(self, **content: Any) -> None:
        self.said(Kind.HELLO, {"pid": 1, "digest": "d"} | content)

    def said(self, kind: Kind, content: Any) -> None:
        self.exchange.adapter_said(kind, json.dumps(content).encode())
        self.exchange.settle()

    def session(self, state: str, peer: str = ONE, **content: Any) -> None:
        content = {"reason": "", "notification": None, "negotiated": None} | content
        self.said(Kind.SESSION, {"peer": peer, "state": state} | content)

    def up(self, peer: str = ONE, **changed: Any) -> None:
        """A new session."""
        self.session("connected", peer)
        self.session("up", peer, since=EPOCH + self.now, negotiated=negotiated(**changed))

    def down(self, peer: str = ONE, reason: str = "the TCP connection was lost", **notification: Any) -> None:
        told = {"sent": False, "code": 6, "subcode": 2, "text": ""} | notification if notification else None
        self.session("down", peer, reason=reason, notification=told)

    def received(self, octets: bytes, peer: str = ONE) -> None:
        self.exchange.adapter_said(Kind.RECEIVED, pack_peer(peer) + octets)
        self.exchange.settle()

    def agent(self) -> list[str]:
        self.exchange.agent_connected()
        self.exchange.settle()
        return self.to_agent()

    def advertise(self, prefixes: Sequence[Nlri], asn: int = 65515, excluded: Sequence[str] = ()) -> None:
        self._agent_said(advertise(excluded, [(exported(None, asn) or b"", prefixes)]))

    def withdraw(self, prefixes: Sequence[Nlri]) -> None:
        self._agent_said(withdraw(prefixes))

    def advertised(self) -> None:
        self._agent_said(ADVERTISED)

    def to_agent(self, peers: bool = False) -> list[str]:
        """What the agent was told, PEER frames only where asked for; `shown` holds the last ones."""
        frames, self.exchange.outgoing.agent = self.exchange.outgoing.agent, []
        words = []
        for kind, body in Reader().feed(b"".join(frames)):
            match kind:
                case Kind.PEER:
                    shown = json.loads(body)
                    self.shown[shown["peer"]] = shown
                    if peers:
                        words.append(f"{shown['peer']} {shown['state']}")
                case Kind.SPEAKER | Kind.BEGIN:
                    words.append(f"{kind.name} {body.decode()}")
                case Kind.LEARNED:
                    peer, start = take_peer(body)
                    words += [f"LEARNED {peer} {len(learned)}" for _, learned in take_routes(body, start)]
                case Kind.WITHDRAWN:
                    peer, start = take_peer(body)
                    words.append(f"WITHDRAWN {peer} {len(take_nlris(body, start))}")
                case _:
                    words.append(f"{kind.name} {take_peer(body)[0]}")
        return words

    def to_adapter(self) -> list[str]:
        """What the adapter was told: messages by their kind for each peer."""
        frames, self.exchange.outgoing.adapter = self.exchange.outgoing.adapter, []
        words = []
        for kind, body in Reader().feed(b"".join(frames)):
            if kind is Kind.CLOSE:
                peer, start = take_peer(body)
                seconds = int.from_bytes(body[start + 2 : start + 6], "big")
                words.append(
                    f"CLOSE {peer} {body[start]}/{body[start + 1]} {seconds} s {body[start + 6 :].hex()}".strip()
                )
                continue
            assert kind is Kind.SEND
            count, start, peers = int.from_bytes(body[:2], "big"), 2, []
            for _ in range(count):
                peer, size = take_peer(body[start:])
                start += size
                peers.append(peer)
            words += [f"{','.join(sorted(peers))} {word}" for word in _messages(body[start:])]
        return words

    def hear(self, octets: bytes) -> None:
        """Takes what the agent says, without the end of the turn."""
        for kind, body in Reader().feed(octets):
            self.exchange.agent_said(kind, body)

    def _agent_said(self, octets: bytes) -> None:
        self.hear(octets)
        self.exchange.settle()


def _messages(octets: bytes) -> Iterable[str]:
    at = 0
    while at < len(octets):
        end = at + int.from_bytes(octets[at + 16 : at + 18], "big")
        body = octets[at + 19 : end]
        if octets[at + 18] == 5:
            yield ("REFRESH", "BoRR", "EoRR")[body[2]]
        elif body == bytes(4):
            yield "EoR"
        else:
            withdrawn = int.from_bytes(body[:2], "big")
            attributes = int.from_bytes(body[2 + withdrawn : 4 + withdrawn], "big")
            yield f"-{withdrawn // 4}" if withdrawn else f"+{(len(body) - 4 - attributes) // 4}"
        at = end
