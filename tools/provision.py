"""Turns vagrant/provision.sh into a proof: it runs on a bare Debian tree, and systemd finds no fault with its units."""

import shutil
import subprocess
from pathlib import Path

from tools import cache, images, packages, rootfs
from tools.progress import phase, run

INPUTS = (*images.INPUTS, "vagrant")
# The units, and the program that they start.
VERIFY = """
systemd-analyze verify --man=no hubgw-agent.service hubgw-bgp.service strongswan.service
systemd-analyze cat-config systemd/networkd.conf | grep -q ManageForeignNextHops=no
systemctl is-enabled hubgw-agent.service hubgw-bgp.service strongswan.service
hubgw --help
"""


def check() -> None:
    """Provisions once for each content of what the script reads; the proof is kept, the tree is not."""
    base = images.base(())
    key = cache.key([base.name, VERIFY, *images.content(INPUTS)])
    log = cache.home() / "provision.log"

    def make(partial: Path) -> None:
        tree = partial / "tree"
        with phase("a copy of the bare tree"):
            subprocess.run(["cp", "-a", str(base), str(tree)], check=True)
        shutil.copytree(packages.REPO, tree / "vagrant", ignore=shutil.ignore_patterns(".git", "build", "__pycache__"))
        log.unlink(missing_ok=True)
        argv = ["bash", "-euc", f"/vagrant/vagrant/provision.sh\n{VERIFY}"]
        run("vagrant/provision.sh on a bare tree", rootfs.chroot(tree, argv, network=True), log, rootfs.clean_env())
        cache.remove(tree)

    cache.entry("provisioned", key, make)
