"""IKE versions, algorithms, and who starts: what a branch's device may ask for, over both instances."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.lab.capture import capture
from tests.lab.reach import answer_to, pings
from tests.lab.topology import WAN1, Lab, Suite
from tests.lab.waiting import wait_for

_CONNECTION = """
type: vpnConnections
name: gw1/branch2
properties:
  remoteVpnSite: branch2
  sharedKey: example-key-of-branch-2
  vpnConnectionProtocolType: IKEv{version}
  ipsecPolicies: [{policy}]
  vpnLinkConnections: [{{name: link1, properties: {{vpnSiteLink: link1, vpnLinkConnectionMode: {mode}}}}}]
---
type: settings
name: branch2
properties: {{resource: vpnSites/branch2, legacyAlgorithms: {legacy}}}
"""


@dataclass(frozen=True)
class Case:
    """What the branch is configured with, the hub's policy, and what is in the kernel then."""

    suite: Suite
    kernel: str
    mtu: int
    policy: str = ""
    legacy: bool = False
    branch_starts: bool = False

    def resources(self, mode: str = "Default") -> str:
        legacy = str(self.legacy).lower()
        policy = f"{{{self.policy}}}" if self.policy else ""
        return _CONNECTION.format(version=self.suite.version, policy=policy, mode=mode, legacy=legacy)


_GCM = "ipsecEncryption: GCMAES128, ipsecIntegrity: GCMAES128, ikeEncryption: GCMAES256, ikeIntegrity: SHA384"
_CBC = "ipsecEncryption: AES256, ipsecIntegrity: SHA256, ikeEncryption: AES128, ikeIntegrity: SHA384"
_OLD = "ipsecEncryption: DES3, ipsecIntegrity: SHA1, ikeEncryption: DES3, ikeIntegrity: SHA1"

CASES = {
    "IKEv2, hubgw's own choice": Case(Suite(), "rfc4106(gcm(aes))", 1422),
    "IKEv1, hubgw's own choice": Case(Suite(1, "aes256-sha256-modp2048", "aes256-sha256"), "cbc(aes)", 1422),
    "IKEv1 with PFS": Case(
        Suite(1, "aes256-sha384-ecp384", "aes256gcm16-ecp384"), "rfc4106(gcm(aes))", 1422, branch_starts=True
    ),
    "IKEv1 with a policy": Case(
        Suite(1, "aes128-sha384-ecp256", "aes256-sha256-ecp256"),
        "cbc(aes)",
        1422,
        f"{_CBC}, dhGroup: ECP256, pfsGroup: ECP256",
    ),
    "GCM": Case(
        Suite(2, "aes256gcm16-prfsha384-ecp384", "aes128gcm16-ecp256"),
        "rfc4106(gcm(aes))",
        1438,
        f"{_GCM}, dhGroup: ECP384, pfsGroup: ECP256",
    ),
    "group 24, without PFS": Case(
        Suite(2, "aes128-sha384-modp2048s256", "aes256-sha256"),
        "cbc(aes)",
        1422,
        f"{_CBC}, dhGroup: DHGroup24, pfsGroup: None",
        branch_starts=True,
    ),
    "no encryption": Case(
        Suite(2, "aes256gcm16-prfsha384-ecp384", "null-sha256-modp2048"),
        "ecb(cipher_null)",
        1446,
        "ipsecEncryption: None, ipsecIntegrity: SHA256, ikeEncryption: GCMAES256, ikeIntegrity: SHA384, "
        "dhGroup: ECP384, pfsGroup: PFS14",
    ),
    "legacy, as a policy": Case(
        Suite(2, "3des-sha1-modp1024", "3des-sha1-modp1024"),
        "cbc(des3_ede)",
        1438,
        f"{_OLD}, dhGroup: DHGroup2, pfsGroup: PFS2",
        legacy=True,
        branch_starts=True,
    ),
    "legacy, as Azure's default": Case(Suite(2, "aes256-sha1-modp1024", "aes256-sha1"), "cbc(aes)", 1422, legacy=True),
}

_SLOW = {
    "IKEv2, hubgw's own choice",
    "IKEv1, hubgw's own choice",
    "IKEv1 with a policy",
    "group 24, without PFS",
    "no encryption",
    "legacy, as Azure's default",
}
"""Those that the matrix of interoperability has too, or that differ from another in words alone."""


