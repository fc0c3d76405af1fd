"""Turns the working tree into a verdict on a real kernel: a VM of its own with all tests, topologies, provisioning."""

import argparse
import os
import signal
import sys

from tools import images, lab, packages, provision, rootfs, vm
from tools.progress import LabError, phase, say

TESTS = ("tests/lab", "tests/contract", "tests/containerlab")


def pytest(machine: vm.Vm, slow: bool) -> bool:
    """The tests in the VM; pytest's own output is shown as it comes."""
    folders = [name for name in TESTS if any((packages.REPO / name).rglob("test_*.py"))]
    # The contracts' fakes are tested by tools.check, where nothing is emulated.
    options = ["--durations=40", "-k", "not fake", *([] if slow else ["-m", "not slow"])]
    # Two labs, as each waits for its daemons half of the time.
    options += ["--numprocesses", "2", "--dist", "loadfile"]
    return machine.execute(["python", "-m", "pytest", *options, *folders]) == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tools.suite", description=__doc__)
    parser.add_argument("--slow", action="store_true", help="with the cases that take minutes")
    args = parser.parse_args()
    # Who ends it ends its VM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    packages.ensure_host()
    used = lab.in_use()
    tree, disk = rootfs.root(used), images.disk(used)
    machine = vm.Vm(f"test-{os.getpid()}")
    failed = []
    try:
        provision.check()
        machine.up(tree, disk)
        with phase("tests in the VM", beat=False):
            if not pytest(machine, args.slow):
                failed.append("tests in the VM")
    finally:
        machine.stop()
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as problem:
        say(str(problem))
        sys.exit(1)
