"""A branch whose router is BIRD: one daemon in its namespace, asked over its control socket."""

import re
import signal
import socket
from collections.abc import Collection
from typing import Final

from tests.lab.bgp_branch import HOLD_TIME, HUB, HUB_ASN, KEEPALIVE, RETRY, BgpBranch, Session
from tests.lab.node import Node
from tests.lab.waiting import wait_for

_CONF: Final = """\
log "{directory}/bird.log" all;
router id {address};
graceful restart wait 60;
protocol device {{ }}
protocol direct {{ interface "t*"; ipv4; }}
protocol static lan {{
  ipv4;
{networks}}}
protocol kernel {{
  ipv4 {{ import none; export filter {{
    if source != RTS_BGP then reject;
    krt_prefsrc = {lan_host};
    accept;
  }}; }};
  merge paths on;
  graceful restart on;
  persist;
}}
template bgp hub_instance {{
  local {address} as {asn};
  multihop;
  hold time {hold};
  keepalive time {keepalive};
  connect retry time {retry};
  graceful restart on;
  debug {{ states }};
  ipv4 {{ import all; export where proto = "lan"; }};
}}
protocol bgp i0 from hub_instance {{ neighbor {hub[0]} as {hub_asn}; }}
protocol bgp i1 from hub_instance {{ neighbor {hub[1]} as {hub_asn}; }}
"""
_LAST_LINE: Final = re.compile(rb"^\d{4} .*\n\Z", re.MULTILINE)


class Bird(BgpBranch):
    protocol = "bird"

    def __init__(self, node: Node, asn: int, address: str, lan: str) -> None:
        super().__init__(node, asn, address, lan)
        self._conf = node.directory / "bird.conf"
        self._control = node.directory / "bird.ctl"
        self._announced: set[str] = set()
        self._killed = False

    def _configure(self) -> None:
        networks = "".join(f"  route {prefix} blackhole;\n" for prefix in (self.lan, *sorted(self._announced)))
        self._conf.write_text(
            _CONF.format(
                directory=self.node.directory,
                address=self.address,
                asn=self.asn,
                hub=HUB,
                hub_asn=HUB_ASN,
                hold=HOLD_TIME,
                keepalive=KEEPALIVE,
                retry=RETRY,
                networks=networks,
                lan_host=self.lan.replace(".0/24", ".1"),
            )
        )

    def start(self) -> None:
        self._configure()
        self._control.unlink(missing_ok=True)
        recovering = ["-R"] if self._killed else []
        self.node.start("bird", ["bird", "-f", "-c", str(self._conf), "-s", str(self._control), *recovering])
        wait_for(f"bird of {self.node.name} listens", self._control.exists)

    def kill(self) -> None:
        self._killed = True
        self.node.end("bird", signal.SIGKILL)

    def ask(self, command: str) -> str:
        """Gives a command, as its own client does, and returns what it printed, without the codes before each line."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(60)
            sock.connect(str(self._control))
            self._answer(sock)  # its greeting
            sock.sendall(command.encode() + b"\n")
            answer = self._answer(sock)
        assert not re.search(r"^[89]\d{3}", answer, re.MULTILINE), f"{self.node.name}: {command}: {answer}"
        return re.sub(r"^(?:\d{4}[ -]| )", "", answer, flags=re.MULTILINE)

    def _answer(self, sock: socket.socket) -> str:
        answer = bytearray()
        while not _LAST_LINE.search(answer[-4096:]):
            octets = sock.recv(1 << 16)
            assert octets, f"{self.node.name}: bird ended"
            answer += octets
        return answer.decode()

    def session(self, instance: int) -> Session:
        said = self.ask(f"show protocols all i{instance}")

        def number(pattern: str) -> int:
            found = re.search(pattern, said)
            return int(found.group(1)) if found else 0

        error = re.search(r"Last error: +(.*)", said)
        established = re.search(r"BGP state: +Established", said) is not None
        return Session(
            established=established,
            drops=self.node.log("bird.log").count(f"i{instance}: State changed to up") - established,
            learned=number(r"Routes: +(\d+) imported"),
            updates=number(r"Import updates: +(\d+)"),
            error=error.group(1) if error else "",
        )

    def paths(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = {}
        for number, hub in enumerate(HUB):
            for line in self.ask(f"show route protocol i{number}").splitlines():
                if prefix := re.match(r"(\d+\.\d+\.\d+\.\d+/\d+) ", line):
                    found.setdefault(prefix.group(1), set()).add(hub)
        return {prefix: tuple(sorted(peers)) for prefix, peers in found.items()}

    def announce(self, prefixes: Collection[str]) -> None:
        self._announced = set(prefixes)
        self._configure()
        self.ask("configure")

    def shut(self, instance: int, *, down: bool) -> None:
        self.ask(f"{'disable' if down else 'enable'} i{instance}")

    def ask_again(self, instance: int) -> None:
        self.ask(f"reload in i{instance}")
