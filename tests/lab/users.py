"""Users' clients: strongSwan configured by hand, each in a node of its own; the gateway of users; an authority."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.certificates import Pair, make
from tests.lab.charon import Charon
from tests.lab.hub import Hub
from tests.lab.node import Node, connect
from tests.lab.topology import WAN1, Lab
from tests.lab.waiting import wait_for

POOL = "10.99.0.0/24"

_SERVER = """
type: vpnServerConfigurations
name: users
location: westeurope
properties:
  vpnAuthenticationTypes: [Certificate]
  vpnClientRootCertificates: [{roots}]
"""
OWN_AUTHORITY = """
type: vpnServerConfigurations
name: users
location: westeurope
properties:
  vpnAuthenticationTypes: [Certificate]
"""
"""The vpnServerConfiguration that believes hubgw's own authority of users."""

_GATEWAY = """
type: p2sVpnGateways
name: p1
location: westeurope
properties:
  virtualHub: hub1
  vpnServerConfiguration: users
  p2SConnectionConfigurations: [{{name: all, properties: {{vpnClientAddressPool: {{addressPrefixes: [{pool}]}}}}}}]
"""
_CONNECTION = """  {name} {{
    version = 2
    local_addrs = {address}
    remote_addrs = {gateway}
    vips = 0.0.0.0
    proposals = {proposals}
    local {{
      {local}
    }}
    remote {{
      auth = pubkey
      id = {gateway}
      cacert {{
        file = {folder}/hub.pem
      }}
    }}
    children {{
      {name} {{
        remote_ts = {reach}
        esp_proposals = aes256gcm16-ecp384
      }}
    }}
  }}
"""
_SECRET = """secrets {{
  eap-one {{
    id = "{name}"
    secret = "{password}"
  }}
}}
"""
# Where a client's charon puts its routes and its virtual address itself, as at home.
CLIENT_SETTINGS = "retransmit_tries = 2\n  retransmit_timeout = 2.0"


@dataclass
class Client:
    """A user's machine; `address` is its own."""

    node: Node
    charon: Charon
    address: str
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.node.directory

    def conf(
        self, authority: str, user: Pair, *, instance: int = 0, identity: str = "", reach: str = "0.0.0.0/0"
    ) -> str:
        """Returns a swanctl.conf, and writes the certificates that it names."""
        (self.folder / "user.pem").write_text(user.pem)
        (self.folder / "user.key").write_text(user.key)
        (self.folder / "hub.pem").write_text(authority)
        local = ("auth = pubkey", *([f"id = {identity}"] if identity else []), own_certificate(self.folder))
        text = connection("hub", self.folder, local, gateway=WAN1[instance], reach=reach)
        return f"connections {{\n{text}}}\n"

    def login(self, authority: str, user: Pair, *, instance: int = 0, identity: str = "", seconds: int = 20) -> bool:
        """Tells whether the gateway takes this user."""
        self.charon.load(self.conf(authority, user, instance=instance, identity=identity))
        self.charon.load_key(user.key)
        done = self.charon.swanctl("--initiate", "--child", "hub", "--timeout", str(seconds), check=False)
        return done.returncode == 0

    def logout(self, *, force: bool = False) -> None:
        self.charon.swanctl("--terminate", "--ike", "hub", *(["--force"] if force else []), check=False)

    @property
    def virtual(self) -> str:
        """The address that the gateway gave."""
        found = wait_for(
            "an address of the pool",
            lambda: re.findall(r"inet (10\.99\.\d+\.\d+)/32", self.node.ip("-4 -o addr show scope global")),
        )
        return str(found[0])


def connection(
    name: str,
    folder: Path,
    local: Iterable[str],
    *,
    gateway: str = WAN1[0],
    address: str = "%any",
    proposals: str = "aes256gcm16-prfsha384-ecp384",
    reach: str = "10.50.0.0/24",
) -> str:
    """Returns a client's connection of swanctl.conf: `local` is how it proves itself, and `folder` has hub.pem."""
    return _CONNECTION.format(
        name=name,
        folder=folder,
        local="\n      ".join(local),
        gateway=gateway,
        address=address,
        proposals=proposals,
        reach=reach,
    )


