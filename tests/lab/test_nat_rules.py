"""NAT rules: two branches with one prefix reach the virtual networks and each other; nobody sees what is internal."""

import re
from collections.abc import Iterator

import pytest

from tests.lab.bgp_topology import BgpLab
from tests.lab.capture import capture
from tests.lab.reach import Listener, answer_to, marked_packet, pings, send_raw, tcp_listener, tcp_send
from tests.lab.topology import Lab, site
from tests.lab.waiting import wait_for

LAN = "10.9.0.1"  # of both branches
SEEN = {"br1": "172.30.1.1", "br2": "172.30.2.1"}
VNET1 = "10.50.0.4"
VNET1_SEEN = "172.31.0.4"  # by branch2

_RULE = """
---
type: natRules
name: gw1/{name}
properties:
  mode: {mode}
  internalMappings: [{{addressSpace: {internal}}}]
  externalMappings: [{{addressSpace: {external}}}]
"""
_CONNECTION = """
---
type: vpnConnections
name: gw1/branch{number}
properties:
  remoteVpnSite: branch{number}
  sharedKey: example-key-of-branch-{number}
  vpnLinkConnections:
    - name: link1
      properties: {{vpnSiteLink: link1, ingressNatRules: [branch{number}], egressNatRules: [{egress}]}}
"""
_RESOURCES = "".join(
    (
        site(1, "10.9.0.0/24", "172.30.1.0/24"),
        "---",
        site(2, "10.9.0.0/24", "172.30.2.0/24"),
        _RULE.format(name="branch1", mode="IngressSnat", internal="10.9.0.0/24", external="172.30.1.0/24"),
        _RULE.format(name="branch2", mode="IngressSnat", internal="10.9.0.0/24", external="172.30.2.0/24"),
        _RULE.format(name="vnet1", mode="EgressSnat", internal="10.50.0.0/24", external="172.31.0.0/24"),
        _CONNECTION.format(number=1, egress=""),
        _CONNECTION.format(number=2, egress="vnet1"),
    )
)


def _spis(lab: Lab) -> set[str]:
    return {tunnel["spiIn"] for tunnel in lab.hub.show("tunnel")}


def _take_back(lab: Lab) -> None:
    lab.hub.apply("wan1.yaml")
    stored = {f"natRules/{rule['id'].split('/')[-3]}/{rule['id'].split('/')[-1]}" for rule in lab.hub.show("nat-rule")}
    if stored:
        lab.hub.run("delete", *sorted(stored), "--yes")


@pytest.fixture(scope="module")
def equal_branches(running_lab: Lab) -> Iterator[Lab]:
    """Two branches with the same LAN beside their own, and routes to each other's external prefix."""
    branches = [running_lab.branches[name].node for name in SEEN]
    for branch in branches:
        branch.ip(f"addr add {LAN}/24 dev lan")
        branch.ip(f"route add 172.16.0.0/12 src {LAN} nexthop dev t0 nexthop dev t1")
    try:
        yield running_lab
    finally:
        for branch in branches:
            branch.ip("route del 172.16.0.0/12")
            branch.ip(f"addr del {LAN}/24 dev lan")


@pytest.fixture
def nat(equal_branches: Lab, lab: Lab) -> Iterator[Lab]:
    """The same, with the rules in force."""
    lab.hub.apply_text(_RESOURCES)
    try:
        yield lab
    finally:
        _take_back(lab)


def test_branches_with_one_prefix_reach_virtual_networks_and_each_other(nat: Lab) -> None:
    vnet1, vnet2 = nat.vnets["vnet1"], nat.vnets["vnet2"]
    br1, br2 = nat.branches["br1"].node, nat.branches["br2"].node
    with (
        capture(vnet1, "eth0", "net 10.9.0.0/24", to_the_last=True) as internal,
        capture(br2, "t0", f"host {VNET1}", to_the_last=True) as first,
        capture(br2, "t1", f"host {VNET1}", to_the_last=True) as second,
    ):
        assert pings(vnet1, VNET1, SEEN["br1"])
        assert pings(vnet1, VNET1, SEEN["br2"])
        assert pings(vnet2, "10.60.5.4", SEEN["br2"])
        assert pings(br1, LAN, VNET1)
        assert pings(br2, LAN, VNET1_SEEN)
        assert pings(br1, LAN, SEEN["br2"])
        assert pings(br2, LAN, SEEN["br1"])
        assert pings(br1, "10.1.0.1", "10.2.0.1"), "what no rule names stays as it is"
    assert internal.lines == []
    assert first.lines + second.lines == []


