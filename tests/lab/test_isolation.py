"""Virtual WANs never exchange a packet; a tunnel reaches no address but the hub's own; what is spoofed is dropped."""

import pytest
from scapy.layers.inet import IP
from scapy.utils import rdpcap

from tests.lab.capture import capture
from tests.lab.node import Node
from tests.lab.reach import Listener, answer_to, marked_packet, pings, send_raw, tcp_listener, tcp_send
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for


def _arrivals(sender: Node, source: str, target: str, marker: str, receivers: dict[str, Node]) -> dict[str, int]:
    """Sends marked packets and returns how many each receiver saw. The first is where they belong."""
    listeners = {name: Listener(node, marker) for name, node in receivers.items()}
    packet = marked_packet(source, target, marker)
    first = next(iter(listeners.values()))
    # What the first receiver saw arrived after all that went astray was sent: packets of one node are sent in order.

    def arrives() -> int:
        send_raw(sender, packet, target)
        return first.heard()

    wait_for("the probe arrives where it should", arrives)
    return {name: listener.stop() for name, listener in listeners.items()}


def test_two_wans_with_the_same_prefixes_see_nothing_of_each_other(lab: Lab) -> None:
    one, two = lab.vnets["vnet1"], lab.vnets["vnet3"]
    br1, br3 = lab.branches["br1"].node, lab.branches["br3"].node
    seen = _arrivals(br1, "10.1.0.1", "10.50.0.4", "marker-of-wan1", {"vnet1": one, "vnet3": two, "br3": br3})
    assert seen["vnet1"] > 0, "the same probe reaches its own WAN's host"
    assert (seen["vnet3"], seen["br3"]) == (0, 0)
    seen = _arrivals(br3, "10.1.0.1", "10.50.0.4", "marker-of-wan2", {"vnet3": two, "vnet1": one, "br1": br1})
    assert seen["vnet3"] > 0
    assert (seen["vnet1"], seen["br1"]) == (0, 0)


def test_the_isolation_probe_notices_a_leaked_route(lab: Lab) -> None:
    """The same probe, with a route of wan1's table that leads into wan2's virtual network: it must be seen there."""
    hub = lab.hub.node
    table = next(route["table"] for route in lab.hub.show("route") if route["hub"].endswith("/hub1"))
    bridge = next(route["via"].rpartition(" ")[2] for route in lab.hub.show("route") if _on_link_of_wan2(route))
    hub.ip(f"route add 10.77.0.4/32 dev {bridge} table {table} protocol static")
    lab.vnets["vnet3"].ip("addr add 10.77.0.4/32 dev eth0")
    try:
        seen = _arrivals(
            lab.branches["br1"].node, "10.1.0.1", "10.77.0.4", "marker-leaks", {"vnet3": lab.vnets["vnet3"]}
        )
        with pytest.raises(AssertionError):
            assert seen["vnet3"] == 0, "wan2 sees a packet of wan1"
    finally:
        lab.vnets["vnet3"].ip("addr del 10.77.0.4/32 dev eth0")
        hub.ip(f"route del 10.77.0.4/32 dev {bridge} table {table} protocol static")


def _on_link_of_wan2(route: dict[str, str]) -> bool:
    return route["hub"].endswith("/hub2") and route["prefix"] == "10.50.0.0/24"


