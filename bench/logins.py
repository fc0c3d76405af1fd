"""Row g: users at a hub of hubgw's, and at a charon that was configured by hand, with the same suites."""

import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Final

from scapy.utils import rdpcap

from bench.clients import AT_ONCE, HAND, NAME, PASSWORD, POOL, Loader, Method, by_hand, loader, use_passwords
from bench.table import Row
from tests.lab.capture import capture
from tests.lab.charon import Charon
from tests.lab.topology import WAN1, Lab, build
from tests.lab.users import OWN_AUTHORITY, gateway_of_users, own_user, root_of_users, server, user
from tests.lab.waiting import wait_for

GOAL: Final = 0.95
IN_TURN: Final = 30
MANY: Final = 250
"""Clients whose memory is measured: each login takes a while where the processor is emulated."""

_USER = f"""type: vpnUsers
name: somebody
properties: {{vpnServerConfiguration: users, userName: {NAME}, password: {PASSWORD}}}
"""
_Times = tuple[float, float]
"""Seconds of logins in turn, and at once."""


@dataclass(slots=True)
class _Found:
    """What was measured: seconds by method, bytes of memory by process, seconds from a revocation on."""

    ours: dict[Method, list[_Times]] = field(default_factory=dict)
    theirs: dict[Method, list[_Times]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    revoked: float = 0.0


def rows(rounds: int) -> list[Row]:
    """Measures logins at both, `rounds` times each, in turns; memory and a revocation once."""
    with _lab() as lab:
        found = _measured(lab, rounds)
    made = []
    for method, ours in found.ours.items():
        theirs = found.theirs[method]
        made.append(_row(f"g.{method}", f"{IN_TURN} logins, one after the other", ours, theirs, 0))
        made.append(_row(f"g.{method}.{AT_ONCE}", f"{AT_ONCE} logins at once", ours, theirs, 1))
    per_thousand = {name: grown * 1000 / MANY / 2**20 for name, grown in found.memory.items()}
    detail = f"of {MANY} clients; " + ", ".join(f"{name} {size:.1f}" for name, size in per_thousand.items())
    ours_too = per_thousand["agent"] + per_thousand["charon"]
    memory = Row("g.memory", "memory of 1,000 clients", ours_too, per_thousand["by hand"], unit="MiB", detail=detail)
    return [*made, memory, Row("g.revoke", "from `hubgw user revoke` to the last packet", found.revoked)]


@contextmanager
def _lab() -> Iterator[Lab]:
    directory = Path(tempfile.mkdtemp(prefix="hubgw-bench-"))
    directory.chmod(0o711)
    lab = build(directory)
    try:
        lab.hub.start_agent()
        lab.hub.apply("wan1.yaml", "wan2.yaml", "node.yaml")
        lab.hub.wait_connected()
        yield lab
    finally:
        lab.hub.end_supervision()
        for node in lab.nodes:
            node.destroy()
        shutil.rmtree(directory)


def _measured(lab: Lab, rounds: int) -> _Found:
    root, found = root_of_users(), _Found()
    with (
        loader(lab, root, user(root, "somebody")) as one,
        by_hand(lab, root) as (hand, authority),
        gateway_of_users(lab, server(root), POOL),
    ):
        places = ((found.ours, WAN1[0], lab.hub.run("user", "ca").stdout), (found.theirs, HAND, authority))
        for _, gateway, believed in places:
            # What is done once, and never again, is no part of a login.
            one.load(gateway, believed, "pubkey")
            one.at_once()
            _log_out(lab, one)
        for method in ("pubkey", "eap-tls", "eap-mschapv2"):
            if method == "eap-mschapv2":
                lab.hub.apply_text(_USER)
                use_passwords(hand)
            for _ in range(rounds):
                for times, gateway, believed in places:
                    one.load(gateway, believed, method)
                    times.setdefault(method, []).append(_logins(lab, one))
            print(f"{method}: ours {found.ours[method]}, by hand {found.theirs[method]}", file=sys.stderr)
        lab.hub.run("delete", "vpnUsers/somebody", "--yes")
        found.memory = _memory(lab, one, hand, authority)
    with loader(lab, root, user(root, "somebody")) as one:
        found.revoked = _revocation(lab, one)
    return found


def _logins(lab: Lab, one: Loader) -> _Times:
    in_turn = one.in_turn(IN_TURN)
    _log_out(lab, one)
    at_once = one.at_once()
    _log_out(lab, one)
    return in_turn, at_once


def _log_out(lab: Lab, one: Loader) -> None:
    """Ends all sessions, and returns when the hub has told of each that it had: it waits for why it ended."""
    there, begun = len(lab.hub.show("sessions")), time.time()
    one.log_out()
    wait_for("every logout is told", lambda: len(lab.hub.events("user.logout", since=begun)) >= there)


def _memory(lab: Lab, one: Loader, hand: Charon, authority: str) -> dict[str, int]:
    """Returns by how many bytes each process has grown with `MANY` clients."""
    agent, charon = lab.hub.node.processes["agent"].pid, lab.hub.charon.node.processes["charon"].pid
    pids = {"agent": agent, "charon": charon, "by hand": hand.node.processes["charon"].pid}
    before = {name: _resident(pid) for name, pid in pids.items()}
    one.load(WAN1[0], lab.hub.run("user", "ca").stdout, "pubkey", MANY)
    one.at_once(MANY)
    grown = {name: _resident(pids[name]) - before[name] for name in ("agent", "charon")}
    one.log_out()
    one.load(HAND, authority, "pubkey", MANY)
    one.at_once(MANY)
    grown["by hand"] = _resident(pids["by hand"]) - before["by hand"]
    one.log_out()
    return grown


def _resident(pid: int) -> int:
    """Returns the resident bytes of a process; `ip netns exec` has become it."""
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(kib) * 1024


def _revocation(lab: Lab, one: Loader) -> float:
    """Returns the seconds from the command until the last packet that a revoked client is sent."""
    pair = own_user(lab.hub, NAME, one.folder)
    revoked = replace(one, user=pair)
    with gateway_of_users(lab, OWN_AUTHORITY, POOL):
        revoked.load(WAN1[0], lab.hub.run("user", "ca").stdout, "pubkey", 1)
        revoked.at_once(1)
        (session,) = wait_for("the session is shown", lambda: lab.hub.show("sessions"))
        vnet1, (address,) = lab.vnets["vnet1"], session["addresses"]
        with capture(lab.isp, f"u{one.charon.node.name}", "ip proto 50", to_the_last=True) as seen:
            vnet1.start("ping", ["ping", "-q", "-i", "0.02", "-W", "1", "-I", "10.50.0.4", address])
            begun = time.time()
            lab.hub.run("user", "revoke", NAME, "--yes")
            wait_for("the client is off", lambda: not lab.hub.show("sessions"), 60)
            vnet1.end("ping", signal.SIGINT)
    return float(max(packet.time for packet in rdpcap(str(seen.pcap)))) - begun


def _row(name: str, work: str, ours: list[_Times], theirs: list[_Times], which: int) -> Row:
    return Row(name, work, median(one[which] for one in ours), median(one[which] for one in theirs), 1 / GOAL)
