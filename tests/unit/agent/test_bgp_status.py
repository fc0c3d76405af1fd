"""What is shown of BGP: sessions, routes in four tables, effective routes with their AS path, metrics."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hubgw.agent.bgp_status import as_path
from hubgw.agent.hub import ROWS_AT_ONCE
from hubgw.agent.service import BgpRoutes, Refusal, Refused
from hubgw.agent.statuses import BgpRouteStatus, RouteStatus
from hubgw.agent.views import effective_routes
from hubgw.drivers.exabgp.events import GracefulRestart, Learned, Lost, Negotiated, PeerState, SpeakerState
from hubgw.plan.bgp import AS_SEQUENCE, AS_SET, Attributes
from tests.unit.agent.bgp import OWN, PEERS, P, Q, complete, opening, restarted, says, settled, up, with_tunnels
from tests.unit.agent.rig import BGP, BRANCH1, BRANCH2, SPEAKERS, TABLE, Rig, prefixes, run, wire

HEAD = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/hubgw/providers/Microsoft.Network"
HUB = f"{HEAD}/virtualHubs/hub1"
CONNECTIONS = {number: f"{HEAD}/vpnGateways/gw1/vpnConnections/branch{number}" for number in (1, 2, 3)}
SITES = {number: f"{HEAD}/vpnSites/branch{number}" for number in (1, 2)}


def brief(route: BgpRouteStatus) -> tuple[str, int, str, str]:
    return route.peer, route.instance, route.prefix, route.as_path


async def shown(path: Path) -> Rig:
    """Branch 1 announces P by both sessions and a prefix of the hub's; branch 2 P by a longer way, and Q."""
    return await settled(
        path,
        Learned(BRANCH1[0], [(wire(65010, 65011, communities=(65010 << 16 | 7,)), prefixes(P))]),
        says(BRANCH1[1], P, path=(65010, 65011)),
        says(BRANCH1[0], "10.50.0.0/25"),
        says(BRANCH2[0], P, path=(65020, 65021, 65022)),
        says(BRANCH2[0], Q),
    )


def test_a_session_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        negotiated = Negotiated(hold_time=9, graceful_restart=GracefulRestart(120))
        counts = {"updates_in": 5, "updates_out": 6, "treated_as_withdraw": 1, "discarded": 2, "stale": 3}
        told = {"since": 77.0, "negotiated": negotiated, "learned": 2, "advertised": 4, "flaps": 1, **counts}
        malformed = "ORIGIN: 3 octets"
        await rig.tell(replace(up(BRANCH1[0]), last_malformed=malformed, **told))  # type: ignore[arg-type]
        first, *others = await rig.hub.bgp_peers("")
        assert [(one.speaker, one.address) for one in (first, *others)] == sorted(PEERS)
        assert (first.hub, first.connection, first.site, first.link) == (HUB, CONNECTIONS[1], SITES[1], "link1")
        assert (first.speaker, first.instance, first.address, first.local_address, first.asn) == (
            *("hgv1-0", 0, "10.1.0.254", "10.100.0.12", 65010),
        )
        assert (first.state, first.since, first.reason) == ("Established", 77.0, "")
        assert (first.hold_time, first.graceful_restart, first.held_until) == (9, True, None)
        assert (first.learned, first.accepted, first.refused, first.advertised, first.flaps) == (2, 1, 1, 4, 1)
        assert {name: getattr(first, name) for name in counts} == counts
        assert first.last_malformed == malformed

    run(case())


