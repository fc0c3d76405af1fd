"""strongSwan in a node: the appliance's own configuration for the hub, a plain one by hand for a branch."""

import os
import signal
import subprocess
from pathlib import Path

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
    }}
  }}
}}
{include}
"""
_BRANCH_SETTINGS = "install_routes = no\n  install_virtual_ip = no"


class Charon:
    """One charon; `vici` is its socket."""

    def __init__(self, node: Node, *, appliance: bool = False) -> None:
        self.node = node
        self.vici = node.directory / "charon.vici"
        self.conf = node.directory / "strongswan.conf"
        self._appliance = appliance

    def start(self) -> None:
        """Starts it as the unit does: IKE is closed first where it is the appliance's."""
        self.conf.write_text(
            _CONF.format(
                settings="" if self._appliance else _BRANCH_SETTINGS,
                include=f"include {PACKAGING}/charon.conf" if self._appliance else "",
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

    def kill(self) -> None:
        self.node.signal("charon", signal.SIGKILL)

    def established(self) -> list[str]:
        """Returns the names of the connections that have an installed child SA, one entry a child SA."""
        lines = self.swanctl("--list-sas", "--raw").stdout
        return [part.split(" ", 1)[0] for part in lines.split("child-sas")[1:] if "state=INSTALLED" in part]

    @property
    def log(self) -> str:
        return self.node.log("charon.log")
