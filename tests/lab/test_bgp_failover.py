"""What dies on the way of a session, with the longest gaps: a tunnel, itself, a daemon at either end, the agent."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.bgp_branch import HOLD_TIME, HUB, BgpBranch
from tests.lab.bgp_topology import RAW, BgpLab
from tests.lab.hub import Hub
from tests.lab.probes import Outcome, traffic
from tests.lab.test_failover import DETECTED, black_hole
from tests.lab.topology import site
from tests.lab.waiting import wait_for


@contextmanager
def _to_branch(bgp: BgpLab, router: BgpBranch) -> Iterator[Outcome]:
    """Traffic between a virtual network and a branch; what became of it is printed."""
    branch = bgp.lab.branches[router.node.name]
    with traffic(bgp.lab.vnets["vnet1"], "10.50.0.4", branch.node, branch.lan) as outcome:
        yield outcome
    assert outcome.there is not None and outcome.back is not None
    print(f"longest gap of a flow: there {outcome.there.flow_gap:.2f} s, back {outcome.back.flow_gap:.2f} s")


def _nexthops(bgp: BgpLab, connection: str, prefix: str) -> list[str]:
    routes = bgp.lab.hub.show("route")
    return next(
        (list(r["nexthops"]) for r in routes if r["prefix"] == prefix and r["origin"].endswith(f"/{connection}")), []
    )


def _wait_used_again(bgp: BgpLab, connection: str, prefix: str, tunnels: list[str]) -> None:
    bgp.wait_ready()
    # What the branch announces comes after what it learns.
    wait_for("both are used again", lambda: sorted(_nexthops(bgp, connection, prefix)) == sorted(tunnels))


def test_a_black_holed_tunnel_takes_its_own_session_and_traffic_moves(bgp: BgpLab) -> None:
    hub, branch = bgp.lab.hub, bgp.lab.branches["br4"]
    tunnels = [hub.tunnel("branch4", instance)["name"] for instance in (0, 1)]
    drops = [bgp.frr.session(instance).drops for instance in (0, 1)]
    others = [bgp.bird.session(instance).drops for instance in (0, 1)]
    with _to_branch(bgp, bgp.frr) as outcome, black_hole(bgp.lab, "br4", branch.gateways[0]):
        wait_for(
            "only the other tunnel is used, within the bound of dead peer detection",
            lambda: _nexthops(bgp, "branch4", bgp.frr.lan) == tunnels[1:],
            DETECTED + 15,
        )
        wait_for("its session is gone", lambda: not bgp.frr.session(0).established, HOLD_TIME + 10)
        bgp.frr.wait_learned(*bgp.hub_prefixes, bgp.bird.lan, hub=HUB[1:])
        assert bgp.frr.session(1).drops == drops[1]
        assert hub.peer("branch4", 1)["state"] == "Established"
        bgp.bird.wait_learned(bgp.frr.lan)
    assert outcome.there is not None and outcome.back is not None
    assert max(outcome.there.flow_gap, outcome.back.flow_gap) < DETECTED + 15
    _wait_used_again(bgp, "branch4", bgp.frr.lan, tunnels)
    assert bgp.frr.session(1).drops == drops[1], "the other session stood it all"
    assert [bgp.bird.session(instance).drops for instance in (0, 1)] == others


@pytest.mark.slow
@pytest.mark.parametrize("daemon", ["frr", "bird"])
def test_a_session_that_is_shut_moves_traffic_to_the_other_tunnel(bgp: BgpLab, daemon: str) -> None:
    router: BgpBranch = getattr(bgp, daemon)
    connection = {"frr": "branch4", "bird": "branch5"}[daemon]
    tunnels = [bgp.lab.hub.tunnel(connection, instance)["name"] for instance in (0, 1)]
    try:
        with _to_branch(bgp, router) as outcome:
            router.shut(1, down=True)
            wait_for("the hub uses the other", lambda: _nexthops(bgp, connection, router.lan) == tunnels[:1])
            router.wait_learned(*bgp.hub_prefixes, hub=HUB[:1])
            assert bgp.lab.hub.peer(connection, 1)["state"] != "Established"
            assert bgp.lab.hub.peer(connection, 1)["reason"]
        # Both tunnels live on, and each end forwards what still comes by the other way.
        assert outcome.lost == 0, str(outcome)
    finally:
        router.shut(1, down=False)
    _wait_used_again(bgp, connection, router.lan, tunnels)


@pytest.mark.slow
@pytest.mark.parametrize("daemon", ["frr", "bird"])
def test_a_killed_daemon_of_a_branch_restarts_gracefully(bgp: BgpLab, daemon: str) -> None:
    router: BgpBranch = getattr(bgp, daemon)
    other: BgpBranch = {"frr": bgp.bird, "bird": bgp.frr}[daemon]
    connection = {"frr": "branch4", "bird": "branch5"}[daemon]
    spoofed = [bgp.lab.hub.tunnel(connection, instance)["spoofed"] for instance in (0, 1)]
    with bgp.lab.hub.node.monitored() as changes, other.undisturbed(), _to_branch(bgp, router) as outcome:
        router.kill()
        wait_for(
            "the hub has noticed",
            lambda: all(bgp.lab.hub.peer(connection, instance)["state"] != "Established" for instance in (0, 1)),
        )
        router.start()
        router.wait_established()
        bgp.wait_ready()
    assert outcome.there is not None and outcome.there.sent and outcome.there.lost == 0, str(outcome)
    assert [line for line in changes().splitlines() if router.lan in line and "metric 20" in line] == []
    # Of what comes back FRR itself loses some: its zebra removes its own routes before it has them again.
    if daemon == "bird":
        assert outcome.lost == 0, str(outcome)
    assert [bgp.lab.hub.tunnel(connection, instance)["spoofed"] for instance in (0, 1)] == spoofed


def _kill(hub: Hub, names: list[str]) -> dict[str, int]:
    """Kills the processes of these services; returns which those were."""
    pids = {name: hub.pid(name) for name in names}
    assert all(pids.values())
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    return pids


def _wait_running_again(hub: Hub, before: dict[str, int]) -> None:
    wait_for("they run again", lambda: all(hub.pid(name) not in {0, old} for name, old in before.items()))


@pytest.mark.parametrize("service", ["exabgp", "helper"])
def test_a_killed_speaker_is_not_missed(bgp: BgpLab, service: str) -> None:
    """No branch withdraws anything, no packet is lost, and what ran before runs again."""
    hub = bgp.lab.hub
    names = [hub.speaker("hub1", instance) + ("-helper" if service == "helper" else "") for instance in (0, 1)]
    drops = [bgp.frr.session(instance).drops for instance in (0, 1)]
    with bgp.frr.undisturbed(), bgp.bird.undisturbed(), _to_branch(bgp, bgp.frr) as outcome:
        before = _kill(hub, names)
        _wait_running_again(hub, before)
        if service == "exabgp":
            wait_for("the branch noticed", lambda: all(bgp.frr.session(i).drops > drops[i] for i in (0, 1)), 60)
        bgp.wait_ready()
    assert outcome.lost == 0, str(outcome)
    if service == "helper":
        assert [bgp.frr.session(instance).drops for instance in (0, 1)] == drops, "no session was touched"


@contextmanager
def _away(hub: Hub, service: str) -> Iterator[None]:
    """Ends a service for the time of the block, and waits afterwards until it runs again."""
    pid = hub.pid(service)
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
    _wait_running_again(hub, {service: pid})


def test_what_goes_while_a_helper_is_away_is_withdrawn_by_it(bgp: BgpLab) -> None:
    """Also from a peer that keeps what a refresh leaves out: one without enhanced route refresh."""
    hub, gone = bgp.lab.hub, "10.2.1.0/24"
    with bgp.raw_session(0) as raw:
        hub.apply_text(site(2, gone))
        wait_for("it is announced", lambda: gone in raw.routes)
        others = raw.routes - {gone}
        with _away(hub, hub.speaker("hub1", 0) + "-helper"):
            hub.apply_text(site(2))
        wait_for("it is withdrawn", lambda: gone not in raw.routes)
        bgp.frr.wait_withdrawn(gone)
        bgp.wait_ready()
        assert (raw.routes, raw.closed) == (others, False)


@pytest.mark.slow
def test_all_that_is_killed_at_once_is_not_missed(bgp: BgpLab) -> None:
    """A helper and an agent that both begin know nothing: what stands is kept until the peers have told."""
    hub = bgp.lab.hub
    names = [hub.speaker("hub1", instance) + suffix for instance in (0, 1) for suffix in ("", "-helper")]
    with bgp.frr.undisturbed(), bgp.bird.undisturbed(), _to_branch(bgp, bgp.frr) as outcome:
        hub.kill_agent(signal.SIGKILL)
        before = _kill(hub, names)
        hub.start_agent()
        _wait_running_again(hub, before)
        hub.wait_sessions("branch4", "branch5")
        # The raw peer has no session, and might have kept routes: for two minutes nobody can know.
        wait_for(
            "the branches are told all again",
            lambda: all(
                hub.peer(name, instance)["advertised"] for name in ("branch4", "branch5") for instance in (0, 1)
            ),
            180,
        )
        bgp.wait_ready()
    assert outcome.lost == 0, str(outcome)


@pytest.mark.slow
def test_a_killed_agent_touches_no_session_and_loses_no_route(bgp: BgpLab) -> None:
    hub = bgp.lab.hub
    routers = (bgp.frr, bgp.bird, bgp.twin)
    drops = [router.session(instance).drops for router in routers for instance in (0, 1)]
    meanwhile = "172.30.8.0/24"
    with (
        hub.node.monitored() as changes,
        bgp.frr.undisturbed(but=meanwhile),
        _to_branch(bgp, bgp.frr) as outcome,
    ):
        hub.kill_agent(signal.SIGKILL)
        # What changes while it is away is caught up with.
        bgp.bird.announce([meanwhile])
        hub.start_agent()
        wait_for("what it missed", lambda: meanwhile in hub.routes_of("learned", "branch5", 0), 60)
        bgp.frr.wait_learned(meanwhile)
        bgp.bird.announce([])
        bgp.frr.wait_withdrawn(meanwhile)
        bgp.wait_ready()
    assert outcome.lost == 0, str(outcome)
    assert [router.session(instance).drops for router in routers for instance in (0, 1)] == drops
    touched = [line for line in changes().splitlines() if "metric 20" in line and meanwhile not in line]
    assert touched == [], "no learned route was written again"


def test_what_a_peer_does_not_announce_again_is_swept(bgp: BgpLab) -> None:
    """After a graceful restart by End-of-RIB; of one that does not come back, at its own deadline."""
    hub = bgp.lab.hub

    def learned() -> set[str]:
        return set(hub.routes_of("learned", RAW, 0))

    kept, forgotten = "172.31.252.0/24", "172.31.253.0/24"
    with bgp.raw_session(0, restart_time=60) as raw:
        raw.announce(kept, forgotten)
        raw.end_of_rib()
        wait_for("both are learned", lambda: learned() == {kept, forgotten})
    wait_for("it is gone", lambda: hub.peer(RAW, 0)["state"] != "Established")
    assert learned() == {kept, forgotten}
    wait_for("both are stale", lambda: hub.peer(RAW, 0)["stale"] == 2)
    with bgp.raw_session(0, restart_time=5) as raw:
        raw.announce(kept)
        raw.end_of_rib()
        wait_for("End-of-RIB sweeps", lambda: learned() == {kept})
        assert not raw.closed
    wait_for("the deadline of five seconds sweeps", lambda: not learned(), 15)
    wait_for("and nothing is stale", lambda: hub.peer(RAW, 0)["stale"] == 0)