def test_sessions_that_are_not_up_say_why(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[1], P))
        await rig.tell(PeerState(BRANCH1[0], "held", reason="it announced more than 100 prefixes", held_until=99.0))
        await rig.tell(PeerState(BRANCH2[0], "connected"), Lost(SPEAKERS[1]))
        peers = await rig.hub.bgp_peers("")
        told = [(one.instance, one.address, one.state, one.reason, one.held_until) for one in peers]
        silent = "the helper of its speaker does not answer"
        assert told == [
            (0, "10.1.0.254", "Held", "it announced more than 100 prefixes", 99.0),
            (0, "10.2.0.254", "Connected", "", None),
            (1, "10.1.0.254", "Unknown", silent, None),
            (1, "10.2.0.254", "Unknown", silent, None),
        ]
        # What it taught is still used.
        assert [one.accepted for one in peers] == [0, 0, 1, 0]
        assert await rig.hub.bgp_routes(BgpRoutes.ADVERTISED, "") == []
        await rig.tell(*opening(SPEAKERS[1]), PeerState(BRANCH1[1], "idle", reason="hold timer expired"))
        (back,) = [one for one in await rig.hub.bgp_peers("10.1.0.254") if one.instance == 1]
        assert (back.state, back.reason) == ("Idle", "hold timer expired")

    run(case())


