"""A machine of the lab: a network namespace, commands in it, processes that end with it."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.place import prefix
from tests.lab.waiting import wait_for


@dataclass
class Node:
    """One namespace. `directory` holds the files and logs of its daemons."""

    name: str
    directory: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return prefix() + self.name

    def create(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        self.ip("link set lo up")

    def clear(self) -> None:
        """Ends what a run that was killed left in a namespace of this name, and removes it."""
        pids = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        for pid in map(int, pids.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", self.namespace], capture_output=True, check=False)

    def destroy(self) -> None:
        """Ends the node's own processes, by id, and removes its namespace."""
        for name in list(self.processes):
            self.kill(name)
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False)

    def run(
        self, *command: str, check: bool = True, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the namespace; where it fails, the error says what it printed."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise AssertionError(f"{self.name}: {' '.join(command)}: exit {done.returncode}: {said}")
        return done

    def ip(self, words: str) -> str:
        """Runs `ip` with these words and returns what it printed."""
        done = subprocess.run(
            ["ip", "-n", self.namespace, *words.split()], capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise AssertionError(f"{self.name}: ip {words}: {done.stderr.strip()}")
        return done.stdout

    def sysctl(self, **settings: str) -> None:
        """Writes settings, named with `__` for each dot."""
        self.run("sysctl", "-qw", *(f"{name.replace('__', '.')}={value}" for name, value in settings.items()))

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Starts a daemon; its output goes to ``<name>.out`` in the node's directory."""
        with (self.directory / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
            )

    @contextmanager
    def monitored(self) -> Iterator[Callable[[], str]]:
        """Runs the kernel's own monitors of links, addresses, routes, nexthops, rules and nftables around the block.

        Yields what returns their output, once the block has ended; a sentinel made last shows that all was read.
        Begins when no port of a bridge is new any more: the kernel tells of one once its time to listen is over.
        """
        wait_for("ports of bridges have listened", self._listened, 40)
        out = {name: (self.directory / f"monitor-{name}.txt") for name in ("ip", "nft")}
        commands = {
            "ip": ["ip", "-o", "monitor", "link", "address", "route", "nexthop", "rule"],
            "nft": ["nft", "monitor"],
        }
        processes = []
        for name, command in commands.items():
            with out[name].open("wb") as file:
                processes.append(
                    subprocess.Popen(["ip", "netns", "exec", self.namespace, *command], stdout=file, stderr=file)
                )
        seen: dict[str, str] = {}
        try:
            self._sentinels("begin", out)
            yield lambda: "\n".join(seen.values()).strip()
            self._sentinels("end", out)
        finally:
            for process in processes:
                process.kill()
                process.wait(timeout=30)
        for name, path in out.items():
            lines = path.read_text().splitlines()
            seen[name] = "\n".join(
                line for line in lines if "sentinel" not in line and not line.startswith("# new gen")
            )

    def _listened(self) -> bool:
        ports = json.loads(self.run("ip", "-json", "-details", "link", "show", "type", "bridge_slave").stdout or "[]")
        return all(float(port["linkinfo"]["info_slave_data"]["forward_delay_timer"]) == 0 for port in ports if port)

    def _sentinels(self, name: str, out: Mapping[str, Path]) -> None:
        def told() -> bool:
            self.run("ip", "link", "add", f"sentinel-{name}", "type", "dummy", check=False)
            self.run("ip", "link", "del", f"sentinel-{name}", check=False)
            self.run("nft", f"add table ip sentinel-{name}; delete table ip sentinel-{name}", check=False)
            return all(f"sentinel-{name}" in path.read_text() for path in out.values())

        wait_for(f"the monitors tell of the {name}", told)

    def end(self, name: str, number: int) -> None:
        """Sends a signal to a daemon that was started here, and waits for its end."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(timeout=30)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait(timeout=30)

    def log(self, name: str) -> str:
        path = self.directory / name
        return path.read_text(errors="replace") if path.exists() else ""


def connect(left: Node, left_interface: str, right: Node, right_interface: str) -> None:
    """Joins two nodes by a veth pair, both ends up."""
    left.ip(f"link add {left_interface} type veth peer name {right_interface} netns {right.namespace}")
    left.ip(f"link set {left_interface} up")
    right.ip(f"link set {right_interface} up")
    wait_for(
        f"{left.name}:{left_interface} has a carrier",
        lambda: "LOWER_UP" in left.ip(f"link show {left_interface}"),
    )
