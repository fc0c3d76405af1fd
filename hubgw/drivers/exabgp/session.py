"""One BGP session: what the adapter says of it -> its Adj-RIB-In, and what agent and adapter are told. Pure state.

Routes outlive the session where graceful restart was agreed (RFC 4724), and the loss of ExaBGP, or of this process:
that end is ours, the peer keeps what it has. A deadline ends each wait, so that what never comes back goes.
"""

import struct
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Any, Final

from hubgw.drivers.exabgp.codec import Decoder, Refresh, Update
from hubgw.drivers.exabgp.errors import SessionReset
from hubgw.drivers.exabgp.feed import Feed
from hubgw.drivers.exabgp.frames import Kind, pack_peer
from hubgw.drivers.exabgp.graceful import (
    ADMINISTRATIVE_RESET,
    LONGEST_TELLING,
    MAXIMUM_PREFIXES,
    OUR_RESTART,
    REFRESHED,
    by_our_will,
    end_of_rib_within,
    kept_for,
    still_forwards,
)
from hubgw.drivers.exabgp.message import CEASE
from hubgw.drivers.exabgp.outgoing import Clock, Outgoing
from hubgw.drivers.exabgp.shown import Shown
from hubgw.drivers.exabgp.updates import BEGIN_OF_REFRESH, END_OF_REFRESH, REQUEST, route_refresh
from hubgw.plan.sessions import Neighbor

SHORT: Final = 120  # a session that ends before so many seconds is a flap
LONGEST_HOLD: Final = 300
EXCESS_HOLD: Final = 300  # seconds for the first time that a peer announces too many prefixes, then twice as long
LONGEST_EXCESS_HOLD: Final = 3600


class Due(Enum):
    """Why a peer is to get the whole Adj-RIB-Out."""

    CAME_UP = auto()  # it has nothing yet, and waits for End-of-RIB
    REPLAYED = auto()  # what it has is not known
    ASKED = auto()


