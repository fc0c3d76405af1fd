"""The agent comes and goes, and the dataplane does not notice; a change touches what it names and nothing else."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.probes import traffic
from tests.lab.reach import pings
from tests.lab.topology import Lab, site
from tests.lab.waiting import wait_for


def _spis(lab: Lab, *connections: str) -> dict[str, tuple[str, str]]:
    return {
        f"{tunnel['connection']}/{tunnel['instance']}": (tunnel["spiIn"], tunnel["spiOut"])
        for tunnel in lab.hub.show("tunnel")
        if not connections or tunnel["connection"].rpartition("/")[2] in connections
    }


def _dataplane(lab: Lab) -> tuple[str, ...]:
    """Everything that the kernel has, less what counts or ages."""
    node = lab.hub.node
    return (
        node.ip("-o link show"),
        node.ip("route show table all"),
        node.ip("-6 route show table all"),
        node.ip("nexthop"),
        node.ip("rule"),
        node.ip("xfrm policy"),
        node.run("nft", "-s", "list", "ruleset").stdout,
    )


@contextmanager
def _unnoticed(lab: Lab) -> Iterator[None]:
    """The same SAs after the block as before it, and not one packet lost meanwhile."""
    before = _spis(lab)
    assert all(all(pair) for pair in before.values())
    with traffic(lab.vnets["vnet1"], "10.50.0.4", lab.branches["br1"].node, lab.branches["br1"].lan) as outcome:
        yield
    assert outcome.lost == 0, str(outcome)
    assert _spis(lab) == before


def test_a_killed_agent_is_not_missed(lab: Lab) -> None:
    with _unnoticed(lab):
        lab.hub.kill_agent(signal.SIGKILL)
        lab.hub.start_agent()
        lab.hub.wait_connected()


@pytest.mark.slow
def test_stopping_the_agent_changes_nothing(lab: Lab) -> None:
    with _unnoticed(lab):
        before = _dataplane(lab)
        lab.hub.kill_agent(signal.SIGTERM)
        assert _dataplane(lab) == before
        lab.hub.start_agent()
        lab.hub.wait_connected()
        assert _dataplane(lab) == before


def test_a_change_to_one_site_touches_no_other(lab: Lab) -> None:
    br2 = lab.branches["br2"]
    br2.node.ip("addr add 10.2.1.1/32 dev lan")
    try:
        with _unnoticed(lab):
            lab.hub.apply_text(site(2, "10.2.1.0/24"))
            assert pings(lab.vnets["vnet1"], "10.50.0.4", "10.2.1.1")
            lab.hub.apply_text(site(2))
        assert not pings(lab.vnets["vnet1"], "10.50.0.4", "10.2.1.1", count=1)
    finally:
        br2.node.ip("addr del 10.2.1.1/32 dev lan")


def test_a_killed_charon_keeps_forwarding_and_its_sas_are_replaced_and_collected(lab: Lab) -> None:
    before = _spis(lab)
    with traffic(lab.vnets["vnet1"], "10.50.0.4", lab.branches["br1"].node, lab.branches["br1"].lan) as outcome:
        lab.hub.charon.kill()
        wait_for("nobody knows", lambda: set(lab.hub.tunnels().values()) == {"Unknown"})
        lab.hub.charon.start()

        def replaced() -> bool:
            now = _spis(lab)
            return all(all(pair) and pair != before[name] for name, pair in now.items())

        wait_for("every SA is a new charon's", replaced, 90)
    assert outcome.there is not None and outcome.back is not None
    assert outcome.lost <= (outcome.there.sent + outcome.back.sent) // 100, str(outcome)
    inbound = {pair[0] for pair in before.values()}

    def collected() -> bool:
        states = lab.hub.node.ip("xfrm state")
        return not any(spi in states for spi in inbound)

    wait_for("what the old charon left is collected", collected, 120)
    assert pings(lab.vnets["vnet1"], "10.50.0.4", lab.branches["br1"].lan)


_MANY = 30


def _many_sites() -> str:
    return "---\n".join(
        f"""
type: vpnSites
name: many{number}
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [10.150.{number}.0/24]}}
  vpnSiteLinks: [{{name: link1, properties: {{ipAddress: 192.0.2.{100 + number}}}}}]
---
type: vpnConnections
name: gw1/many{number}
properties: {{remoteVpnSite: many{number}}}
"""
        for number in range(_MANY)
    )


def test_an_agent_that_is_killed_in_the_middle_of_an_apply_ends_it_when_it_is_back(lab: Lab) -> None:
    def interfaces() -> int:
        return lab.hub.node.ip("-o link show type xfrm").count("\n")

    before, spis = interfaces(), _spis(lab)
    try:
        with lab.hub.applying(_many_sites()):
            wait_for("the first of its interfaces", lambda: interfaces() > before)
            lab.hub.kill_agent(signal.SIGKILL)
        lab.hub.start_agent()
        wait_for("every tunnel", lambda: interfaces() == before + 2 * _MANY, 60)
        wait_for("every route", lambda: "10.150.29.0/24" in {route["prefix"] for route in lab.hub.show("route")})
        conns = lab.hub.charon.swanctl("--list-conns").stdout
        assert all(tunnel["name"] in conns for tunnel in lab.hub.show("tunnel"))
        assert spis.items() <= _spis(lab).items(), "the others' SAs are the same"
        assert pings(lab.vnets["vnet1"], "10.50.0.4", lab.branches["br1"].lan)
    finally:
        names = [f"vpnSites/many{number}" for number in range(_MANY)]
        lab.hub.run("delete", *names, "--cascade", "--yes")
    assert interfaces() == before
