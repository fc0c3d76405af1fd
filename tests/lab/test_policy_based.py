"""A policy-based site: a child SA for each pair of prefixes, either end starting; what is outside of them is closed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.capture import capture
from tests.lab.reach import answer_to, pings
from tests.lab.topology import Lab, Suite
from tests.lab.waiting import wait_for

_CONNECTION = """
type: vpnConnections
name: gw1/branch2
properties:
  remoteVpnSite: branch2
  sharedKey: example-key-of-branch-2
  vpnConnectionProtocolType: IKEv{version}
  usePolicyBasedTrafficSelectors: true
  trafficSelectorPolicies: {policies}
  vpnLinkConnections: [{{name: link1, properties: {{vpnSiteLink: link1, vpnLinkConnectionMode: {mode}}}}}]
"""

_SUITES = {2: Suite(), 1: Suite(1, "aes256-sha256-modp2048", "aes256-sha256")}
_PAIRS = ("10.50.0.0/24 === 10.2.0.0/24", "10.60.0.0/16 === 10.2.0.0/24")


def _exact(lab: Lab, version: int) -> str:
    """The branch's swanctl.conf with a child for each pair instead of one for all traffic."""
    lines: list[str] = []
    child: list[str] = []
    for line in lab.branches["br2"].conf(suite=_SUITES[version]).splitlines():
        if line.startswith("      i") and line.endswith("{"):
            child = [line]
        elif child:
            child.append(line)
            if line == "      }":
                for number, pair in enumerate(_PAIRS):
                    hub, branch = pair.split(" === ")
                    text = "\n".join(child).replace("local_ts = 0.0.0.0/0", f"local_ts = {branch}")
                    text = text.replace("remote_ts = 0.0.0.0/0", f"remote_ts = {hub}")
                    lines.append(text.replace(child[0], child[0].replace(" {", f"-{number} {{"), 1))
                child = []
        else:
            lines.append(line)
    return "\n".join(lines)


@contextmanager
def policy_based(lab: Lab, version: int, mode: str) -> Iterator[None]:
    """Configures both ends of branch 2 for the time of the block. Both virtual networks of the hub are connected."""
    br2, hub = lab.branches["br2"], lab.hub
    br2.charon.load(_exact(lab, version))
    try:
        hub.apply_text(_CONNECTION.format(version=version, mode=mode, policies="[]"))
        if mode == "ResponderOnly":
            for instance in (0, 1):
                for number in range(len(_PAIRS)):
                    br2.charon.swanctl("--initiate", "--child", f"i{instance}-{number}")
        yield
    finally:
        hub.apply("wan1.yaml")
        br2.charon.load(br2.conf())
        br2.end_sas()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)


def _complete(lab: Lab) -> bool:
    return all(lab.hub.tunnel("branch2", instance)["selectors"] == ", ".join(_PAIRS) for instance in (0, 1))


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        (2, "Default"),
        pytest.param(1, "Default", marks=pytest.mark.slow),
        pytest.param(2, "ResponderOnly", marks=pytest.mark.slow),
        (1, "ResponderOnly"),
    ],
)
def test_each_pair_carries_and_nothing_else(lab: Lab, version: int, mode: str) -> None:
    br2, vnet1, vnet2 = lab.branches["br2"], lab.vnets["vnet1"], lab.vnets["vnet2"]
    with policy_based(lab, version, mode):
        wait_for("every pair of both tunnels", lambda: _complete(lab), 90)
        assert {lab.hub.tunnel("branch2", instance)["lastError"] for instance in (0, 1)} == {""}
        assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
        assert pings(vnet2, "10.60.5.4", br2.lan) and pings(br2.node, br2.lan, "10.60.5.4")
        with capture(lab.isp, "uhub", "net 10.0.0.0/8") as clear, capture(lab.isp, "ubr2", "ip proto 50") as esp:
            outside = answer_to(lab.branches["br1"].node, "10.1.0.1", br2.lan)
            assert "1 received" not in outside, outside
        assert clear.lines == [] and esp.lines == []


def test_a_pair_that_comes_or_goes_leaves_the_others_alone(lab: Lab) -> None:
    br2, hub = lab.branches["br2"], lab.hub
    one = "[{localAddressRanges: [10.50.0.0/24], remoteAddressRanges: [10.2.0.0/24]}]"
    with policy_based(lab, 2, "Default"):
        wait_for("every pair of both tunnels", lambda: _complete(lab), 90)
        before = _spis(lab, _PAIRS[0])
        hub.apply_text(_CONNECTION.format(version=2, mode="Default", policies=one))
        wait_for("the pair is gone", lambda: hub.tunnel("branch2", 0)["selectors"] == _PAIRS[0], 30)
        assert not pings(lab.vnets["vnet2"], "10.60.5.4", br2.lan, count=1)
        hub.apply_text(_CONNECTION.format(version=2, mode="Default", policies="[]"))
        wait_for("every pair of both tunnels", lambda: _complete(lab), 90)
        assert pings(lab.vnets["vnet2"], "10.60.5.4", br2.lan)
        assert _spis(lab, _PAIRS[0]) == before


def _spis(lab: Lab, pair: str) -> list[str]:
    """The hub's inbound SPIs of a pair's SAs, as its charon has them."""
    children = [child for _, sa in lab.hub.charon.sas() for child in sa["child-sas"].values()]
    return sorted(
        child["spi-in"].decode()
        for child in children
        if f"{child['local-ts'][0].decode()} === {child['remote-ts'][0].decode()}" == pair
    )
