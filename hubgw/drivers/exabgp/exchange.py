"""What the adapter and the agent of one speaker say -> what each of them is told. Pure state; the clock is injected.

Frames of one batch are taken one by one; `settle` then sends what they changed of Adj-RIB-Out, grouped by attributes.
No peer that keeps what it has is told anything before the agent has said once that all was advertised, so that
End-of-RIB is true. What is withdrawn while such a peer cannot be told is remembered, and withdrawn from it then, like
what is excluded from it by now.
"""

import json
import logging
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any, Final

from hubgw.drivers.exabgp.adj_out import AdjRibOut, Receiver, Sites, Variant
from hubgw.drivers.exabgp.frames import FORMAT, FrameError, Kind, pack_peer, take_block, take_nlris, take_routes
from hubgw.drivers.exabgp.graceful import OUR_RESTART
from hubgw.drivers.exabgp.outgoing import Clock, Outgoing
from hubgw.drivers.exabgp.recent import Recent
from hubgw.drivers.exabgp.session import Due, Session
from hubgw.drivers.exabgp.updates import BEGIN_OF_REFRESH, END_OF_REFRESH, END_OF_RIB, route_refresh, withdrawals
from hubgw.plan.bgp import Nlri
from hubgw.plan.sessions import Neighbor, Speaker

LOG = logging.getLogger("hubgw")

FIRST_ADVERTISED: Final = 120  # seconds that peers which came up wait for End-of-RIB without an agent
BETWEEN_TABLES: Final = 10  # seconds from one whole table for a peer to the next that it asks for
COUNTED: Final = 1  # seconds from one PEER frame for counters to the next