def test_before_helpers_have_told_anything(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        assert {one.state for one in await rig.hub.bgp_peers("")} == {"Unknown"}
        for which in BgpRoutes:
            assert await rig.hub.bgp_routes(which, "") == []
        assert b"hubgw_bgp_peer_status" in await rig.hub.metrics()

    run(case())


@pytest.mark.parametrize(
    ("of", "count"),
    [
        ("", 4),
        ("branch1", 2),
        ("gw1/branch1", 2),
        ("vpnSites/BRANCH2", 2),
        (CONNECTIONS[2], 2),
        ("10.2.0.254", 2),
        ("hub1", 4),
        (HUB.lower(), 4),
    ],
)
def test_whose_sessions_and_routes(tmp_path: Path, of: str, count: int) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        assert len(await rig.hub.bgp_peers(of)) == count
        everything = await rig.hub.bgp_routes(BgpRoutes.LEARNED, "")
        found = await rig.hub.bgp_routes(BgpRoutes.LEARNED, of)
        wanted = {(one.speaker, one.address) for one in await rig.hub.bgp_peers(of)}
        assert found == [route for route in everything if (SPEAKERS[route.instance], route.peer) in wanted]

    run(case())


@pytest.mark.parametrize("of", ["nope", "branch3", "10.9.9.9", "vpnGateways/gw1", "hub"])
def test_who_has_no_session_is_not_found(tmp_path: Path, of: str) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        for work in (rig.hub.bgp_peers(of), *(rig.hub.bgp_routes(which, of) for which in BgpRoutes)):
            with pytest.raises(Refused) as refused:
                await work
            assert refused.value.why is Refusal.NOT_FOUND
            (problem,) = refused.value.problems
            assert problem.startswith(f"{of}: has no BGP session; ") and "hubgw show bgp peers" in problem

    run(case())


def test_what_peers_announced_with_what_became_of_it(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        learned = await rig.hub.bgp_routes(BgpRoutes.LEARNED, "")
        assert [(*brief(route), route.best, route.refusal) for route in learned] == [
            ("10.1.0.254", 0, P, "65010 65011", True, ""),
            ("10.1.0.254", 0, "10.50.0.0/25", "65010", False, "own-prefix"),
            ("10.2.0.254", 0, Q, "65020", True, ""),
            ("10.2.0.254", 0, P, "65020 65021 65022", False, ""),
            ("10.1.0.254", 1, P, "65010 65011", True, ""),
        ]
        assert (learned[0].communities, learned[1].communities) == (("65010:7",), ())
        assert (learned[0].hub, learned[0].connection, learned[0].site) == (HUB, CONNECTIONS[1], SITES[1])
        assert await rig.hub.bgp_routes(BgpRoutes.REFUSED, "") == [learned[1]]

    run(case())


def test_what_peers_are_told_as_they_see_it(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        own = [("65515", prefix) for prefix in ("10.3.0.0/24", "10.50.0.0/24", "10.100.0.0/24")]
        told = {
            peer: [
                (route.as_path, route.prefix)
                for route in await rig.hub.bgp_routes(BgpRoutes.ADVERTISED, peer[1])
                if SPEAKERS[route.instance] == peer[0]
            ]
            for peer in PEERS
        }
        for peer in BRANCH1:
            assert told[peer] == [own[0], ("65515 65020", Q), *own[1:]]
        for peer in BRANCH2:
            assert told[peer] == [own[0], ("65515 65010 65011", P), *own[1:]]
        await rig.tell(PeerState(BRANCH1[0], "idle"))
        assert {route.instance for route in await rig.hub.bgp_routes(BgpRoutes.ADVERTISED, "branch1")} == {1}

    run(case())


def test_branches_with_one_as_number_do_not_see_each_other(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path, BGP.replace(b"asn: 65020", b"asn: 65010"))
        for speaker in SPEAKERS:
            await rig.tell(*opening(speaker))
        await rig.tell(*map(up, PEERS), says(BRANCH1[0], P))
        await complete(rig)
        assert rig.learned() == {P: "hgt1"}
        told = await rig.hub.bgp_routes(BgpRoutes.ADVERTISED, "")
        assert {route.prefix for route in told} == OWN

    run(case())


def test_an_apply_that_is_not_carried_out_yet_is_shown_as_it_will_be(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        asked: list[int] = []

        async def meanwhile() -> None:
            for _ in range(2):
                asked.append(len(await rig.hub.bgp_peers("")))
                asked.extend([len(await rig.hub.bgp_routes(which, "")) for which in BgpRoutes])
                await rig.hub.metrics()
                await rig.hub.status()
                await rig.settle()

        rig.hub._settle = meanwhile
        await rig.delete(everything=True)
        assert set(asked) == {0}

    run(case())


# --- routes


def learned_rows(routes: tuple[RouteStatus, ...]) -> list[tuple[str, str, tuple[str, ...], str, str]]:
    return [(one.prefix, one.via, one.nexthops, one.origin, one.as_path) for one in routes if one.protocol == "bgp"]


def test_learned_routes_are_those_of_the_kernel_with_their_path(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        status = await rig.hub.status()
        assert learned_rows(status.routes) == [
            (Q, "via hgt3", ("hgt3",), CONNECTIONS[2], "65020"),
            (P, "via hgt1 hgt2", ("hgt1", "hgt2"), CONNECTIONS[1], "65010 65011"),
        ]
        learned = [route for route in status.routes if route.protocol == "bgp"]
        assert {(route.table, route.vrf, route.hub) for route in learned} == {(TABLE, "hgv1", HUB)}
        assert {route.as_path for route in status.routes if route.protocol != "bgp"} == {""}
        again = await restarted(rig)
        rig.machine.take_down("hgt3")
        # Of the agent before: nobody has told yet whose they are.
        assert learned_rows((await again.hub.status()).routes) == [
            (Q, "via no tunnel", (), "", ""),
            (P, "via hgt1 hgt2", ("hgt1", "hgt2"), "", ""),
        ]
        rig.machine.netlink.reach.away = "netlink: no"
        assert (await again.hub.status()).routes == ()

    run(case())


@pytest.mark.parametrize(
    ("name", "uses_it"),
    [("gw1/branch1", False), ("gw1/branch2", True), ("gw1/branch3", False), ("hub1/vnet1", True), ("hub1", True)],
)
def test_a_default_route_is_for_who_may_use_it(tmp_path: Path, name: str, uses_it: bool) -> None:
    async def case() -> None:
        rig = await settled(tmp_path, says(BRANCH1[0], "0.0.0.0/0", P))
        routes = effective_routes(await rig.hub.status(), name)
        learned = [row[0] for row in learned_rows(routes)]
        assert learned == (["0.0.0.0/0", P] if uses_it else [P])
        # The end of the table is for everybody.
        assert [route.via for route in routes if route.prefix == "0.0.0.0/0"][:1] == ["unreachable"]
        _, excluded = rig.machine.exabgp.out[SPEAKERS[0]][prefixes("0.0.0.0/0")[0]]
        assert excluded == (SITES[1],)

    run(case())


# --- metrics


def test_metrics_count_what_is_shown(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        rig.machine.nftables.spoofs = {"hgt2": 3}
        rig.machine.take_down("hgt4")
        state = PeerState(BRANCH1[0], "established", advertised=4, updates_in=5, updates_out=6, discarded=2)
        await rig.tell(state, PeerState(BRANCH2[1], "idle", treated_as_withdraw=7))
        text = (await rig.hub.metrics()).decode()
        found = {
            (sample.name, sample.labels["connection"], sample.labels.get("peer", ""), sample.labels["instance"]): (
                sample.value
            )
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

        def of_peer(name: str, number: int, instance: int) -> float:
            return found[f"hubgw_bgp_{name}", f"gw1/branch{number}", f"10.{number}.0.254", str(instance)]

        def of_tunnel(name: str, number: int, instance: int) -> float:
            return found[f"hubgw_tunnel_{name}", f"gw1/branch{number}", "", str(instance)]

        assert [of_peer("peer_status", *each) for each in ((1, 0), (1, 1), (2, 0), (2, 1))] == [1, 1, 1, 0]
        assert (of_peer("routes_learned", 1, 0), of_peer("routes_refused", 1, 0)) == (2, 1)
        assert of_peer("routes_advertised", 1, 0) == 4
        assert (of_peer("updates_received_total", 1, 0), of_peer("updates_sent_total", 1, 0)) == (5, 6)
        assert (of_peer("updates_malformed_total", 1, 0), of_peer("updates_malformed_total", 2, 1)) == (2, 7)
        assert [of_tunnel("up", *each) for each in ((1, 0), (1, 1), (2, 1))] == [1, 1, 0]
        assert (of_tunnel("spoofed_packets_total", 1, 1), of_tunnel("spoofed_packets_total", 1, 0)) == (3, 0)
        assert "hubgw_tunnel_ingress_bytes_total" in text

    run(case())


def test_many_routes_are_shown_in_turns_with_what_happens_meanwhile(tmp_path: Path) -> None:
    async def case() -> None:
        many = prefixes(*(f"172.{16 + number // 256}.{number % 256}.0/24" for number in range(3 * ROWS_AT_ONCE)))
        rig = await settled(tmp_path, Learned(BRANCH1[0], [(wire(65010), many)]))
        showing = asyncio.create_task(rig.hub.bgp_routes(BgpRoutes.ADVERTISED, "branch2"))
        # A stored set that was compiled before is no wait: its first turn ends with the first rows.
        await asyncio.sleep(0)
        rig.routing.rib.flush(BRANCH1[0])
        # What was listed before it went is there still; nothing else is amiss.
        rows = [row for row in await showing if row.as_path == "65515 65010"]
        assert len(rows) == ROWS_AT_ONCE - len(OWN)
        assert {row.prefix for row in await rig.hub.bgp_routes(BgpRoutes.ADVERTISED, "branch2")} == OWN

    run(case())


def test_metrics_do_without_who_does_not_answer(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        rig.machine.strongswan.reach.away = rig.machine.netlink.reach.away = rig.machine.nftables.reach.away = "gone"
        families = {
            family.name: family for family in text_string_to_metric_families((await rig.hub.metrics()).decode())
        }
        assert [sample.value for sample in families["hubgw_tunnel_up"].samples] == [1] * 6
        assert len(families["hubgw_bgp_peer_status"].samples) == 4

    run(case())


def test_metrics_read_no_routes(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        # A hub may have learned a hundred thousand.
        rig.machine.netlink.reach.fail_calls.update({"observe": 1, "observe_learned": 1})
        await rig.hub.metrics()
        assert rig.machine.netlink.reach.fail_calls == {"observe": 1, "observe_learned": 1}

    run(case())


def test_as_paths_as_routers_write_them() -> None:
    path = ((AS_SEQUENCE, (65010, 4200000000)), (AS_SET, (64512, 64513)), (AS_SEQUENCE, (1,)))
    assert as_path(Attributes(b"", path)) == "65010 4200000000 {64512,64513} 1"
    assert as_path(Attributes(b"")) == ""


def test_a_speaker_says_nothing_of_others(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await shown(tmp_path)
        await rig.tell(SpeakerState("hgv9-0", False), Lost("hgv9-0"))
        assert {one.state for one in await rig.hub.bgp_peers("")} == {"Established"}
        await asyncio.gather(*(rig.hub.bgp_routes(which, "") for which in BgpRoutes), rig.settle())

    run(case())
