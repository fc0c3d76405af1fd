"""What a hub takes and what it tells: limits, refusals with their reasons, a default route, very many prefixes."""

import struct
from ipaddress import IPv4Network
from itertools import islice
from typing import Any, Final

import pytest

from tests.lab.bgp_topology import RAW, BgpLab
from tests.lab.raw_peer import ASN, GOOD, NEXT_HOP, ORIGIN, RawPeer, attribute, path
from tests.lab.reach import Listener, answer_to, marked_packet, pings, send_raw
from tests.lab.waiting import wait_for


def _since(bgp: BgpLab) -> dict[tuple[str, int], float]:
    """When each session of the branches' daemons began."""
    peers = bgp.lab.hub.bgp("peers")
    return {(p["connection"], p["instance"]): p["since"] for p in peers if not p["connection"].endswith(RAW)}


REFUSED: Final[dict[str, tuple[tuple[bytes, ...], str]]] = {
    "127.7.0.0/16": (GOOD, "martian"),
    "169.254.7.0/24": (GOOD, "martian"),
    "224.7.0.0/16": (GOOD, "martian"),
    # The hub's and its virtual networks', and what is inside them.
    "10.100.0.0/24": (GOOD, "own-prefix"),
    "10.100.0.64/26": (GOOD, "own-prefix"),
    "10.50.0.0/24": (GOOD, "own-prefix"),
    "10.60.7.0/24": (GOOD, "own-prefix"),
    "172.30.1.0/24": ((ORIGIN, path(ASN, 65515), NEXT_HOP), "own-as"),
    "172.30.3.0/24": ((ORIGIN, path(ASN, 23456), NEXT_HOP), "reserved-as"),
    "172.30.4.0/24": ((ORIGIN, path(ASN, 65535), NEXT_HOP), "reserved-as"),
    "172.30.5.0/24": ((ORIGIN, path(ASN, 4294967295), NEXT_HOP), "reserved-as"),
    "172.30.6.0/24": ((ORIGIN, path(64999, ASN), NEXT_HOP), "first-as"),
    "172.30.7.0/24": ((ORIGIN, path(*[ASN] * 200), NEXT_HOP), "path-too-long"),
}


def test_what_a_hub_never_takes_is_refused_with_a_reason(bgp: BgpLab) -> None:
    hub, table = bgp.lab.hub, bgp.table
    with bgp.raw_session(0) as raw:
        for prefix, (attributes, _) in REFUSED.items():
            raw.announce(prefix, attributes=attributes)
        # A supernet of a virtual network's prefix is fine.
        raw.announce("10.48.0.0/12", "172.31.250.0/24")
        wait_for("the sentinel is learned", lambda: "172.31.250.0/24" in hub.routes_of("learned", RAW, 0))
        refused = hub.routes_of("refused", RAW, 0)
        found = {prefix: route["refusal"] for prefix, route in refused.items()}
        assert found == {prefix: why for prefix, (_, why) in REFUSED.items()}
        assert hub.peer(RAW, 0)["refused"] == len(REFUSED)
        assert hub.peer(RAW, 0)["accepted"] == 2
        routes = bgp.lab.hub.node.ip(f"route show table {table} metric 20")
        installed = {line.split()[0] for line in routes.splitlines()}
        assert {"10.48.0.0/12", "172.31.250.0/24"} <= installed
        assert installed.isdisjoint(REFUSED)
        bgp.frr.wait_learned("10.48.0.0/12", "172.31.250.0/24")
        assert bgp.frr.paths().keys().isdisjoint({prefix for prefix in REFUSED if prefix.startswith("172")})
        said = hub.run("show", "bgp", "refused", RAW).stdout
        assert "172.30.6.0/24" in said
    bgp.frr.wait_withdrawn("10.48.0.0/12", "172.31.250.0/24")


def test_a_worse_path_to_a_supernet_brings_no_source_of_a_virtual_network(bgp: BgpLab) -> None:
    hub, br5, br7, wide = bgp.lab.hub, bgp.bird.node, bgp.lab.branches["br7"].node, "10.48.0.0/12"
    tunnel = hub.tunnel(RAW, 0)["name"]

    def admitted() -> str:
        return hub.node.run("nft", "list", "set", "inet", "hubgw", "not_in_fib").stdout

    br7.ip("route add 10.5.0.1/32 dev t0 table 78")
    br7.ip("rule add to 10.5.0.1 lookup 78")
    try:
        with bgp.raw_session(0) as raw:
            bgp.bird.announce([wide])
            raw.announce(wide, attributes=(ORIGIN, path(ASN, ASN, ASN), NEXT_HOP))
            wait_for("the better path serves", lambda: hub.routes_of("learned", "branch5", 0).get(wide, {}).get("best"))
            wait_for("the worse one is admitted", lambda: f'"{tunnel}" . {wide}' in admitted())
            before = hub.tunnel(RAW, 0)["spoofed"]
            theirs, not_theirs = Listener(br5, "from-10.49"), Listener(br5, "from-10.50")
            send_raw(br7, marked_packet("10.50.0.99", "10.5.0.1", "from-10.50"), "10.5.0.1", count=7)
            send_raw(br7, marked_packet("10.49.0.99", "10.5.0.1", "from-10.49"), "10.5.0.1", count=7)
            wait_for("what is theirs comes", lambda: theirs.heard() >= 7)
            wait_for("the rest is counted", lambda: hub.tunnel(RAW, 0)["spoofed"] == before + 7)
            theirs.stop()
            assert not_theirs.stop() == 0
    finally:
        bgp.bird.announce([])
        br7.ip("rule del to 10.5.0.1 lookup 78")
        br7.ip("route del 10.5.0.1/32 dev t0 table 78")


