"""Users' clients for the benchmark: one charon with many connections, a gateway by hand, and hubgw's in the lab."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from tests.certificates import Pair, make
from tests.lab.charon import Charon
from tests.lab.node import Node
from tests.lab.topology import Lab
from tests.lab.users import connection, eap_secret, own_certificate, uplink

Method = Literal["pubkey", "eap-tls", "eap-mschapv2"]

POOL: Final = "10.99.0.0/21"
AT_ONCE: Final = 50
NAME: Final = "somebody@example.com"
PASSWORD: Final = "example-password-of-somebody"  # noqa: S105 - of nobody
HAND: Final = "192.0.2.238"
_HAND, _LOADER = 60, 61  # numbers of their uplinks
_OF_CLIENTS: Final = IPv4Network("10.98.0.0/24")
"""Each client has an address of its own, as of one address charon refuses many that are half open."""

_OTHERS: Final = IPv4Network("10.97.0.0/24")
"""What the gateway by hand is called beside its address."""

# To charon its connections are one and the same, and one IKE SA would do; a blocked initiate holds a thread.
_LOADER_SETTINGS = "install_routes = no\n  install_virtual_ip = no\n  reuse_ikesa = no\n  threads = 80"

_WAY = """  users-{method} {{
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
      auth = {method}
      {identity}
    }}
    children {{
      users-{method} {{
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
"""
_BELIEVED = "cacert {{\n        file = {folder}/root.pem\n      }}"


@dataclass(frozen=True, slots=True)
class Loader:
    """One client with many connections of one user."""

    charon: Charon
    folder: Path
    root: Pair
    user: Pair

    def load(self, gateway: str, authority: str, method: Method, count: int = AT_ONCE) -> None:
        """Has it log in there, in this way, from now on."""
        (self.folder / "user.pem").write_text(self.user.pem)
        (self.folder / "hub.pem").write_text(authority)
        own, named = own_certificate(self.folder), (f"id = {NAME}", f"eap_id = {NAME}")
        proof = {"pubkey": (own,), "eap-tls": (*named, own), "eap-mschapv2": named}[method]
        local = (f"auth = {method}", *proof)
        every = "".join(
            connection(f"c{number}", self.folder, local, gateway=gateway, address=str(_OF_CLIENTS[number + 1]))
            for number in range(count)
        )
        secrets = eap_secret(NAME, PASSWORD) if method == "eap-mschapv2" else ""
        self.charon.load(f"connections {{\n{every}}}\n{secrets}")
        self.charon.load_authority(self.root.pem)
        self.charon.load_key(self.user.key)

    def in_turn(self, count: int) -> float:
        """Returns the seconds of logins, one after the other."""
        return self._timed(lambda: list(map(self._login, range(count))))

    def at_once(self, count: int = AT_ONCE) -> float:
        """Returns the seconds until the last of these logins, of which `AT_ONCE` are under way."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return self._timed(lambda: list(pool.map(self._login, range(count))))

    def log_out(self) -> None:
        """Ends all of them."""
        with self.charon.session(None) as session:
            for name in {name for name, _ in self.charon.sas()}:
                list(session.terminate({"ike": name, "timeout": "30000"}))

    def _timed(self, work: Callable[[], object]) -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    def _login(self, number: int) -> None:
        with self.charon.session(None) as session:
            list(session.initiate({"child": f"c{number}", "timeout": "120000"}))


@contextmanager
def loader(lab: Lab, root: Pair, user: Pair) -> Iterator[Loader]:
    """Runs it in a node of its own."""
    node, address = uplink(lab, _LOADER)
    lab.isp.ip(f"route add {_OF_CLIENTS} via {address}")
    _add(node, _OF_CLIENTS.hosts())
    charon = Charon(node, settings=_LOADER_SETTINGS)
    charon.start()
    try:
        yield Loader(charon, node.directory, root, user)
    finally:
        node.destroy()


@contextmanager
def by_hand(lab: Lab, root: Pair) -> Iterator[tuple[Charon, str]]:
    """Runs a charon with the appliance's settings; yields it, and the authority that its certificate is by."""
    node, _ = uplink(lab, _HAND)
    # Clients that have MOBIKE are told every address of the machine: as many as the hub's.
    others = lab.hub.node.ip("-4 -o addr show scope global").count("\n") - 1
    _add(node, islice(_OTHERS.hosts(), others))
    charon = Charon(node, appliance=True)
    charon.start()
    node.run("nft", "delete", "table", "inet", "hubgw")  # the gate that keeps IKE closed until an agent opens it
    node.ip("link add users type xfrm dev eth0 if_id 500")
    node.ip("link set users up")
    node.ip(f"route add {POOL} dev users")
    authority = make("O=Example, CN=by hand", ca=True, now=time.time())
    # As at the hub, where the root's key is not what signs.
    signer = make("O=Example, CN=by hand signer", ca=True, by=authority, now=time.time())
    own = make("O=Example, CN=server", [HAND], by=signer, kind="rsa2048", now=time.time())
    (node.directory / "server.pem").write_text(own.pem)
    (node.directory / "root.pem").write_text(root.pem)
    charon.load(_connections(node.directory, "pubkey", "eap-tls"))
    charon.load_key(own.key)
    charon.load_authority(signer.pem)
    try:
        yield charon, authority.pem
    finally:
        node.destroy()


def _add(node: Node, addresses: Iterable[IPv4Address]) -> None:
    """Gives a machine more addresses on its uplink."""
    node.run("ip", "-batch", "-", stdin="".join(f"addr add {one}/32 dev eth0\n" for one in addresses))


def use_passwords(charon: Charon) -> None:
    """Has the gateway by hand ask for a password where EAP is wanted, as hubgw's does that has vpnUsers."""
    conf = charon.node.directory / "swanctl.conf"
    conf.write_text(_connections(charon.node.directory, "pubkey", "eap-mschapv2"))
    # swanctl would unload the gateway's key with the secrets, as it came over VICI.
    charon.swanctl("--load-conns", "--file", str(conf))
    with charon.session() as session:
        session.load_shared({"id": "somebody", "type": "EAP", "data": PASSWORD, "owners": [NAME]})


def _connections(folder: Path, *methods: Method) -> str:
    believed = _BELIEVED.format(folder=folder)
    identities = {
        "pubkey": f"id = %any\n      {believed}",
        "eap-tls": f"id = %any\n      eap_id = %any\n      {believed}",
        "eap-mschapv2": "id = %any\n      eap_id = %any",
    }
    every = "".join(
        _WAY.format(address=HAND, folder=folder, method=method, identity=identities[method]) for method in methods
    )
    return f"connections {{\n{every}}}\npools {{\n  users {{\n    addrs = {POOL}\n  }}\n}}\n"
