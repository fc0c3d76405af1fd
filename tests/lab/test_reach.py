"""Virtual networks reach branches, each other, and back; both tunnels carry; the underlay sees ESP alone."""

import re

from tests.lab.capture import capture
from tests.lab.probes import FLOWS, traffic
from tests.lab.reach import pings
from tests.lab.topology import Lab


def test_virtual_networks_and_branches_reach_each_other(lab: Lab) -> None:
    vnet1, vnet2, br1, br2 = lab.vnets["vnet1"], lab.vnets["vnet2"], lab.branches["br1"], lab.branches["br2"]
    assert pings(vnet1, "10.50.0.4", "10.1.0.1"), "virtual network to branch"
    assert pings(br2.node, "10.2.0.1", "10.50.0.4"), "branch to virtual network"
    assert pings(br1.node, "10.1.0.1", "10.2.0.1"), "branch to branch"
    assert pings(br1.node, "10.1.0.1", "10.60.5.4"), "branch to a host behind a router of the virtual network"
    assert pings(vnet1, "10.50.0.4", "10.60.5.4"), "virtual network to virtual network"
    assert pings(vnet2, "10.60.5.4", "10.50.0.4"), "and back"
    assert pings(br1.node, "10.1.0.1", "10.100.0.12"), "the hub's own address, over the tunnel of its instance"


def test_both_tunnels_of_a_link_carry_and_the_underlay_sees_esp_alone(lab: Lab) -> None:
    br1 = lab.branches["br1"]
    tunnels = [lab.hub.tunnel("branch1", instance) for instance in (0, 1)]
    spis = [tunnel[way] for tunnel in tunnels for way in ("spiIn", "spiOut")]
    before = _bytes_by_spi(lab)
    with (
        capture(lab.isp, "ubr1", "ip proto 50") as esp,
        capture(lab.isp, "ubr1", "udp port 7000 or net 10.0.0.0/8") as clear,
        traffic(lab.vnets["vnet1"], "10.50.0.4", br1.node, br1.lan) as outcome,
    ):
        pass
    after = _bytes_by_spi(lab)
    assert outcome.lost == 0, str(outcome)
    assert outcome.there is not None and outcome.there.flows_seen == FLOWS
    assert not clear.lines
    assert len(esp.lines) >= outcome.there.sent
    for spi in spis:
        assert after[spi] > before[spi], f"the kernel's SA {spi}"
    for old, new in zip(tunnels, [lab.hub.tunnel("branch1", instance) for instance in (0, 1)], strict=True):
        assert new["bytesIn"] > old["bytesIn"] and new["bytesOut"] > old["bytesOut"], f"instance {new['instance']}"


def _bytes_by_spi(lab: Lab) -> dict[str, int]:
    """What the kernel has counted, by SPI in hexadecimal."""
    states = lab.hub.node.ip("-s xfrm state list nokeys")
    found = re.findall(r"proto esp spi 0x([0-9a-f]{8})\(.*?lifetime current:\s+(\d+)\(bytes\)", states, re.DOTALL)
    return {spi: int(count) for spi, count in found}
