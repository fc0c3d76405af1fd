"""Frames of the helper -> what they tell the agent, and what the agent says -> frames. No I/O.

The octets of prefixes and attributes are handed on as they are: a hundred thousand of them must not cost a parse each.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal

from hubgw.drivers.exabgp.frames import (
    FORMAT,
    FrameError,
    Kind,
    Reader,
    Routes,
    frame,
    pack_block,
    pack_nlris,
    pack_routes,
    take_nlris,
    take_peer,
    take_routes,
)
from hubgw.plan.bgp import Nlri, PeerKey

SessionState = Literal["idle", "connected", "established", "held"]


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFICATION that ended a session: `sent` by us, or received."""

    sent: bool
    code: int
    subcode: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """The peer's capability (RFC 4724): `time` in seconds, its F bit `forwarding`."""

    time: int
    restarting: bool = False
    forwarding: bool = False


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both ends of an established session can. `hold_time` in seconds."""

    hold_time: int
    asn4: bool = True
    route_refresh: bool = False
    enhanced_refresh: bool = False
    router_id: str = ""
    graceful_restart: GracefulRestart | None = None
    ipv4_unicast: bool = True


@dataclass(frozen=True, slots=True)
class Began:
    """A connection to the speaker's helper began: all that it holds follows, and it holds nothing of ours."""

    speaker: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class SpeakerState:
    """Whether ExaBGP is there, the digest of the configuration that it has loaded, and why it `refused` a newer one."""

    speaker: str
    connected: bool
    digest: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class PeerState:
    """A session. Times are epoch seconds, 0 for none; `discarded` counts UPDATEs that lost an attribute (RFC 7606).

    `reason` is why the last session ended, and `attempt` why none came since.
    """

    peer: PeerKey
    state: SessionState
    since: float = 0.0
    reason: str = ""
    attempt: str = ""
    notification: Notification | None = None
    negotiated: Negotiated | None = None
    learned: int = 0
    stale: int = 0
    advertised: int = 0
    held_until: float = 0.0
    flaps: int = 0
    updates_in: int = 0
    updates_out: int = 0
    treated_as_withdraw: int = 0
    discarded: int = 0
    last_malformed: str = ""


@dataclass(frozen=True, slots=True)
class Learned:
    """Prefixes by their attributes (`hubgw.plan.bgp.Attributes.wire`)."""

    peer: PeerKey
    routes: list[tuple[bytes, list[Nlri]]]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Prefixes that the peer does not announce any longer."""

    peer: PeerKey
    nlris: list[Nlri]


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """What was not learned from the peer since `Began`, or since its session came up, is gone."""

    peer: PeerKey


@dataclass(frozen=True, slots=True)
class Flushed:
    """Nothing of what the peer announced holds any longer."""

    peer: PeerKey


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection to the speaker's helper was lost: what it told holds until a deadline of the agent's."""

    speaker: str


Event = Began | SpeakerState | PeerState | Learned | Withdrawn | EndOfRib | Flushed | Lost


class Decoder:
    """The octets of one connection to a speaker's helper -> events."""

    def __init__(self, speaker: str) -> None:
        self._speaker = speaker
        self._reader = Reader()
        self._peers: dict[bytes, PeerKey] = {}

    def feed(self, octets: bytes) -> list[Event]:
        """Returns what is whole with these octets.

        Raises:
            FrameError: the connection is of no use any longer.
        """
        try:
            return [self._event(kind, body) for kind, body in self._reader.feed(octets)]
        except (ValueError, TypeError, KeyError, IndexError, struct.error) as error:
            raise FrameError(f"a frame that cannot be read: {error}") from error

    def _event(self, kind: Kind, body: bytes) -> Event:
        match kind:
            case Kind.LEARNED:
                peer, start = self._peer(body)
                return Learned(peer, take_routes(body, start))
            case Kind.WITHDRAWN:
                peer, start = self._peer(body)
                return Withdrawn(peer, take_nlris(body, start))
            case Kind.END_OF_RIB:
                return EndOfRib(self._peer(body)[0])
            case Kind.FLUSHED:
                return Flushed(self._peer(body)[0])
            case Kind.PEER:
                return self._peer_state(json.loads(body))
            case Kind.BEGIN:
                return self._began(json.loads(body))
            case Kind.SPEAKER:
                told = json.loads(body)
                digest, refused = (str(told.get(name) or "") for name in ("digest", "refused"))
                return SpeakerState(self._speaker, bool(told["connected"]), digest, refused)
            case _:
                raise FrameError(f"a frame of kind {kind.name}, which a helper does not send to the agent")

    def _began(self, told: dict[str, Any]) -> Began:
        if told.get("format") != FORMAT:
            raise FrameError("a helper of another version of hubgw, which is replaced")
        return Began(self._speaker, str(told["incarnation"]))

    def _peer(self, body: bytes) -> tuple[PeerKey, int]:
        end = 1 + body[0]
        packed = body[:end]
        known = self._peers.get(packed)
        if known is None:
            known = self._peers[packed] = (self._speaker, take_peer(body)[0])
        return known, end

    def _peer_state(self, told: dict[str, Any]) -> PeerState:
        notification, negotiated = told.get("notification"), told.get("negotiated")
        graceful = negotiated and negotiated.get("graceful_restart")
        objects = {
            "peer": (self._speaker, str(told["peer"])),
            "notification": notification and _known(Notification, notification),
            "negotiated": negotiated
            and _known(Negotiated, {**negotiated, "graceful_restart": graceful and _known(GracefulRestart, graceful)}),
        }
        state: PeerState = _known(PeerState, {**told, **objects})
        return state


def _known(kind: Any, told: dict[str, Any]) -> Any:
    """Makes one of these of the fields that it has: a helper of another version may tell more."""
    return kind(**{name: told[name] for name in (one.name for one in fields(kind)) if name in told})


def advertise(excluded: Sequence[str], routes: Routes) -> bytes:
    """Returns the frames that put prefixes into Adj-RIB-Out; not for peers of `excluded` sites."""
    sites = _sites(tuple(excluded))
    return b"".join([frame(Kind.ADVERTISE, sites, piece) for piece in pack_routes(routes)])


@lru_cache(4096)
def _sites(excluded: tuple[str, ...]) -> bytes:
    return pack_block(json.dumps(excluded, separators=(",", ":")).encode())


def withdraw(nlris: Sequence[Nlri]) -> bytes:
    """Returns the frame that takes prefixes of one family out of Adj-RIB-Out."""
    return frame(Kind.WITHDRAW, pack_nlris(nlris))


ADVERTISED = frame(Kind.ADVERTISED)
RELOAD = frame(Kind.RELOAD)
