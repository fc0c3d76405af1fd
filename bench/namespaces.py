"""A hub's namespace and one of its branches, with a link between them, on any kernel that has veth and nexthop objects.

An ordinary interface stands in for the hub's VRF: ExaBGP's sockets are bound to it in the same way.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from signal import SIGKILL
from typing import Final

from bench.feed import Branch

REPO: Final = Path(__file__).resolve().parents[1]
LINK: Final = "hgv1"
TABLE: Final = 10_000_001
HUB: Final = IPv4Address("10.255.0.1")
BRANCHES: Final = IPv4Address("10.255.1.1")
_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Stage:
    """Two namespaces, by name, and the branches whose addresses the second has."""

    hub: str
    branches: str
    peers: tuple[Branch, ...]

    def popen(self, argv: Sequence[str], log: Path, pipe: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Starts a program on the hub, with its standard input and output as `pipe` says; its errors go to a file."""
        prefix = ["ip", "netns", "exec", self.hub]
        with log.open("wb") as said:
            return subprocess.Popen([*prefix, *argv], stdin=pipe, stdout=pipe, stderr=said, cwd=REPO)


def lacking() -> str:
    """Returns what keeps this machine from having such namespaces, in words; empty where nothing does."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    needed = (
        "link add v0 type veth peer name v1",
        "link set v0 up",
        "link set v1 up",
        "nexthop add id 1 dev v0",
        "rule add table 1",
    )
    script = "\n".join(f"ip {arguments}" for arguments in needed)
    tried = subprocess.run(["unshare", "-n", "sh", "-ec", script], capture_output=True, text=True, check=False)
    return f"this kernel has no veth, nexthop objects or rules: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def stage(count: int) -> Iterator[Stage]:
    """Makes the namespaces for so many branches, and removes them with all that runs there."""
    name = f"bench-{os.getpid()}"
    made = Stage(f"{name}-hub", f"{name}-branches", tuple(Branch(number, BRANCHES + number) for number in range(count)))
    try:
        for namespace in (made.hub, made.branches):
            _ip(f"netns add {namespace}")
            _ip(f"-n {namespace} link set lo up")
        _ip(f"-n {made.hub} link add {LINK} type veth peer name hub netns {made.branches}")
        _batch(made.hub, [f"address add {HUB}/16 dev {LINK}", f"link set {LINK} up", f"rule add table {TABLE}"])
        _batch(made.branches, [*(f"address add {one.address}/16 dev hub" for one in made.peers), "link set hub up"])
        # As the agent sets it: nexthop objects are changed alone, not each route with them.
        argv = ["ip", "netns", "exec", made.hub, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/nexthop_compat_mode"]
        subprocess.run(argv, check=True)
        yield made
    finally:
        for namespace in (made.hub, made.branches):
            _clear(namespace)


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """What the calling thread opens in the block belongs to a namespace."""
    with Path("/proc/thread-self/ns/net").open() as own, Path("/run/netns", namespace).open() as other:
        _enter(other.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def _batch(namespace: str, lines: Sequence[str]) -> None:
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines), text=True, check=True)


def _clear(namespace: str) -> None:
    pids = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    for pid in map(int, pids.stdout.split()):
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
