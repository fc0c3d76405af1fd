"""Row g: logins of users at a hub of hubgw's, and at a charon that was configured by hand, with the same suites."""

import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median
from typing import Final

import vici

from bench.table import Row
from tests.certificates import Pair, make
from tests.lab.alone import alone
from tests.lab.charon import Charon
from tests.lab.node import Node, connect
from tests.lab.topology import WAN1, Lab, build
from tests.lab.users import POOL, gateway_of_users, root_of_users, server, user

GOAL: Final = 0.95
AT_ONCE: Final = 50
IN_TURN: Final = 30
_HAND: Final = "192.0.2.238"
_LOADER: Final = "192.0.2.242"

# To charon its connections are one and the same, and one IKE SA would do; a blocked initiate holds a thread.
_LOADER_SETTINGS = "install_routes = no\n  install_virtual_ip = no\n  reuse_ikesa = no\n  threads = 80"

_SERVER = """connections {{
  users {{
    version = 2
    mobike = yes
    local_addrs = {address}
    proposals = aes256gcm16-prfsha384-ecp384
    unique = never
    dpd_delay = 10
    rekey_time = 0
    send_cert = always
    pools = users
    local {{
      auth = pubkey
      id = {address}
      cert {{
        file = {folder}/server.pem
      }}
    }}
    remote {{
      auth = pubkey
      id = %any
      cacert {{
        file = {folder}/root.pem
      }}
    }}
    children {{
      users {{
        local_ts = 10.50.0.0/24
        remote_ts = dynamic
        if_id_in = 500
        if_id_out = 500
        esp_proposals = aes256gcm16-ecp384
        rekey_time = 0
        replay_window = 32
        dpd_action = clear
      }}
    }}
  }}
}}
pools {{
  users {{
    addrs = {pool}
  }}
}}
"""
_CLIENT = """  c{number} {{
    version = 2
    remote_addrs = {gateway}
    vips = 0.0.0.0
    proposals = aes256gcm16-prfsha384-ecp384
    local {{
      auth = pubkey
      cert {{
        file = {folder}/user.pem
      }}
    }}
    remote {{
      auth = pubkey
      id = {gateway}
      cacert {{
        file = {folder}/hub.pem
      }}
    }}
    children {{
      c{number} {{
        remote_ts = 10.50.0.0/24
        esp_proposals = aes256gcm16-ecp384
      }}
    }}
  }}
"""


_Times = tuple[float, float]
"""Seconds of logins in turn, and at once."""


@dataclass(frozen=True, slots=True)
class _Loader:
    """One client with many connections."""

    charon: Charon
    folder: Path

    def load(self, gateway: str, authority: str, one: Pair) -> None:
        """Has it log in there from now on."""
        (self.folder / "user.pem").write_text(one.pem)
        (self.folder / "hub.pem").write_text(authority)
        every = "".join(_CLIENT.format(number=n, gateway=gateway, folder=self.folder) for n in range(AT_ONCE))
        self.charon.load(f"connections {{\n{every}}}\n")
        self.charon.load_key(one.key)

    def in_turn(self) -> float:
        """Returns the seconds of `IN_TURN` logins, one after the other."""
        return self._timed(lambda: list(map(self._login, range(IN_TURN))))

    def at_once(self) -> float:
        """Returns the seconds until the last of `AT_ONCE` logins that begin together."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return self._timed(lambda: list(pool.map(self._login, range(AT_ONCE))))

    def _timed(self, work: Callable[[], object]) -> float:
        begun = time.perf_counter()
        work()
        taken = time.perf_counter() - begun
        for number in range(AT_ONCE):
            self.charon.swanctl("--terminate", "--ike", f"c{number}", check=False)
        return taken

    def _login(self, number: int) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.charon.vici))
            list(vici.Session(sock).initiate({"child": f"c{number}", "timeout": "60000"}))


def rows(rounds: int) -> list[Row]:
    """Measures logins at both, in turn and at once, `rounds` times each."""
    directory = Path(tempfile.mkdtemp(prefix="hubgw-bench-"))
    directory.chmod(0o711)
    with alone():
        lab = build(directory)
        try:
            ours, theirs = _measured(lab, rounds)
        finally:
            lab.hub.end_supervision()
            for node in lab.nodes:
                node.destroy()
            shutil.rmtree(directory)
    return [
        _row(f"{IN_TURN} logins by certificate, one after the other", ours, theirs, 0),
        _row(f"{AT_ONCE} logins by certificate, at once", ours, theirs, 1),
    ]


def _measured(lab: Lab, rounds: int) -> tuple[list[_Times], list[_Times]]:
    root = root_of_users()
    one = user(root, "somebody")
    lab.hub.start_agent()
    lab.hub.apply("wan1.yaml", "wan2.yaml", "node.yaml")
    lab.hub.wait_connected()
    ours: list[_Times] = []
    theirs: list[_Times] = []
    with _loader(lab) as loader, _by_hand(lab, root) as authority, gateway_of_users(lab, server(root)):
        places = ((ours, WAN1[0], lab.hub.run("user", "ca").stdout), (theirs, _HAND, authority))
        for _ in range(rounds):
            for times, gateway, believed in places:
                loader.load(gateway, believed, one)
                times.append((loader.in_turn(), loader.at_once()))
        print(f"logins: ours {ours}, by hand {theirs}", file=sys.stderr)
    return ours, theirs


def _row(work: str, ours: list[_Times], theirs: list[_Times], which: int) -> Row:
    return Row("g", work, median(one[which] for one in ours), median(one[which] for one in theirs), 1 / GOAL)


@contextmanager
def _loader(lab: Lab) -> Iterator[_Loader]:
    node = _node(lab, "loader", _LOADER)
    charon = Charon(node, settings=_LOADER_SETTINGS)
    charon.start()
    try:
        yield _Loader(charon, node.directory)
    finally:
        node.destroy()


@contextmanager
def _by_hand(lab: Lab, root: Pair) -> Iterator[str]:
    """Runs a charon with the appliance's settings, and yields the authority that its certificate is by."""
    node = _node(lab, "byhand", _HAND)
    charon = Charon(node, appliance=True)
    charon.start()
    node.run("nft", "delete", "table", "inet", "hubgw")  # the gate that keeps IKE closed until an agent opens it
    node.ip("link add users type xfrm dev eth0 if_id 500")
    node.ip("link set users up")
    node.ip(f"route add {POOL} dev users")
    authority = make("O=Example, CN=by hand", ca=True, now=time.time())
    own = make("O=Example, CN=server", [_HAND], by=authority, now=time.time())
    (node.directory / "server.pem").write_text(own.pem)
    (node.directory / "root.pem").write_text(root.pem)
    charon.load(_SERVER.format(address=_HAND, folder=node.directory, pool=POOL))
    charon.load_key(own.key)
    try:
        yield authority.pem
    finally:
        node.destroy()


def _node(lab: Lab, name: str, address: str) -> Node:
    node = Node(name, lab.isp.directory.parent / name)
    node.create()
    connect(lab.isp, f"u{name}", node, "eth0")
    router = str(IPv4Address(address) - 1)
    lab.isp.ip(f"addr add {router}/30 dev u{name}")
    node.ip(f"addr add {address}/30 dev eth0")
    node.ip(f"route add default via {router}")
    return node
