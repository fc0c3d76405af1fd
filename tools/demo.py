"""Turns a topology's name into a running demo in the VM that stays up: `python3 -m tools.demo bgp`."""

import argparse
import sys

from tools import images, lab, packages, rootfs, vm
from tools.progress import LabError, phase, say

TOPOLOGIES = packages.REPO / "containerlab"
DEFAULT = "bgp"  # the Makefile's


def names() -> list[str]:
    return sorted(path.parent.name for path in TOPOLOGIES.glob("*/topology.clab.yml"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tools.demo", description=__doc__)
    parser.add_argument("name", choices=names())
    name = parser.parse_args().name
    with phase(f"demo of {name}"):
        packages.ensure_host()
        used = lab.in_use()
        machine = vm.Vm(vm.default_name())
        fresh = machine.up(rootfs.root(used), images.disk(used))
        clab = ["python", "-m", "tools.clab"]
        for other in [] if fresh else names():
            if machine.execute([*clab, "destroy", "-t", f"containerlab/{other}/topology.clab.yml"]) != 0:
                return 1
        if machine.execute([*clab, "deploy", "-t", f"containerlab/{name}/topology.clab.yml"]) != 0:
            return 1
        with phase("resources applied, and traffic"):
            code = machine.execute(["env", "SHOW=1", f"containerlab/{name}/smoke.sh"])
    if code == 0:
        topology = "" if name == DEFAULT else f" TOPOLOGY={name}"
        nodes = f"nodes: containerlab/{name}/README.md"
        say(f"a shell on a node: make shell{topology} NODE=hub; {nodes}; the end: make down")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as problem:
        say(str(problem))
        sys.exit(1)