@contextmanager
def branch2(lab: Lab, case: Case, mode: str = "Default", start_action: str = "none") -> Iterator[None]:
    """Configures both ends of branch 2 for the time of the block."""
    br2, hub = lab.branches["br2"], lab.hub
    br2.charon.load(br2.conf(suite=case.suite, start_action="none"))
    try:
        hub.apply_text(case.resources(mode))
        br2.end_sas()
        if start_action != "none":
            br2.charon.load(br2.conf(suite=case.suite, start_action=start_action))
        yield
    finally:
        hub.apply("wan1.yaml")
        hub.run("delete", "settings/branch2", "--yes")
        br2.charon.load(br2.conf())
        br2.end_sas()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in _SLOW else ()) for name in CASES]
)
def test_a_suite_carries_both_ways_and_is_rekeyed(lab: Lab, name: str) -> None:
    case, br2, hub, vnet1 = CASES[name], lab.branches["br2"], lab.hub, lab.vnets["vnet1"]
    mode, action = ("ResponderOnly", "start") if case.branch_starts else ("Default", "none")
    with branch2(lab, case, mode, action):
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        assert hub.ciphers(br2.address) == {case.kernel}
        shown = hub.tunnel("branch2", 0)
        assert (shown["ikeVersion"], shown["selectors"]) == (case.suite.version, "0.0.0.0/0 === 0.0.0.0/0")
        assert shown["lastError"] == ""
        assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
        vnet1.ip("route flush cache")  # what the case before was told of the path
        full = ("-M", "do", "-s", str(case.mtu - 28))
        assert "1 received" in answer_to(vnet1, "10.50.0.4", br2.lan, *full)
        assert f"mtu = {case.mtu}" in answer_to(vnet1, "10.50.0.4", br2.lan, "-M", "do", "-s", "1472")
        for instance in (0, 1):
            before = hub.tunnel("branch2", instance)["spiIn"]
            br2.charon.swanctl("--rekey", "--child", f"i{instance}")
            wait_for("new SAs", lambda: hub.tunnel("branch2", instance)["spiIn"] != before, 30)  # noqa: B023
        assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
        assert hub.ciphers(br2.address) == {case.kernel}


def test_what_only_the_branch_is_to_start_the_hub_does_not(lab: Lab) -> None:
    case, br2 = CASES["GCM"], lab.branches["br2"]
    started = " or ".join(f"src host {address}" for address in WAN1)
    with branch2(lab, case, "ResponderOnly"):
        with capture(lab.isp, "ubr2", f"({started}) and udp port 500") as ike:
            # Longer than the hub waits before it starts what it is to start.
            assert pings(lab.vnets["vnet1"], "10.50.0.4", "10.1.0.1", count=25)
        assert ike.lines == []
        assert {lab.hub.tunnels()[f"branch2/{instance}"] for instance in (0, 1)} == {"NotConnected"}
        for instance in (0, 1):
            br2.charon.swanctl("--initiate", "--child", f"i{instance}")
        lab.hub.wait_connected("branch2/0", "branch2/1")


def test_what_only_the_hub_is_to_start_the_branch_cannot(lab: Lab) -> None:
    case, br2, hub = CASES["GCM"], lab.branches["br2"], lab.hub
    with branch2(lab, case, "InitiatorOnly"):
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        dropped = _dropped(lab)
        hub.kill_agent()
        try:
            br2.end_sas()
            tried = br2.charon.swanctl("--initiate", "--child", "i0", "--timeout", "5", check=False)
            assert tried.returncode != 0
            assert _dropped(lab) > dropped
            assert br2.charon.established() == []
            br2.charon.swanctl("--terminate", "--ike", "i0", "--force", check=False)
            wait_for("the branch's charon is silent", lambda: not br2.charon.sas())
            _check_exchanges(lab)
            assert pings(lab.branches["br1"].node, "10.1.0.1", "10.50.0.4"), "the others are not concerned"
        finally:
            hub.start_agent()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)


def _check_exchanges(lab: Lab) -> None:
    """What starts an IKE SA is dropped; a refusal of IKEv1, an informational without the hub's SPI, is not."""
    # IKE_SA_INIT, main mode, main mode with the flag that is a response's in IKEv2 alone, informational
    for exchange, flags, drops in ((34, 0, 1), (2, 0, 1), (2, 0x20, 1), (5, 0, 0)):
        before = _dropped(lab)
        message = bytes(range(1, 9)) + bytes(8) + bytes([11, 0x10, exchange, flags]) + bytes(8)
        send = (
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
            f"s.sendto(bytes.fromhex('{message.hex()}'), ('{WAN1[0]}', 500))"
        )
        lab.branches["br2"].node.run("python3", "-c", send)
        # What is dropped, and what follows it, arrive in order.
        lab.branches["br2"].node.run("ping", "-c", "1", "-W", "2", WAN1[0])
        assert _dropped(lab) - before == drops, (exchange, flags)


def test_a_branch_that_narrows_the_selectors_is_told_of(lab: Lab) -> None:
    br2, hub = lab.branches["br2"], lab.hub
    narrow = br2.conf().replace("local_ts = 0.0.0.0/0", "local_ts = 10.2.0.0/24")
    with branch2(lab, CASES["IKEv2, hubgw's own choice"], "ResponderOnly"):
        br2.charon.load(narrow)
        for instance in (0, 1):
            br2.charon.swanctl("--initiate", "--child", f"i{instance}")
        hub.wait_connected("branch2/0", "branch2/1")
        tunnel = hub.tunnel("branch2", 0)
        assert tunnel["selectors"] == "0.0.0.0/0 === 10.2.0.0/24"
        assert tunnel["lastError"].startswith(
            "the branch narrowed the traffic selectors to 0.0.0.0/0 === 10.2.0.0/24; "
        )
        assert pings(lab.vnets["vnet1"], "10.50.0.4", br2.lan)


def _dropped(lab: Lab) -> int:
    """How many attempts to start an IKE SA were dropped."""
    rules = lab.hub.node.run("nft", "list", "chain", "inet", "hubgw", "initiator_gate").stdout
    return sum(map(int, re.findall(r"counter packets (\d+)", rules)))
