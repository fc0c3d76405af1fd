"""What preflight says of hosts that lack something; a host is a directory and a few answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hubgw.cli.__main__ import run
from hubgw.cli.preflight_checks import CHECKS
from hubgw.cli.preflight_host import Host

RELEASE = "6.12.117-cloud"
FORWARD = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
GOOD: Mapping[str, object] = {
    "release": RELEASE,
    "is_root": True,
    "now": 1_800_000_000.0,
    "charon": "6.0.1",
    "synchronised": True,
    "chains": [{"family": "inet", "table": "hubgw", "name": "through", "hook": "forward", "policy": "drop"}],
}
FILES = {
    "proc/sys/net/ipv4/conf/all/rp_filter": "0\n",
    f"lib/modules/{RELEASE}/modules.dep": "kernel/net/xfrm/xfrm_interface.ko.xz:\nkernel/net/ipv4/esp4.ko: x.ko\n",
    f"lib/modules/{RELEASE}/modules.builtin": "kernel/drivers/net/vrf.ko\nkernel/net/bridge/bridge.ko\n",
    "sys/module/nf_tables/x": "",
    "sys/module/8021q/x": "",
    "sys/module/sch_ingress/x": "",
    "sys/module/cls_matchall/x": "",
    "sys/module/act_nat/x": "",
}


class FakeHost(Host):
    """A host below a directory, with the answers that a test puts in."""

    def __init__(self, root: Path, answers: Mapping[str, object]) -> None:
        super().__init__("/run/charon.vici", root)
        self.answers = answers

    @property
    def release(self) -> str:
        return str(self.answers["release"])

    @property
    def is_root(self) -> bool:
        return self.answers["is_root"] is True

    @property
    def now(self) -> float:
        return float(str(self.answers["now"]))

    def clock_is_synchronised(self) -> bool:
        return self.answers["synchronised"] is True

    @property
    def nft_chains(self) -> Any:
        return self.answers["chains"]

    def charon_version(self) -> str:
        if isinstance(self.answers["charon"], OSError):
            raise self.answers["charon"]
        return str(self.answers["charon"])


def seen(root: Path, answers: Mapping[str, object], files: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    host = FakeHost(root, {**GOOD, **answers})
    return {one.what: (one.verdict, one.seen) for check in CHECKS for one in check(host)}


def test_a_host_with_everything(tmp_path: Path) -> None:
    assert seen(tmp_path, {}, FILES) == {
        "kernel": ("ok", RELEASE),
        "module xfrm_interface": ("ok", "can be loaded"),
        "module vrf": ("ok", "built in"),
        "module esp4": ("ok", "can be loaded"),
        "module nf_tables": ("ok", "loaded"),
        "module 8021q": ("ok", "loaded"),
        "module sch_ingress": ("ok", "loaded"),
        "module cls_matchall": ("ok", "loaded"),
        "module act_nat": ("ok", "loaded"),
        "module bridge": ("ok", "built in"),
        "charon": ("ok", "6.0.1"),
        "nftables": ("ok", "1 chains, read as JSON"),
        "forwarding": ("ok", "no other chain drops it"),
        "systemd-networkd": ("ok", "does not run"),
        "rp_filter": ("ok", "all is 0"),
        "clock": ("ok", "is synchronised"),
    }


@pytest.mark.parametrize(
    ("answers", "files", "what", "expected"),
    [
        ({"is_root": False}, {}, "user", ("warn", "not root")),
        ({"release": "5.2.0"}, {}, "kernel", ("fail", "5.2.0")),
        ({"release": "5.10.0-30-amd64"}, {}, "kernel", ("warn", "5.10.0-30-amd64")),
        ({}, {f"lib/modules/{RELEASE}/modules.builtin": ""}, "module vrf", ("fail", "this kernel has none")),
        ({}, {f"lib/modules/{RELEASE}/modules.builtin": ""}, "module bridge", ("warn", "this kernel has none")),
        ({"release": "9.9"}, {}, "module vrf", ("warn", "not loaded, and no list of modules to look in")),
        ({"charon": FileNotFoundError(2, "No such file or directory")}, {}, "charon",
         ("fail", "/run/charon.vici: No such file or directory")),
        ({"charon": "5.9.8"}, {}, "charon", ("fail", "5.9.8")),
        ({"charon": "5.9.14"}, {}, "charon", ("warn", "5.9.14")),
        ({"chains": "there is no program nft"}, {}, "nftables", ("fail", "there is no program nft")),
        ({"chains": "there is no program nft"}, {}, "forwarding", ("warn", "cannot be told without nftables")),
        ({"chains": [FORWARD]}, {}, "forwarding", ("fail", "the chain ip filter FORWARD drops")),
        ({}, {"run/systemd/netif/x": ""}, "systemd-networkd",
         ("fail", "ManageForeignRoutes, ManageForeignRoutingPolicyRules, ManageForeignNextHops on")),
        ({}, {"proc/sys/net/ipv4/conf/all/rp_filter": "2"}, "rp_filter", ("warn", "all is 2")),
        ({"now": 1000.0}, {}, "clock", ("fail", "is before 2026")),
        ({"synchronised": False}, {}, "clock", ("warn", "is not synchronised")),
    ],
)  # fmt: skip
def test_what_a_host_lacks(
    tmp_path: Path,
    answers: Mapping[str, object],
    files: Mapping[str, str],
    what: str,
    expected: tuple[str, str],
) -> None:
    assert seen(tmp_path, answers, {**FILES, **files})[what] == expected


def test_networkd_reads_its_dropins_in_order(tmp_path: Path) -> None:
    files = {
        "run/systemd/netif/x": "",
        "usr/lib/systemd/networkd.conf": "[Network]\nManageForeignRoutes=yes\n",
        "etc/systemd/networkd.conf.d/20-hubgw.conf": (
            "[Network]\nManageForeignRoutes = no\nManageForeignRoutingPolicyRules=no\nManageForeignNextHops=false\n"
        ),
        "usr/lib/systemd/networkd.conf.d/10-vendor.conf": "[Network]\nManageForeignRoutes=yes\n",
        "etc/systemd/networkd.conf.d/30-other.conf": "[DHCPv4]\nManageForeignRoutes=yes\n",
    }
    assert seen(tmp_path, {}, {**FILES, **files})["systemd-networkd"][0] == "ok"
    late = {"run/systemd/networkd.conf.d/90-late.conf": "[Network]\nManageForeignNextHops=yes\n"}
    told = seen(tmp_path, {}, {**FILES, **files, **late})["systemd-networkd"]
    assert told == ("fail", "ManageForeignNextHops on")


def test_this_host_is_judged_without_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["preflight", "--vici", "/nowhere/charon.vici"]) == 5
    told = capsys.readouterr().out
    assert "/nowhere/charon.vici: No such file or directory" in told
    assert "start it (systemctl start strongswan), or name its socket with --vici" in told
