"""NAT in front of branches or of the hub: ESP in UDP 4500, identities instead of addresses, nothing black-holed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.lab.capture import capture
from tests.lab.charon import Charon
from tests.lab.node import Node, connect
from tests.lab.reach import answer_to, pings, tcp_listener, tcp_send
from tests.lab.topology import MODERN, WAN1, WAN2, Branch, Lab, Suite
from tests.lab.waiting import wait_for

PUBLIC = "203.0.113.2"
"""The one address of the branches behind the NAT."""

IKE_V1 = Suite(1, "aes256-sha256-modp2048", "aes256-sha256")
TUNNEL_MTU = 1422
SIZE = 1_000_000

_MASQUERADE = """
table ip lab {
  chain post { type nat hook postrouting priority 100; oifname "eth0" masquerade; }
}
"""

_SITE = """
type: vpnSites
name: {name}
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [10.{number}.0.0/24]}}
  vpnSiteLinks: [{{name: link1, properties: {{ipAddress: {address}}}}}]
---
type: settings
name: {name}
properties: {{resource: vpnSites/{name}/vpnSiteLinks/link1, remoteIdentity: {name}.example.com}}
---
type: vpnConnections
name: gw1/{name}
properties: {{remoteVpnSite: {name}, sharedKey: example-key-of-{name}, vpnConnectionProtocolType: IKEv{version}}}
"""


@dataclass
class Behind:
    """Two branches behind one router with one public address."""

    lab: Lab
    nat: Node
    branches: dict[str, Branch]

    @contextmanager
    def connected(self, *names: str, suite: Suite = MODERN) -> Iterator[None]:
        """Configures these branches at both ends for the time of the block; each starts its own tunnels."""
        hub = self.lab.hub
        texts = [
            _SITE.format(name=name, number=name.removeprefix("branch"), address=PUBLIC, version=suite.version)
            for name in names
        ]
        try:
            hub.apply_text("---\n".join(texts))
            for name in names:
                one = self.branches[name]
                conf = one.conf(suite=suite).replace(f"id = {one.address}", f"id = {name}.example.com")
                one.charon.load(conf.replace(f"id1 = {one.address}", f"id1 = {name}.example.com"))
                for instance in (0, 1):
                    one.charon.swanctl("--initiate", "--child", f"i{instance}", "--timeout", "30", check=False)
            hub.wait_connected(*(f"{name}/{instance}" for name in names for instance in (0, 1)))
            yield
        finally:
            kinds = ("vpnConnections/gw1/", "settings/", "vpnSites/")
            hub.run("delete", *(f"{kind}{name}" for kind in kinds for name in names), "--yes")
            for name in names:
                self.branches[name].end_sas(force=True)


@pytest.fixture(scope="module")
def behind(running_lab: Lab) -> Iterator[Behind]:
    lab, directory = running_lab, running_lab.isp.directory.parent
    nat = Node("nat", directory / "nat")
    nat.create()
    connect(lab.isp, "unat", nat, "eth0")
    lab.isp.ip("addr add 203.0.113.1/30 dev unat")
    nat.ip(f"addr add {PUBLIC}/30 dev eth0")
    nat.ip("route add default via 203.0.113.1")
    nat.sysctl(net__ipv4__ip_forward="1")
    nat.run("nft", "-f", "-", stdin=_MASQUERADE)
    branches = {f"branch{number}": _branch(nat, number) for number in (80, 81)}
    lab.branches.update({one.node.name: one for one in branches.values()})  # what failed is shown of them too
    yield Behind(lab, nat, branches)
    for one in branches.values():
        del lab.branches[one.node.name]
    for node in (nat, *(one.node for one in branches.values())):
        node.destroy()


def _branch(nat: Node, number: int) -> Branch:
    node = Node(f"br{number}", nat.directory.parent / f"br{number}")
    node.create()
    address, lan = f"192.168.{number}.2", f"10.{number}.0.1"
    connect(nat, f"u{number}", node, "eth0")
    nat.ip(f"addr add 192.168.{number}.1/24 dev u{number}")
    node.ip(f"addr add {address}/24 dev eth0")
    node.ip(f"route add default via 192.168.{number}.1")
    node.ip("link add lan type dummy")
    node.ip(f"addr add {lan}/24 dev lan")
    node.ip("link set lan up")
    node.sysctl(net__ipv4__conf__all__rp_filter="0", net__ipv4__conf__default__rp_filter="0")
    for instance in (0, 1):
        node.ip(f"link add t{instance} type xfrm dev eth0 if_id 1{instance}")
        node.ip(f"link set t{instance} up")
    node.ip(f"route add 10.0.0.0/8 src {lan} nexthop dev t0 nexthop dev t1")
    charon = Charon(node)
    charon.start()
    return Branch(node, charon, address, WAN1, lan, f"example-key-of-branch{number}")


@pytest.mark.parametrize("suite", [MODERN, IKE_V1], ids=["IKEv2", "IKEv1"])
def test_a_branch_behind_nat_sends_esp_in_udp_of_the_right_size(lab: Lab, behind: Behind, suite: Suite) -> None:
    branch80, vnet1 = behind.branches["branch80"], lab.vnets["vnet1"]
    with behind.connected("branch80", suite=suite):
        encap = re.findall(r"encap type espinudp sport (\d+) dport (\d+)", lab.hub.node.ip("xfrm state list nokeys"))
        # More where both ends have started at one moment: two children in one IKE SA.
        assert len(encap) >= 4, "two tunnels, both ways"
        assert pings(vnet1, "10.50.0.4", branch80.lan) and pings(branch80.node, branch80.lan, "10.50.0.4")

        _jumbo(lab, 9000)
        try:
            big = answer_to(vnet1, "10.50.0.4", branch80.lan, "-M", "do", "-s", str(9000 - 28))
            assert f"mtu = {TUNNEL_MTU}" in big, big
            vnet1.ip("route flush cache")
            with capture(behind.nat, "eth0", "udp port 4500 or ip[6:2] & 0x3fff != 0", to_the_last=True) as outside:
                largest = answer_to(vnet1, "10.50.0.4", branch80.lan, "-M", "do", "-s", str(TUNNEL_MTU - 28))
                assert "1 received" in largest
                with tcp_listener(branch80.node, branch80.lan, 8001):
                    assert tcp_send(vnet1, "10.50.0.4", branch80.lan, 8001, SIZE) == SIZE
                with tcp_listener(vnet1, "10.50.0.4", 8002):
                    assert tcp_send(branch80.node, branch80.lan, "10.50.0.4", 8002, SIZE) == SIZE
            assert [line for line in outside.lines if "frag" in line] == []
            assert any("UDP-encap: ESP" in line for line in outside.lines)
        finally:
            vnet1.ip("route flush cache")
            _jumbo(lab, 1500)


def _jumbo(lab: Lab, mtu: int) -> None:
    lab.vnets["vnet1"].ip(f"link set eth0 mtu {mtu}")
    lab.hub.node.ip(f"link set vnet1 mtu {mtu}")


def test_two_branches_behind_one_address_are_told_apart_by_their_identities(lab: Lab, behind: Behind) -> None:
    hub, vnet1 = lab.hub, lab.vnets["vnet1"]
    with behind.connected("branch80", "branch81"):
        for one in behind.branches.values():
            assert one.charon.established() == ["i0", "i1"]
            assert pings(vnet1, "10.50.0.4", one.lan) and pings(one.node, one.lan, "10.50.0.4")
        one, other = behind.branches.values()
        assert pings(one.node, one.lan, other.lan), "from one to the other, over the hub"
        spis = {name: state for name, state in _spis(lab).items() if name.startswith("branch8")}
        # The hub cannot know which of them would answer: it starts nothing, and what is lost the branch brings back.
        one.charon.swanctl("--terminate", "--ike", "i0")
        wait_for("gone", lambda: hub.tunnels()["branch80/0"] == "NotConnected")
        with capture(lab.isp, "unat", f"src host {WAN1[0]} and (udp port 500 or udp port 4500)") as ike:
            assert pings(vnet1, "10.50.0.4", other.lan, count=25)
        assert not [line for line in ike.lines if "isakmp: parent_sa ikev2_init[I]" in line]
        one.charon.swanctl("--initiate", "--child", "i0", "--timeout", "30", check=False)
        hub.wait_connected("branch80/0")
        assert {name for name, spi in _spis(lab).items() if spis.get(name, spi) != spi} == {"branch80/0"}


def _spis(lab: Lab) -> dict[str, str]:
    return {
        f"{tunnel['connection'].rpartition('/')[2]}/{tunnel['instance']}": tunnel["spiIn"]
        for tunnel in lab.hub.show("tunnel")
    }


_NODE = """
type: nodes
name: node1
properties:
  gatewayInstances:
    - {{vpnGateway: gw1, instance: 0, publicAddress: 198.51.100.10, interface: eth0}}
    - {{vpnGateway: gw1, instance: 1, publicAddress: 198.51.100.11, interface: eth0}}
    - {{vpnGateway: gw2, instance: 0, publicAddress: {public[0]}, privateAddress: {own[0]}, interface: eth0}}
    - {{vpnGateway: gw2, instance: 1, publicAddress: {public[1]}, privateAddress: {own[1]}, interface: eth0}}
  virtualNetworks:
    - {{virtualNetwork: vnet1, interface: vnet1, address: 10.50.0.1/24}}
    - {{virtualNetwork: vnet2, vlan: {{parent: trunk, id: 60}}, address: 10.60.0.1/24, gateway: 10.60.0.254}}
    - {{virtualNetwork: vnet3, bridge: {{ports: [vnet3]}}, address: 10.50.0.1/24}}
