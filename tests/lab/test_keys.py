"""Keys: a wrong one is told by the branch and leaks nowhere; one that hubgw made can be shown, to root, and is told."""

from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

WRONG = "wrong-key-that-nobody-may-read"


def test_a_wrong_key_fails_and_the_right_one_connects(lab: Lab) -> None:
    br2 = lab.branches["br2"]
    br2.charon.load(br2.conf(key=WRONG))
    br2.end_sas()
    try:
        wait_for(
            "the branch says why",
            lambda: "AUTHENTICATION_FAILED" in br2.charon.log or "AUTH_FAILED" in br2.charon.log,
            60,
        )
        wait_for("no SA", lambda: br2.charon.established() == [], 30)
        assert lab.hub.tunnels()["branch2/0"] in {"NotConnected", "Connecting"}
        for text in (br2.charon.log, lab.hub.charon.log, lab.hub.agent_log):
            assert WRONG not in text
            assert br2.key not in text
    finally:
        br2.charon.load(br2.conf())
    lab.hub.wait_connected("branch2/0", "branch2/1", seconds=90)
    assert pings(lab.vnets["vnet1"], "10.50.0.4", br2.lan)


def test_a_key_that_changes_touches_no_sa_and_is_the_one_that_counts_from_then_on(lab: Lab) -> None:
    br2, new = lab.branches["br2"], "another-key-of-branch-2"
    connection = "type: vpnConnections\nname: gw1/branch2\nproperties: {remoteVpnSite: branch2, sharedKey: %s}\n"
    spis = [lab.hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)]
    try:
        said = lab.hub.apply_text(connection % new)
        assert new not in said
        assert [lab.hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)] == spis
        failures = lab.hub.charon.log.count("AUTH_FAILED")
        br2.end_sas()
        wait_for("the old key is refused", lambda: lab.hub.charon.log.count("AUTH_FAILED") > failures, 60)
        br2.charon.load(br2.conf(key=new))
        lab.hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        assert new not in lab.hub.charon.log + lab.hub.agent_log
    finally:
        lab.hub.apply_text(connection % br2.key)
        br2.charon.load(br2.conf())


def test_a_key_that_hubgw_made_can_be_shown(lab: Lab) -> None:
    lab.hub.apply_text("""
type: vpnSites
name: branch9
properties:
  virtualWan: wan1
  addressSpace: {addressPrefixes: [10.9.0.0/24]}
  vpnSiteLinks: [{name: link1, properties: {ipAddress: 192.0.2.200}}]
---
type: vpnConnections
name: gw1/branch9
properties: {remoteVpnSite: branch9}
""")
    try:
        key = lab.hub.run("show", "connection", "gw1/branch9", "--show-key").stdout.strip()
        assert len(key) == 32
        assert key.isalnum()
        assert key not in lab.hub.run("show", "connection", "gw1/branch9", "--json").stdout
        assert "key.shown" in lab.hub.run("events").stdout
        assert key not in lab.hub.agent_log
        assert lab.hub.tunnels()["branch9/0"] in {"NotConnected", "Connecting"}
    finally:
        lab.hub.run("delete", "vpnConnections/gw1/branch9", "vpnSites/branch9", "--yes")
    assert "branch9/0" not in lab.hub.tunnels()
