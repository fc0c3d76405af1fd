"""The lab's network: two virtual WANs with the same prefixes on one hub, three branches, three virtual networks.

    vnet1  10.50.0.4 --+                  +-- br1 192.0.2.2  lan 10.1.0.1   (wan1)
    vnet2  10.60.5.4 --+-- hub -- isp ----+-- br2 192.0.2.6  lan 10.2.0.1   (wan1)
    vnet3  10.50.0.4 --+   198.51.100.10  +-- br3 192.0.2.10 lan 10.1.0.1   (wan2)
                           .11 .20 .21

Branches are plain strongSwan, configured by hand; nothing of hubgw's configures them. Those that speak BGP come when a
case asks for them: see `tests.lab.bgp_topology`.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.lab.charon import Charon
from tests.lab.hub import Hub
from tests.lab.node import Node, connect
from tests.lab.place import prefix

WAN1 = ("198.51.100.10", "198.51.100.11")
WAN2 = ("198.51.100.20", "198.51.100.21")
"""The two instances of each virtual WAN's gateway on the underlay."""

_CONNECTION = """\
  i{instance} {{
    version = {suite.version}
    mobike = no
    local_addrs = {address}
    remote_addrs = {gateway}
    proposals = {suite.ike}
    dpd_delay = 5
    keyingtries = 1
    local {{
      auth = psk
      id = {address}
    }}
    remote {{
      auth = psk
      id = {gateway}
    }}
    children {{
      i{instance} {{
        local_ts = 0.0.0.0/0
        remote_ts = 0.0.0.0/0
        if_id_in = 1{instance}
        if_id_out = 1{instance}
        esp_proposals = {suite.esp}
        start_action = {start_action}
        close_action = {close_action}
      }}
    }}
  }}
"""


@dataclass(frozen=True)
class Suite:
    """The version of IKE that a branch speaks, and the algorithms that it is configured with."""

    version: int = 2
    ike: str = "aes256gcm16-prfsha384-ecp384"
    esp: str = "aes256gcm16-ecp384"


MODERN = Suite()


@dataclass
class Branch:
    """A branch: its node, its charon, and what a prober needs to know."""

    node: Node
    charon: Charon
    address: str  # on the underlay
    gateways: tuple[str, str]  # the hub's two instances
    lan: str  # its own host in the LAN
    key: str

    def conf(
        self,
        *,
        key: str | None = None,
        start_action: str = "none",
        close_action: str = "none",
        suite: Suite = MODERN,
    ) -> str:
        """Returns the swanctl.conf that an operator writes for this branch."""
        connections = "".join(
            _CONNECTION.format(
                instance=instance,
                address=self.address,
                gateway=gateway,
                start_action=start_action,
                close_action=close_action,
                suite=suite,
            )
            for instance, gateway in enumerate(self.gateways)
        )
        owners = "\n".join(
            f"    id{number} = {owner}" for number, owner in enumerate((self.address, *self.gateways), start=1)
        )
        secret = f'secrets {{\n  ike-hub {{\n{owners}\n    secret = "{key or self.key}"\n  }}\n}}\n'
        return f"connections {{\n{connections}}}\n{secret}"

    def end_sas(self, *, force: bool = False) -> None:
        """Ends its IKE SAs; with `force` it does not wait for the hub's answer."""
        for instance in (0, 1):
            words = ("--terminate", "--ike", f"i{instance}", *(["--force"] if force else []))
            self.charon.swanctl(*words, check=False)

    def load_by_certificate(self, folder: Path, name: str, suite: Suite = MODERN, identity: str = "") -> None:
        """Loads what an operator writes for a branch with a certificate; `folder` has what `hubgw pki issue` wrote, and
        `identity` is what the branch calls itself instead of its address."""
        conf = self.conf(suite=suite).partition("secrets {")[0].replace("auth = psk", "auth = pubkey")
        own, authority = (f"cert {{\n file = {folder / file}\n }}\n" for file in (f"{name}.pem", "hubgw-ca.pem"))
        conf = conf.replace(f"id = {self.address}\n", f'id = "{identity or self.address}"\n {own}')
        for gateway in self.gateways:
            conf = conf.replace(f"id = {gateway}\n", f"id = {gateway}\n ca{authority}")
        self.charon.load(conf)
        self.charon.load_key((folder / f"{name}.key").read_text())


def site(number: int, *more: str) -> str:
    """Returns the vpnSite of a static branch of wan1, as wan1.yaml has it but with more prefixes."""
    return f"""
type: vpnSites
name: branch{number}
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [{", ".join((f"10.{number}.0.0/24", *more))}]}}
  vpnSiteLinks: [{{name: link1, properties: {{ipAddress: 192.0.2.{4 * number - 2}}}}}]
"""


@dataclass
class Lab:
    """Everything, built once a run."""

    isp: Node
    hub: Hub
    branches: dict[str, Branch]
    vnets: dict[str, Node]
    baseline: dict[str, str]  # of the hub, before the agent ever ran

    @property
    def nodes(self) -> list[Node]:
        return [self.isp, self.hub.node, *(branch.node for branch in self.branches.values()), *self.vnets.values()]


