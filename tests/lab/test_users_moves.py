"""Clients behind NAT, and clients that move: ESP in UDP, the same address, the same SAs."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.certificates import Pair
from tests.lab.charon import Charon
from tests.lab.node import Node, connect
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import CLIENT_SETTINGS, Client, client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

_PUBLIC = "203.0.113.6"
_ELSEWHERE = "192.0.2.234"
_MASQUERADE = """
table ip lab {
  chain post { type nat hook postrouting priority 100; oifname "eth0" masquerade; }
}
"""


@dataclass
class Behind:
    """Two clients behind one router with one public address, and one with an uplink of its own."""

    nat: Node
    clients: list[Client]
    free: Client
    root: Pair
    authority: str


@pytest.fixture(scope="module")
def behind(running_lab: Lab) -> Iterator[Behind]:
    lab = running_lab
    nat = Node("home", lab.isp.directory.parent / "home")
    nat.create()
    connect(lab.isp, "uhome", nat, "eth0")
    lab.isp.ip("addr add 203.0.113.5/30 dev uhome")
    nat.ip(f"addr add {_PUBLIC}/30 dev eth0")
    nat.ip("route add default via 203.0.113.5")
    nat.sysctl(net__ipv4__ip_forward="1")
    nat.run("nft", "-f", "-", stdin=_MASQUERADE)
    clients = [_client(nat, number) for number in (82, 83)]
    free, root = client(lab, 58), root_of_users()
    with gateway_of_users(lab, server(root)):
        yield Behind(nat, clients, free, root, lab.hub.run("user", "ca").stdout)
    for node in (nat, free.node, *(one.node for one in clients)):
        node.destroy()


def _client(nat: Node, number: int) -> Client:
    node = Node(f"cl{number}", nat.directory.parent / f"cl{number}")
    node.create()
    connect(nat, f"u{number}", node, "eth0")
    nat.ip(f"addr add 192.168.{number}.1/24 dev u{number}")
    node.ip(f"addr add 192.168.{number}.2/24 dev eth0")
    node.ip(f"route add default via 192.168.{number}.1")
    charon = Charon(node, settings=CLIENT_SETTINGS)
    charon.start()
    return Client(node, charon, f"192.168.{number}.2")


def test_two_clients_behind_one_nat_carry_and_rekey(lab: Lab, behind: Behind) -> None:
    vnet1 = lab.vnets["vnet1"]
    for number, one in enumerate(behind.clients):
        assert one.login(behind.authority, user(behind.root, f"home{number}"))
    assert len(lab.hub.sas(_PUBLIC)) == 4
    for one in behind.clients:
        assert pings(one.node, one.virtual, "10.50.0.4") and pings(vnet1, "10.50.0.4", one.virtual)
        before = one.charon.child_spis("hub")
        one.charon.swanctl("--rekey", "--child", "hub")
        wait_for("the client has rekeyed", lambda: one.charon.child_spis("hub").isdisjoint(before))  # noqa: B023
        ike = one.charon.ike_spis("hub")
        one.charon.swanctl("--rekey", "--ike", "hub")
        wait_for("its IKE SA too", lambda: one.charon.ike_spis("hub").isdisjoint(ike))  # noqa: B023
        assert pings(one.node, one.virtual, "10.50.0.4") and pings(vnet1, "10.50.0.4", one.virtual)
    for one in behind.clients:
        one.logout()
    wait_for("nothing is left of them", lambda: lab.hub.sas(_PUBLIC) == [])


def test_a_client_that_moves_keeps_its_address_and_its_sas(lab: Lab, behind: Behind) -> None:
    one, vnet1 = behind.free, lab.vnets["vnet1"]
    assert one.login(behind.authority, user(behind.root, "mobile"))
    had, spis = one.virtual, one.charon.child_spis("hub")
    gateway = f"192.0.2.{4 * 58 - 3}"
    lab.isp.ip(f"route add {_ELSEWHERE}/32 dev ucl58")
    one.node.ip(f"addr add {_ELSEWHERE}/32 dev eth0")
    one.node.ip(f"addr del {one.address}/30 dev eth0")
    one.node.ip(f"route add {gateway} dev eth0 src {_ELSEWHERE}")
    one.node.ip(f"route replace default via {gateway} src {_ELSEWHERE}")
    wait_for("the hub has followed the client", lambda: len(lab.hub.sas(_ELSEWHERE)) == 2, 60)
    assert lab.hub.sas(one.address) == []
    assert pings(vnet1, "10.50.0.4", had) and pings(one.node, had, "10.50.0.4")
    assert (one.virtual, one.charon.child_spis("hub")) == (had, spis)
    # Without a word, as when the machine is shut: what it had is its own when it comes back.
    one.charon.kill()
    one.node.ip(f"addr flush to {had}/32 dev eth0")
    one.charon.start()
    assert one.login(behind.authority, user(behind.root, "mobile"))
    assert pings(vnet1, "10.50.0.4", one.virtual)
    one.logout()
    lab.isp.ip(f"route del {_ELSEWHERE}/32")
