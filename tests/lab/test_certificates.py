"""Certificates instead of preshared keys, of hubgw's own authority or the operator's; refused when they are revoked."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import pytest

from tests.certificates import Pair, make, revoke
from tests.lab.capture import capture
from tests.lab.reach import pings
from tests.lab.topology import WAN1, Lab
from tests.lab.waiting import wait_for

_SETTINGS = """
type: settings
name: branch2
properties: {resource: vpnSites/branch2, authentication: Certificate}
"""

_OPERATORS = """---
type: settings
name: gw1
properties:
  resource: vpnGateways/gw1
  certificate: |
{certificate}
  privateKey: |
{key}
  certificateAuthorities:
  - |
{authority}
"""
_LIST = """
  revocationLists:
  - |
{revoked}
"""
_NAMED = """
---
type: settings
name: branch2-link1
properties: {{resource: vpnSites/branch2/vpnSiteLinks/link1, remoteIdentity: "{identity}"}}
"""
# The next payload of an IKE header is an Encrypted Fragment (RFC 7383); on port 4500 four octets come before.
_FRAGMENT = "(udp port 500 and udp[24] = 53) or (udp port 4500 and udp[28] = 53)"
SUBJECT = "O=Example, CN=branch2"


@contextmanager
def by_certificate(lab: Lab, folder: Path) -> Iterator[None]:
    """Issues a certificate to branch 2 and configures both ends by it, for the time of the block."""
    br2, hub = lab.branches["br2"], lab.hub
    hub.run("pki", "issue", "branch2", "--identity", br2.address, "--days", "20", "--out", str(folder))
    hub.apply_text(_SETTINGS)
    try:
        br2.load_by_certificate(folder, "branch2")
        br2.end_sas()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        yield
    finally:
        hub.run("delete", "settings/branch2", "--yes")
        br2.charon.load(br2.conf())
        br2.end_sas()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)


def _held(lab: Lab) -> str:
    return lab.hub.charon.swanctl("--list-certs").stdout


def test_a_certificate_of_hubgw_carries_until_it_is_revoked(lab: Lab, tmp_path: Path) -> None:
    br2, hub, vnet1 = lab.branches["br2"], lab.hub, lab.vnets["vnet1"]
    with by_certificate(lab, tmp_path):
        assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
        before = [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)]
        hub.kill_agent()
        hub.start_agent()
        hub.wait_connected()
        assert [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)] == before
        shown = {(one["name"], one["state"], one["daysLeft"]) for one in hub.show("certificate")}
        assert ("branch2", "Expires", 19) in shown
        assert "PRIVATE KEY" not in hub.agent_log
        assert (tmp_path / "branch2.key").stat().st_mode & 0o777 == 0o600
        hub.run("pki", "revoke", "branch2", "--yes")
        wait_for("no SA is left", lambda: not br2.charon.established(), 60)
        tried = br2.charon.swanctl("--initiate", "--child", "i0", "--timeout", "5", check=False)
        assert tried.returncode != 0
        assert "was revoked" in hub.charon.log
        told = "the branch's certificate was revoked on "
        wait_for("told in words", lambda: str(hub.tunnel("branch2", 0)["lastError"]).startswith(told))
    assert "hubgw" not in _held(lab), "no certificate is left"


@dataclass(frozen=True)
class Operators:
    """The operator's own authority, and `good`, which branch 2 has from it."""

    lab: Lab
    folder: Path
    authority: Pair
    gateway: Pair
    good: Pair

    def settings(self, *revoked: Pair, number: int = 0) -> str:
        """The settings of gateway and branch, with a list of what is revoked; that of a higher number is newer."""
        texts = {"certificate": self.gateway.pem, "key": self.gateway.key, "authority": self.authority.pem}
        text = _SETTINGS + _OPERATORS.format(**{name: indent(text, "    ") for name, text in texts.items()})
        if revoked:
            listed = revoke(self.authority, *revoked, now=time.time() - 1_000 + number)
            text += _LIST.format(revoked=indent(listed, "    ")).lstrip("\n")
        return text

    def give(self, pair: Pair, identity: str = "") -> None:
        """Gives branch 2 a certificate, and ends what it has."""
        for name, text in (("branch2.pem", pair.pem), ("branch2.key", pair.key), ("hubgw-ca.pem", self.authority.pem)):
            (self.folder / name).write_text(text)
        self.lab.branches["br2"].load_by_certificate(self.folder, "branch2", identity=identity)
        self.lab.branches["br2"].end_sas()

    def branch(self, by: Pair, days: tuple[float, float] = (-1, 365), subject: str = SUBJECT) -> Pair:
        """A certificate for branch 2."""
        address = self.lab.branches["br2"].address
        return make(subject, [address], by=by, kind="rsa3072", now=time.time(), days=days)