def test_tcp_passes_both_ways_and_each_end_is_seen_translated(nat: Lab) -> None:
    vnet1, br1, br2 = nat.vnets["vnet1"], nat.branches["br1"].node, nat.branches["br2"].node
    size = 300_000
    with tcp_listener(br1, LAN, 8001):
        assert tcp_send(vnet1, VNET1, SEEN["br1"], 8001, size) == size
        assert tcp_send(br2, LAN, SEEN["br1"], 8001, size) == size
    syn = "tcp[tcpflags] & tcp-syn != 0 and dst port 8002"
    with tcp_listener(vnet1, VNET1, 8002), capture(vnet1, "eth0", syn, to_the_last=True) as at_vnet:
        assert tcp_send(br1, LAN, VNET1, 8002, size) == size
        assert tcp_send(br2, LAN, VNET1_SEEN, 8002, size) == size
    assert [line.split()[2].rpartition(".")[0] for line in at_vnet.lines] == [SEEN["br1"], SEEN["br2"]]


def test_answers_come_back_over_the_other_tunnel(nat: Lab) -> None:
    vnet1, br1, hub = nat.vnets["vnet1"], nat.branches["br1"].node, nat.hub
    before = [hub.tunnel("branch1", instance) for instance in (0, 1)]
    br1.ip(f"route replace 10.0.0.0/8 src {nat.branches['br1'].lan} dev t1")
    try:
        with tcp_listener(br1, LAN, 8003):
            for _ in range(12):
                assert tcp_send(vnet1, VNET1, SEEN["br1"], 8003, 1000) == 1000
        after = [hub.tunnel("branch1", instance) for instance in (0, 1)]
    finally:
        br1.ip(f"route replace 10.0.0.0/8 src {nat.branches['br1'].lan} nexthop dev t0 nexthop dev t1")
    sent = [new["packetsOut"] - old["packetsOut"] for new, old in zip(after, before, strict=True)]
    came = [new["packetsIn"] - old["packetsIn"] for new, old in zip(after, before, strict=True)]
    assert min(sent) > 0 and came[0] == 0 and came[1] > 0, (sent, came)


def test_too_big_is_told_through_nat_both_ways(nat: Lab) -> None:
    vnet1, br1, br2 = nat.vnets["vnet1"], nat.branches["br1"].node, nat.branches["br2"].node
    too_big = ("-M", "do", "-s")
    for target in SEEN.values():
        said = answer_to(vnet1, VNET1, target, *too_big, "1472")
        assert re.search(r"From 10\.(50\.0\.1|100\.0\.1[23]) .*mtu = 1422", said), said
    nat.hub.node.ip("link set vnet1 mtu 1300")
    try:
        for branch, target in ((br1, VNET1), (br2, VNET1_SEEN)):
            said = answer_to(branch, LAN, target, *too_big, "1350")
            assert re.search(r"From 10\.100\.0\.1[23] .*mtu = 1300", said), said
        # The branch's own router says it, from an address that no rule names, and quotes what it got.
        br1.ip("link set lan mtu 1200")
        br1.ip("neigh add 10.9.0.77 lladdr 02:00:00:00:00:77 dev lan")
        br1.sysctl(net__ipv4__ip_forward="1")
        said = answer_to(vnet1, VNET1, "172.30.1.77", *too_big, "1250")
        assert re.search(r"From 10\.1\.0\.1 .*mtu = 1200", said), said
    finally:
        br1.sysctl(net__ipv4__ip_forward="0")
        br1.ip("link set lan mtu 1500")
        br1.run("ip", "neigh", "del", "10.9.0.77", "dev", "lan", check=False)
        nat.hub.node.ip("link set vnet1 mtu 1500")
        for node in (vnet1, br1, br2):
            node.ip("route flush cache")


def test_the_external_prefix_of_another_branch_is_spoofed(nat: Lab) -> None:
    br1, vnet1 = nat.branches["br1"].node, nat.vnets["vnet1"]
    before = nat.hub.tunnel("branch1", 0)["spoofed"]
    listener = Listener(vnet1, "spoofed-past-nat")
    br1.ip(f"route add {VNET1}/32 dev t0 table 78")
    br1.ip(f"rule add to {VNET1} lookup 78")
    try:
        send_raw(br1, marked_packet("172.30.2.77", VNET1, "spoofed-past-nat"), VNET1, count=7)
        wait_for("counted", lambda: nat.hub.tunnel("branch1", 0)["spoofed"] - before >= 7)
    finally:
        br1.ip(f"rule del to {VNET1} lookup 78")
        br1.ip(f"route del {VNET1}/32 dev t0 table 78")
    assert listener.stop() == 0


