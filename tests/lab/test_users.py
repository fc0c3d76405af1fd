"""Point-to-site: a client with a certificate gets an address and reaches a virtual network, inside ESP."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import make
from tests.lab.capture import capture
from tests.lab.charon import Charon
from tests.lab.node import Node, connect
from tests.lab.reach import pings
from tests.lab.topology import WAN1, Lab
from tests.lab.waiting import wait_for

_RESOURCES = """
type: vpnServerConfigurations
name: users
location: westeurope
properties:
  vpnAuthenticationTypes: [Certificate]
  vpnClientRootCertificates: [{{name: root, publicCertData: {root}}}]
---
type: p2sVpnGateways
name: p1
location: westeurope
properties:
  virtualHub: hub1
  vpnServerConfiguration: users
  p2SConnectionConfigurations: [{{name: all, properties: {{vpnClientAddressPool: {{addressPrefixes: [10.99.0.0/24]}}}}}}]
"""
_CONF = """connections {{
  hub {{
    version = 2
    remote_addrs = {gateway}
    vips = 0.0.0.0
    proposals = aes256gcm16-prfsha384-ecp384
    local {{
      auth = pubkey
      cert {{
        file = {folder}/user.pem
      }}
    }}
    remote {{
      auth = pubkey
      id = {gateway}
      ca {{
        file = {folder}/hub.pem
      }}
    }}
    children {{
      hub {{
        remote_ts = 10.50.0.0/24
        esp_proposals = aes256gcm16-ecp384
      }}
    }}
  }}
}}
"""


@pytest.fixture
def client(lab: Lab, tmp_path: Path) -> Iterator[Charon]:
    node = Node("cl1", lab.isp.directory.parent / "cl1")
    node.create()
    connect(lab.isp, "ucl1", node, "eth0")
    lab.isp.ip("addr add 192.0.2.201/30 dev ucl1")
    node.ip("addr add 192.0.2.202/30 dev eth0")
    node.ip("route add default via 192.0.2.201")
    charon = Charon(node, settings="retransmit_tries = 2\n  retransmit_timeout = 2.0")
    charon.start()
    try:
        yield charon
    finally:
        node.clear()


def test_a_user_with_a_certificate_reaches_a_virtual_network(lab: Lab, client: Charon, tmp_path: Path) -> None:
    hub, now = lab.hub, time.time()
    root = make("O=Example, CN=users", ca=True, now=now)
    alice = make("O=Example, CN=alice", ["alice@example.com"], by=root, now=now)
    data = "".join(line for line in root.pem.splitlines() if not line.startswith("---"))
    base64.b64decode(data, validate=True)
    node = (Path(__file__).parent / "resources" / "node.yaml").read_text()
    users = "".join(
        f"    - {{p2sVpnGateway: p1, instance: {number}, publicAddress: {address}, interface: eth0}}\n"
        for number, address in enumerate(WAN1)
    )
    assert "  gatewayInstances:" in node
    hub.apply_text(_RESOURCES.format(root=data) + "---\n" + node.rstrip("\n") + "\n  userGatewayInstances:\n" + users)
    (tmp_path / "user.pem").write_text(alice.pem)
    (tmp_path / "hub.pem").write_text(hub.run("pki", "ca").stdout)
    client.load(_CONF.format(gateway=WAN1[0], folder=tmp_path))
    client.load_key(alice.key)
    client.swanctl("--initiate", "--child", "hub", "--timeout", "20")
    address = wait_for(
        "an address of the pool", lambda: client.node.ip("-4 -o addr show scope global").partition("10.99.0.")[2]
    )
    vip = f"10.99.0.{address.split('/')[0]}"
    with (
        capture(lab.isp, "uhub", "host 192.0.2.202 and ip proto 50") as esp,
        capture(lab.isp, "uhub", "net 10.0.0.0/8") as clear,
    ):
        assert pings(client.node, vip, "10.50.0.4")
        assert pings(lab.vnets["vnet1"], "10.50.0.4", vip)
    assert esp.lines and not clear.lines
    hub.apply("wan1.yaml")
    hub.run("delete", "p2sVpnGateways/p1", "vpnServerConfigurations/users", "--yes")
