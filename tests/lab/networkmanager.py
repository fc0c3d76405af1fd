"""NetworkManager and charon-nm in a node, as a machine without a desktop has them: Debian's, with their own bus."""

import signal
import subprocess
from typing import Final

from tests.lab.node import Node
from tests.lab.waiting import wait_for

# What they write stays in a mount namespace of theirs, which follows where others unmount what it has a copy of. With a
# /sys that is read-only NetworkManager asks no udev, which knows the devices of the VM's own network namespace alone.
_PLACE: Final = """\
mount -t tmpfs tmpfs /run
mkdir /run/dbus /run/state /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
mkdir -p /var/lib/NetworkManager
mount --bind /run/state /var/lib/NetworkManager
mount -o remount,bind,ro /sys
cp "$1" /etc/strongswan.d/
exec dbus-daemon --system --nofork --nopidfile
"""
_LOG: Final = "charon-nm {{\n  filelog {{\n    log {{\n      path = {}\n    }}\n  }}\n}}\n"
_DISPLAY: Final = ":5"
_SERVICE: Final = "org.freedesktop.NetworkManager.strongswan"


class NetworkManager:
    """One NetworkManager, which manages the node's eth0 and its `address` on the underlay."""

    def __init__(self, node: Node, address: str) -> None:
        self.node = node
        self.address = address

    def start(self) -> None:
        conf = self.node.directory / "charon-nm-log.conf"
        conf.write_text(_LOG.format(self.node.directory / "charon-nm.log"))
        place = ["unshare", "--mount", "--propagation", "slave", "sh", "-euc", _PLACE, "sh", str(conf)]
        self.node.start("dbus", place)
        socket = ("test", "-S", "/run/dbus/system_bus_socket")
        wait_for("the bus is there", lambda: self.run(*socket, check=False).returncode == 0)
        self.node.start("NetworkManager", [*self._inside, "NetworkManager", "--debug", "--log-level=INFO"])
        wait_for("NetworkManager has seen all", lambda: self._general("STARTUP") == "started", 120)
        # A connection of a VPN stands on one of NetworkManager's own.
        router = self.node.ip("route show default").split()[2]
        words = ("ipv4.method", "manual", "ipv4.addresses", f"{self.address}/30", "ipv4.gateway", router)
        self.nmcli("connection", "add", "type", "ethernet", "ifname", "eth0", "con-name", "uplink", *words)
        self.nmcli("connection", "up", "uplink")

    def show(self) -> None:
        """Gives it a display that nobody looks at."""
        self.node.start("broadwayd", [*self._inside, "broadwayd", "--address", "127.0.0.1", _DISPLAY])
        listens = ("sh", "-c", "ss -Hlx | grep -q broadway")
        wait_for("the display is there", lambda: self.run(*listens, check=False).returncode == 0)

    def end(self) -> None:
        """Ends them; what the bus has started ends with it."""
        for name in ("NetworkManager", "charon-nm", "broadwayd", "dbus"):
            if name in self.node.processes:
                self.node.end(name, signal.SIGTERM)
        pids = ["ip", "netns", "pids", self.node.namespace]
        wait_for("none of them is left", lambda: not subprocess.run(pids, capture_output=True, check=True).stdout)

    def up(self, connection: str, password: str = "") -> None:
        """Brings a connection up; nmcli is given the password where it is asked for one.

        NetworkManager gives a service 5 s to start, which is too little here; one that waits on the bus it takes.
        """
        if not self._serves():
            self.node.start("charon-nm", [*self._inside, "/usr/lib/ipsec/charon-nm"])
            wait_for("charon-nm is on the bus", self._serves, 60)
        given = ("passwd-file", "/dev/stdin") if password else ()
        environment = ("env", "GDK_BACKEND=broadway", f"BROADWAY_DISPLAY={_DISPLAY}")
        words = ("nmcli", "connection", "up", connection, *given)
        done = self.run(*environment, *words, check=False, stdin=f"vpn.secrets.password:{password}\n")
        logs = "".join(self.node.log(name)[-4_000:] for name in ("NetworkManager.out", "charon-nm.log"))
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{logs}"

    def nmcli(self, *words: str, check: bool = True) -> str:
        """Runs nmcli with these words and returns what it printed."""
        return self.run("nmcli", *words, check=check).stdout

    def run(self, *command: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command that sees their files."""
        return self.node.run(*self._inside, *command, check=check, stdin=stdin)

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", "--mount", f"--target={self.node.processes['dbus'].pid}"]

    def _serves(self) -> bool:
        ask = ("dbus-send", "--system", "--print-reply=literal", "--dest=org.freedesktop.DBus", "/")
        return "true" in self.run(*ask, "org.freedesktop.DBus.NameHasOwner", f"string:{_SERVICE}").stdout

    def _general(self, field: str) -> str:
        return self.nmcli("-g", field, "general", "status", check=False).strip()