"""
_PUBLIC = ("203.0.113.20", "203.0.113.21")
_ONE_TO_ONE = f"""
table ip one-to-one {{
  chain pre {{
    type nat hook prerouting priority -100
    dnat to ip daddr map {{ {_PUBLIC[0]} : {WAN2[0]}, {_PUBLIC[1]} : {WAN2[1]} }}
  }}
  chain post {{
    type nat hook postrouting priority 100
    snat to ip saddr map {{ {WAN2[0]} : {_PUBLIC[0]}, {WAN2[1]} : {_PUBLIC[1]} }}
  }}
}}
"""


def test_the_hub_behind_a_one_to_one_nat_is_known_by_its_public_address(lab: Lab) -> None:
    hub, br3, vnet3 = lab.hub, lab.branches["br3"], lab.vnets["vnet3"]
    outside = Branch(br3.node, br3.charon, br3.address, _PUBLIC, br3.lan, br3.key)
    try:
        lab.isp.run("nft", "-f", "-", stdin=_ONE_TO_ONE)
        hub.apply_text(_NODE.format(public=_PUBLIC, own=WAN2))
        br3.charon.load(outside.conf())
        br3.end_sas(force=True)
        lab.isp.run("conntrack", "-F", check=False)  # flows that began before the rules would go on past them
        hub.wait_connected("branch3/0", "branch3/1", seconds=90)
        tunnel = hub.tunnel("branch3", 0)
        assert (tunnel["localAddress"], tunnel["remoteAddress"]) == (WAN2[0], br3.address)
        assert pings(vnet3, "10.50.0.4", br3.lan) and pings(br3.node, br3.lan, "10.50.0.4")
        # Whoever starts: the hub did; now the branch.
        br3.end_sas(force=True)
        for instance in (0, 1):
            br3.charon.swanctl("--initiate", "--child", f"i{instance}", "--timeout", "30", check=False)
        hub.wait_connected("branch3/0", "branch3/1")
        assert pings(vnet3, "10.50.0.4", br3.lan)
        largest = ("-M", "do", "-s", str(TUNNEL_MTU - 28))
        assert "1 received" in answer_to(vnet3, "10.50.0.4", br3.lan, *largest)
    finally:
        hub.apply("node.yaml")
        lab.isp.run("nft", "delete", "table", "ip", "one-to-one", check=False)
        lab.isp.run("conntrack", "-F", check=False)  # what is known of a flow outlives the rules
        br3.charon.load(br3.conf())
        br3.end_sas(force=True)
        hub.wait_connected("branch3/0", "branch3/1", seconds=90)
