"""A site with four links that all have one identity: eight tunnels, of which each carries both ways."""

from tests.lab.links import address, interfaces, more_links, way_back
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

_LINKS = 4
_FLOWS = 96
_IDENTITY = "branch2.example.com"
_SITE = """
type: vpnSites
name: branch2
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [10.2.0.0/24]}}
  vpnSiteLinks:
{links}
---
type: vpnConnections
name: gw1/branch2
properties:
  remoteVpnSite: branch2
  sharedKey: example-key-of-branch-2
  vpnLinkConnections:
{connections}
"""
_SETTINGS = """
---
type: settings
name: branch2-link{link}
properties: {{resource: vpnSites/branch2/vpnSiteLinks/link{link}, remoteIdentity: {identity}}}
"""


def _resources(first: str) -> str:
    addresses = {1: first} | {link: address(link) for link in range(2, _LINKS + 1)}
    links = (f"    - {{name: link{link}, properties: {{ipAddress: {at}}}}}" for link, at in addresses.items())
    connections = (f"    - {{name: link{link}, properties: {{vpnSiteLink: link{link}}}}}" for link in addresses)
    site = _SITE.format(links="\n".join(links), connections="\n".join(connections))
    return site + "".join(_SETTINGS.format(link=link, identity=_IDENTITY) for link in addresses)


def test_four_links_with_one_identity_are_eight_tunnels(lab: Lab) -> None:
    br2, hub, vnet1 = lab.branches["br2"], lab.hub, lab.vnets["vnet1"]
    settings = [f"settings/branch2-link{link}" for link in range(1, _LINKS + 1)]
    with more_links(lab, _LINKS, _IDENTITY):
        try:
            hub.apply_text(_resources(br2.address))
            hub.wait_connected(seconds=120)
            tunnels = _tunnels(lab)
            assert len({(tunnel["link"], tunnel["instance"]) for tunnel in tunnels.values()}) == 2 * _LINKS
            # One IKE SA each: none has taken the place of another that has the same identity.
            wait_for(
                "an IKE SA a tunnel",
                lambda: sorted(name for name in hub.charon.established() if name in tunnels) == sorted(tunnels),
                60,
            )
            way_back(br2, *interfaces(_LINKS))
            before = _octets(lab)
            assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
            for node, target in ((vnet1, br2.lan), (br2.node, "10.50.0.4")):
                flows = f"for port in $(seq 7101 {7100 + _FLOWS}); do echo > /dev/udp/{target}/$port; done"
                node.run("bash", "-c", flows, check=False)
            now = _octets(lab)
            assert [name for name in now if now[name] <= before[name]] == []
            # Whatever link a packet came over, the answer may take any other.
            way_back(br2, "l40")
            assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
        finally:
            way_back(br2, "t0", "t1")
            hub.run("delete", *settings, "--yes", check=False)
            hub.apply("wan1.yaml")
    hub.wait_connected(seconds=90)
    assert len(_tunnels(lab)) == 2


def _tunnels(lab: Lab) -> dict[str, dict[str, object]]:
    shown = lab.hub.show("tunnel")
    return {tunnel["name"]: tunnel for tunnel in shown if tunnel["connection"].endswith("/branch2")}


def _octets(lab: Lab) -> dict[tuple[str, str], int]:
    """Octets in and out of each tunnel."""
    return {
        (name, way): int(str(tunnel[way])) for name, tunnel in _tunnels(lab).items() for way in ("bytesIn", "bytesOut")
    }
