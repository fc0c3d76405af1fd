"""The machine under test: hubgw's agent and its charon in one namespace, driven by the command line alone."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hubgw.agent.journal import KEPT
from hubgw.cli import __main__ as command_line
from hubgw.cli import views
from hubgw.cli.client import Client
from hubgw.cli.exits import Fail
from tests.lab.charon import Charon
from tests.lab.node import Node
from tests.lab.waiting import wait_for

RESOURCES = Path(__file__).parent / "resources"


class Hub:
    """The hub's node; `files` are what it is configured with at first."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.charon = Charon(node, appliance=True)
        self.socket = node.directory / "agent.sock"
        self.store = node.directory / "store" / "store.db"
        self.run_dir = node.directory / "run"
        self.vici = self.charon.vici
        self.services = self.run_dir / "bgp" / "services"

    def supervise(self) -> None:
        """Starts what keeps the BGP speakers running, as the appliance's own supervisor does."""
        self.services.mkdir(parents=True, exist_ok=True)
        self.node.start("runsvdir", ["runsvdir", "-P", str(self.services)], dict(os.environ))

    def end_supervision(self) -> None:
        """Ends it, and with it every speaker."""
        self.node.end("runsvdir", signal.SIGHUP)

    def pid(self, service: str) -> int:
        """Returns the process of a supervised service: ``<vrf>-<instance>`` is ExaBGP, with ``-helper`` its helper.

        0 while there is none.
        """
        try:
            return int((self.services / service / "supervise" / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def speaker(self, hub: str, instance: int) -> str:
        """Returns the name of the speaker of a hub's gateway instance."""
        return next(f"{route['vrf']}-{instance}" for route in self.show("route") if route["hub"].endswith(f"/{hub}"))

    def start_agent(self) -> None:
        """Starts the agent and waits until it answers."""
        options = ["--store", self.store, "--socket", self.socket, "--vici", self.vici, "--run-dir", self.run_dir]
        self.node.start("agent", [sys.executable, "-m", "hubgw.cli", "agent", *map(str, options)], dict(os.environ))
        wait_for("the agent answers", self._answers, 150)

    def _answers(self) -> bool:
        alive = self.node.processes["agent"].poll()
        assert alive is None, f"the agent ended with {alive}: {self.agent_log[-3000:]}"
        try:
            Client(str(self.socket)).get("/hubgw/resources")
        except Fail:
            return False
        return True

    def agent_runs(self) -> bool:
        process = self.node.processes.get("agent")
        return process is not None and process.poll() is None

    def kill_agent(self, number: int = signal.SIGKILL) -> None:
        self.node.end("agent", number)

    @property
    def agent_log(self) -> str:
        return self.node.log("agent.out")

    def run(
        self, *words: str, check: bool = True, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs a verb of the command line."""
        command = [sys.executable, "-m", "hubgw.cli", "--socket", str(self.socket), *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=seconds, env=dict(os.environ)
        )
        if check and done.returncode:
            raise AssertionError(f"hubgw {' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def apply(self, *files: str | Path) -> str:
        """Applies files: paths, or names of files beside the cases."""
        paths = [str(file if isinstance(file, Path) else RESOURCES / file) for file in files]
        return self._apply(*(word for path in paths for word in ("-f", path)))

    def apply_text(self, text: str) -> str:
        return self._apply("-f", "-", stdin=text)

    def _apply(self, *words: str, stdin: str = "") -> str:
        """Runs `hubgw apply` without a process of its own: cases apply often."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = command_line.run(["--socket", str(self.socket), "apply", *words])
        assert code == 0, f"hubgw apply {' '.join(words)}: exit {code}: {out.getvalue()}{err.getvalue()}"
        return out.getvalue()

    @contextmanager
    def applying(self, text: str) -> Iterator[None]:
        """Runs `hubgw apply` of a text beside the block; what becomes of it is the block's to say."""
        command = [sys.executable, "-m", "hubgw.cli", "--socket", str(self.socket), "apply", "-f", "-"]
        pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=pipe, stdout=quiet, stderr=quiet, text=True, env=dict(os.environ))
        try:
            assert process.stdin is not None
            process.stdin.write(text)
            process.stdin.close()
            yield
        finally:
            process.wait(timeout=120)

    def show(self, kind: str, name: str | None = None) -> Any:
        """Returns what `hubgw show KIND NAME --json` prints, without a process: cases ask many times."""
        status = views.Status(Client(str(self.socket)).get("/hubgw/status"))
        return views.select(status, kind, name)

    def tunnels(self) -> dict[str, str]:
        """Returns the state of each tunnel by its connection and instance: ``{"branch1/0": "Connected"}``."""
        return {
            f"{tunnel['connection'].rpartition('/')[2]}/{tunnel['instance']}": tunnel["state"]
            for tunnel in self.show("tunnel")
        }

    def tunnel(self, connection: str, instance: int) -> dict[str, Any]:
        """Returns one tunnel's status."""
        for tunnel in self.show("tunnel"):
            if tunnel["connection"].rpartition("/")[2] == connection and tunnel["instance"] == instance:
                found: dict[str, Any] = tunnel
                return found
        raise AssertionError(f"no tunnel of {connection} to instance {instance}")

    def wait_connected(self, *names: str, seconds: float = 60) -> None:
        """Waits until these tunnels (``branch1/0``), or all, are Connected."""

        def connected() -> bool:
            states = self.tunnels()
            return bool(states) and all(states[name] == "Connected" for name in names or states)

        wait_for(f"Connected: {' '.join(names) or 'all tunnels'}", connected, seconds)

    def events(self, kind: str, about: str = "", *, since: float = 0.0) -> list[str]:
        """Returns the texts of the events of a kind, the oldest first, that have `about`; a blank ends a text too."""
        events = Client(str(self.socket)).get("/hubgw/events", limit=str(KEPT))["events"]
        texts = [one["text"] for one in events if one["event"] == kind and one["time"] >= since]
        return [text for text in texts if about in f"{text} "]

    def wait_event(self, kind: str, about: str = "", *, since: float = 0.0, seconds: float = 30) -> str:
        """Waits until there is one, and returns the newest."""
        found = wait_for(f"{kind}: {about}", lambda: self.events(kind, about, since=since), seconds)
        return found[-1]

    def sas(self, address: str) -> list[str]:
        """Returns what the kernel has of each IPsec SA to or from an address."""
        states = re.split(r"^(?=src )", self.node.ip("xfrm state list nokeys"), flags=re.MULTILINE)
        return [state for state in states if address in state.partition("\n")[0].split()]

    def ciphers(self, address: str) -> set[str]:
        """Returns the kernel's names of the ciphers of those."""
        return {found for state in self.sas(address) for found in re.findall(r"\b(?:enc|aead) (\S+)", state)}

    def bgp(self, what: str, of: str = "") -> list[dict[str, Any]]:
        """Returns what `hubgw show bgp WHAT OF --json` prints, without a process.

        `what` is one of: peers, learned, advertised, refused.
        """
        answer = Client(str(self.socket)).get(f"/hubgw/bgp/{what}", of=of)
        found: list[dict[str, Any]] = answer["peers" if what == "peers" else "routes"]
        return found

    def peer(self, connection: str, instance: int) -> dict[str, Any]:
        """Returns one BGP session's status, by the connection's name: ``branch4``."""
        for peer in self.bgp("peers"):
            if peer["connection"].rpartition("/")[2] == connection and peer["instance"] == instance:
                return peer
        raise AssertionError(f"no BGP session of {connection} with instance {instance}")

    def routes_of(self, what: str, connection: str, instance: int) -> dict[str, dict[str, Any]]:
        """Returns the routes learned from, advertised to, or refused of one session, by prefix."""
        return {
            route["prefix"]: route for route in self.bgp(what, f"gw1/{connection}") if route["instance"] == instance
        }

    def wait_sessions(self, *connections: str, seconds: float = 120) -> None:
        """Waits until both sessions of these connections are established."""

        def established() -> bool:
            up = {
                (peer["connection"].rpartition("/")[2], peer["instance"])
                for peer in self.bgp("peers")
                if peer["state"] == "Established"
            }
            return up >= {(connection, instance) for connection in connections for instance in (0, 1)}

        wait_for(f"BGP sessions of {' '.join(connections)}", established, seconds)
