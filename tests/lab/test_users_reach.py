"""What a user's client reaches, and with which address: as a branch does, and never as somebody else."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.certificates import Pair
from tests.lab.bgp_topology import BgpLab
from tests.lab.reach import Listener, answer_to, marked_packet, pings, send_raw
from tests.lab.topology import Lab
from tests.lab.users import POOL, Client, client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

_WAN = "type: virtualWans\nname: wan1\nlocation: westeurope\nproperties: {allowBranchToBranchTraffic: %s}\n"


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def clients(running_lab: Lab, root: Pair) -> Iterator[list[Client]]:
    """Two clients, each logged in at an instance of its own."""
    made = [client(running_lab, number) for number in (53, 54)]
    with gateway_of_users(running_lab, server(root)):
        authority = running_lab.hub.run("user", "ca").stdout
        for instance, one in enumerate(made):
            assert one.login(authority, user(root, f"user{instance}"), instance=instance)
        yield made
    for one in made:
        one.node.destroy()


def test_clients_reach_branches_and_each_other_while_branches_may(lab: Lab, clients: list[Client]) -> None:
    first, second = clients
    branch = lab.branches["br1"]

    def each_way() -> list[bool]:
        return [
            pings(first.node, first.virtual, branch.lan, count=1),
            pings(branch.node, branch.lan, second.virtual, count=1),
            pings(first.node, first.virtual, second.virtual, count=1),
        ]

    assert each_way() == [True] * 3
    try:
        lab.hub.apply_text(_WAN % "false")
        assert each_way() == [False] * 3
        assert "Packet filtered" in answer_to(first.node, first.virtual, branch.lan)
        assert pings(first.node, first.virtual, "10.50.0.4"), "a virtual network is no branch"
    finally:
        lab.hub.apply_text(_WAN % "true")


def test_bgp_announces_the_pool_as_a_branchs_prefix(clients: list[Client], bgp: BgpLab) -> None:
    hub = bgp.lab.hub
    bgp.frr.wait_learned(POOL)
    bgp.bird.wait_learned(POOL)
    try:
        hub.apply_text(_WAN % "false")
        bgp.frr.wait_withdrawn(POOL)
    finally:
        hub.apply_text(_WAN % "true")
    bgp.frr.wait_learned(POOL)


def test_custom_routes_lead_to_what_bgp_teaches(clients: list[Client], root: Pair, bgp: BgpLab) -> None:
    one, br4 = clients[0], bgp.lab.branches["br4"]
    assert not pings(one.node, one.virtual, br4.lan, count=1), "the client does not know of it"
    hub = bgp.lab.hub
    hub.apply_text(
        f"type: settings\nname: p1\nproperties: {{resource: p2sVpnGateways/p1, customRoutes: [{bgp.frr.lan}]}}"
    )
    try:
        one.logout()
        assert one.login(hub.run("user", "ca").stdout, user(root, "user0"))
        assert pings(one.node, one.virtual, br4.lan) and pings(br4.node, br4.lan, one.virtual)
    finally:
        hub.run("delete", "settings/p1", "--yes")


def test_a_client_sends_with_its_own_address_alone(lab: Lab, clients: list[Client]) -> None:
    first, second = clients
    vnet1, own = lab.vnets["vnet1"], IPv4Address(first.virtual)
    refused, spoofed = _refused(lab), _spoofed(lab)
    # Its own policies keep a client from it; whoever spoofs has others.
    policy = "src 0.0.0.0/0 dst 10.50.0.0/24 dir out"
    first.node.ip(f"xfrm policy update {policy} {_template(first)}")
    sources = {
        "of-a-neighbour": str(own + 1),
        "of-the-other-instance": second.virtual,
        "of-nobody": "203.0.113.77",
        "of-its-own": str(own),
    }
    listeners = {marker: Listener(vnet1, marker) for marker in sources}
    for marker, source in sources.items():
        send_raw(first.node, marked_packet(source, "10.50.0.4", marker), "10.50.0.4")
    wait_for("its own packets come, and are answered", lambda: listeners["of-its-own"].heard() == 10)
    heard = {marker: listener.stop() for marker, listener in listeners.items()}
    first.node.ip(f"xfrm policy delete {policy}")
    assert heard == {"of-a-neighbour": 0, "of-the-other-instance": 0, "of-nobody": 0, "of-its-own": 10}
    # The kernel knows whose address is whose of those on one interface, nftables whose interface a source is behind.
    assert (_refused(lab) - refused, _spoofed(lab) - spoofed) == (5, 10)


def _template(one: Client) -> str:
    states = one.node.ip("xfrm state list nokeys")
    out = re.search(rf"^src {re.escape(one.address)} dst (\S+)\n\tproto esp spi \S+ reqid (\d+)", states, re.MULTILINE)
    assert out, states
    return f"tmpl src {one.address} dst {out[1]} proto esp reqid {out[2]} mode tunnel"


def _spoofed(lab: Lab) -> int:
    listed = lab.hub.node.run("nft", "list", "set", "inet", "hubgw", "spoofed").stdout
    return sum(map(int, re.findall(r"counter packets (\d+) bytes", listed)))


def _refused(lab: Lab) -> int:
    """Counts what the kernel dropped of packets that came through an SA that is not for them."""
    counters = dict(line.split() for line in lab.hub.node.run("cat", "/proc/net/xfrm_stat").stdout.splitlines())
    return int(counters["XfrmInTmplMismatch"]) + int(counters["XfrmInNoPols"])
