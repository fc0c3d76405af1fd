"""Links with a name instead of an address: asked for while the tunnel is down, and left alone while it is up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.reach import pings
from tests.lab.topology import Lab, site
from tests.lab.waiting import wait_for

NAME = "br2.example.com"
MOVED = "203.0.113.6"
"""The branch's second address: its provider gave it another one."""


@contextmanager
def hosts(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Gives the hub's agent a file of hosts for its resolver; yields what writes the address of the name, or none."""
    # `ip netns exec` has it in the place of /etc/hosts, for what is started from then on.
    path = Path("/etc/netns") / lab.hub.node.namespace / "hosts"
    path.parent.mkdir(parents=True)

    def write(address: str) -> None:
        path.write_text(f"127.0.0.1 localhost\n{address} {NAME}\n" if address else "127.0.0.1 localhost\n")

    write("")
    lab.hub.kill_agent()
    lab.hub.start_agent()
    try:
        yield write
    finally:
        lab.hub.kill_agent()
        path.unlink()
        path.parent.rmdir()
        lab.hub.start_agent()


@contextmanager
def named(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Gives branch 2 a name for its address, which it calls itself by, and a second address to move to."""
    br2 = lab.branches["br2"]

    def at(address: str) -> None:
        conf = br2.conf().replace(f"id = {br2.address}", f"id = {NAME}").replace(f"= {br2.address}", f"= {address}")
        br2.charon.load(conf)

    br2.node.ip(f"addr add {MOVED}/32 dev eth0")
    lab.isp.ip(f"route add {MOVED}/32 via {br2.address}")
    try:
        at(br2.address)
        yield at
    finally:
        lab.hub.apply("wan1.yaml")
        br2.charon.load(br2.conf())
        lab.isp.ip(f"route del {MOVED}/32")
        br2.node.ip(f"addr del {MOVED}/32 dev eth0")
        br2.end_sas()
        lab.hub.wait_connected("branch2/0", "branch2/1", seconds=90)


def test_a_branch_with_a_name_is_found_and_found_again_when_it_has_moved(lab: Lab) -> None:
    hub, br2, vnet1 = lab.hub, lab.branches["br2"], lab.vnets["vnet1"]
    with hosts(lab) as resolve, named(lab) as at:
        hub.apply_text(site(2).replace(f"ipAddress: {br2.address}", f"fqdn: {NAME}"))

        wait_for("the name is asked for", lambda: hub.tunnel("branch2", 1)["lastError"])
        for instance in (0, 1):
            tunnel = hub.tunnel("branch2", instance)
            assert (tunnel["remoteAddress"], tunnel["state"]) == ("", "NotConnected")
            assert tunnel["lastError"].startswith(f"fqdn {NAME} has no IPv4 address: "), tunnel
        assert pings(lab.branches["br1"].node, "10.1.0.1", "10.50.0.4"), "the others are not concerned"

        resolve(br2.address)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        assert hub.tunnel("branch2", 0)["lastError"] == ""
        spis = [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)]

        resolve(MOVED)
        # Longer than a name that is asked for at all would take to be asked for.
        assert pings(vnet1, "10.50.0.4", br2.lan, count=25)
        resolve("")
        hub.kill_agent()
        hub.start_agent()
        hub.wait_connected("branch2/0", "branch2/1")
        assert [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)] == spis
        assert hub.tunnel("branch2", 0)["remoteAddress"] == br2.address

        resolve(MOVED)
        at(MOVED)
        br2.end_sas()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        assert {hub.tunnel("branch2", instance)["remoteAddress"] for instance in (0, 1)} == {MOVED}
        assert f"src {MOVED} dst {br2.gateways[0]}" in hub.node.ip("xfrm state list nokeys")
        assert pings(vnet1, "10.50.0.4", br2.lan)
