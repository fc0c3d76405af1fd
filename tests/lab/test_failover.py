"""Tunnels go and come back; both ends may start; branch-to-branch is switched live; nothing leaks when torn down."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.capture import capture
from tests.lab.probes import traffic
from tests.lab.reach import answer_to, pings
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

DETECTED = 45.0  # seconds: the default of dpdTimeoutSeconds


@contextmanager
def black_hole(lab: Lab, branch: str, *gateways: str) -> Iterator[None]:
    """Drops all between a branch and gateway instances on the underlay, without a word to either."""
    address, hub = lab.branches[branch].address, ", ".join(gateways)
    lab.isp.run(
        "nft",
        "-f",
        "-",
        stdin=f"""
        table ip hole {{
          chain forward {{
            type filter hook forward priority 0;
            ip saddr {address} ip daddr {{ {hub} }} drop
            ip saddr {{ {hub} }} ip daddr {address} drop
          }}
        }}""",
    )
    try:
        yield
    finally:
        lab.isp.run("nft", "delete", "table", "ip", "hole")


def test_a_dead_tunnel_leaves_its_group_and_comes_back_by_itself(lab: Lab) -> None:
    br1 = lab.branches["br1"]
    with black_hole(lab, "br1", br1.gateways[0]):
        wait_for(
            "the dead tunnel is found within the bound",
            lambda: lab.hub.tunnels()["branch1/0"] != "Connected",
            DETECTED + 15,
        )
        assert lab.hub.tunnels()["branch1/1"] == "Connected"
        route = next(route for route in lab.hub.show("route") if route["origin"].endswith("/branch1"))
        assert route["nexthops"] == [lab.hub.tunnel("branch1", 1)["name"]]
        wait_for("the branch has noticed too", lambda: set(br1.charon.established()) == {"i1"}, DETECTED)
        br1.node.ip("route replace 10.0.0.0/8 src 10.1.0.1 dev t1")
        assert pings(lab.vnets["vnet1"], "10.50.0.4", br1.lan)
    lab.hub.wait_connected("branch1/0", seconds=60)
    br1.node.ip("route replace 10.0.0.0/8 src 10.1.0.1 nexthop dev t0 nexthop dev t1")
    assert pings(lab.vnets["vnet1"], "10.50.0.4", br1.lan)


_BACKUP = """\
type: vpnSites
name: branch2
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {addressPrefixes: [10.2.0.0/24, 10.1.0.0/24]}
  vpnSiteLinks: [{name: link1, properties: {ipAddress: 192.0.2.6}}]
