"""An agent with BGP: what its helpers tell, in few words, and the states that tests begin at."""

from pathlib import Path

from hubgw.drivers.exabgp.events import Began, EndOfRib, Event, Learned, PeerState, SpeakerState, Withdrawn
from hubgw.plan.bgp import PeerKey
from tests.unit.agent.rig import BGP, BRANCH1, BRANCH2, FIRST, SECOND, SPEAKERS, THIRD, Rig, prefixes, wire

PEERS = (*BRANCH1, *BRANCH2)
OWN = {"10.3.0.0/24", "10.50.0.0/24", "10.100.0.0/24"}
"""What the hub announces by itself: a static site, a virtual network, its own prefix."""

P, Q = "10.9.0.0/16", "10.8.0.0/16"


def says(peer: PeerKey, *texts: str, path: tuple[int, ...] = ()) -> Learned:
    """A peer's announcement; its path is its own AS number where none is given."""
    return Learned(peer, [(wire(*(path or (65010 if peer in BRANCH1 else 65020,))), prefixes(*texts))])


def withdraws(peer: PeerKey, *texts: str) -> Withdrawn:
    return Withdrawn(peer, prefixes(*texts))


def opening(speaker: str) -> list[Event]:
    """What a helper tells first."""
    return [Began(speaker, "1"), SpeakerState(speaker, True)]


def up(peer: PeerKey) -> PeerState:
    return PeerState(peer, "established", 1.0)


async def with_tunnels(path: Path, content: bytes = BGP) -> Rig:
    """Returns an agent whose tunnels are up, and whose helpers have told nothing yet."""
    rig = Rig(path)
    await rig.apply(content)
    rig.machine.bring_up(*FIRST, *SECOND, *THIRD)
    await rig.reconciler.follow()
    rig.machine.log.clear()
    return rig


async def begin(rig: Rig, *told: Event) -> Rig:
    """Has the helpers tell that each session is up, and then so much."""
    for speaker in SPEAKERS:
        await rig.tell(*opening(speaker))
    await rig.tell(*map(up, PEERS), *told)
    return rig


async def complete(rig: Rig) -> Rig:
    """Has each peer tell that this was all, and runs the pass that follows."""
    await rig.tell(*map(EndOfRib, PEERS))
    await rig.settle()
    rig.fired = 0
    rig.machine.log.clear()
    return rig


async def settled(path: Path, *told: Event) -> Rig:
    """Returns an agent that is in sync, with what the peers told."""
    return await complete(await begin(await with_tunnels(path), *told))


async def restarted(rig: Rig) -> Rig:
    """Returns the agent anew on the same machine, after its first pass."""
    await rig.end()
    again = Rig(rig.store.path.parent, rig.machine, clock=rig.clock)
    rig.machine.log.clear()
    await again.settle()
    return again
