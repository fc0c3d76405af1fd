"""The lab's command line: `python3 -m tools.lab VERB` turns a working tree into a VM that runs it."""

import argparse
import sys
from pathlib import Path

from tools import cache, packages, rootfs, vm
from tools import images as image_disk
from tools.progress import LabError, say


def in_use() -> list[Path]:
    machines = [vm.Vm(name) for name in vm.all_names()]
    paths = [path for machine in machines if machine.alive() for path in machine.stands_on() if path]
    return [path.parent if path.is_file() else path for path in paths]


def up(args: argparse.Namespace) -> int:
    packages.ensure_host()
    machine = vm.Vm(args.vm)
    machine.up(rootfs.root(in_use()), image_disk.disk(in_use()) if args.images else None)
    say(f"{machine.name} is up: python3 -m tools.lab exec -- COMMAND")
    return 0


def execute(args: argparse.Namespace) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    return vm.Vm(args.vm).execute(command)


def down(args: argparse.Namespace) -> int:
    say(f"{args.vm} {'is down' if vm.Vm(args.vm).stop() else 'was not up'}")
    return 0


def status(_: argparse.Namespace) -> int:
    for name in vm.all_names():
        machine = vm.Vm(name)
        print(f"{name}  {'up' if machine.alive() else 'down'}  {machine.stands_on()[0]}")
    return 0


def root(_: argparse.Namespace) -> int:
    packages.ensure_host()
    print(rootfs.root(in_use()))
    return 0


def deploy(args: argparse.Namespace) -> int:
    args.images = True
    up(args)
    return vm.Vm(args.vm).execute(["python", "-m", "tools.clab", "deploy", "-t", args.topo])


def destroy(args: argparse.Namespace) -> int:
    return vm.Vm(args.vm).execute(["python", "-m", "tools.clab", "destroy", "-t", args.topo])


def images(_: argparse.Namespace) -> int:
    packages.ensure_host()
    print(image_disk.disk(in_use()))
    return 0


def clean(_: argparse.Namespace) -> int:
    """Removes what is cached, once no VM of any working tree stands on it."""
    running = [name for name in vm.all_names() if vm.Vm(name).alive()]
    if running:
        raise LabError(f"{', '.join(running)} still up: python3 -m tools.lab --vm NAME down")
    for path in cache.home().iterdir():
        cache.remove(path)
    say(f"{cache.home()} is empty")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tools.lab", description=__doc__)
    parser.add_argument("--vm", default=vm.default_name(), help="the VM's name (%(default)s)")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for call, help_ in (
        (up, "build what is missing, boot, return when the VM takes commands"),
        (execute, "run a command in the VM, in the repository's folder"),
        (down, "end the VM"),
        (status, "list the VMs"),
        (deploy, "boot with the container images, and deploy a containerlab topology in the VM"),
        (destroy, "destroy a topology in the VM"),
        (images, "build what is missing and print the path of the disk with the container images"),
        (clean, "remove all that is cached"),
        (root, "build what is missing and print the root file system's path"),
    ):
        verb = verbs.add_parser("exec" if call is execute else call.__name__, help=help_)
        verb.set_defaults(call=call)
        if call in (deploy, destroy):
            verb.add_argument("-t", "--topo", required=True, metavar="FILE", help="a path inside the repository")
        if call is up:
            verb.add_argument("--images", action="store_true", help="with the container images, for Docker in the VM")
        if call is execute:
            verb.add_argument("command", nargs=argparse.REMAINDER, help="the command; a login shell without one")
    args = parser.parse_args()
    try:
        code = args.call(args)
    except LabError as problem:
        say(str(problem))
        return 1
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
