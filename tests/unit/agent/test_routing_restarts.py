"""Agents and helpers that go and come back: what holds in the meantime, what is swept, and what is given up."""

import asyncio
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from hubgw.agent import speakers
from hubgw.agent.untold import PATIENCE
from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp.events import Began, EndOfRib, Event, Flushed, Lost, PeerState, SpeakerState
from hubgw.drivers.exabgp.recent import KEPT
from hubgw.plan.diff import target
from hubgw.plan.kernel import Route, Tunnels
from hubgw.plan.numbers import IF_IDS, LEARNED_METRIC
from hubgw.plan.types import Create, Delete
from tests.unit.agent.bgp import (
    OWN,
    PEERS,
    P,
    Q,
    begin,
    complete,
    opening,
    restarted,
    says,
    settled,
    up,
    with_tunnels,
    withdraws,
)
from tests.unit.agent.rig import BGP, BRANCH1, BRANCH2, SPEAKERS, TABLE, Rig, prefixes, run, until

A, C = IF_IDS[1], IF_IDS[3]


def replays(rig: Rig) -> list[int]:
    return [rig.machine.exabgp.replayed[speaker] for speaker in SPEAKERS]


async def away(path: Path) -> Rig:
    """An agent that has started anew; P and R are in the kernel and at the peers, from the one before."""
    rig = await settled(path, says(BRANCH1[0], P), says(BRANCH2[0], Q))
    assert replays(rig) == [1, 1]
    return await restarted(rig)


# --- the agent


def test_a_restart_takes_nothing_back_until_every_peer_has_told_all(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)

        def stands() -> bool:
            told = [rig.out(speaker) == {*OWN, P, Q} for speaker in SPEAKERS]
            return rig.learned() == {P: "hgt1", Q: "hgt3"} and all(told) and replays(rig) == [1, 1]

        assert stands()
        await begin(rig)
        assert stands()
        await rig.tell(says(BRANCH1[0], P), *map(EndOfRib, BRANCH1))
        await rig.reconciler.reconcile()
        assert stands()
        assert [op for op in rig.machine.log if isinstance(op, Delete)] == []
        await rig.tell(EndOfRib(BRANCH2[0]))
        assert (rig.fired, stands()) == (0, True)
        await rig.tell(EndOfRib(BRANCH2[1]))
        # The last one has told all: what nobody told is gone.
        assert (rig.fired, replays(rig)) == (1, [2, 2])
        assert [rig.out(speaker) for speaker in SPEAKERS] == [{*OWN, P}] * 2
        assert await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt1"}
        assert rig.events("drift.repaired") == []

    run(case())


def test_a_restart_in_which_nothing_changed_writes_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)
        await complete(await begin(rig, says(BRANCH1[0], P), says(BRANCH2[0], Q)))
        rig = await restarted(rig)
        await begin(rig, says(BRANCH1[0], P), says(BRANCH2[0], Q))
        await rig.tell(*map(EndOfRib, PEERS))
        await rig.reconciler.reconcile()
        assert {type(op) for op in rig.machine.log} <= {Create}
        assert {target(op) for op in rig.machine.log} == {
            Route(TABLE, IPv4Network(prefix), Tunnels(tiers), LEARNED_METRIC)
            for prefix, tiers in ((P, ((A,),)), (Q, ((C,),)))
        }
        assert (rig.learned(), rig.out(SPEAKERS[1])) == ({P: "hgt1", Q: "hgt3"}, {*OWN, P, Q})

    run(case())


def test_a_peer_that_never_tells_all_is_waited_for_so_long(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)
        await begin(rig, says(BRANCH1[0], P))
        await rig.tell(*map(EndOfRib, BRANCH1))
        rig.clock.now += PATIENCE
        await rig.routing.tick()
        assert (rig.fired, replays(rig)) == (0, [1, 1])
        rig.clock.now += 1
        await rig.routing.tick()
        assert (rig.fired, replays(rig)) == (1, [2, 2])
        assert rig.out(SPEAKERS[0]) == {*OWN, P}
        await rig.reconciler.reconcile()
        assert rig.learned() == {P: "hgt1"}

    run(case())


def test_helpers_that_never_come_are_waited_for_so_long(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)
        rig.clock.now += PATIENCE + 1
        await rig.routing.tick()
        await rig.reconciler.reconcile()
        assert (rig.learned(), replays(rig)) == ({}, [1, 1])
        # Late, but there.
        await begin(rig, says(BRANCH1[0], P))
        assert (rig.learned(), replays(rig), rig.out(SPEAKERS[0])) == ({P: "hgt1"}, [2, 2], {*OWN, P})

    run(case())