def test_a_tunnel_reaches_no_address_of_the_machine_but_the_hubs_own(lab: Lab) -> None:
    br1 = lab.branches["br1"].node
    # The underlay's address, through the tunnel instead of around it.
    br1.ip("route add 198.51.100.20/32 dev t0 table 77")
    br1.ip("rule add from 10.1.0.1 to 198.51.100.20 lookup 77")
    try:
        assert not pings(br1, "10.1.0.1", "198.51.100.20")
    finally:
        br1.ip("rule del from 10.1.0.1 to 198.51.100.20 lookup 77")
        br1.ip("route del 198.51.100.20/32 dev t0 table 77")
    assert pings(br1, "10.1.0.1", "10.100.0.12")
    hub = lab.hub.node
    # What listens everywhere is no more to be had at the hub's own address than elsewhere.
    with tcp_listener(hub, "0.0.0.0", 8022):
        for address in ("10.100.0.12", "198.51.100.10"):
            with pytest.raises(AssertionError):
                tcp_send(br1, "10.1.0.1", address, 8022, 1, seconds=3)
    hub.ip("addr add 10.200.0.1/32 dev lo")
    try:
        assert not pings(br1, "10.1.0.1", "10.200.0.1"), "an address of the machine outside the VRF"
    finally:
        hub.ip("addr del 10.200.0.1/32 dev lo")


def test_a_spoofed_source_is_dropped_and_counted_at_its_tunnel(lab: Lab) -> None:
    br1, vnet1 = lab.branches["br1"].node, lab.vnets["vnet1"]
    before = {instance: lab.hub.tunnel("branch1", instance)["spoofed"] for instance in (0, 1)}
    other = lab.hub.tunnel("branch2", 0)["spoofed"]
    listener = Listener(vnet1, "spoofed-by-br1")
    br1.ip("route add 10.50.0.4/32 dev t0 table 78")
    br1.ip("rule add to 10.50.0.4 lookup 78")
    try:
        send_raw(br1, marked_packet("10.2.0.77", "10.50.0.4", "spoofed-by-br1"), "10.50.0.4", count=7)
        wait_for("counted", lambda: lab.hub.tunnel("branch1", 0)["spoofed"] - before[0] >= 7)
    finally:
        br1.ip("rule del to 10.50.0.4 lookup 78")
        br1.ip("route del 10.50.0.4/32 dev t0 table 78")
    assert listener.stop() == 0
    assert lab.hub.tunnel("branch1", 1)["spoofed"] == before[1], "counted at the tunnel that it came through"
    assert lab.hub.tunnel("branch2", 0)["spoofed"] == other


def test_what_comes_twice_or_was_changed_on_the_way_is_dropped_and_counted(lab: Lab) -> None:
    br1, gateway = lab.branches["br1"], lab.branches["br1"].gateways[0]
    with capture(lab.isp, "ubr1", f"esp and dst host {gateway}", to_the_last=True) as esp:
        assert pings(br1.node, br1.lan, "10.100.0.12")
    packet = bytes(rdpcap(str(esp.pcap))[0][IP])
    sequence = int.from_bytes(packet[24:28])
    changed = packet[:24] + (sequence + 500).to_bytes(4) + packet[28:]  # one that the replay window lets through
    before = lab.hub.tunnel("branch1", 0)
    send_raw(lab.isp, packet, gateway, count=3)
    send_raw(lab.isp, changed, gateway, count=2)

    def counted() -> tuple[int, int]:
        now = lab.hub.tunnel("branch1", 0)
        return now["replayed"] - before["replayed"], now["integrityFailed"] - before["integrityFailed"]

    wait_for("each counted for what it is", lambda: counted() == (3, 2))
    assert pings(br1.node, br1.lan, "10.100.0.12")


def test_ipv6_inside_is_closed(lab: Lab) -> None:
    vnet1, hub = lab.vnets["vnet1"], lab.hub.node
    vnet1.ip("addr add 2001:db8:50::4/64 dev eth0 nodad")
    hub.ip("addr add 2001:db8:50::1/64 dev vnet1 nodad")
    try:
        said = answer_to(vnet1, "2001:db8:50::4", "2001:db8:50::1")
        assert "bytes from" not in said, said
        tunnel = lab.hub.tunnel("branch1", 0)["name"]
        assert "inet6" not in hub.ip(f"addr show dev {tunnel}")
        assert "unreachable default" in hub.ip("-6 route show table all")
    finally:
        hub.ip("addr del 2001:db8:50::1/64 dev vnet1")
        vnet1.ip("addr del 2001:db8:50::4/64 dev eth0")