---
{type: settings, name: first, properties: {resource: vpnSites/branch1, priority: 1}}
---
{type: settings, name: second, properties: {resource: vpnSites/branch2, priority: 2}}
"""


def test_a_backup_site_serves_the_prefix_while_the_first_is_down(lab: Lab) -> None:
    br1, br2 = lab.branches["br1"], lab.branches["br2"]
    first, backup = (
        sorted(lab.hub.tunnel(name, instance)["name"] for instance in (0, 1)) for name in ("branch1", "branch2")
    )

    def serving() -> list[str]:
        routes = lab.hub.show("route")
        return sorted(next(r["nexthops"] for r in routes if r["prefix"] == "10.1.0.0/24" and "hub1" in r["hub"]))

    br2.node.ip("addr add 10.1.0.1/32 dev lan")
    try:
        lab.hub.apply_text(_BACKUP)
        assert serving() == first
        with black_hole(lab, "br1", *br1.gateways):
            wait_for("the backup serves", lambda: serving() == backup, DETECTED + 15)
            assert pings(lab.vnets["vnet1"], "10.50.0.4", "10.1.0.1")
        wait_for("the first serves again", lambda: serving() == first, 60)
        assert pings(lab.vnets["vnet1"], "10.50.0.4", "10.1.0.1")
    finally:
        br2.node.ip("addr del 10.1.0.1/32 dev lan")
        lab.hub.apply("wan1.yaml")
        lab.hub.run("delete", "settings/first", "settings/second", "--yes")


def test_no_tunnel_is_closed_and_not_in_clear(lab: Lab) -> None:
    br1 = lab.branches["br1"]
    with capture(lab.isp, "uhub", "net 10.0.0.0/8") as clear:
        br1.end_sas()
        for _ in range(5):
            answer_to(lab.vnets["vnet1"], "10.50.0.4", br1.lan)
    assert not clear.lines
    lab.hub.wait_connected(seconds=60)
    assert pings(lab.vnets["vnet1"], "10.50.0.4", br1.lan)


@pytest.mark.parametrize("close_action", ["start", pytest.param("none", marks=pytest.mark.slow)])
def test_both_ends_starting_at_once_end_with_one_ike_sa_for_each_tunnel(lab: Lab, close_action: str) -> None:
    br2 = lab.branches["br2"]
    tunnels = sorted(lab.hub.tunnel("branch2", instance)["name"] for instance in (0, 1))
    try:
        br2.charon.kill()
        br2.charon.start()
        br2.charon.load(br2.conf(start_action="start", close_action=close_action))
        lab.hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        wait_for(
            "one IKE SA for each tunnel, at both ends",
            lambda: br2.charon.established() == ["i0", "i1"] and _of_branch2(lab) == tunnels,
            60,
        )
        assert pings(lab.vnets["vnet1"], "10.50.0.4", br2.lan)
    finally:
        br2.charon.load(br2.conf())


def _of_branch2(lab: Lab) -> list[str]:
    names = {lab.hub.tunnel("branch2", instance)["name"] for instance in (0, 1)}
    return [name for name in lab.hub.charon.established() if name in names]


def test_branch_to_branch_is_switched_live(lab: Lab) -> None:
    br1, br2, vnet1 = lab.branches["br1"], lab.branches["br2"], lab.vnets["vnet1"]
    wan = "type: virtualWans\nname: wan1\nlocation: westeurope\nproperties: {allowBranchToBranchTraffic: %s}\n"
    try:
        with traffic(vnet1, "10.50.0.4", br2.node, br2.lan) as outcome:
            lab.hub.apply_text(wan % "false")
            said = answer_to(br1.node, br1.lan, br2.lan)
            assert "Packet filtered" in said or "prohibited" in said, said
            assert pings(br1.node, br1.lan, "10.50.0.4"), "a virtual network is still reached"
            lab.hub.apply_text(wan % "true")
            assert pings(br1.node, br1.lan, br2.lan)
        assert outcome.lost == 0, str(outcome)
    finally:
        lab.hub.apply_text(wan % "true")


def test_whatever_is_torn_down_nothing_inner_leaves_in_clear(lab: Lab) -> None:
    hub, vnet1, br1 = lab.hub.node, lab.vnets["vnet1"], lab.branches["br1"]
    tunnels = [lab.hub.tunnel("branch1", instance)["name"] for instance in (0, 1)]
    vrf, table = lab.hub.show("route")[0]["vrf"], "nft list table inet hubgw"
    torn = (
        [f"ip link del {name}" for name in tunnels],
        ["nft delete table inet hubgw"],
        [f"ip link del {vrf}"],
        ["ip nexthop flush protocol 250"],
    )
    with capture(lab.isp, "uhub", "net 10.0.0.0/8") as clear, capture(lab.isp, "uhub", "ip proto 50") as esp:
        for commands in torn:
            for command in commands:
                hub.run(*command.split())
            answer_to(vnet1, "10.50.0.4", br1.lan)
            answer_to(br1.node, br1.lan, "10.50.0.4")
            # Without the table traffic flows, and what is torn down next is another fault beside it.
            wait_for("the table is back", lambda: hub.run(*table.split(), check=False).returncode == 0, 60)
            wait_for("repaired, and traffic flows", lambda: pings(vnet1, "10.50.0.4", br1.lan, count=1), 60)
        # Nobody repairs while the agent is away.
        lab.hub.kill_agent()
        hub.run("ip", "link", "del", tunnels[0])
        hub.run("ip", "link", "del", tunnels[1])
        answer_to(vnet1, "10.50.0.4", br1.lan)
        answer_to(br1.node, br1.lan, "10.50.0.4")
    assert not clear.lines
    assert esp.lines, "the capture sees the underlay"
    lab.hub.start_agent()
    lab.hub.wait_connected()
    assert pings(vnet1, "10.50.0.4", br1.lan)