@pytest.fixture(scope="module")
def operators(running_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operators]:
    """Gateway and branch 2 by certificates of the operator's, RSA, for the rest of the cases of this file."""
    hub, now = running_lab.hub, time.time()
    authority = make("O=Example, CN=authority", ca=True, kind="rsa3072", now=now)
    gateway = make("O=Example, CN=gw1", WAN1, by=authority, kind="rsa3072", now=now)
    address = running_lab.branches["br2"].address
    good = make(SUBJECT, [address], by=authority, kind="rsa3072", now=now)
    own = Operators(running_lab, tmp_path_factory.mktemp("operators"), authority, gateway, good)
    hub.apply_text(own.settings())
    try:
        own.give(good)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        yield own
    finally:
        hub.run("delete", "settings/branch2", "settings/gw1", "--yes")
        running_lab.branches["br2"].charon.load(running_lab.branches["br2"].conf())
        running_lab.branches["br2"].end_sas()
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)


def _last_error(lab: Lab) -> str:
    return str(lab.hub.tunnel("branch2", 0)["lastError"])


def test_certificates_of_the_operators_authority_carry_and_a_subject_is_an_identity(
    lab: Lab, operators: Operators
) -> None:
    br2, hub, vnet1 = lab.branches["br2"], lab.hub, lab.vnets["vnet1"]
    assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
    hub.apply_text(_NAMED.format(identity=SUBJECT))
    try:
        with (
            capture(lab.isp, "uhub", f"src host {br2.address} and ({_FRAGMENT})", to_the_last=True) as theirs,
            capture(lab.isp, "uhub", f"dst host {br2.address} and ({_FRAGMENT})", to_the_last=True) as ours,
            capture(lab.isp, "uhub", f"host {br2.address} and ip[6:2] & 0x3fff != 0", to_the_last=True) as of_ip,
        ):
            operators.give(operators.good, SUBJECT)
            hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        assert len(theirs.lines) >= 4 and len(ours.lines) >= 4, "IKE itself cuts what does not fit"
        assert of_ip.lines == []
        assert {
            sa["remote-id"].decode() for name, sa in hub.charon.sas() if sa["remote-host"].decode() == br2.address
        } == {SUBJECT}
        assert pings(vnet1, "10.50.0.4", br2.lan) and pings(br2.node, br2.lan, "10.50.0.4")
    finally:
        hub.run("delete", "settings/branch2-link1", "--yes")
        operators.give(operators.good)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)


@pytest.mark.parametrize("why", [pytest.param("ended", marks=pytest.mark.slow), "of another authority"])
def test_a_certificate_that_is_not_believed_is_told_of_in_words(lab: Lab, operators: Operators, why: str) -> None:
    br2, hub = lab.branches["br2"], lab.hub
    before = [hub.tunnel("branch1", instance)["spiIn"] for instance in (0, 1)]
    if why == "ended":
        bad = operators.branch(operators.authority, (-10, -1))
        told = "the branch's certificate, or its authority's, has ended or is not yet good ("
    else:
        # Of its own subject: what charon remembers of a subject is tried too, and told of as well.
        stranger = make("O=Other, CN=authority", ca=True, kind="rsa3072", now=time.time())
        bad = operators.branch(stranger, subject="O=Other, CN=branch2")
        told = "the branch's certificate (O=Other, CN=branch2) is of an authority that the hub does not know; "
    try:
        operators.give(bad)
        tried = br2.charon.swanctl("--initiate", "--child", "i0", "--timeout", "5", check=False)
        assert tried.returncode != 0
        wait_for(f"told {told}", lambda: _last_error(lab).startswith(told), 60)
        assert br2.charon.established() == []
        assert [hub.tunnel("branch1", instance)["spiIn"] for instance in (0, 1)] == before
        assert pings(lab.branches["br1"].node, "10.1.0.1", "10.50.0.4"), "the others are not concerned"
    finally:
        operators.give(operators.good)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)


def test_a_list_of_the_operators_ends_what_it_names_and_leaves_the_rest(lab: Lab, operators: Operators) -> None:
    br2, hub = lab.branches["br2"], lab.hub

    def spis() -> list[str]:
        return [hub.tunnel("branch2", instance)["spiIn"] for instance in (0, 1)]

    other, old, new = (operators.branch(operators.authority) for _ in range(3))
    try:
        operators.give(old)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        before, ended = spis(), hub.run("events", "--limit", "2000").stdout.count("sa.revoked")
        hub.apply_text(operators.settings(other, number=1))
        assert (spis(), hub.run("events", "--limit", "2000").stdout.count("sa.revoked")) == (before, ended)
        hub.apply_text(operators.settings(other, old, number=2))
        wait_for("no SA is left", lambda: not br2.charon.established(), 60)
        told = "the branch's certificate was revoked on "
        wait_for("told in words", lambda: _last_error(lab).startswith(told), 60)
        operators.give(new)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        before = spis()
        hub.apply_text(operators.settings(old, number=3))
        hub.kill_agent()
        hub.start_agent()
        hub.wait_connected()
        assert spis() == before
    finally:
        operators.give(operators.good)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
