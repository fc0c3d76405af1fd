"""Sessions with FRR and BIRD over both tunnels, what they teach, who protects them, and that WANs stay apart."""

import json
from ipaddress import IPv4Address

import pytest

from tests.lab.bgp_branch import HUB
from tests.lab.bgp_topology import RAW, BgpLab
from tests.lab.capture import capture
from tests.lab.node import Node
from tests.lab.probes import FLOWS, traffic
from tests.lab.raw_peer import ADDRESS, ASN, ORIGIN, RawPeer, attribute, path
from tests.lab.reach import Listener, marked_packet, pings, send_raw
from tests.lab.topology import Branch
from tests.lab.waiting import wait_for


def test_both_daemons_peer_with_both_instances(bgp: BgpLab) -> None:
    for router, connection in ((bgp.frr, "branch4"), (bgp.bird, "branch5")):
        for instance in (0, 1):
            assert router.session(instance).established
            peer = bgp.lab.hub.peer(connection, instance)
            assert (peer["asn"], peer["address"], peer["localAddress"]) == (router.asn, router.address, HUB[instance])
            assert (peer["state"], peer["gracefulRestart"], peer["holdTime"]) == ("Established", True, 20)
            assert bgp.lab.hub.routes_of("learned", connection, instance)[router.lan]["asPath"] == str(router.asn)
            told = bgp.lab.hub.routes_of("advertised", connection, instance)
            assert {*bgp.hub_prefixes, "10.1.0.0/24", "10.2.0.0/24"} <= told.keys()
            assert router.lan not in told, "never back to the site that it came from"
    said = bgp.lab.hub.run("show", "bgp", "peers").stdout
    assert "10.254.0.5" in said and "4200000020" in said


def test_what_is_learned_is_in_its_vrf_alone_and_carries_traffic_in_esp(bgp: BgpLab) -> None:
    hub, br4 = bgp.lab.hub, bgp.lab.branches["br4"]
    lines = [line for line in hub.node.ip("-4 -o route show table all").splitlines() if "10.5.0.0/24" in line]
    assert len(lines) == 1 and f"table {bgp.table} " in f"{lines[0]} " and "metric 20" in lines[0], lines
    assert "10.4.0.0/24" not in hub.node.ip("route show table main")
    routes = json.loads(hub.run("effective-routes", "hub1", "--json").stdout)
    route = next(route for route in routes if route["prefix"] == bgp.bird.lan)
    assert (route["protocol"], route["asPath"]) == ("bgp", str(bgp.bird.asn))
    assert set(route["nexthops"]) == {hub.tunnel("branch5", instance)["name"] for instance in (0, 1)}
    with (
        capture(bgp.lab.isp, "ubr4", "ip proto 50") as esp,
        capture(bgp.lab.isp, "ubr4", "tcp port 179 or udp port 7000 or net 10.0.0.0/8") as clear,
        traffic(bgp.lab.vnets["vnet1"], "10.50.0.4", br4.node, br4.lan) as outcome,
    ):
        pass
    assert outcome.lost == 0, str(outcome)
    assert outcome.there is not None and outcome.there.flows_seen == FLOWS
    assert not clear.lines
    assert len(esp.lines) >= outcome.there.sent


def test_branches_reach_each_other_through_what_they_learned(bgp: BgpLab) -> None:
    br1, br4, br5 = (bgp.lab.branches[name] for name in ("br1", "br4", "br5"))
    assert bgp.bird.lan in bgp.frr.installed()
    assert bgp.frr.lan in bgp.bird.installed()
    assert pings(br4.node, br4.lan, br5.lan)
    assert pings(br5.node, br5.lan, br4.lan)
    assert pings(br4.node, br4.lan, br1.lan), "a static site's prefix is announced too"
    assert pings(br4.node, br4.lan, "10.60.5.4"), "and a virtual network's"


def test_the_session_of_an_instance_rides_its_own_tunnel_alone(bgp: BgpLab) -> None:
    """Seen at the hub's tunnels, in both WANs, whose hubs and branches have the same addresses."""
    hub = bgp.lab.hub
    for connection, router in (("branch4", bgp.frr), ("branch6", bgp.twin)):
        names = [hub.tunnel(connection, instance)["name"] for instance in (0, 1)]
        with (
            capture(hub.node, names[0], "tcp port 179", to_the_last=True) as first,
            capture(hub.node, names[1], "tcp port 179", to_the_last=True) as second,
        ):
            for instance in (0, 1):
                router.refresh(instance)
        for seen, own, others in ((first, HUB[0], HUB[1]), (second, HUB[1], HUB[0])):
            assert any(f"{own}." in line and f"{router.address}." in line for line in seen.lines)
            assert not any(f"{others}." in line for line in seen.lines)