class Exchange:
    """All state of one helper, whose life `incarnation` names. `outgoing` is to be emptied by who does I/O."""

    def __init__(self, speaker: Speaker, neighbors: Iterable[Neighbor], clock: Clock, incarnation: str) -> None:
        self.outgoing = Outgoing()
        self._speaker = speaker
        self._clock = clock
        self._incarnation = incarnation
        self._out = AdjRibOut()
        self._hello: dict[str, Any] | None = None
        self._advertised = False
        self._waits_until = clock.monotonic() + FIRST_ADVERTISED
        self._counted_at = 0.0
        self._receivers: dict[bytes, tuple[Session, Receiver]] = {}
        self._gone = Recent(clock.monotonic())  # what peers may have, and shall not
        self._unheard_until = clock.monotonic() + OUR_RESTART
        self._asked_at: dict[bytes, float] = {}
        self._sites: dict[bytes, Sites] = {}
        self._sessions: dict[bytes, Session] = {}
        for neighbor in neighbors:
            self._add(neighbor).may_be_up()

    def configure(self, speaker: Speaker, neighbors: Iterable[Neighbor]) -> None:
        """Takes a configuration that has changed."""
        self._speaker = speaker
        wanted = {str(neighbor.address): neighbor for neighbor in neighbors}
        for packed, session in list(self._sessions.items()):
            if session.shown.peer not in wanted:
                session.forget()
                del self._sessions[packed]
                self._receivers.pop(packed, None)
            session.own = speaker.addresses
        known = {session.shown.peer: session for session in self._sessions.values()}
        for address, neighbor in wanted.items():
            if address not in known:
                self._add(neighbor).show()
            elif known[address].neighbor != neighbor:
                self._reconfigure(known[address], neighbor)

    def adapter_lost(self) -> None:
        """What ExaBGP does is not known any longer."""
        was, self._hello = self._hello, None
        self._unheard_until = self._clock.monotonic() + OUR_RESTART
        self.outgoing.adapter.clear()
        self._receivers.clear()
        for session in self._sessions.values():
            session.adapter_lost()
        if was:
            self._tell_speaker()

    def adapter_said(self, kind: Kind, body: bytes) -> None:
        """Takes a frame.

        Raises:
            FrameError: it is none that the adapter sends.
        """
        match kind:
            case Kind.RECEIVED:
                end = 1 + body[0]
                if session := self._sessions.get(body[:end]):
                    session.received(body[end:])
                    if not session.established:
                        self._receivers.pop(session.packed, None)
            case Kind.SESSION:
                self._session_said(json.loads(body))
            case Kind.HELLO:
                came = self._hello is None
                self._hello = json.loads(body)
                self._tell_speaker()
                for session in self._sessions.values() if came else ():
                    session.adapter_came()
            case _:
                raise FrameError(f"{kind.name} from the adapter")

    def agent_connected(self) -> None:
        """An agent that knows nothing, in place of the one before."""
        self.outgoing.agent.clear()
        self.outgoing.agent_listens = True
        self._out.begin()
        self._sites.clear()
        began = {"format": FORMAT, "speaker": self._speaker.name, "incarnation": self._incarnation}
        self.outgoing.document(Kind.BEGIN, began)
        self._tell_speaker()
        for session in self._sessions.values():
            session.tell_all()

    def agent_lost(self) -> None:
        """What was advertised stands."""
        self.outgoing.agent.clear()
        self.outgoing.agent_listens = False

    def agent_said(self, kind: Kind, body: bytes) -> None:
        """Takes a frame, except RELOAD.

        Raises:
            FrameError: it is none that the agent sends.
        """
        match kind:
            case Kind.ADVERTISE:
                block, start = take_block(body, 0)
                excluded = self._excluded(block)
                for wire, nlris in take_routes(body, start):
                    self._out.advertise(nlris, wire, excluded)
                    self._gone.discard(nlris)
            case Kind.WITHDRAW:
                self._withdraw(take_nlris(body, 0))
            case Kind.ADVERTISED:
                self._withdraw(self._out.unconfirmed())
                self._advertised = True
            case _:
                raise FrameError(f"{kind.name} from the agent")

    def settle(self) -> None:
        """Sends what a batch of frames came to."""
        for to, messages in self._out.changes(receiver for _, receiver in self._receivers.values()):
            count = self.outgoing.send(to, messages)
            for packed in to:
                self._receivers[packed][0].shown.updates_out += count
        for session in self._sessions.values():
            if session.due and self._may_have_table(session):
                self._send_table(session, session.due)
        now = self._clock.monotonic()
        if self._advertised and now >= self._unheard_until:
            self._gone.age(now)

    def tick(self) -> None:
        """Sees to what is due by the clock; to be called at least once a second."""
        for session in self._sessions.values():
            session.tick()
        now = self._clock.monotonic()
        if now >= self._counted_at + COUNTED:
            self._counted_at = now
            self._tell_counters()

    def _add(self, neighbor: Neighbor) -> Session:
        session = Session(neighbor, self._speaker.addresses, self._clock, self.outgoing)
        self._sessions[session.packed] = session
        return session

    def _reconfigure(self, session: Session, neighbor: Neighbor) -> None:
        # Another address or AS is another session to ExaBGP, which says so itself.
        moved = neighbor.site != session.neighbor.site
        session.neighbor = neighbor
        session.check_maximum()
        if moved and session.packed in self._receivers:
            del self._receivers[session.packed]
            self.outgoing.send([session.packed], withdrawals(self._out.excluded(neighbor.site)))
            session.due = session.due or Due.ASKED

    def _session_said(self, said: dict[str, Any]) -> None:
        session = self._sessions.get(pack_peer(said["peer"]))
        if session is None:
            return
        match said["state"]:
            case "connected":
                session.connected()
            case "up":
                session.up(said["negotiated"], said.get("since") or self._clock.wall(), bool(said.get("complete")))
            case "down":
                session.down(said["reason"], said.get("notification"))
        if not session.established:
            self._receivers.pop(session.packed, None)
        LOG.info(
            "bgp.session speaker=%s peer=%s state=%s reason=%s",
            self._speaker.name,
            session.shown.peer,
            session.shown.state,
            session.shown.reason,
            extra={"event": "bgp.session"},
        )

    def _may_have_table(self, session: Session) -> bool:
        now = self._clock.monotonic()
        if session.due is Due.ASKED:
            return now >= self._asked_at.get(session.packed, 0.0)
        # One that was up before us, or restarts gracefully, keeps what it has until it is known what it shall have;
        # another that has just come up has nothing.
        return self._advertised or (session.due is Due.CAME_UP and (not session.graceful or now >= self._waits_until))

    def _withdraw(self, nlris: Collection[Nlri]) -> None:
        self._out.withdraw(nlris)
        self._gone.add(nlris)

    def _send_table(self, session: Session, due: Due) -> None:
        variant = Variant(session.neighbor.local_address, session.asn4)
        receiver = Receiver(session.packed, session.neighbor.site, variant)
        marked = session.enhanced and due is not Due.CAME_UP
        gone: set[Nlri] = set()
        if due is Due.REPLAYED and not marked:
            gone = self._gone.all().union(self._out.excluded(session.neighbor.site))
        messages = chain(
            withdrawals(sorted(gone)),
            (route_refresh(BEGIN_OF_REFRESH),) if marked else (),
            self._out.table(receiver),
            (route_refresh(END_OF_REFRESH),) if marked else (),
            () if due is Due.ASKED else (END_OF_RIB,),
        )
        session.shown.updates_out += self.outgoing.send([session.packed], messages)
        session.due = None
        self._asked_at[session.packed] = self._clock.monotonic() + BETWEEN_TABLES
        self._receivers[session.packed] = session, receiver

    def _excluded(self, block: bytes) -> Sites:
        sites = self._sites.get(block)
        if sites is None:
            sites = self._sites[block] = frozenset(json.loads(block))
        return sites

    def _tell_speaker(self) -> None:
        hello = self._hello or {}
        told = {"connected": self._hello is not None, "digest": hello.get("digest", "")}
        self.outgoing.document(Kind.SPEAKER, told | {key: hello[key] for key in ("refused",) if key in hello})

    def _tell_counters(self) -> None:
        for packed, session in self._sessions.items():
            session.shown.advertised = self._out.count(session.neighbor.site) if packed in self._receivers else 0
            session.show_changed()
