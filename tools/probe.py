"""Turns the host's /dev/kvm into a yes or no with a reason: a stock guest kernel must boot on it, within seconds."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from tools import cache
from tools.progress import phase

DEADLINE = 6.0
BOOTED = b"Unable to mount root fs"


def is_counted() -> bool:
    """Whether a guest's time is to be the instructions that it runs: figures repeat whatever else the host does."""
    return bool(os.environ.get("HUBGW_COUNTED"))


def accelerator(tree: Path, qemu: list[str], kernel: Path) -> tuple[str, str]:
    """The value of QEMU's -accel, and why. The answer of a probe is kept until the host boots again."""
    if is_counted():
        return "tcg,thread=single", "HUBGW_COUNTED: its time is counted in instructions, 2 ns each"
    if not Path("/dev/kvm").exists():
        return "tcg,thread=multi", "this host has no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg,thread=multi", "/dev/kvm is there, but not for this user"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8")
    answer = cache.home() / f"kvm-probe-{cache.key([boot, tree.name])}"
    if not answer.exists():
        for old in cache.home().glob("kvm-probe-*"):
            old.unlink(missing_ok=True)
        with phase(f"does a stock kernel boot with KVM here (at most {DEADLINE:.0f} s)"):
            answer.write_text("yes" if boots(qemu, kernel) else "no", encoding="utf-8")
    if answer.read_text(encoding="utf-8") == "yes":
        return "kvm", "a stock kernel boots on this host's /dev/kvm"
    return "tcg,thread=multi", "/dev/kvm is there, but a stock kernel does not boot on it"


def boots(qemu: list[str], kernel: Path) -> bool:
    """Boots the kernel without a root file system: it has come far enough when that is all that it misses."""
    argv = [
        *qemu,
        "-M",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "max",
        "-m",
        "512M",
        "-nic",
        "none",
        "-nographic",
        "-no-reboot",
    ]
    argv += ["-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"]
    with tempfile.TemporaryFile() as console:
        guest = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        end = time.monotonic() + DEADLINE
        while guest.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        guest.kill()
        guest.wait()
        console.seek(0)
        return BOOTED in console.read()
