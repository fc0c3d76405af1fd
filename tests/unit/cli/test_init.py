"""A machine as the kernel tells it -> its node."""

from ipaddress import IPv4Interface

import pytest

from hubgw.cli.exits import Fail
from hubgw.cli.init_node import Interface, Machine, derive
from hubgw.resources.load import load


def interface(name: str, *addresses: str, mtu: int = 1500) -> Interface:
    return Interface(name, mtu, tuple(map(IPv4Interface, addresses)))


def test_two_addresses_are_two_instances() -> None:
    underlay = interface("eth0", "198.51.100.10/24", "198.51.100.11/24", "198.51.100.12/24", mtu=1400)
    lan = interface("eth1", "10.50.0.1/24")
    ours = interface("hgv1", "10.100.0.1/32")
    node = derive("hub.example.net", "gw1", Machine((underlay, lan, ours, interface("eth2")), "eth0"))
    assert node.yaml == (
        "type: nodes\n"
        'name: "hub"\n'
        "properties:\n"
        "  gatewayInstances:\n"
        '    - vpnGateway: "gw1"\n'
        "      instance: 0\n"
        "      publicAddress: 198.51.100.10\n"
        "      interface: eth0\n"
        "      underlayMtu: 1400\n"
        '    - vpnGateway: "gw1"\n'
        "      instance: 1\n"
        "      publicAddress: 198.51.100.11\n"
        "      interface: eth0\n"
        "      underlayMtu: 1400\n"
        "  # virtualNetworks:\n"
        "  #   - {virtualNetwork: NAME, interface: eth1, address: 10.50.0.1/24}\n"
    )
    assert node.choices == (
        "underlay: eth0, the default route's interface, MTU 1400",
        "instance 0: 198.51.100.10",
        "instance 1: 198.51.100.11",
        "not used: 198.51.100.12; a gateway has two instances",
        "eth1, 10.50.0.1/24: attaches no virtual network yet; see the YAML's comment",
    )


def test_a_single_private_address_is_one_instance() -> None:
    node = derive("-_hub_-", "gw1", Machine((interface("eth0", "192.168.1.10/24"),), "eth0"))
    assert 'name: "hub"\n' in node.yaml
    assert "underlayMtu" not in node.yaml
    assert node.choices[1:] == (
        "instance 0: 192.168.1.10 (private: where a NAT stands in front, set publicAddress and privateAddress)",
        "one instance only: eth0 has a single global address; a second gives two tunnels a link",
    )


@pytest.mark.parametrize(
    "gateway", ["gw1", "/subscriptions/0/resourceGroups/a/providers/Microsoft.Network/vpnGateways/gw1"]
)
@pytest.mark.parametrize("host", ["hub", "überhub", "", "1e3", "null", "true", "yes"])
def test_what_is_written_loads(host: str, gateway: str) -> None:
    machine = Machine((interface("eth0", "198.51.100.10/24"), interface("eth1", "10.50.0.1/24")), "eth0")
    loaded = load([("init.yaml", derive(host, gateway, machine).yaml.encode())])
    assert loaded.problems == ()
    assert [resource.type for resource in loaded.resources] == ["nodes"]


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        (Machine((interface("eth0", "198.51.100.10/24"),), ""), "no IPv4 default route"),
        (Machine((interface("eth0"),), "eth0"), "eth0 has no global IPv4 address"),
    ],
)
def test_machines_that_have_no_underlay(machine: Machine, problem: str) -> None:
    with pytest.raises(Fail, match=problem):
        derive("hub", "gw1", machine)
