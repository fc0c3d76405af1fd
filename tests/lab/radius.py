"""A FreeRADIUS of Debian's in a node, configured by hand: users, their passwords, the Class and address of each."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.node import Node
from tests.lab.waiting import wait_for

_CONF = """\
prefix = /usr
name = {name}
libdir = /usr/lib/freeradius
confdir = {directory}
raddbdir = {directory}
logdir = {directory}
run_dir = {directory}
db_dir = {directory}
max_requests = 1024
log {{
  destination = stdout
  auth = yes
}}
security {{
  allow_core_dumps = no
  status_server = no
}}
thread pool {{
  start_servers = 1
  max_servers = 4
  min_spare_servers = 1
  max_spare_servers = 2
}}
modules {{
  eap {{
    default_eap_type = mschapv2
    mschapv2 {{
    }}
  }}
  mschap {{
    use_mppe = yes
  }}
  files {{
    filename = {directory}/users
  }}
}}
client hub {{
  ipaddr = 198.51.100.0/24
  secret = "{secret}"
  require_message_authenticator = yes
}}
server default {{
  listen {{
    type = auth
    ipaddr = {address}
    port = 1812
  }}
  authorize {{
    files
    eap
  }}
  authenticate {{
    Auth-Type MS-CHAP {{
      mschap
    }}
    eap
  }}
}}
"""


@dataclass
class Radius:
    """A RADIUS server at an address of a node; `users` are passwords and classes (or none) by name, `framed` addresses
    that it gives them."""

    node: Node
    address: str
    users: Mapping[str, tuple[str, str]]
    framed: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"radius-{self.address}"

    @property
    def directory(self) -> Path:
        return self.node.directory / self.name

    def start(self, secret: str) -> None:
        self.directory.mkdir(exist_ok=True)
        (self.directory / "dictionary").touch()
        lines = []
        for name, (password, group) in self.users.items():
            replies = [f'Class := "{group}"'] if group else []
            replies += [f"Framed-IP-Address := {self.framed[name]}"] if name in self.framed else []
            lines.append(f'{name} Cleartext-Password := "{password}"\n\t' + ",\n\t".join(replies) + "\n")
        (self.directory / "users").write_text("\n".join(lines))
        quoted = secret.replace("\\", "\\\\").replace('"', '\\"')
        conf = _CONF.format(name=self.name, directory=self.directory, secret=quoted, address=self.address)
        (self.directory / "radiusd.conf").write_text(conf)
        self.node.start(self.name, ["freeradius", "-f", "-n", "radiusd", "-d", str(self.directory)])
        wait_for(f"{self.name} listens", lambda: f"{self.address}:1812" in self.node.run("ss", "-Hlun").stdout, 15)

    def end(self) -> None:
        self.node.end(self.name, signal.SIGTERM)