def test_two_wans_with_the_same_addresses_learn_nothing_of_each_other(bgp: BgpLab) -> None:
    one, two = bgp.lab.branches["br4"], bgp.lab.branches["br6"]
    try:
        bgp.frr.announce(["172.30.4.0/24"])
        bgp.twin.announce(["172.30.6.0/24"])
        bgp.bird.wait_learned("172.30.4.0/24")
        wait_for(
            "the other WAN's hub has its own",
            lambda: "172.30.6.0/24" in {route["prefix"] for route in bgp.lab.hub.bgp("learned", "gw2/branch6")},
        )
        assert "172.30.6.0/24" not in bgp.bird.paths()
        assert "172.30.4.0/24" not in {route["prefix"] for route in bgp.lab.hub.bgp("learned", "gw2/branch6")}
        assert bgp.bird.lan not in bgp.twin.paths()
        for sender, receiver, marker in ((one, "vnet1", "marker-of-wan1"), (two, "vnet3", "marker-of-wan2")):
            listeners = {name: Listener(bgp.lab.vnets[name], marker) for name in ("vnet1", "vnet3")}
            packet = marked_packet("10.4.0.1", "10.50.0.4", marker)

            def arrives(
                sender: Node = sender.node, packet: bytes = packet, there: Listener = listeners[receiver]
            ) -> int:
                send_raw(sender, packet, "10.50.0.4")
                return there.heard()

            wait_for("the probe arrives where it should", arrives)
            heard = {name: listener.stop() for name, listener in listeners.items()}
            assert [name for name, count in heard.items() if count] == [receiver]
    finally:
        bgp.frr.announce([])
        bgp.twin.announce([])


def test_branch_to_branch_is_announced_and_withdrawn_live(bgp: BgpLab) -> None:
    hub, br4, br5 = bgp.lab.hub, bgp.lab.branches["br4"], bgp.lab.branches["br5"]
    wan = "type: virtualWans\nname: wan1\nlocation: westeurope\nproperties: {allowBranchToBranchTraffic: %s}\n"
    others = (bgp.bird.lan, "10.1.0.0/24", "10.2.0.0/24")
    drops = [bgp.frr.session(instance).drops for instance in (0, 1)]
    try:
        with traffic(bgp.lab.vnets["vnet1"], "10.50.0.4", br4.node, br4.lan) as outcome:
            hub.apply_text(wan % "false")
            bgp.frr.wait_withdrawn(*others)
            bgp.frr.wait_learned(*bgp.hub_prefixes)
            assert not pings(br5.node, br5.lan, br4.lan, count=1)
            hub.apply_text(wan % "true")
            bgp.frr.wait_learned(*others)
            bgp.bird.wait_learned(bgp.frr.lan)
            assert pings(br5.node, br5.lan, br4.lan)
        assert outcome.lost == 0, str(outcome)
        assert [bgp.frr.session(instance).drops for instance in (0, 1)] == drops
    finally:
        hub.apply_text(wan % "true")


def test_a_new_session_gets_all_and_then_the_end_of_rib_and_all_again_when_it_asks(bgp: BgpLab) -> None:
    wanted = {*bgp.hub_prefixes, bgp.frr.lan, bgp.bird.lan, "10.1.0.0/24", "10.2.0.0/24"}
    with bgp.raw_session(0) as raw:
        wait_for("End-of-RIB", lambda: raw.ends)
        assert wanted <= raw.routes
        raw.routes.clear()
        raw.ask_again()
        wait_for("all again", lambda: wanted <= raw.routes)


def _settings(words: str) -> str:
    return f"type: settings\nname: {RAW}\nproperties: {{resource: vpnSites/{RAW}, {words}}}\n"


def _tries(bgp: BgpLab, *, password: str | None = None, ttl: int | None = None) -> None:
    """Brings a session up and ends it. Raises OSError where the hub does not even answer its SYN."""
    with RawPeer(bgp.raw, 0) as raw:
        if password is not None:
            raw.password(password)
        if ttl is not None:
            raw.ttl(ttl)
        raw.connect(seconds=5)
        raw.open()


def test_a_password_admits_who_has_it_alone(bgp: BgpLab) -> None:
    hub, right = bgp.lab.hub, "a-password-for-md5"
    try:
        hub.apply_text(_settings(f"bgpPassword: {right}"))
        wait_for("the right one is let in", lambda: _is_let_in(bgp, password=right), 60)
        for wrong in ("another-password", None):
            with pytest.raises(OSError):
                _tries(bgp, password=wrong)
        assert right not in hub.agent_log
        assert right not in hub.run("show", "bgp", "peers", "--json").stdout
    finally:
        hub.run("delete", f"settings/{RAW}", "--yes")


