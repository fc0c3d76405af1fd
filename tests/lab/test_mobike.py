"""A branch that moves to another address keeps its SAs where its settings ask for MOBIKE, and nowhere else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.capture import capture
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

_ELSEWHERE = "192.0.2.130"
_RESOURCES = """
type: vpnConnections
name: gw1/branch2
properties:
  remoteVpnSite: branch2
  sharedKey: example-key-of-branch-2
  vpnLinkConnections: [{name: link1, properties: {vpnSiteLink: link1, vpnLinkConnectionMode: ResponderOnly}}]
"""
_SETTINGS = """
---
type: settings
name: branch2
properties: {resource: vpnSites/branch2, mobike: true}
"""


def _start(lab: Lab) -> None:
    br2 = lab.branches["br2"]
    br2.end_sas()
    for instance in (0, 1):
        br2.charon.swanctl("--initiate", "--child", f"i{instance}")
    wait_for("the hub shows the SAs that the kernel has, and no others", lambda: _shown(lab) == _installed(lab), 60)


def _shown(lab: Lab) -> set[str]:
    tunnels = [lab.hub.tunnel("branch2", instance) for instance in (0, 1)]
    return {str(tunnel[spi]) for tunnel in tunnels for spi in ("spiIn", "spiOut")}


def _installed(lab: Lab) -> set[str]:
    return set(re.findall(r"spi 0x([0-9a-f]{8})", "".join(lab.hub.sas(lab.branches["br2"].address))))


def _ike_spis(lab: Lab) -> list[set[str]]:
    return [lab.branches["br2"].charon.ike_spis(f"i{instance}") for instance in (0, 1)]


@contextmanager
def _moved(lab: Lab) -> Iterator[None]:
    """The branch's uplink has another address for the time of the block."""
    br2 = lab.branches["br2"]
    first = f"{br2.address}/30"
    try:
        lab.isp.ip(f"route add {_ELSEWHERE}/32 dev ubr2")
        br2.node.ip(f"addr add {_ELSEWHERE}/32 dev eth0")
        br2.node.ip(f"addr del {first} dev eth0")
        br2.node.ip(f"route add 192.0.2.5 dev eth0 src {_ELSEWHERE}")
        br2.node.ip(f"route replace default via 192.0.2.5 src {_ELSEWHERE}")
        yield
    finally:
        br2.node.ip(f"addr replace {first} dev eth0")
        br2.node.ip("route replace default via 192.0.2.5")
        br2.node.run("ip", "route", "del", "192.0.2.5", "dev", "eth0", check=False)
        br2.node.run("ip", "addr", "del", f"{_ELSEWHERE}/32", "dev", "eth0", check=False)
        lab.isp.run("ip", "route", "del", f"{_ELSEWHERE}/32", check=False)


def test_a_branch_that_moves_keeps_its_tunnels(lab: Lab) -> None:
    br2, hub, vnet1 = lab.branches["br2"], lab.hub, lab.vnets["vnet1"]
    br2.charon.load(br2.conf().replace("mobike = no", "mobike = yes"))
    try:
        hub.apply_text(_RESOURCES)
        supported = br2.charon.log.count("peer supports MOBIKE")
        _start(lab)
        assert br2.charon.log.count("peer supports MOBIKE") == supported, "nobody asked for it"
        hub.apply_text(_RESOURCES + _SETTINGS)
        _start(lab)
        assert br2.charon.log.count("peer supports MOBIKE") == supported + 2
        before = _ike_spis(lab)
        spis = [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)]
        with _moved(lab):
            for instance in (0, 1):
                wait_for(
                    "the hub has followed the branch",
                    lambda: hub.tunnel("branch2", instance)["remoteAddress"] == _ELSEWHERE,  # noqa: B023
                    60,
                )
            underlay = f"host {_ELSEWHERE} and (ip proto 50 or udp port 4500)"
            with capture(lab.isp, "uhub", underlay, to_the_last=True) as esp:
                assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
            assert esp.lines
            assert _ike_spis(lab) == before
            assert [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)] == spis
            assert hub.sas(br2.address) == [] and len(hub.sas(_ELSEWHERE)) == 4
        for instance in (0, 1):
            wait_for(
                "it is back",
                lambda: hub.tunnel("branch2", instance)["remoteAddress"] == br2.address,  # noqa: B023
                60,
            )
        assert pings(vnet1, "10.50.0.4", br2.lan)
        assert _ike_spis(lab) == before
    finally:
        hub.run("delete", "settings/branch2", "--yes", check=False)
        hub.apply("wan1.yaml")
        br2.charon.load(br2.conf())
        br2.end_sas()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
