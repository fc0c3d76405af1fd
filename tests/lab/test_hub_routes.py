"""The hub's own route table: prefixes behind a host of a virtual network, effective at once, also for BGP branches."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.bgp_topology import BgpLab
from tests.lab.reach import pings
from tests.lab.waiting import wait_for

_HUB = """
type: virtualHubs
name: hub1
location: westeurope
properties:
  virtualWan: wan1
  addressPrefix: 10.100.0.0/24
  routeTable: {{routes: [{routes}]}}
"""
_ON_LINK = "{addressPrefixes: [10.70.0.0/24, 10.71.0.0/24], nextHopIpAddress: 10.50.0.4}"
_BEHIND = "{addressPrefixes: [10.72.0.0/24], nextHopIpAddress: 10.60.5.4}"
_BEYOND = {"10.70.0.1": "vnet1", "10.71.0.1": "vnet1", "10.72.0.1": "vnet2"}


@contextmanager
def _hosts(bgp: BgpLab) -> Iterator[None]:
    """The hosts of the virtual networks have these addresses, as what stands behind them would."""
    for address, name in _BEYOND.items():
        bgp.lab.vnets[name].ip(f"addr add {address}/32 dev lo")
    try:
        yield
    finally:
        for address, name in _BEYOND.items():
            bgp.lab.vnets[name].ip(f"addr del {address}/32 dev lo")


def test_prefixes_behind_a_host_of_a_virtual_network_are_reached_at_once(bgp: BgpLab) -> None:
    lab, prefixes = bgp.lab, ("10.70.0.0/24", "10.71.0.0/24", "10.72.0.0/24")
    br1, br4 = lab.branches["br1"], lab.branches["br4"]
    with _hosts(bgp):
        assert not pings(br1.node, br1.lan, "10.70.0.1", count=1)
        try:
            lab.hub.apply_text(_HUB.format(routes=f"{_ON_LINK}, {_BEHIND}"))
            for target in _BEYOND:
                assert pings(br1.node, br1.lan, target), target
                assert pings(lab.vnets["vnet1"], "10.50.0.4", target), target
            bgp.frr.wait_learned(*prefixes)
            bgp.bird.wait_learned(*prefixes)
            assert pings(br4.node, br4.lan, "10.72.0.1")
            # One goes, the others stay.
            lab.hub.apply_text(_HUB.format(routes=_ON_LINK))
            assert not pings(br1.node, br1.lan, "10.72.0.1", count=1)
            bgp.frr.wait_withdrawn("10.72.0.0/24")
            assert pings(br1.node, br1.lan, "10.71.0.1")
        finally:
            lab.hub.apply("wan1.yaml")
        wait_for("nothing is routed there", lambda: not pings(br1.node, br1.lan, "10.70.0.1", count=1))
        bgp.frr.wait_withdrawn(*prefixes)