def test_what_comes_and_goes_before_all_have_told_all_is_gone_after(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)
        new = "10.77.0.0/16"
        await begin(rig, says(BRANCH1[0], P, new), says(BRANCH2[0], Q))
        await rig.tell(withdraws(BRANCH1[0], P, new))
        assert rig.out(SPEAKERS[0]) == {*OWN, P, Q, new}
        assert rig.learned() == {P: "hgt1", Q: "hgt3", new: "hgt1"}
        await rig.tell(says(BRANCH1[1], new))
        await complete(rig)
        assert [rig.out(speaker) for speaker in SPEAKERS] == [{*OWN, Q, new}] * 2
        assert rig.learned() == {Q: "hgt3", new: "hgt2"}

    run(case())


def test_what_helpers_tell_before_the_first_pass_is_not_lost(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        await rig.end()
        again = Rig(tmp_path, rig.machine)
        for speaker in SPEAKERS:
            rig.machine.exabgp.told.put_nowait(opening(speaker))
        rig.machine.exabgp.told.put_nowait([*map(up, PEERS), says(BRANCH1[0], P), *map(EndOfRib, PEERS)])
        telling = asyncio.create_task(again.tell())
        await until(lambda: again._following)
        for _ in range(10):
            await asyncio.sleep(0)
        # They wait for who knows the peers.
        await again.settle()
        await telling
        await again.settle()
        assert (again.learned(), again.out(SPEAKERS[0]), replays(again)) == ({P: "hgt1"}, {*OWN, P}, [2, 2])

    run(case())


def test_a_peer_without_a_session_is_waited_for_until_its_helper_knows(tmp_path: Path) -> None:
    """A helper that has just begun, too, cannot know what a peer that is idle yet will announce."""

    async def case() -> None:
        rig = await away(tmp_path)
        for speaker in SPEAKERS:
            await rig.tell(*opening(speaker))
        for peer in BRANCH2:
            await rig.tell(PeerState(peer, "idle", attempt="no route to host"))
        await rig.tell(*map(up, BRANCH1), says(BRANCH1[0], P), *map(EndOfRib, BRANCH1))
        assert replays(rig) == [1, 1]
        await rig.tell(*map(Flushed, BRANCH2))
        assert replays(rig) == [2, 2]

    run(case())


def test_where_nothing_stands_nobody_is_waited_for(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        for speaker in SPEAKERS:
            await rig.tell(*opening(speaker))
        assert replays(rig) == [1, 1]

    run(case())


def test_routes_of_a_peer_that_restarts_are_waited_for(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)
        for speaker in SPEAKERS:
            await rig.tell(*opening(speaker))
        await rig.tell(*map(up, BRANCH1), *map(EndOfRib, BRANCH1))
        await rig.tell(PeerState(BRANCH2[0], "idle", stale=1), says(BRANCH2[0], Q), Flushed(BRANCH2[1]))
        assert replays(rig) == [1, 1]
        await rig.tell(withdraws(BRANCH2[0], Q), EndOfRib(BRANCH2[0]))
        assert replays(rig) == [2, 2]
        assert rig.out(SPEAKERS[0]) == OWN

    run(case())


def test_nobody_waits_for_a_peer_that_was_deleted(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)
        await begin(rig, says(BRANCH1[0], P))
        await rig.tell(*map(EndOfRib, BRANCH1))
        await rig.delete("vpnConnections/gw1/branch2")
        assert replays(rig) == [2, 2]
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({P: "hgt1"}, {*OWN, P})

    run(case())


def test_a_table_that_went_while_the_agent_was_away_goes_at_once(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        await rig.end()
        later = Rig(tmp_path, rig.machine)
        later.hub._settle = _nothing
        await later.delete(everything=True)
        await later.end()
        again = Rig(tmp_path, rig.machine)
        await again.settle()
        assert again.learned() == {}
        assert {key[0] for key in rig.machine.seen} == {"Sysctl"}

    async def _nothing() -> None:
        pass

    run(case())


def test_tunnels_move_the_routes_of_before_too(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], P))
        # One goes while the agent is away.
        rig.machine.take_down("hgt3")
        rig = await restarted(rig)
        assert (rig.learned(), rig.machine.groups()[((A, C),)]) == ({P: "hgt1 hgt3"}, (A,))
        rig.machine.bring_up("hgt3")
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        assert (rig.learned(), rig.machine.groups()[((A, C),)]) == ({P: "hgt1 hgt3"}, (C,))
        assert await rig.reconciler.reconcile()
        assert (rig.learned(), rig.machine.groups()[((A, C),)]) == ({P: "hgt1 hgt3"}, (C,))
        rig.machine.bring_up("hgt1")
        await rig.reconciler.follow()
        assert rig.machine.groups()[((A, C),)] == (A, C)
        await complete(await begin(rig, says(BRANCH1[0], P)))
        assert rig.learned() == {P: "hgt1"}
        assert await rig.reconciler.reconcile()
        assert ((A, C),) not in rig.machine.groups()
        assert rig.events("drift.repaired") == []

    run(case())


def test_a_session_that_is_configured_later_waits_for_nobody(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.settle()
        await rig.apply(BGP)
        rig.machine.bring_up("hgt1", "hgt3")
        await rig.reconciler.follow()
        for speaker in SPEAKERS:
            await rig.tell(*opening(speaker))
        assert replays(rig) == [1, 1]
        await rig.tell(up(BRANCH1[0]), says(BRANCH1[0], P))
        await rig.tell(withdraws(BRANCH1[0], P))
        assert (rig.learned(), rig.out(SPEAKERS[1])) == ({}, OWN)

    run(case())


def test_a_first_pass_that_fails_takes_nothing_back(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        await rig.end()
        again = Rig(tmp_path, rig.machine)
        rig.machine.netlink.reach.fail_calls["observe_learned"] = 1
        with pytest.raises(DriverError):
            await again.settle()
        await again.settle()
        assert again.learned() == {P: "hgt1"}
        await complete(await begin(again))
        assert (again.learned(), again.out(SPEAKERS[0])) == ({}, OWN)

    run(case())


# --- helpers


def test_a_helper_that_is_away_changes_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, Q))
        await rig.tell(Lost(SPEAKERS[0]))
        rig.clock.now += PATIENCE
        await rig.routing.tick()
        assert await rig.reconciler.reconcile()
        assert (rig.learned(), rig.machine.log) == ({P: "hgt1", Q: "hgt1"}, [])
        assert rig.routing.session(BRANCH1[0]) is None
        assert rig.routing.session(BRANCH1[1]) == up(BRANCH1[1])

    run(case())


def test_a_helper_that_comes_back_is_told_all_and_what_it_does_not_tell_is_swept(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P, Q), says(BRANCH2[1], "10.77.0.0/16"))
        await rig.tell(Lost(SPEAKERS[0]))
        # Nobody hears it now; the other speaker does.
        await rig.tell(withdraws(BRANCH2[1], "10.77.0.0/16"), says(BRANCH2[1], "10.78.0.0/16"))
        assert rig.out(SPEAKERS[0]) == {*OWN, P, Q, "10.77.0.0/16"}
        assert rig.out(SPEAKERS[1]) == {*OWN, P, Q, "10.78.0.0/16"}
        await rig.tell(*opening(SPEAKERS[0]))
        assert (rig.out(SPEAKERS[0]), replays(rig)) == ({*OWN, P, Q, "10.78.0.0/16"}, [2, 1])
        # It is told by name what went: a new one's peers may have that still.
        assert rig.machine.exabgp.withdrawn[SPEAKERS[0]] == prefixes("10.77.0.0/16")
        await rig.tell(up(BRANCH1[0]), says(BRANCH1[0], Q))
        assert rig.learned() == {P: "hgt1", Q: "hgt1", "10.78.0.0/16": "hgt4"}
        await rig.tell(EndOfRib(BRANCH1[0]))
        assert rig.learned() == {Q: "hgt1", "10.78.0.0/16": "hgt4"}
        assert rig.out(SPEAKERS[1]) == {*OWN, Q, "10.78.0.0/16"}
        assert rig.routing.session(BRANCH1[0]) == up(BRANCH1[0])

    run(case())


