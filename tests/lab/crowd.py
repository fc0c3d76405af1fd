"""A crowd of one user's clients: one charon that logs in from many addresses at once, over and over."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import vici

from tests.lab.topology import WAN1, Lab
from tests.lab.users import Client, client

AT_ONCE = 60
_ADDRESSES = tuple(f"203.0.113.{64 + number}" for number in range(20))

# To charon its connections are one and the same, and one IKE SA would do; a blocked initiate holds a thread.
_SETTINGS = """install_routes = no
  install_virtual_ip = no
  reuse_ikesa = no
  threads = 100
  retransmit_tries = 6
  retransmit_timeout = 2.0
  retransmit_base = 1.0"""
_CONNECTION = """  c{number} {{
    version = 2
    local_addrs = {address}
    remote_addrs = {gateway}
    vips = 0.0.0.0
    proposals = aes256gcm16-prfsha256-x25519
    local {{
      auth = eap-mschapv2
      id = {name}
      eap_id = {name}
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
_SECRET = 'secrets {{\n  eap-one {{\n    id = "{name}"\n    secret = "{password}"\n  }}\n}}\n'


_HELD = """table inet held {{
  chain output {{
    type filter hook output priority 0
    udp dport 4500 @th,256,32 {message} drop
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Crowd:
    """`client` is its machine."""

    client: Client

    def load(self, authority: str, name: str, password: str) -> None:
        """Has all log in by this name and password from now on."""
        folder = self.client.folder
        (folder / "hub.pem").write_text(authority)
        every = "".join(
            _CONNECTION.format(
                number=number,
                address=_ADDRESSES[number % len(_ADDRESSES)],
                gateway=WAN1[0],
                folder=folder,
                name=name,
            )
            for number in range(AT_ONCE)
        )
        self.client.charon.load(f"connections {{\n{every}}}\n{_SECRET.format(name=name, password=password)}")

    @contextmanager
    def held(self, message: int) -> Iterator[None]:
        """Has nobody send the message of this number (RFC 7296: behind the marker of port 4500) before the block ends;
        then all do, as each sends it again every two seconds."""
        self.client.node.run("nft", "-f", "-", stdin=_HELD.format(message=message))
        try:
            yield
        finally:
            self.client.node.run("nft", "delete", "table", "inet", "held")

    def log_in(self, count: int) -> int:
        """Logs in so many times, `AT_ONCE` of them at a time; returns how many got in."""
        with ThreadPoolExecutor(AT_ONCE) as workers:
            return sum(workers.map(self._log_in, [range(number, count, AT_ONCE) for number in range(AT_ONCE)]))

    def _log_in(self, turns: range) -> int:
        done = 0
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.client.charon.vici))
            session = vici.Session(sock)
            for number in turns:
                try:
                    list(session.initiate({"child": f"c{number % AT_ONCE}", "timeout": "120000", "loglevel": "-1"}))
                    done += 1
                except vici.exception.CommandException:
                    continue
        return done


@contextmanager
def crowd(lab: Lab, number: int) -> Iterator[Crowd]:
    """Makes a client of that number with more addresses."""
    one = client(lab, number, _SETTINGS)
    for address in _ADDRESSES:
        one.node.ip(f"addr add {address}/32 dev lo")
        lab.isp.ip(f"route add {address}/32 via {one.address}")
    try:
        yield Crowd(one)
    finally:
        one.node.destroy()