def test_a_link_local_peer_has_the_instances_custom_addresses(bgp: BgpLab) -> None:
    """Azure's APIPA peering: addresses of 169.254.21.0/24 at both ends, the branch connects."""
    hub, br7, theirs = bgp.lab.hub, bgp.lab.branches["br7"], "169.254.21.7"
    ours = ("169.254.21.1", "169.254.21.5")
    attributes = (ORIGIN, path(ASN), attribute(3, IPv4Address(theirs).packed))
    for instance, address in enumerate(ours):
        br7.node.ip(f"addr add {theirs} peer {address}/32 dev t{instance}")
    try:
        hub.apply_text(_custom(theirs, *ours))
        # ExaBGP begins anew with its addresses.
        peers = [_peered(br7, instance, theirs, address) for instance, address in enumerate(ours)]
        with peers[0], peers[1]:
            for peer in peers:
                peer.announce("172.30.9.0/24", attributes=attributes)
            assert [hub.peer(RAW, instance)["localAddress"] for instance in (0, 1)] == list(ours)
            tunnels = sorted(hub.tunnel(RAW, instance)["name"] for instance in (0, 1))
            wait_for("used over both tunnels", lambda: _ways(bgp, "172.30.9.0/24") == tunnels)
            wait_for("told the other branches' prefixes", lambda: all(bgp.frr.lan in peer.routes for peer in peers))
    finally:
        hub.apply_text(_custom(ADDRESS))
        for instance, address in enumerate(ours):
            br7.node.ip(f"addr del {theirs} peer {address}/32 dev t{instance}")
        bgp.wait_ready()


def _custom(peer: str, *ours: str) -> str:
    instances = [f"{{ipconfigurationId: Instance{i}, customBgpIpAddresses: [{one}]}}" for i, one in enumerate(ours)]
    settings = f"{{bgpPeeringAddresses: [{', '.join(instances)}]}}"
    return (
        f"type: vpnGateways\nname: gw1\nproperties: {{virtualHub: hub1, bgpSettings: {settings}}}\n---\n"
        f"type: vpnSites\nname: {RAW}\nproperties: {{virtualWan: wan1, bgpProperties: {{asn: {ASN}, "
        f"bgpPeeringAddress: {peer}}}, vpnSiteLinks: [{{name: link1, properties: {{ipAddress: 192.0.2.26}}}}]}}\n"
    )


def _peered(branch: Branch, instance: int, theirs: str, ours: str) -> RawPeer:
    """Returns an established session between these addresses, once the hub has one."""

    def established() -> RawPeer | None:
        raw = RawPeer(branch, instance, address=theirs, hub=ours)
        try:
            raw.connect(seconds=5)
            raw.open()
        except (OSError, AssertionError):
            raw.close()
            return None
        return raw

    raw = wait_for(f"the hub answers at {ours}", established, 60)
    assert raw is not None
    return raw


def _ways(bgp: BgpLab, prefix: str) -> list[str]:
    return next((sorted(route["nexthops"]) for route in bgp.lab.hub.show("route") if route["prefix"] == prefix), [])


def test_ttl_security_admits_a_neighbour_alone(bgp: BgpLab) -> None:
    hub = bgp.lab.hub
    try:
        hub.apply_text(_settings("bgpTtlSecurity: true"))
        wait_for("a packet that passed no router is let in", lambda: _is_let_in(bgp, ttl=255), 60)
        with pytest.raises(OSError):
            _tries(bgp, ttl=254)
        bgp.frr.wait_established()
    finally:
        hub.run("delete", f"settings/{RAW}", "--yes")


def _is_let_in(bgp: BgpLab, *, password: str | None = None, ttl: int | None = None) -> bool:
    try:
        _tries(bgp, password=password, ttl=ttl)
    except (OSError, AssertionError):
        return False
    return True


def test_the_events_of_a_session_are_told_in_words(bgp: BgpLab) -> None:
    said = "gone for maintenance"
    with bgp.raw_session(1) as raw:
        raw.shut_down(said)
        wait_for("the session has ended", lambda: bgp.lab.hub.peer(RAW, 1)["state"] != "Established")
    reason = bgp.lab.hub.peer(RAW, 1)["reason"]
    assert "Administrative Shutdown" in reason and said in reason, reason
    assert said in bgp.lab.hub.run("events").stdout
