"""What helpers tell of BGP sessions -> the last state of each, and an event for each that came up or went down."""

import logging
from collections.abc import Mapping
from typing import Any

from hubgw.agent.journal import Journal
from hubgw.drivers.exabgp.events import PeerState
from hubgw.plan.bgp import PeerKey, PeerOf


class Sessions:
    """The sessions that there should be. One that was up when it was first heard of is no event."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._peers: Mapping[PeerKey, PeerOf] = {}
        self._states: dict[PeerKey, PeerState] = {}
        self._up: dict[PeerKey, bool] = {}  # as the operator was told

    def configure(self, peers: Mapping[PeerKey, PeerOf]) -> None:
        """Takes over which there should be."""
        self._peers = peers
        self._states = {key: state for key, state in self._states.items() if key in peers}
        self._up = {key: up for key, up in self._up.items() if key in peers}

    def get(self, peer: PeerKey) -> PeerState | None:
        """Returns what was last said of a session."""
        return self._states.get(peer)

    def note(self, state: PeerState, *, certain: bool) -> None:
        """Takes a state. A helper that is not `certain`, since ExaBGP is away, knows of no session that is up."""
        if state.peer not in self._peers:
            return
        self._states[state.peer] = state
        up = state.state == "established"
        self._up.setdefault(state.peer, up)
        if up or certain:
            self._tell(state.peer, up)

    def flushed(self, peer: PeerKey) -> None:
        """What a peer announced holds no longer: one that is not up by then is down indeed."""
        state = self._states.get(peer)
        if state is not None and state.state != "established":
            self._tell(peer, False)

    def _tell(self, key: PeerKey, up: bool) -> None:
        before, self._up[key] = self._up[key], up
        if before == up:
            return
        peer, state = self._peers[key], self._states[key]
        about: dict[str, Any] = {"peer": peer.address, "asn": peer.asn, "instance": peer.instance}
        if up:
            self._journal.record("bgp.up", peer.connection, **about)
        else:
            reason = state.reason or state.attempt or state.state
            self._journal.record("bgp.down", peer.connection, logging.WARNING, **about, reason=reason)
