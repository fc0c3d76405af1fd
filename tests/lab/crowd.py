"""A crowd of one user's clients: one charon that logs in from many addresses at once, over and over."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import vici

from tests.lab.topology import Lab
from tests.lab.users import Client, client, connection, eap_secret

MOST = 100
"""Logins at once."""

ADDRESSES = tuple(f"203.0.113.{64 + number}" for number in range(20))
"""Where the crowd logs in from."""

# To charon its connections are one and the same, and one IKE SA would do; a blocked initiate holds a thread. Whoever is
# held back at first has to be there still when the last one is.
_SETTINGS = """install_routes = no
  install_virtual_ip = no
  reuse_ikesa = no
  threads = 150
  retransmit_tries = 12
  retransmit_timeout = 2.0
  retransmit_base = 1.0"""

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
            connection(
                f"c{number}",
                folder,
                ("auth = eap-mschapv2", f"id = {name}", f"eap_id = {name}"),
                address=ADDRESSES[number % len(ADDRESSES)],
                proposals="aes256gcm16-prfsha256-x25519",
            )
            for number in range(MOST)
        )
        self.client.charon.load(f"connections {{\n{every}}}\n{eap_secret(name, password)}")

    @contextmanager
    def held(self, message: int) -> Iterator[None]:
        """Has nobody send the message of this number (RFC 7296: behind the marker of port 4500) before the block ends;
        then all do, as each sends it again every two seconds."""
        self.client.node.run("nft", "-f", "-", stdin=_HELD.format(message=message))
        try:
            yield
        finally:
            self.client.node.run("nft", "delete", "table", "inet", "held")

    def log_in(self, count: int, at_once: int) -> int:
        """Logs in so many times, `at_once` of them at a time; returns how many got in."""
        times = [len(range(number, count, at_once)) for number in range(at_once)]
        with ThreadPoolExecutor(at_once) as workers:
            return sum(workers.map(self._log_in, range(at_once), times))

    def _log_in(self, number: int, times: int) -> int:
        done = 0
        with self.client.charon.session(None) as session:
            for _ in range(times):
                try:
                    list(session.initiate({"child": f"c{number}", "timeout": "120000", "loglevel": "-1"}))
                    done += 1
                except vici.exception.CommandException:
                    continue
        return done


@contextmanager
def crowd(lab: Lab, number: int) -> Iterator[Crowd]:
    """Makes a client of that number with more addresses."""
    one = client(lab, number, _SETTINGS)
    for address in ADDRESSES:
        one.node.ip(f"addr add {address}/32 dev lo")
        lab.isp.ip(f"route add {address}/32 via {one.address}")
    try:
        yield Crowd(one)
    finally:
        one.node.destroy()