def test_rules_come_and_go_under_standing_sas(equal_branches: Lab, lab: Lab) -> None:
    hub, br1, vnet1 = lab.hub, lab.branches["br1"].node, lab.vnets["vnet1"]
    spis, tunnel = _spis(lab), lab.hub.tunnel("branch1", 0)["name"]
    try:
        hub.apply_text(_RESOURCES)
        assert pings(vnet1, VNET1, SEEN["br1"])
        rules = {rule["id"].rpartition("/")[2]: rule["provisioningState"] for rule in hub.show("nat-rule")}
        assert rules == {"branch1": "Succeeded", "branch2": "Succeeded", "vnet1": "Succeeded"}
        with hub.node.monitored() as changes:
            hub.apply_text(_RESOURCES)
        assert changes() == ""
        hub.node.run("tc", "qdisc", "del", "dev", tunnel, "clsact")
        wait_for("what somebody deletes comes back", lambda: "nat" in _filters(lab, tunnel), 20)
        assert pings(vnet1, VNET1, SEEN["br1"]) and pings(br1, LAN, VNET1)
        hub.kill_agent()
        assert pings(br1, LAN, VNET1)
        hub.start_agent()
        hub.wait_connected()
        assert pings(br1, LAN, VNET1)
    finally:
        _take_back(lab)
    assert _spis(lab) == spis
    assert "clsact" not in hub.node.run("tc", "qdisc").stdout
    assert not pings(br1, LAN, VNET1), "an address that nothing leads back to"
    assert pings(br1, "10.1.0.1", VNET1)


def _filters(lab: Lab, tunnel: str) -> str:
    return "".join(lab.hub.node.run("tc", "filter", "show", "dev", tunnel, way).stdout for way in ("ingress", "egress"))


_BGP = """
type: natRules
name: gw1/branch5
properties:
  mode: IngressSnat
  internalMappings: [{addressSpace: 10.9.0.0/24}, {addressSpace: 10.254.0.5/32}]
  externalMappings: [{addressSpace: 172.30.5.0/24}, {addressSpace: 172.30.254.5/32}]
---
type: vpnSites
name: branch5
location: westeurope
properties:
  virtualWan: wan1
  bgpProperties: {asn: 4200000020, bgpPeeringAddress: 172.30.254.5}
  vpnSiteLinks: [{name: link1, properties: {ipAddress: 192.0.2.18}}]
---
type: vpnConnections
name: gw1/branch5
properties:
  remoteVpnSite: branch5
  enableBgp: true
  sharedKey: example-key-of-branch-5
  vpnLinkConnections: [{name: link1, properties: {vpnSiteLink: link1, ingressNatRules: [branch5]}}]
"""


def test_a_branch_peers_from_an_external_address_and_announces_an_external_prefix(bgp: BgpLab) -> None:
    hub, br5 = bgp.lab.hub, bgp.lab.branches["br5"].node
    br5.ip(f"addr add {LAN}/24 dev lan")
    try:
        hub.apply_text(_BGP)
        bgp.bird.announce(["172.30.5.0/24", "10.9.0.0/24"])
        hub.wait_sessions("branch5")
        assert hub.peer("branch5", 0)["address"] == "172.30.254.5"
        bgp.frr.wait_learned("172.30.5.0/24")
        bgp.bird.wait_learned(*bgp.hub_prefixes)
        wait_for("the VNet reaches it", lambda: pings(bgp.lab.vnets["vnet1"], VNET1, "172.30.5.1"))
        assert pings(bgp.lab.branches["br4"].node, bgp.lab.branches["br4"].lan, "172.30.5.1")
        refused = hub.routes_of("refused", "branch5", 0)
        assert {prefix: route["refusal"] for prefix, route in refused.items()} == {"10.9.0.0/24": "nat-internal"}
        assert "10.9.0.0/24" not in bgp.frr.paths()
    finally:
        bgp.bird.announce([])
        hub.apply("bgp1.yaml")
        hub.run("delete", "natRules/gw1/branch5", "--yes")
        br5.ip(f"addr del {LAN}/24 dev lan")
    bgp.wait_ready()
