"""Certificates instead of preshared keys: of hubgw's own authority, and refused when they are revoked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.reach import pings
from tests.lab.test_suites import end_all
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

_SETTINGS = """
type: settings
name: branch2
properties: {resource: vpnSites/branch2, authentication: Certificate}
"""


@contextmanager
def by_certificate(lab: Lab, folder: Path) -> Iterator[None]:
    """Issues a certificate to branch 2 and configures both ends by it, for the time of the block."""
    br2, hub = lab.branches["br2"], lab.hub
    hub.run("pki", "issue", "branch2", "--identity", br2.address, "--out", str(folder))
    hub.apply_text(_SETTINGS)
    try:
        br2.load_by_certificate(folder, "branch2")
        end_all(lab)
        hub.wait_connected("branch2/0", "branch2/1", seconds=90)
        yield
    finally:
        hub.run("delete", "settings/branch2", "--yes")
        br2.charon.load(br2.conf())
        end_all(lab)
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
