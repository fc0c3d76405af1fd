"""hubgw's BGP side and BIRD in the same place: processes that keep the sessions of a stage's branches.

hubgw's are those of life, ExaBGP with the adapter, the helper and the agent's routing, but all as who runs this: the
interpreter need not be readable for another uid.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Final

from bench.feed import HOLD_TIME, HUB_ASN
from bench.namespaces import HUB, TABLE, Stage
from bench.routing_agent import SPEAKER
from hubgw.drivers.exabgp.services import ADAPTER, HELPER

_TICKS: Final = os.sysconf("SC_CLK_TCK")

# A scan finds what others did to the table, which nobody does here.
_BIRD: Final = """\
router id {hub};
protocol device {{ }}
protocol kernel {{ kernel table {table}; scan time 3600; ipv4 {{ import none; export all; }}; }}
template bgp branch {{
  local {hub} as {asn};
  passive;
  hold time {hold_time};
  graceful restart;
  ipv4 {{ import all; export all; }};
}}
"""


@dataclass(slots=True)
class Router:
    """What keeps the sessions: its processes by name, and the directory that has the log of each."""

    directory: Path
    farewell: Signals = SIGTERM
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, stage: Stage, argv: list[str], pipe: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Starts one of them."""
        process = self.processes[name] = stage.popen(argv, self._log(name), pipe)
        return process

    def seconds(self) -> dict[str, float]:
        """Returns the processor time of each process so far."""
        return {name: _seconds(process.pid) for name, process in self.processes.items()}

    def memory(self) -> float:
        """Returns the most memory that the processes had, in MB."""
        return sum(_peak(process.pid) for process in self.processes.values()) / 1024

    def check(self) -> None:
        """Raises RuntimeError where a process has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}: {self._log(name).read_text()[-2000:]}")

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def end(self) -> None:
        """Ends all: what has a standard input by closing it, the others by a signal."""
        for process in reversed(self.processes.values()):
            if process.stdin:
                process.stdin.close()
            else:
                process.send_signal(self.farewell)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


@contextmanager
def ours(stage: Stage, directory: Path, profiles: str = "") -> Iterator[Router]:
    """Starts hubgw's processes. `profiles` is what the files of their profiles begin with, "" for none.

    Raises:
        RuntimeError: one of them did not start.
    """
    # At SIGTERM a profile is lost with the process.
    router = Router(directory, SIGINT if profiles else SIGTERM)
    try:
        argv = _python("bench.routing_agent", str(directory), str(len(stage.peers)), *_profile(profiles, "agent"))
        agent = router.start("agent", stage, argv, subprocess.PIPE)
        if agent.stdout is None or agent.stdout.readline() != b"ready\n":
            agent.wait()
            router.check()
        for name, module in (("helper", HELPER), ("exabgp", ADAPTER)):
            before = ("-m", "cProfile", "-o", *_profile(profiles, name)) if profiles else ()
            argv = [sys.executable, *before, "-m", module, str(directory / "bgp" / SPEAKER)]
            router.start(name, stage, argv)
        yield router
    finally:
        router.end()


@contextmanager
def bird(program: list[str], stage: Stage, directory: Path) -> Iterator[Router]:
    """Starts BIRD with the same branches, and the same table of the kernel to fill."""
    branches = [
        f"protocol bgp branch{one.number} from branch {{ neighbor {one.address} as {one.asn}; }}\n"
        for one in stage.peers
    ]
    conf = directory / "bird.conf"
    text = _BIRD.format(hub=HUB, table=TABLE, asn=HUB_ASN, hold_time=HOLD_TIME)
    conf.write_text(text + "".join(branches))
    argv = [*program, "-f", "-c", str(conf), "-s", str(directory / "bird.ctl"), "-P", str(directory / "bird.pid")]
    router = Router(directory)
    try:
        router.start("bird", stage, argv)
        yield router
    finally:
        router.end()


def bird_program() -> list[str] | None:
    """Returns how BIRD is started: this machine's own, or the lab's, whose tree was built before; None without both."""
    if own := shutil.which("bird"):
        return [own]
    # Imported here: the lab's tools are not there where a lab runs this.
    from tools import cache, vm  # noqa: PLC0415

    trees = sorted(cache.home().glob("root-*/usr/sbin/bird"), key=lambda path: path.stat().st_mtime)
    return vm.in_tree(trees[-1].parents[2], "usr/sbin/bird") if trees else None


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _profile(profiles: str, name: str) -> tuple[str, ...]:
    return (f"{profiles}-{name}.prof",) if profiles else ()


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found: Mapping[str, str] = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(found.get("VmHWM", "0 kB").split()[0])
