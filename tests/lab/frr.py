"""A branch whose router is FRR: mgmtd, zebra and bgpd in its namespace, asked over bgpd's own socket."""

import json
import shutil
import signal
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from tests.lab.bgp_branch import HOLD_TIME, HUB, HUB_ASN, KEEPALIVE, RETRY, BgpBranch, Session
from tests.lab.node import Node
from tests.lab.waiting import wait_for

_CONF: Final = """\
log file {log} informational
bgp as-path access-list OWN permit ^$
router bgp {asn}
 bgp router-id {address}
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 timers bgp {keepalive} {hold}
{sessions} address-family ipv4 unicast
{filters}{networks}  maximum-paths 2
 exit-address-family
"""
_SESSION: Final = """\
 neighbor {hub} remote-as {asn}
 neighbor {hub} ebgp-multihop 255
 neighbor {hub} update-source {address}
 neighbor {hub} timers connect {retry}
"""
_END: Final = b"\0\0\0"  # what bgpd's answer ends with, a status of one octet after it


class Frr(BgpBranch):
    """FRR's daemons keep their sockets apart by a path space of the namespace's name."""

    protocol = "bgp"

    def __init__(self, node: Node, asn: int, address: str, lan: str) -> None:
        super().__init__(node, asn, address, lan)
        self.directory = Path("/run/frr") / node.namespace
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        shutil.chown(self.directory, "frr", "frr")
        self._announced: set[str] = set()

    def start(self) -> None:
        conf = self.directory / "bgpd.conf"
        conf.write_text(
            _CONF.format(
                log=self.directory / "bgpd.log",
                asn=self.asn,
                address=self.address,
                keepalive=KEEPALIVE,
                hold=HOLD_TIME,
                sessions="".join(
                    _SESSION.format(hub=hub, asn=HUB_ASN, address=self.address, retry=RETRY) for hub in HUB
                ),
                # What it learned from one instance is not for the other.
                filters="".join(f"  neighbor {hub} filter-list OWN out\n" for hub in HUB),
                networks="".join(f"  network {prefix}\n" for prefix in (self.lan, *sorted(self._announced))),
            )
        )
        for daemon, socket_ in (("mgmtd", "mgmtd_be.sock"), ("zebra", "zserv.api")):
            if daemon not in self.node.processes:
                self._run(daemon)
                wait_for(f"{daemon} of {self.node.name} listens", (self.directory / socket_).exists)
        (self.directory / "bgpd.vty").unlink(missing_ok=True)
        self._run("bgpd", "--config_file", str(conf))
        wait_for(f"bgpd of {self.node.name} listens", (self.directory / "bgpd.vty").exists)
        wait_for(f"bgpd of {self.node.name} is configured", lambda: set(HUB) <= self._neighbors().keys())

    def _run(self, daemon: str, *options: str) -> None:
        self.node.start(
            daemon, [f"/usr/lib/frr/{daemon}", "--pathspace", self.node.namespace, "--vty_port", "0", *options]
        )

    def kill(self) -> None:
        self.node.end("bgpd", signal.SIGKILL)

    def ask(self, *commands: str) -> str:
        """Gives bgpd commands, as its shell does, and returns what the last one printed."""
        said = ""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(60)
            sock.connect(str(self.directory / "bgpd.vty"))
            for command in ("enable", *commands):
                sock.sendall(command.encode() + b"\0")
                answer = bytearray()
                while answer[-4:-1] != _END:
                    octets = sock.recv(1 << 16)
                    assert octets, f"{self.node.name}: bgpd ended at: {command}"
                    answer += octets
                said = answer[:-4].decode()
                assert answer[-1] == 0, f"{self.node.name}: {command}: {said}"
        return said

    def configure(self, *commands: str) -> None:
        """Gives bgpd commands below its `router bgp`."""
        self.ask("configure terminal", f"router bgp {self.asn}", *commands)

    def _neighbors(self) -> dict[str, Any]:
        neighbors: dict[str, Any] = json.loads(self.ask("show bgp neighbors json"))
        return neighbors

    def session(self, instance: int) -> Session:
        neighbor = self._neighbors()[HUB[instance]]
        error = [str(neighbor.get(key, "")) for key in ("lastResetDueTo", "lastNotificationReason")]
        return Session(
            established=neighbor["bgpState"] == "Established",
            drops=neighbor["connectionsDropped"],
            learned=neighbor["addressFamilyInfo"].get("ipv4Unicast", {}).get("acceptedPrefixCounter", 0),
            updates=neighbor["messageStats"]["updatesRecv"],
            error=": ".join(text for text in error if text),
        )

    def paths(self) -> dict[str, tuple[str, ...]]:
        routes = json.loads(self.ask("show bgp ipv4 unicast json"))["routes"]
        found = {
            prefix: tuple(sorted({path["peerId"] for path in paths if path["peerId"] in HUB}))
            for prefix, paths in routes.items()
        }
        return {prefix: peers for prefix, peers in found.items() if peers}

    def announce(self, prefixes: Collection[str]) -> None:
        gone, new = self._announced - set(prefixes), set(prefixes) - self._announced
        self._announced = set(prefixes)
        words = [f"no network {prefix}" for prefix in sorted(gone)] + [f"network {prefix}" for prefix in sorted(new)]
        self.configure("address-family ipv4 unicast", *words)

    def shut(self, instance: int, *, down: bool) -> None:
        self.configure(f"{'' if down else 'no '}neighbor {HUB[instance]} shutdown")

    def ask_again(self, instance: int) -> None:
        self.ask(f"clear bgp ipv4 unicast {HUB[instance]} soft in")