def own_certificate(folder: Path) -> str:
    """Returns what names the folder's user.pem in `local`."""
    return f"cert {{\n        file = {folder}/user.pem\n      }}"


def eap_secret(name: str, password: str) -> str:
    """Returns the secrets of swanctl.conf: a user's password."""
    return _SECRET.format(name=name, password=password)


def uplink(lab: Lab, number: int) -> tuple[Node, str]:
    """Makes a machine that is on the underlay, and tells its address there."""
    node = Node(f"cl{number}", lab.isp.directory.parent / f"cl{number}")
    node.create()
    address = f"192.0.2.{4 * number - 2}"
    connect(lab.isp, f"ucl{number}", node, "eth0")
    lab.isp.ip(f"addr add 192.0.2.{4 * number - 3}/30 dev ucl{number}")
    node.ip(f"addr add {address}/30 dev eth0")
    node.ip(f"route add default via 192.0.2.{4 * number - 3}")
    return node, address


def client(lab: Lab, number: int, settings: str = CLIENT_SETTINGS) -> Client:
    """Makes a client with an uplink of its own: 192.0.2.``4 * number - 2``, as a branch of that number would have."""
    node, address = uplink(lab, number)
    charon = Charon(node, settings=settings)
    charon.start()
    return Client(node, charon, address)


def root_of_users() -> Pair:
    """Makes an operator's own authority of users."""
    return make("O=Example, CN=users", ca=True, now=time.time())


def user(root: Pair, name: str) -> Pair:
    """Makes a certificate of a user, whose address is ``name@example.com``."""
    return make(f"O=Example, CN={name}", [f"{name}@example.com"], by=root, now=time.time())


def own_user(hub: Hub, name: str, folder: Path) -> Pair:
    """Has hubgw's own authority issue a certificate to a user, as `hubgw user add` does."""
    file = folder / f"{name}.p12"
    told = json.loads(hub.run("user", "add", name, "--out", str(file), "--json").stdout)
    made = pkcs12.load_pkcs12(file.read_bytes(), told["password"].encode())
    assert made.cert and isinstance(made.key, rsa.RSAPrivateKey)
    return Pair(made.cert.certificate, made.key)


def server(root: Pair, *others: str) -> str:
    """Returns the vpnServerConfiguration that believes an authority, and others, as PEM."""
    texts = ("".join(line for line in pem.splitlines() if line[:3] != "---") for pem in (root.pem, *others))
    roots = (f"{{name: root{number}, publicCertData: {data}}}" for number, data in enumerate(texts))
    return _SERVER.format(roots=", ".join(roots))


def asks_radius(root: Pair, address: str, secret: str) -> str:
    """Returns the vpnServerConfiguration that believes an authority, and asks a RADIUS server too."""
    servers = f"[{{radiusServerAddress: {address}, radiusServerSecret: {secret}}}]"
    return server(root).replace("[Certificate]", f"[Certificate, Radius]\n  radiusServers: {servers}")


def node_with_users() -> str:
    """Returns the lab's node, which has both instances of the gateway of users beside those of the branches."""
    text = (Path(__file__).parent / "resources" / "node.yaml").read_text()
    instances = "".join(
        f"    - {{p2sVpnGateway: p1, instance: {number}, publicAddress: {address}, interface: eth0}}\n"
        for number, address in enumerate(WAN1)
    )
    return f"{text.rstrip()}\n  userGatewayInstances:\n{instances}"


@contextmanager
def gateway_of_users(lab: Lab, server: str, pool: str = POOL) -> Iterator[None]:
    """Configures the gateway of users for the time of the block."""
    lab.hub.apply_text("---\n".join((server, _GATEWAY.format(pool=pool), node_with_users())))
    try:
        yield
    finally:
        lab.hub.apply("node.yaml")
        lab.hub.run("delete", "p2sVpnGateways/p1", "vpnServerConfigurations/users", "--yes")