def test_what_went_when_a_helper_was_not_yet_known_to_be_gone_is_named_to_the_next(tmp_path: Path) -> None:
    async def case() -> None:
        exabgp = (rig := await settled(tmp_path, says(BRANCH2[1], P))).machine.exabgp
        # The connection has ended, and that waits in the inbox.
        exabgp.hang_up(SPEAKERS[0])
        await rig.tell(withdraws(BRANCH2[1], P))
        await rig.tell(Lost(SPEAKERS[0]))
        await rig.tell(*opening(SPEAKERS[0]))
        assert exabgp.withdrawn[SPEAKERS[0]] == prefixes(P)
        # What it told on long ago is not told again.
        rig.clock.now += 2 * KEPT
        for _ in range(2):
            rig.clock.now += KEPT
            await rig.routing.tick()
        await rig.tell(Lost(SPEAKERS[0]), *opening(SPEAKERS[0]))
        assert exabgp.withdrawn[SPEAKERS[0]] == prefixes(P)

    run(case())


def test_what_went_is_named_to_a_helper_that_was_lost_once_more_before_it_was_told(tmp_path: Path) -> None:
    async def case() -> None:
        exabgp = (rig := await settled(tmp_path, says(BRANCH2[1], P))).machine.exabgp
        await rig.tell(Lost(SPEAKERS[0]))
        await rig.tell(withdraws(BRANCH2[1], P))
        rig.clock.now += PATIENCE + 1
        await rig.routing.tick()
        exabgp.deaf = {SPEAKERS[0]}
        await rig.tell(*opening(SPEAKERS[0]))
        exabgp.deaf = set()
        await rig.tell(Lost(SPEAKERS[0]))
        await rig.tell(*opening(SPEAKERS[0]))
        assert exabgp.withdrawn[SPEAKERS[0]] == prefixes(P)

    run(case())