def build(directory: Path) -> Lab:
    """Builds the network and starts every charon, but not the agent."""
    nodes = {
        name: Node(name, directory / name) for name in ("isp", "hub", "br1", "br2", "br3", "vnet1", "vnet2", "vnet3")
    }
    for left in Path("/run/netns").glob(f"{prefix()}*"):
        Node(left.name.removeprefix(prefix()), directory).clear()
    for node in nodes.values():
        node.create()
    isp, hub_node = nodes["isp"], nodes["hub"]
    isp.sysctl(net__ipv4__ip_forward="1")
    _underlay(
        isp,
        "hub",
        hub_node,
        ["198.51.100.10/24", "198.51.100.11/24", "198.51.100.20/24", "198.51.100.21/24"],
        "198.51.100.1/24",
    )
    hub = Hub(hub_node)
    _vnets(hub_node, nodes)
    branches = {
        "br1": branch(isp, nodes["br1"], 1, "10.1.0", WAN1),
        "br2": branch(isp, nodes["br2"], 2, "10.2.0", WAN1),
        "br3": branch(isp, nodes["br3"], 3, "10.1.0", WAN2),
    }
    for static in branches.values():
        _static_routes(static)
    tables = nftables(hub)
    for charon in (hub.charon, *(static.charon for static in branches.values())):
        charon.start()
    for static in branches.values():
        static.charon.load(static.conf())
    hub.supervise()
    vnets = {name: nodes[name] for name in ("vnet1", "vnet2", "vnet3")}
    # The gate that closes IKE is a table of ours too, and there since charon's start.
    return Lab(isp, hub, branches, vnets, baseline(hub) | {"nftables": tables})


def nftables(hub: Hub) -> str:
    """Returns the names of all nftables tables of the hub."""
    return hub.node.run("nft", "list", "tables").stdout


def baseline(hub: Hub) -> dict[str, str]:
    """Returns what the hub's kernel and charon hold that could be hubgw's. The kernel's own l3mdev rule is left out."""
    node = hub.node
    rules = "".join(line for line in node.ip("rule").splitlines(keepends=True) if "l3mdev" not in line)
    return {
        "xfrm states": node.ip("xfrm state"),
        "xfrm policies": "".join(line for line in node.ip("xfrm policy").splitlines(keepends=True) if "if_id" in line),
        "links": node.ip("-br link"),
        "addresses": node.ip("-4 -br addr"),
        "rules": rules,
        "routes": node.ip("route show table all proto 250") + node.ip("-6 route show table all proto 250"),
        "main routes": node.ip("route show table main"),
        "nexthops": node.ip("nexthop"),
        "nftables": nftables(hub),
        "connections": hub.charon.swanctl("--list-conns").stdout,
        "BGP speakers": " ".join(sorted(path.name for path in hub.services.iterdir())),
    }


def _underlay(isp: Node, name: str, node: Node, addresses: list[str], gateway: str) -> None:
    connect(isp, f"u{name}", node, "eth0")
    isp.ip(f"addr add {gateway} dev u{name}")
    for address in addresses:
        node.ip(f"addr add {address} dev eth0")
    node.ip(f"route add default via {gateway.partition('/')[0]}")


def _vnets(hub: Node, nodes: dict[str, Node]) -> None:
    connect(hub, "vnet1", nodes["vnet1"], "eth0")
    nodes["vnet1"].ip("addr add 10.50.0.4/24 dev eth0")
    nodes["vnet1"].ip("route add default via 10.50.0.1")
    # A router of the VNet on the VLAN, with a host of the address space behind it.
    connect(hub, "trunk", nodes["vnet2"], "trunk")
    nodes["vnet2"].ip("link add eth0 link trunk type vlan id 60")
    nodes["vnet2"].ip("link set eth0 up")
    nodes["vnet2"].ip("addr add 10.60.0.254/24 dev eth0")
    nodes["vnet2"].ip("addr add 10.60.5.4/32 dev lo")
    nodes["vnet2"].ip("route add default via 10.60.0.1 src 10.60.5.4")
    connect(hub, "vnet3", nodes["vnet3"], "eth0")
    nodes["vnet3"].ip("addr add 10.50.0.4/24 dev eth0")
    nodes["vnet3"].ip("route add default via 10.50.0.1")


def another(lab: Lab, number: int, gateways: tuple[str, str], twin: int = 0) -> Branch:
    """Makes one more branch in a node of its own; its addresses inside are those of number `twin`, or its own."""
    node = Node(f"br{number}", lab.isp.directory.parent / f"br{number}")
    node.create()
    return branch(lab.isp, node, number, f"10.{twin or number}.0", gateways)


def branch(isp: Node, node: Node, number: int, lan: str, gateways: tuple[str, str]) -> Branch:
    """Makes a branch's underlay, LAN and tunnels. Its charon is not started, and nothing is routed into the tunnels."""
    address = f"192.0.2.{4 * number - 2}"
    _underlay(isp, node.name, node, [f"{address}/30"], f"192.0.2.{4 * number - 3}/30")
    node.ip("link add lan type dummy")
    node.ip(f"addr add {lan}.1/24 dev lan")
    node.ip("link set lan up")
    node.sysctl(
        net__ipv4__fib_multipath_hash_policy="1",
        net__ipv4__conf__all__rp_filter="0",
        net__ipv4__conf__default__rp_filter="0",
    )
    for instance in (0, 1):
        node.ip(f"link add t{instance} type xfrm dev eth0 if_id 1{instance}")
        node.ip(f"link set t{instance} up")
    return Branch(node, Charon(node), address, gateways, f"{lan}.1", f"example-key-of-branch-{number}")


def _static_routes(static: Branch) -> None:
    for instance in (0, 1):
        static.node.ip(f"route add 10.100.0.1{instance + 2}/32 dev t{instance} src {static.lan}")
    static.node.ip(f"route add 10.0.0.0/8 src {static.lan} nexthop dev t0 nexthop dev t1")
