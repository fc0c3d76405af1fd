"""Primary and backup links by routingWeight: the tunnels of both are up, those of the greater weight are used."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.links import address, more_links, way_back
from tests.lab.reach import pings
from tests.lab.test_failover import black_hole
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

_RESOURCES = f"""
type: vpnSites
name: branch2
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [10.2.0.0/24]}}
  vpnSiteLinks:
    - {{name: link1, properties: {{ipAddress: 192.0.2.6}}}}
    - {{name: backup, properties: {{ipAddress: {address(2)}}}}}
---
type: vpnConnections
name: gw1/branch2
properties:
  remoteVpnSite: branch2
  sharedKey: example-key-of-branch-2
  vpnLinkConnections:
    - {{name: link1, properties: {{vpnSiteLink: link1, routingWeight: 10}}}}
    - {{name: backup, properties: {{vpnSiteLink: backup, routingWeight: 1}}}}
"""


@contextmanager
def _two_links(lab: Lab) -> Iterator[None]:
    with more_links(lab, 2):
        try:
            lab.hub.apply_text(_RESOURCES)
            lab.hub.wait_connected(seconds=90)
            yield
        finally:
            lab.hub.apply("wan1.yaml")


def _used(lab: Lab) -> set[str]:
    """The links whose tunnels the hub uses to the branch."""
    links = {tunnel["name"]: tunnel["link"] for tunnel in lab.hub.show("tunnel")}
    routes = [route for route in lab.hub.show("route") if route["prefix"] == "10.2.0.0/24"]
    return {links[name] for route in routes for name in route["nexthops"]}


def test_the_backup_link_is_used_while_the_primary_is_down(lab: Lab) -> None:
    branch, vnet1 = lab.branches["br2"], lab.vnets["vnet1"]
    with _two_links(lab):
        wait_for("the primary alone is used", lambda: _used(lab) == {"link1"})
        assert pings(vnet1, "10.50.0.4", branch.lan)
        # What the branch sends over the other link meanwhile is a valid source all the same.
        way_back(branch, "l20", "l21")
        try:
            assert pings(vnet1, "10.50.0.4", branch.lan)
            with black_hole(lab, "br2", *branch.gateways):
                wait_for("the backup is used", lambda: _used(lab) == {"backup"}, 60)
                assert pings(vnet1, "10.50.0.4", branch.lan)
        finally:
            way_back(branch, "t0", "t1")
        wait_for("the primary is used again", lambda: _used(lab) == {"link1"}, 90)
        # The hub uses the first tunnel that is back. The branch's way back needs both, and where the branch has begun
        # one of them too, it may hold the SA that is to go for as long as its own check of a dead peer takes.
        lab.hub.wait_connected(seconds=90)
        wait_for("the branch answers over the primary", lambda: pings(vnet1, "10.50.0.4", branch.lan), 60)