def test_more_prefixes_than_the_sites_maximum_end_its_session_alone(bgp: BgpLab) -> None:
    """Cease 6/1, sent although graceful restart was negotiated, and the peer is held down."""
    hub, before = bgp.lab.hub, _since(bgp)
    many = [f"172.30.{number}.0/24" for number in range(6)]
    try:
        hub.apply_text(f"type: settings\nname: {RAW}\nproperties: {{resource: vpnSites/{RAW}, maximumPrefixes: 5}}\n")
        with bgp.raw_session(1, restart_time=120) as raw:
            raw.announce(*many[:5])
            wait_for("five are taken", lambda: len(hub.routes_of("learned", RAW, 1)) == 5)
            raw.announce(many[5])
            wait_for("the session is closed", lambda: raw.closed)
            assert raw.notification == (6, 1)
        peer = hub.peer(RAW, 1)
        assert peer["state"] == "Held"
        assert peer["heldUntil"]
        assert peer["reason"]
        wait_for("nothing of it is kept, graceful restart or not", lambda: not hub.routes_of("learned", RAW, 1))
        again = RawPeer(bgp.raw, 1)
        try:
            again.connect()
            again.open()
        except (OSError, AssertionError):
            pass
        else:
            raise AssertionError("a peer that is held down was let in")
        finally:
            again.close()
        assert _since(bgp) == before
    finally:
        hub.run("delete", f"settings/{RAW}", "--yes")
        bgp.connect_anew()


def test_a_default_route_is_for_virtual_networks_alone(bgp: BgpLab) -> None:
    hub, beyond = bgp.lab.hub, "203.0.113.9"
    br1, br5 = bgp.lab.branches["br1"], bgp.bird.node
    br5.ip(f"addr add {beyond}/32 dev lan")
    br1.node.ip(f"route add {beyond}/32 src {br1.lan} nexthop dev t0 nexthop dev t1")
    try:
        bgp.bird.announce(["0.0.0.0/0"])
        wait_for("the default route is learned", lambda: "0.0.0.0/0" in hub.routes_of("learned", "branch5", 1))
        wait_for("a virtual network uses it", lambda: pings(bgp.lab.vnets["vnet1"], "10.50.0.4", beyond, count=1))
        said = answer_to(br1.node, br1.lan, beyond)
        assert "Unreachable" in said and "10.100.0." in said, said
        assert pings(br1.node, br1.lan, bgp.lab.branches["br5"].lan), "what is more specific goes on"
        assert pings(br1.node, br1.lan, "10.50.0.4")
        hub.apply_text(_internet_security("true"))
        wait_for("a connection that may uses it", lambda: pings(br1.node, br1.lan, beyond, count=1))
        hub.apply_text(_internet_security("false"))
        wait_for("and may no longer", lambda: not pings(br1.node, br1.lan, beyond, count=1))
        bgp.bird.announce([])
        wait_for("it is gone", lambda: "Unreachable" in answer_to(bgp.lab.vnets["vnet1"], "10.50.0.4", beyond))
    finally:
        hub.apply_text(_internet_security("false"))
        bgp.bird.announce([])
        br1.node.ip(f"route del {beyond}/32")
        br5.ip(f"addr del {beyond}/32 dev lan")


def _internet_security(value: str) -> str:
    words = f"remoteVpnSite: branch1, sharedKey: example-key-of-branch-1, enableInternetSecurity: {value}"
    return f"type: vpnConnections\nname: gw1/branch1\nproperties: {{{words}}}\n"


MANY: Final = 10_000


@pytest.mark.slow
def test_ten_thousand_routes_of_a_branch_reach_the_kernel_and_the_others_and_leave_again(bgp: BgpLab) -> None:
    hub, before = bgp.lab.hub, _since(bgp)
    prefixes = [str(each) for each in islice(IPv4Network("172.16.0.0/12").subnets(new_prefix=28), MANY)]

    def in_kernel() -> int:
        lines = hub.node.ip(f"-o route show table {bgp.table} metric 20").splitlines()
        return sum(line.startswith("172.") for line in lines)

    def at_frr() -> int:
        return sum(bgp.frr.session(instance).learned >= MANY for instance in (0, 1))

    bgp.bird.announce(prefixes)
    try:
        wait_for("all in the hub's kernel", lambda: in_kernel() == MANY, 120)
        wait_for("all at the other branch, from both instances", lambda: at_frr() == 2, 120)
        route = hub.node.ip(f"-d route show table {bgp.table} {prefixes[-1]}")
        assert "nhid" in route, "they share a nexthop group"
        assert hub.peer("branch5", 0)["accepted"] > MANY
    finally:
        bgp.bird.announce([])
    wait_for("all gone from the hub's kernel", lambda: in_kernel() == 0, 120)
    wait_for("and from the other branch", lambda: at_frr() == 0, 120)
    assert _since(bgp) == before, "every session stood it"


def test_communities_are_kept_and_sent_on(bgp: BgpLab) -> None:
    community = attribute(8, struct.pack("!HH", 65030, 7), 0xC0)
    with bgp.raw_session(0) as raw:
        raw.announce("172.31.251.0/24", attributes=(*GOOD, community))
        route: dict[str, Any] = wait_for(
            "learned", lambda: bgp.lab.hub.routes_of("learned", RAW, 0).get("172.31.251.0/24", {})
        )
        assert route["communities"] == ["65030:7"]
        bgp.frr.wait_learned("172.31.251.0/24")
        assert "65030:7" in bgp.frr.ask("show bgp ipv4 unicast 172.31.251.0/24 json")
        assert "172.31.251.0/24" not in raw.routes, "never back to the site that it came from"
    bgp.frr.wait_withdrawn("172.31.251.0/24")
