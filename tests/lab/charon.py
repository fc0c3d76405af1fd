"""strongSwan in a node: the appliance's own configuration for the hub, a plain one by hand for a branch."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import vici

from tests.lab.node import Node
from tests.lab.waiting import wait_for

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"

_CONF = """\
charon-systemd {{
  {settings}
  plugins {{
    include /etc/strongswan.d/charon/*.conf
    vici {{
      socket = unix://{vici}
    }}
  }}
  filelog {{
    log {{
      path = {directory}/charon.log
      default = 1
      flush_line = yes
      time_format = %b %e %T
      time_add_ms = yes
    }}
  }}
}}
{include}
"""
# By default a dead peer is found after 165 s, longer than a case may take.
_BRANCH_SETTINGS = "install_routes = no\n  install_virtual_ip = no\n  retransmit_tries = 2\n  retransmit_timeout = 2.0"


class Charon:
    """One charon; `vici` is its socket."""

    def __init__(self, node: Node, *, appliance: bool = False, settings: str = _BRANCH_SETTINGS) -> None:
        self.node = node
        self.vici = node.directory / "charon.vici"
        self.conf = node.directory / "strongswan.conf"
        self._appliance = appliance
        self._settings = settings

    def start(self) -> None:
        """Starts it as the unit does: IKE is closed first where it is the appliance's."""
        self.conf.write_text(
            _CONF.format(
                settings="" if self._appliance else self._settings,
                # The agent's run directory is another than the appliance's.
                include=f"include {PACKAGING}/charon.conf\ninclude {self.node.directory}/run/charon.d/*.conf"
                if self._appliance
                else "",
                vici=self.vici,
                directory=self.node.directory,
            )
        )
        if self._appliance:
            self.node.run("nft", "-f", str(PACKAGING / "close-ike.nft"))
        self.vici.unlink(missing_ok=True)
        self.node.start("charon", ["charon-systemd"], {**os.environ, "STRONGSWAN_CONF": str(self.conf)})
        wait_for(f"charon of {self.node.name} answers", lambda: self.vici.exists() and self._stats(), 60)

    def _stats(self) -> bool:
        return self.swanctl("--stats", check=False).returncode == 0

    def swanctl(self, *words: str, check: bool = True, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        return self.node.run("swanctl", *words, "--uri", f"unix://{self.vici}", check=check, seconds=seconds)

    def load(self, text: str) -> None:
        """Loads a swanctl.conf."""
        path = self.node.directory / "swanctl.conf"
        path.write_text(text)
        self.swanctl("--load-all", "--clear", "--file", str(path))

    @contextmanager
    def session(self, seconds: float | None = 20) -> Iterator[vici.Session]:
        """Speaks VICI with it; an answer may take `seconds`, or for ever."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(seconds)
            sock.connect(str(self.vici))
            yield vici.Session(sock)

    def load_key(self, pem: str) -> None:
        """Loads a private key over VICI: swanctl takes keys from its own folder alone."""
        with self.session() as session:
            session.load_key({"type": "any", "data": pem})

    def load_authority(self, pem: str) -> None:
        """Has it believe an authority, by which it finds the certificate that TLS asks it for, too."""
        with self.session() as session:
            session.load_cert({"type": "X509", "flag": "CA", "data": pem})

    def kill(self) -> None:
        self.node.end("charon", signal.SIGKILL)

    def sas(self) -> list[tuple[str, Any]]:
        """Returns each IKE SA as VICI lists it, with the name of its connection."""
        with self.session() as session:
            return [(name, sa) for message in session.list_sas() for name, sa in message.items()]

    def established(self) -> list[str]:
        """Returns the connection of each IKE SA that has an installed child SA, sorted."""
        return sorted(
            name
            for name, sa in self.sas()
            if any(child["state"] == b"INSTALLED" for child in sa.get("child-sas", {}).values())
        )

    def ike_spis(self, connection: str) -> set[str]:
        """Returns the initiator's SPI of each established IKE SA of a connection."""
        return {
            sa["initiator-spi"].decode()
            for name, sa in self.sas()
            if name == connection and sa["state"] == b"ESTABLISHED"
        }

    def child_spis(self, connection: str) -> set[str]:
        """Returns the inbound SPI of each child SA of a connection that no end has deleted, replaced or not."""
        return {
            child["spi-in"].decode()
            for name, sa in self.sas()
            if name == connection
            for child in sa.get("child-sas", {}).values()
            if child["state"] != b"DELETED"  # charon receives on it for some seconds more
        }

    @property
    def log(self) -> str:
        return self.node.log("charon.log")
