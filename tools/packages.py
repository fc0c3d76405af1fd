"""Turns package lists (one name a line) into tuples, and sees to it that the host has what the tools run."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from tools.progress import LabError, say

REPO = Path(__file__).resolve().parent.parent
APPLIANCE = REPO / "packaging" / "packages.txt"
LAB = REPO / "tools" / "lab-packages.txt"

# The command that shows that a package is there, and the package.
HOST_NEEDS = {"mmdebstrap": "mmdebstrap", "ssh": "openssh-client", "unshare": "util-linux", "mkfs.ext4": "e2fsprogs"}


def read(path: Path) -> tuple[str, ...]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)


def ensure_host() -> None:
    """Installs what is missing on the host with apt-get, and says so."""
    if os.geteuid() != 0:
        raise LabError("the lab is built with chroot and mount and needs root: run it again with sudo")
    install([package for command, package in HOST_NEEDS.items() if shutil.which(command) is None])


def ensure_python_venv() -> None:
    """Debian keeps what `python3 -m venv` needs in a package of its own."""
    if importlib.util.find_spec("ensurepip") is None:
        install(["python3-venv"])


def install(missing: list[str]) -> None:
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LabError(f"this host lacks {', '.join(missing)}: install them and try again")
    say(f"installing on this host: {' '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        if subprocess.run(["apt-get", *argv], stdin=subprocess.DEVNULL, env=env, check=False).returncode != 0:
            raise LabError(f"apt-get {' '.join(argv)} failed (see above)")
