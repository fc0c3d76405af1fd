"""A namespace with an underlay, a charon of the appliance and nothing of hubgw's yet; and the processes beside it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench import sites, tap
from tests.lab.charon import Charon
from tests.lab.node import Node

REPO: Final = Path(__file__).resolve().parents[1]


class Process:
    """One of ours in a namespace, which answers each line with a line of JSON."""

    def __init__(self, node: Node, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", node.namespace, sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            # What swanctl reads, as the appliance has it: by default it tries every plugin there is.
            env={**os.environ, "STRONGSWAN_CONF": str(node.directory / "strongswan.conf")},
        )

    def ask(self, request: str) -> Any:
        """Returns the answer. Raises RuntimeError where the process ended instead."""
        if self._process.stdin is None or self._process.poll() is not None:
            raise RuntimeError("ended before it was asked")
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        return json.loads(self.read())

    def read(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}; see what it printed above")
        return line

    def end(self) -> None:
        """Closes its standard input, which ends it, and waits."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Worker(Process):
    """See `bench.worker`."""

    def __init__(self, node: Node, vici: Path) -> None:
        super().__init__(node, "bench.worker", "--directory", str(node.directory), "--vici", str(vici))

    def do(self, what: str, **request: object) -> dict[str, Any]:
        """Has it do something. Raises RuntimeError where a pass failed."""
        answer: dict[str, Any] = self.ask(json.dumps({"do": what, **request}))
        if answer.get("failed"):
            raise RuntimeError(f"{what}: {answer['failed']} failed, the first: {answer['why']}")
        return answer

    def time(self, argv: Sequence[str]) -> float:
        """Returns the seconds that a command took in the namespace. Raises RuntimeError where it failed."""
        answer = self.do("run", argv=list(argv))
        if answer["exit"]:
            raise RuntimeError(f"{' '.join(argv)}: exit {answer['exit']}: {answer['said']}")
        return float(answer["total"])


class Tap(Process):
    """See `bench.tap`."""

    def __init__(self, node: Node) -> None:
        node.ip(f"link add {tap.DEVICE} type nlmon")
        node.ip(f"link set {tap.DEVICE} up")
        super().__init__(node, "bench.tap")
        self.read()

    def counts(self) -> Mapping[str, int]:
        """Returns the requests since the last call. Raises RuntimeError where some were missed."""
        counts: dict[str, int] = self.ask("")
        if "dropped" in counts:
            raise RuntimeError(f"{counts['dropped']} netlink messages were not counted")
        return counts


@contextmanager
def stage(name: str) -> Iterator[Charon]:
    """Builds it in a directory of its own, and removes both."""
    with tempfile.TemporaryDirectory(prefix="hubgw-bench-") as directory:
        node = Node(name, Path(directory))
        subprocess.run(["ip", "netns", "delete", node.namespace], check=False, capture_output=True)
        node.create()
        try:
            for interface in (sites.UNDERLAY, sites.VNET):
                node.ip(f"link add {interface} type dummy")
                node.ip(f"link set {interface} up")
            for address in sites.INSTANCES:
                node.ip(f"address add {address}/24 dev {sites.UNDERLAY}")
            charon = Charon(node, appliance=True)
            charon.start()
            yield charon
        finally:
            node.destroy()
