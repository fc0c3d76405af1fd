"""Primary and backup links by routingWeight: the tunnels of both are up, those of the greater weight are used."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.reach import pings
from tests.lab.test_failover import black_hole
from tests.lab.topology import Branch, Lab
from tests.lab.waiting import wait_for

_BACKUP = "192.0.2.130"
_RESOURCES = f"""
type: vpnSites
name: branch2
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [10.2.0.0/24]}}
  vpnSiteLinks:
    - {{name: link1, properties: {{ipAddress: 192.0.2.6}}}}
    - {{name: backup, properties: {{ipAddress: {_BACKUP}}}}}
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


def _backup_conf(branch: Branch) -> str:
    """The second link's connections, beside the first's."""
    first = branch.conf()
    connections, _, secrets = first.partition("}\nsecrets")
    second = connections.removeprefix("connections {\n").replace(branch.address, _BACKUP)
    for instance in (0, 1):
        second = second.replace(f"i{instance} {{", f"b{instance} {{").replace(f"= 1{instance}\n", f"= 2{instance}\n")
    secrets = secrets.replace("id1 =", f"id0 = {_BACKUP}\n    id1 =")
    return f"{connections}{second}}}\nsecrets{secrets}"


@contextmanager
def _two_links(lab: Lab) -> Iterator[None]:
    branch, hub = lab.branches["br2"], lab.hub
    branch.node.ip(f"addr add {_BACKUP}/32 dev eth0")
    lab.isp.ip(f"route add {_BACKUP}/32 via {branch.address}")
    for instance in (0, 1):
        branch.node.ip(f"link add b{instance} type xfrm dev eth0 if_id 2{instance}")
        branch.node.ip(f"link set b{instance} up")
    branch.charon.load(_backup_conf(branch))
    try:
        hub.apply_text(_RESOURCES)
        hub.wait_connected(seconds=90)
        yield
    finally:
        hub.apply("wan1.yaml")
        for instance in (0, 1):
            branch.node.ip(f"link del b{instance}")
        lab.isp.ip(f"route del {_BACKUP}/32")
        branch.node.ip(f"addr del {_BACKUP}/32 dev eth0")
        branch.charon.load(branch.conf())


def _used(lab: Lab) -> set[str]:
    """The links whose tunnels the hub uses to the branch."""
    links = {tunnel["name"]: tunnel["link"] for tunnel in lab.hub.show("tunnel")}
    routes = [route for route in lab.hub.show("route") if route["prefix"] == "10.2.0.0/24"]
    return {links[name] for route in routes for name in route["nexthops"]}


def _way_back(branch: Branch, first: str) -> None:
    branch.node.ip(f"route replace 10.0.0.0/8 src {branch.lan} nexthop dev {first}0 nexthop dev {first}1")


def test_the_backup_link_is_used_while_the_primary_is_down(lab: Lab) -> None:
    branch, vnet1 = lab.branches["br2"], lab.vnets["vnet1"]
    with _two_links(lab):
        wait_for("the primary alone is used", lambda: _used(lab) == {"link1"})
        assert pings(vnet1, "10.50.0.4", branch.lan)
        # What the branch sends over the other link meanwhile is a valid source all the same.
        _way_back(branch, "b")
        try:
            assert pings(vnet1, "10.50.0.4", branch.lan)
            with black_hole(lab, "br2", *branch.gateways):
                wait_for("the backup is used", lambda: _used(lab) == {"backup"}, 60)
                assert pings(vnet1, "10.50.0.4", branch.lan)
        finally:
            _way_back(branch, "t")
        wait_for("the primary is used again", lambda: _used(lab) == {"link1"}, 90)
        # The hub uses the first tunnel that is back; the branch's way back needs both.
        lab.hub.wait_connected(seconds=90)
        assert pings(vnet1, "10.50.0.4", branch.lan)
