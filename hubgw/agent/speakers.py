"""What the RIB announces -> what each speaker is told. One whose helper has just come is told all.

Nothing is withdrawn from a peer while another of its table has not told all since the agent's start.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hubgw.agent.untold import Untold
from hubgw.drivers.exabgp.attributes import exported
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.exabgp.recent import Recent
from hubgw.plan.bgp import Nlri
from hubgw.plan.types import Plan
from hubgw.rib.types import Out

MOST_HELD = 500_000
"""Withdrawals that wait for a helper: its peers may announce ever new prefixes by other ways."""


@dataclass(slots=True)
class _Speaker:
    """A speaker as it was last heard of. `lost` is when its helper went (monotonic), infinite once nobody waits for it,
    or None; `replaying` is true until it has been told that all was advertised; `held` is what is advertised no longer,
    and it was not told yet; `recent` it was told, and may not have told on if it goes now."""

    table: int
    connected: bool = False  # its ExaBGP is there
    lost: float | None = None
    replaying: bool = False
    held: set[Nlri] = field(default_factory=set)
    recent: Recent = field(default_factory=lambda: Recent(0.0))


class Speakers:
    """The speakers of a plan's peers; whoever else is named is none."""

    def __init__(self, exabgp: ExabgpDriver, untold: Untold) -> None:
        self._exabgp = exabgp
        self._untold = untold
        self._asns: dict[int, int] = {}  # the hub's own, by table
        self._known: dict[str, _Speaker] = {}

    def configure(self, plan: Plan) -> None:
        """Takes over which there are."""
        self._asns = {table.table: table.asn for table in plan.route_tables}
        before, self._known = self._known, {}
        for peer in plan.peers:
            self._known.setdefault(peer.speaker, before.get(peer.speaker) or _Speaker(peer.table))

    def answers(self, name: str) -> bool:
        """Tells whether the helper of a speaker is there."""
        return name in self._known and self._known[name].lost is None

    def connected(self, name: str) -> bool:
        """Tells whether the ExaBGP of a speaker is there."""
        return name in self._known and self._known[name].connected

    def note(self, name: str, connected: bool) -> None:
        """Takes whether the ExaBGP of a speaker is there."""
        if speaker := self._known.get(name):
            speaker.connected = connected

    def began(self, name: str) -> None:
        """The helper of a speaker has come, and knows nothing of what is advertised; `replay` is to follow."""
        if speaker := self._known.get(name):
            speaker.lost, speaker.replaying = None, True

    def went(self, name: str, now: float) -> None:
        """The helper of a speaker has gone; what it told holds for a time."""
        if speaker := self._known.get(name):
            speaker.lost, speaker.connected = now, False
            speaker.held |= speaker.recent.all()

    def hold(self, standing: Mapping[int, Iterable[Nlri]]) -> None:
        """Takes what stood before the agent's start, by table: peers may have that, and what is announced is told them
        before it is taken back."""
        for speaker in self._known.values():
            speaker.held.update(standing.get(speaker.table, ()))

    def age(self, now: float) -> None:
        """Lets go of what helpers have told on by now."""
        for speaker in self._known.values():
            if speaker.lost is None and not speaker.replaying:
                speaker.recent.age(now)

    def given_up(self) -> Iterator[str]:
        """Yields, once, each speaker that has been away for too long."""
        for name, speaker in self._known.items():
            if speaker.lost is not None and self._untold.over(speaker.lost):
                speaker.lost = math.inf
                yield name

    def announce(self, out: Mapping[int, Mapping[Nlri, Out | None]]) -> None:
        """Tells what changed."""
        for table, outs in out.items():
            self._tell([name for name, speaker in self._known.items() if speaker.table == table], table, outs)

    def replay(self, name: str, announced: Callable[[int], Mapping[Nlri, Out]]) -> None:
        """Tells all that a table announces to a helper that knows nothing of it, or not what holds no longer.

        What went while it was away is told too: it may be a new one, whose peers have that still.
        """
        if speaker := self._known.get(name):
            self._tell([name], speaker.table, announced(speaker.table))

    def end_replays(self) -> None:
        """Tells what was held back, and that all was advertised, to who waits for it: what was not is gone by that."""
        for name, speaker in self._known.items():
            if speaker.lost is None and self._untold.nobody(speaker.table):
                held, speaker.held = speaker.held, set()
                replaying, speaker.replaying = speaker.replaying, False
                self._withdraw(name, held)
                if replaying:
                    self._exabgp.advertised(name)

    def _tell(self, names: Collection[str], table: int, outs: Mapping[Nlri, Out | None]) -> None:
        groups: dict[Out, list[Nlri]] = {}
        gone: list[Nlri] = []
        for prefix, entry in outs.items():
            if entry is None:
                gone.append(prefix)
            else:
                groups.setdefault(entry, []).append(prefix)
        advertised: dict[frozenset[str], list[tuple[bytes, list[Nlri]]]] = {}
        for out, prefixes in groups.items():
            wire = exported(out.attributes, self._asns[table])
            if wire is None:
                gone += prefixes
            else:
                advertised.setdefault(out.excluded, []).append((wire, prefixes))
        for name in names:
            speaker = self._known[name]
            for excluded, routes in advertised.items():
                self._exabgp.advertise(name, sorted(excluded), routes)
                for _, prefixes in routes:
                    speaker.held.difference_update(prefixes)
                    speaker.recent.discard(prefixes)
            self._withdraw(name, gone)

    def _withdraw(self, name: str, prefixes: Collection[Nlri]) -> None:
        speaker = self._known[name]
        if speaker.lost is not None or speaker.replaying or not self._untold.nobody(speaker.table):
            if len(speaker.held) < MOST_HELD:
                speaker.held.update(prefixes)
        elif prefixes:
            speaker.recent.add(prefixes)
            self._exabgp.withdraw(name, sorted(prefixes))
