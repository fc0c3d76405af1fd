"""What the kernel or charon refuses fails its own resource alone, is tried again with back-off, and recovers."""

from itertools import pairwise
from typing import Any

from hubgw.cli.exits import Code
from tests.lab.hub import RESOURCES
from tests.lab.reach import pings
from tests.lab.topology import Lab, site
from tests.lab.vici_proxy import between
from tests.lab.waiting import wait_for


def _failed(lab: Lab, name: str) -> dict[str, Any] | None:
    for connection in lab.hub.show("connection"):
        if connection["id"].rpartition("/")[2] == name and connection["provisioningState"] == "Failed":
            found: dict[str, Any] = connection
            return found
    return None


def test_what_the_kernel_refuses_fails_its_own_resource_alone(lab: Lab) -> None:
    text = """
type: virtualNetworks
name: vnet9
location: westeurope
properties: {addressSpace: {addressPrefixes: [10.90.0.0/24]}}
---
type: hubVirtualNetworkConnections
name: hub1/vnet9
properties: {remoteVirtualNetwork: vnet9}
"""
    node = lab.hub.node.directory / "node.yaml"
    node.write_text(
        (RESOURCES / "node.yaml").read_text()
        + "    - {virtualNetwork: vnet9, interface: absent9, address: 10.90.0.1/24}\n"
    )
    try:
        lab.hub.apply_text(text + "---\n" + node.read_text())
        connection = wait_for("the refusal is told", lambda: _failed(lab, "vnet9"))
        assert connection is not None
        assert "absent9" in connection["reason"]
        assert pings(lab.vnets["vnet1"], "10.50.0.4", lab.branches["br1"].lan), "everything else goes on"
        lab.hub.node.ip("link add absent9 type dummy")
        lab.hub.node.ip("link set absent9 up")
        wait_for("it is tried again", lambda: not _failed(lab, "vnet9"), 60)
        assert "10.90.0.0/24" in {route["prefix"] for route in lab.hub.show("route")}
    finally:
        lab.hub.apply("node.yaml")
        lab.hub.run("delete", "hubVirtualNetworkConnections/hub1/vnet9", "virtualNetworks/vnet9", "--yes")
        lab.hub.node.run("ip", "link", "del", "absent9", check=False)


def test_what_charon_refuses_fails_its_own_resource_alone(lab: Lab) -> None:
    hub, vnet, br1, br2 = lab.hub, lab.vnets["vnet1"], lab.branches["br1"], lab.branches["br2"]
    others = [hub.tunnel("branch3", instance)["spiIn"] for instance in (0, 1)]
    try:
        hub.run("delete", "vpnConnections/gw1/branch1", "vpnConnections/gw1/branch2", "--yes")
        with between(hub) as proxy:
            proxy.spoils = br2.address
            hub.start_agent()
            applied = hub.run("apply", "-f", str(RESOURCES / "wan1.yaml"), "--wait", "60", check=False)
            assert applied.returncode == Code.FAILED
            (told,) = applied.stderr.splitlines()
            assert told.startswith("vpnConnections/gw1/branch2: ")
            assert "proposals" in told, "charon's own reason"

            hub.wait_connected("branch1/0", "branch1/1", "branch3/0", "branch3/1")
            assert pings(vnet, "10.50.0.4", br1.lan), "what came in the same apply carries traffic"
            assert [hub.tunnel("branch3", instance)["spiIn"] for instance in (0, 1)] == others
            assert not pings(vnet, "10.50.0.4", br2.lan, count=1)

            def backs_off() -> bool:
                # Both tunnels of the connection are in each attempt.
                gaps = [later - earlier for earlier, later in pairwise(proxy.spoiled[::2])]
                return any(a < b < c and c > 4 for a, b, c in zip(gaps, gaps[1:], gaps[2:], strict=False))

            wait_for("the attempts get rarer", backs_off, 60)
            hub.apply_text(site(1, "10.1.7.0/24"))
            assert "10.1.7.0/24" in {route["prefix"] for route in hub.show("route")}, "the next apply is carried out"
            refused = [each["id"].rpartition("/")[2] for each in hub.show("connection") if each["reason"]]
            assert refused == ["branch2"]

            proxy.spoils = ""
            hub.wait_connected("branch2/0", "branch2/1", seconds=90)
            assert not _failed(lab, "branch2")
            assert pings(vnet, "10.50.0.4", br2.lan)
            assert "192.0.2.6" in hub.charon.swanctl("--list-conns").stdout
            assert "example-key" not in hub.agent_log + told
    finally:
        hub.apply("wan1.yaml")