class Session:
    """The session of a neighbor; `own` are the speaker's addresses.

    `due` is why it is to get the Adj-RIB-Out, None for not; `asn4` how wide its AS numbers are: for who sends.
    """

    def __init__(self, neighbor: Neighbor, own: tuple[IPv4Address, ...], clock: Clock, outgoing: Outgoing) -> None:
        self.neighbor = neighbor
        self.packed = pack_peer(str(neighbor.address))
        self.shown = Shown(str(neighbor.address), since=clock.wall())
        self.feed = Feed(self.packed, outgoing)
        self.due: Due | None = None
        self.asn4 = True
        self.own = own
        self._clock = clock
        self._outgoing = outgoing
        self._decoder: Decoder | None = None
        self._up_at = 0.0
        self._waits_until = 0.0  # for what is stale; 0 is not at all
        self._held_until = 0.0
        self._refreshing = False  # only the end of a refresh ends the wait, not End-of-RIB
        self._refresh_begun = False
        self._connecting = False  # it was seen to connect: nothing of it was missed
        self._closing = False  # CLOSE was sent, and what came of it is not known yet
        self._our_loss = False
        self._excesses = 0
        self._told: dict[str, Any] = {}

    @property
    def established(self) -> bool:
        return self._decoder is not None

    @property
    def graceful(self) -> bool:
        """Whether the peer keeps, over the end of its session, what it was told (RFC 4724)."""
        return bool(self.shown.negotiated and self.shown.negotiated.get("graceful_restart"))

    @property
    def enhanced(self) -> bool:
        """Whether the beginning and the end of a refresh can be marked (RFC 7313)."""
        return bool(self.shown.negotiated and self.shown.negotiated.get("enhanced_refresh"))

    def connected(self) -> None:
        """The peer's TCP connection stands."""
        if not self.established:
            self._connecting, self._closing = True, False
            self._show("held" if self._held_until else "connected")

    def up(self, negotiated: dict[str, Any], since: float, complete: bool) -> None:
        """The session is established, since then (epoch seconds). The adapter says so too of those that are up when it,
        or we, come anew; `complete` that all which such a peer announced is still to come."""
        if self.established or self._closing:
            return
        replayed, self._connecting = not self._connecting, False
        if len(self.feed.rib) and not (replayed or self._our_loss or still_forwards(negotiated)):
            self.feed.flush()
        self.asn4 = bool(negotiated["asn4"])
        self._decoder = Decoder((*self.own, self.neighbor.local_address), self.asn4)
        now = self._clock.monotonic()
        self._up_at = now - max(0.0, self._clock.wall() - since)
        self._waits_until = now + end_of_rib_within(negotiated)
        self._held_until = self.shown.held_until = 0.0
        self._our_loss = False
        if negotiated["ipv4_unicast"]:
            self.due = Due.REPLAYED if replayed else Due.CAME_UP
        self.shown.negotiated, self.shown.notification = negotiated, None
        self.shown.since, self.shown.reason, self.shown.attempt = since, "", ""
        self.feed.began()
        self._show("established")
        if replayed and not complete:
            self._ask_anew(bool(negotiated["route_refresh"]))

    def down(self, reason: str, notification: dict[str, Any] | None) -> None:
        """The session, or the attempt at one, ended."""
        self._connecting = False
        if self._closing:
            # The reason is ours, and shown already.
            self._closing = False
            return
        if not self.established:
            self.shown.notification = notification or self.shown.notification
            self.shown.attempt = reason
            self._show("held" if self._held_until else "idle")
            return
        self.shown.notification, self.shown.reason = notification, reason
        flap = self._clock.monotonic() < self._up_at + SHORT and not by_our_will(notification)
        kept = kept_for(notification, self.shown.negotiated or {})
        self._end()
        if kept:
            # RFC 4724, 4.2: what was stale already is not kept once more.
            self.feed.sweep()
            self.feed.rib.mark_stale()
            self._waits_until = self._clock.monotonic() + kept
        else:
            self.feed.flush()
        seconds = self._next_hold() if flap else 0
        if not flap:
            self.shown.flaps = 0
        # One that restarts gracefully once, however soon, must be back in time.
        if flap and not (kept and self.shown.flaps == 1):
            self._hold(0, 0, b"", seconds)
        else:
            self._show("idle")

    def received(self, octets: bytes) -> None:
        """Takes whole messages of the peer."""
        if self._decoder is None:
            return
        try:
            for said in self._decoder.decode(octets):
                if isinstance(said, Update):
                    self._update(said)
                else:
                    self._refresh(said)
                if not self.established:
                    return
            self.feed.tell()
        except SessionReset as reset:
            self.shown.last_malformed = reset.reason
            seconds = self._next_hold()
            self._close(reset.code, reset.subcode, reset.data, f"malformed message: {reset.reason}", seconds)

    def adapter_came(self) -> None:
        """ExaBGP is there, perhaps a new one that knows nothing of a hold."""
        left = self._held_until - self._clock.monotonic()
        if left > 0:
            self._close_frame(0, 0, b"", int(left) + 1)

    def adapter_lost(self) -> None:
        """ExaBGP is gone, or what it says does not reach us."""
        self._connecting = self._closing = False
        if self.established:
            self._end()
            self.feed.rib.mark_stale()
            self.may_be_up()
        if self.shown.state in ("connected", "established"):
            self.shown.reason = "ExaBGP is away"
            self._show("idle")

    def may_be_up(self) -> None:
        """The peer may have a session, and routes, that are not known here: they are waited for."""
        self._our_loss = True
        self._waits_until = self._clock.monotonic() + OUR_RESTART

    def tick(self) -> None:
        """Sees to the deadlines that have passed."""
        now = self._clock.monotonic()
        if self._held_until and now >= self._held_until:
            self._held_until = self.shown.held_until = 0.0
            if self.shown.state == "held":
                self._show("idle")
        if self.established and now >= self._up_at + SHORT:
            self.shown.flaps = self._excesses = 0
        if self._waits_until and now >= self._waits_until:
            if self.established:
                self._complete()
            else:
                self._waits_until = 0.0
                self.feed.flush()

    def tell_all(self) -> None:
        """Tells an agent that knows nothing."""
        self.show()
        if not self.established and not self._waits_until:
            self.feed.flush()
        else:
            self.feed.tell_all(self.established)

    def forget(self) -> None:
        """The neighbor is not configured any longer."""
        self._end()
        self.feed.flush()

    def check_maximum(self) -> None:
        """Ends the session if the peer announced more prefixes than it may."""
        maximum = self.neighbor.maximum_prefixes
        if self.established and maximum and self.feed.rib.fresh > maximum:
            self._exceeded(maximum)

    def show(self) -> None:
        """Tells the agent the state."""
        self.shown.learned, self.shown.stale = len(self.feed.rib), self.feed.rib.stale
        self._told = self.shown.document()
        self._outgoing.document(Kind.PEER, self._told)

    def show_changed(self) -> None:
        """Tells the agent the state, unless it is as it was told last."""
        self.shown.learned, self.shown.stale = len(self.feed.rib), self.feed.rib.stale
        if self.shown.document() != self._told:
            self.show()

    def _update(self, update: Update) -> None:
        shown = self.shown
        shown.updates_in += update.messages
        if update.treated_as_withdraw:
            shown.treated_as_withdraw += 1
            shown.last_malformed = update.treated_as_withdraw
        if update.discarded:
            shown.discarded += 1
            shown.last_malformed = update.discarded[-1]
        if update.withdrawn:
            self.feed.withdraw(update.withdrawn)
        if update.announced:
            maximum = self.neighbor.maximum_prefixes
            if not self.feed.announce(update.announced, update.wire, maximum):
                self._exceeded(maximum)
                return
        if update.end_of_rib and not self._refreshing:
            self._complete()

    def _refresh(self, refresh: Refresh) -> None:
        match refresh.subtype:
            case _ if refresh.subtype == REQUEST and self.shown.negotiated and self.shown.negotiated["ipv4_unicast"]:
                self.due = self.due or Due.ASKED
            case _ if refresh.subtype == BEGIN_OF_REFRESH and not self._refresh_begun:
                self.feed.rib.mark_stale()
                self._refreshing = self._refresh_begun = True
                self._waits_until = self._clock.monotonic() + LONGEST_TELLING
            case _ if refresh.subtype == END_OF_REFRESH and self._refreshing:
                self._complete()

    def _ask_anew(self, can_refresh: bool) -> None:
        """What the peer announced while nobody listened is asked for."""
        if not can_refresh:
            reason = "what it announced in the meantime is not known, and it knows no ROUTE-REFRESH"
            self._close(CEASE, ADMINISTRATIVE_RESET, b"", reason, 1)
            return
        self._refreshing = True
        self._waits_until = self._clock.monotonic() + REFRESHED
        self._outgoing.send([self.packed], [route_refresh()])

    def _exceeded(self, maximum: int) -> None:
        seconds = min(LONGEST_EXCESS_HOLD, EXCESS_HOLD << min(self._excesses, 8))
        self._excesses += 1
        bound = struct.pack("!HBI", 1, 1, maximum)  # RFC 4486, 4
        self._close(CEASE, MAXIMUM_PREFIXES, bound, f"it announced more than {maximum} prefixes", seconds)

    def _complete(self) -> None:
        self._waits_until = 0.0
        self._refreshing = self._refresh_begun = False
        self.feed.complete()

    def _close(self, code: int, subcode: int, data: bytes, reason: str, seconds: int) -> None:
        self._end()
        self.feed.flush()
        self._closing = True
        self.shown.notification = {"sent": True, "code": code, "subcode": subcode, "text": ""}
        self.shown.reason = reason
        self._hold(code, subcode, data, seconds)

    def _end(self) -> None:
        self._decoder = None
        self._waits_until = 0.0
        self._refreshing = self._refresh_begun = False
        self.due = None

    def _next_hold(self) -> int:
        self.shown.flaps += 1
        return int(min(LONGEST_HOLD, 2 ** min(self.shown.flaps, 9)))

    def _hold(self, code: int, subcode: int, data: bytes, seconds: int) -> None:
        self._held_until = self._clock.monotonic() + seconds
        self.shown.held_until = self._clock.wall() + seconds
        self._close_frame(code, subcode, data, seconds)
        self._show("held")

    def _close_frame(self, code: int, subcode: int, data: bytes, seconds: int) -> None:
        self._outgoing.to_adapter(Kind.CLOSE, self.packed, struct.pack("!BBI", code, subcode, seconds), data)

    def _show(self, state: str) -> None:
        if state not in (self.shown.state, "established"):
            self.shown.since = self._clock.wall()
        self.shown.state = state
        self.show()