def test_what_stood_before_an_agent_and_a_helper_that_are_both_new_is_named_when_it_goes(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await away(tmp_path)
        rig.machine.exabgp.withdrawn.clear()
        await complete(await begin(rig, says(BRANCH1[0], P)))
        assert rig.learned() == {P: "hgt1"}
        assert rig.machine.exabgp.withdrawn == {speaker: prefixes(Q) for speaker in SPEAKERS}

    run(case())


def test_withdrawals_for_a_helper_that_never_comes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speakers, "MOST_HELD", 3)

    async def case() -> None:
        rig = await settled(tmp_path)
        await rig.tell(Lost(SPEAKERS[0]))
        for number in range(10):
            await rig.tell(says(BRANCH2[1], f"10.77.{number}.0/24"), withdraws(BRANCH2[1], f"10.77.{number}.0/24"))
        await rig.tell(*opening(SPEAKERS[0]))
        assert len(rig.machine.exabgp.withdrawn[SPEAKERS[0]]) == 3

    run(case())


def test_a_helper_that_starts_afresh_is_told_all(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        await rig.tell(Lost(SPEAKERS[1]))
        rig.machine.exabgp.out[SPEAKERS[1]].clear()
        await rig.tell(*opening(SPEAKERS[1]))
        assert (rig.out(SPEAKERS[1]), replays(rig)) == ({*OWN, P}, [1, 2])

    run(case())


def test_a_helper_that_comes_and_goes_in_one_batch_is_told_the_next_time(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        await rig.tell(Lost(SPEAKERS[0]), *opening(SPEAKERS[0]), Lost(SPEAKERS[0]))
        await rig.tell(withdraws(BRANCH1[1], P), says(BRANCH1[1], Q))
        assert (rig.out(SPEAKERS[0]), replays(rig)) == ({*OWN, P}, [1, 1])
        await rig.tell(*opening(SPEAKERS[0]))
        assert (rig.out(SPEAKERS[0]), replays(rig)) == ({*OWN, P, Q}, [2, 1])

    run(case())


def test_a_helper_that_stays_away_is_given_up_and_may_come_back(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH1[1], Q))
        await rig.tell(Lost(SPEAKERS[0]))
        rig.clock.now += PATIENCE + 1
        for _ in range(2):
            await rig.routing.tick()
        assert rig.events("bgp.given-up") == [f"speaker={SPEAKERS[0]} seconds={int(PATIENCE)}"]
        assert (rig.learned(), rig.out(SPEAKERS[1])) == ({Q: "hgt2"}, {*OWN, Q})
        await rig.tell(*opening(SPEAKERS[0]), up(BRANCH1[0]), says(BRANCH1[0], P), EndOfRib(BRANCH1[0]))
        assert (rig.learned(), rig.out(SPEAKERS[0])) == ({P: "hgt1", Q: "hgt2"}, {*OWN, P, Q})
        assert await rig.reconciler.reconcile()

    run(case())


def test_a_tunnel_takes_the_routes_of_a_helper_that_is_away(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH1[1], P))
        await rig.tell(Lost(SPEAKERS[0]))
        rig.machine.take_down("hgt1")
        await rig.reconciler.follow()
        assert rig.learned() == {P: "hgt2"}

    run(case())


