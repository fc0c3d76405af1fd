"""Path MTU and MSS are right without being asked."""

import re

from tests.lab.capture import capture
from tests.lab.reach import answer_to, pings, tcp_listener, tcp_send
from tests.lab.topology import Lab

TUNNEL_MTU = 1422  # of AES-CBC with HMAC-SHA-256 in UDP over 1500 bytes, the worst suite that is offered
SIZE = 1_000_000


def test_a_packet_that_is_too_big_is_answered_by_an_address_of_the_hub(lab: Lab) -> None:
    said = answer_to(lab.vnets["vnet1"], "10.50.0.4", "10.1.0.1", "-M", "do", "-s", "1472")
    assert re.search(rf"From 10\.(50\.0\.1|100\.0\.1[23]) .*mtu = {TUNNEL_MTU}", said), said
    largest = str(TUNNEL_MTU - 28)
    assert "1 received" in answer_to(lab.vnets["vnet1"], "10.50.0.4", "10.1.0.1", "-M", "do", "-s", largest)


def test_a_branch_is_told_too(lab: Lab) -> None:
    br1 = lab.branches["br1"].node
    # Larger than what comes in over a tunnel's own interface, so that the hub has to say it.
    for instance in (0, 1):
        br1.ip(f"link set t{instance} mtu 1438")
    try:
        said = answer_to(br1, "10.1.0.1", "10.2.0.1", "-M", "do", "-s", "1408")
        assert re.search(rf"From 10\.100\.0\.1[23] .*mtu = {TUNNEL_MTU}", said), said
    finally:
        for instance in (0, 1):
            br1.ip(f"link set t{instance} mtu 1500")
    assert pings(br1, "10.1.0.1", "10.2.0.1")


def test_tcp_both_ways_fits_its_segments_into_the_tunnel(lab: Lab) -> None:
    vnet1, br1 = lab.vnets["vnet1"], lab.branches["br1"].node
    assert pings(vnet1, "10.50.0.4", "10.1.0.1")
    syn = "tcp[tcpflags] & tcp-syn != 0"
    with capture(vnet1, "eth0", syn) as at_vnet, capture(br1, "any", f"{syn} and net 10.50.0.0/24") as at_branch:
        with tcp_listener(br1, "10.1.0.1", 8001):
            assert tcp_send(vnet1, "10.50.0.4", "10.1.0.1", 8001, SIZE) == SIZE
        with tcp_listener(vnet1, "10.50.0.4", 8002):
            assert tcp_send(br1, "10.1.0.1", "10.50.0.4", 8002, SIZE) == SIZE
    to_branch = [line for line in at_branch.lines if "10.50.0.4" in line.partition(">")[0]]
    to_vnet = [line for line in at_vnet.lines if "10.1.0.1" in line.partition(">")[0]]
    assert to_branch and to_vnet
    for line in (*to_branch, *to_vnet):
        found = re.search(r"mss (\d+)", line)
        assert found and int(found[1]) <= TUNNEL_MTU - 40, line
