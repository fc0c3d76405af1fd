"""Libreswan in a node: pluto with an ipsec.conf by hand. Its routes and its interface are the operator's to see to."""

import subprocess
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificate

from tests.lab.node import Node
from tests.lab.waiting import wait_for

_EXEC: Final = Path("/usr/libexec/ipsec")
_SETUP: Final = """\
config setup
  ikev1-policy=accept
  dnssec-enable=no
"""


class Libreswan:
    """One pluto; what it makes is in the node's own directory."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._directory = node.directory / "pluto"
        self._conf = node.directory / "ipsec.conf"
        self._secrets = node.directory / "ipsec.secrets"
        self._loaded: list[str] = []

    def start(self) -> None:
        self._directory.mkdir(exist_ok=True)
        self.node.run("certutil", "-N", "-d", f"sql:{self._directory}", "--empty-password")
        self._conf.write_text(_SETUP)
        self._secrets.write_text("")
        self._secrets.chmod(0o600)
        folders = {"rundir": self._directory, "nssdir": self._directory}
        folders |= {"ipsecdir": self._directory, "dumpdir": self._directory}
        # The file comes first: what it leaves out would replace the options before it.
        options = ["--config", str(self._conf), "--secretsfile", str(self._secrets)]
        options += [word for name, folder in folders.items() for word in (f"--{name}", str(folder))]
        options += ["--logfile", str(self.node.directory / "pluto.log"), "--nofork", "--no-dnssec"]
        self.node.start("pluto", [str(_EXEC / "pluto"), *options])
        wait_for("pluto answers", lambda: self.whack("--status", check=False).returncode == 0)

    def whack(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.node.run(str(_EXEC / "whack"), "--rundir", str(self._directory), *words, check=check)

    def load(self, connections: dict[str, str], secrets: str) -> None:
        """Replaces all connections, each the lines of its `conn` section, and the secrets."""
        for name in self._loaded:
            self.whack("--name", name, "--delete", check=False)
        sections = (f"conn {name}\n{lines}" for name, lines in connections.items())
        self._conf.write_text("\n".join((_SETUP, *sections)))
        self._secrets.write_text(secrets)
        self.whack("--rereadsecrets")
        socket = str(self._directory / "pluto.ctl")
        for name in connections:
            self.node.run(str(_EXEC / "addconn"), "--config", str(self._conf), "--ctlsocket", socket, name)
        self._loaded = list(connections)

    def add_certificate(self, folder: Path, name: str) -> None:
        """Puts what `hubgw pki issue` wrote into NSS, under the name; what is there already stays."""
        database = ("-d", f"sql:{self._directory}")
        if self.node.run("certutil", "-L", *database, "-n", name, check=False).returncode == 0:
            return
        certificate = load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        key = load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        bundle = folder / f"{name}.p12"
        bundle.touch(0o600)
        bundle.write_bytes(serialize_key_and_certificates(name.encode(), key, certificate, None, NoEncryption()))
        self.node.run("pk12util", *database, "-i", str(bundle), "-W", "")
        authority = ("-n", "hubgw", "-t", "CT,,", "-i", str(folder / "hubgw-ca.pem"))
        self.node.run("certutil", "-A", *database, *authority)
        self.whack("--rereadall")

    def initiate(self, name: str) -> None:
        self.whack("--name", name, "--initiate", "--asynchronous")

    def rekey_child(self, name: str) -> None:
        self.whack("--name", name, "--rekey-child", "--asynchronous")

    def rekey_ike(self, name: str) -> None:
        self.whack("--name", name, "--rekey-ike", "--asynchronous")

    def end(self, name: str) -> None:
        self.whack("--name", name, "--down", check=False)

    @property
    def log(self) -> str:
        return self.node.log("pluto.log")