def test_a_peer_that_was_of_no_plan_for_a_time_is_asked_for(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P), says(BRANCH2[0], Q))
        for peer in BRANCH2:
            rig.machine.exabgp.fail_next(("Neighbor", peer[0], peer[1]), "no space left on device")
        await rig.delete("vpnConnections/gw1/branch2")
        assert rig.learned() == {P: "hgt1"}
        # One of the two is deleted in the next pass, the other not even then.
        await rig.tell(Flushed(BRANCH2[1]))
        assert rig.machine.exabgp.asked_anew == []
        await rig.apply(BGP)
        assert rig.machine.exabgp.asked_anew == [SPEAKERS[0]]
        rig.machine.bring_up("hgt7")
        await rig.reconciler.follow()
        await rig.tell(Lost(SPEAKERS[0]), *opening(SPEAKERS[0]), says(BRANCH2[0], Q))
        assert rig.learned() == {P: "hgt1", Q: "hgt7"}
        await rig.apply(BGP)
        assert rig.machine.exabgp.asked_anew == [SPEAKERS[0]]

    run(case())


def test_a_peer_that_was_told_of_before_it_was_of_the_plan_is_asked_for(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.settle()
        await rig.tell(*opening(SPEAKERS[0]), up(BRANCH1[0]), says(BRANCH1[0], P))
        await rig.apply(BGP)
        assert rig.machine.exabgp.asked_anew == [SPEAKERS[0]]

    run(case())


# --- sessions


def test_sessions_that_come_and_go_are_told_in_words(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        assert rig.events("bgp.up") == []
        who = "peer=10.1.0.254 asn=65010 instance=0"
        reason = "their NOTIFICATION: Cease, Administrative Shutdown: moving house"
        await rig.tell(PeerState(BRANCH1[0], "held", reason=reason))
        await rig.tell(PeerState(BRANCH1[0], "idle", reason=reason), PeerState(BRANCH1[0], "connected"))
        await rig.tell(up(BRANCH1[0]), up(BRANCH1[0]))
        await rig.tell(PeerState(BRANCH1[0], "idle"))
        assert rig.events("bgp.down") == [f"{who} reason='{reason}'", f"{who} reason=idle"]
        assert rig.events("bgp.up") == [who]
        (event,) = (event for event in rig.journal.events() if event.event == "bgp.up")
        assert event.resource.endswith("vpnGateways/gw1/vpnConnections/branch1")

    run(case())


def test_a_new_session_that_comes_up_is_told(tmp_path: Path) -> None:
    async def case() -> None:
        rig = Rig(tmp_path)
        await rig.apply(BGP)
        # The helper is there before its ExaBGP.
        await rig.tell(Began(SPEAKERS[0], "1"), SpeakerState(SPEAKERS[0], False), PeerState(BRANCH1[0], "idle"))
        await rig.tell(SpeakerState(SPEAKERS[0], True), PeerState(BRANCH1[0], "connected"), up(BRANCH1[0]))
        assert (len(rig.events("bgp.up")), rig.events("bgp.down")) == (1, [])

    run(case())


def test_a_helper_that_restarts_is_no_session_that_went(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        fresh: list[Event] = [Began(SPEAKERS[0], "2"), SpeakerState(SPEAKERS[0], False), PeerState(BRANCH1[0], "idle")]
        await rig.tell(Lost(SPEAKERS[0]))
        await rig.tell(*fresh)
        await rig.tell(SpeakerState(SPEAKERS[0], True), up(BRANCH1[0]), EndOfRib(BRANCH1[0]))
        assert rig.events("bgp.up") == rig.events("bgp.down") == []
        # One that does not come back with its ExaBGP in time is down.
        await rig.tell(Lost(SPEAKERS[0]))
        await rig.tell(*fresh)
        await rig.tell(Flushed(BRANCH1[0]))
        assert rig.events("bgp.down") == ["peer=10.1.0.254 asn=65010 instance=0 reason=idle"]
        await rig.tell(SpeakerState(SPEAKERS[0], True), up(BRANCH1[0]))
        assert len(rig.events("bgp.up")) == 1

    run(case())


def test_a_session_that_is_deleted_is_forgotten(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path)
        await rig.delete("vpnConnections/gw1/branch1")
        await rig.tell(PeerState(BRANCH1[0], "idle", reason="their NOTIFICATION: Cease, Peer De-configured"))
        assert (rig.events("bgp.down"), rig.routing.session(BRANCH1[0])) == ([], None)
        await rig.apply(BGP)
        await rig.tell(up(BRANCH1[0]))
        assert rig.events("bgp.up") == []

    run(case())
