"""The devices of the matrix of interoperability, each configured by hand for a cell; and their site at the hub.

br8 192.0.2.30  lan 10.8.0.1  Libreswan
br9 192.0.2.34  lan 10.9.0.1  strongSwan

Behind a NAT a device is seen as 203.0.113.8 or .9: one to one, so that the hub may start as well.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.lab.cells import Cell
from tests.lab.libreswan import Libreswan
from tests.lab.topology import WAN1, Branch, Lab, Suite, another

LIBRESWAN: Final = 8
STRONGSWAN: Final = 9
"""The numbers of the branches."""

_CUSTOM: Final = (
    "ipsecEncryption: GCMAES256, ipsecIntegrity: GCMAES256, ikeEncryption: AES256, ikeIntegrity: SHA384, "
    "dhGroup: ECP384, pfsGroup: ECP384"
)
# Libreswan has no elliptic curve for PFS in IKEv1.
_CUSTOM_14: Final = (
    "ipsecEncryption: GCMAES256, ipsecIntegrity: GCMAES256, ikeEncryption: AES256, ikeIntegrity: SHA384, "
    "dhGroup: DHGroup14, pfsGroup: PFS14"
)
# Azure's default suite with the smallest group that Libreswan has.
_OLD: Final = "ipsecEncryption: AES256, ipsecIntegrity: SHA1, ikeEncryption: AES256, ikeIntegrity: SHA1, "
_OLD_14: Final = f"{_OLD}dhGroup: DHGroup14, pfsGroup: None"

_RESOURCES: Final = """
type: vpnSites
name: branch{number}
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {{addressPrefixes: [10.{number}.0.0/24]}}
  vpnSiteLinks: [{{name: link1, properties: {{ipAddress: {seen}}}}}]
---
type: settings
name: branch{number}
properties:
  resource: vpnSites/branch{number}/vpnSiteLinks/link1
  remoteIdentity: {address}
  legacyAlgorithms: {legacy}
  authentication: {authentication}
---
type: vpnConnections
name: gw1/branch{number}
properties:
  remoteVpnSite: branch{number}
  sharedKey: {key}
  vpnConnectionProtocolType: {ike}
  ipsecPolicies: [{policy}]
  vpnLinkConnections: [{{name: link1, properties: {{vpnSiteLink: link1, vpnLinkConnectionMode: {mode}}}}}]
"""


class Device(ABC):
    """A branch's device with a tunnel to each instance. It starts none until it is told to."""

    def __init__(self, lab: Lab, made: Branch, number: int) -> None:
        self.lab = lab
        self.branch = made
        self.node = made.node
        self.number = number
        self.site = f"branch{number}"
        self.interfaces: tuple[str, str]
        self.certificates = made.node.directory / "certificates"

    @abstractmethod
    def configure(self, cell: Cell) -> None:
        """Replaces the configuration; SAs of the one before end."""

    @abstractmethod
    def rest(self) -> None:
        """Ends what a cell configured; else it would go on trying at a hub that does not know it any more."""

    @abstractmethod
    def initiate(self, instance: int) -> None: ...

    @abstractmethod
    def rekey(self, instance: int, cell: Cell) -> None:
        """Makes a new child SA in the place of a tunnel's own."""

    @abstractmethod
    def rekey_ike(self, instance: int) -> None:
        """Makes a new IKE SA (IKEv2) in the place of a tunnel's own, which keeps its child SA."""

    @abstractmethod
    def policy(self, cell: Cell) -> str:
        """Returns what the hub's `ipsecPolicies` has for a cell; nothing for none."""

    def cipher(self, cell: Cell) -> str:
        """Returns the kernel's name of the cipher that both ends shall agree on."""
        return "cbc(aes)" if cell.suite == "legacy" else "rfc4106(gcm(aes))"

    def resources(self, cell: Cell) -> str:
        policy = self.policy(cell)
        return _RESOURCES.format(
            number=self.number,
            address=self.branch.address,
            seen=self.seen(cell),
            key=self.branch.key,
            ike=cell.ike,
            legacy=str(cell.suite == "legacy").lower(),
            authentication="Certificate" if cell.authentication == "certificate" else "PSK",
            policy=f"{{{policy}}}" if policy else "",
            mode="Default" if cell.starts == "hub starts" else "ResponderOnly",
        )

    def seen(self, cell: Cell) -> str:
        """Returns the address that the hub sees."""
        return f"203.0.113.{self.number}" if cell.nat == "NAT" else self.branch.address

    @contextmanager
    def joined(self, cell: Cell) -> Iterator[None]:
        """Configures both ends for a cell, for the block; no tunnel is waited for. The device rests after it."""
        if cell.authentication == "certificate" and not self.certificates.exists():
            self.certificates.mkdir()
            words = ("--identity", self.branch.address, "--out", str(self.certificates))
            self.lab.hub.run("pki", "issue", self.site, *words)
        self.lab.hub.apply_text(self.resources(cell))
        try:
            with self.behind(cell):
                self.configure(cell)
                # A flow that the configuration before began meanwhile would go on without the NAT.
                self.lab.isp.run("conntrack", "-F", check=False)
                yield
        finally:
            names = (f"vpnConnections/gw1/{self.site}", f"settings/{self.site}", f"vpnSites/{self.site}")
            try:
                self.lab.hub.run("delete", *names, "--yes")
            finally:
                self.rest()

    def wait_connected(self, cell: Cell) -> None:
        """Brings both tunnels up, as the cell says who starts, and routes over them."""
        if cell.starts == "branch starts":
            for instance in (0, 1):
                self.initiate(instance)
        self.lab.hub.wait_connected(*(f"{self.site}/{instance}" for instance in (0, 1)), seconds=60)
        first, second = self.interfaces
        way = f"nexthop dev {first} nexthop dev {second}"
        self.node.ip(f"route replace 10.0.0.0/8 src {self.branch.lan} {way}")

    def spis(self) -> set[str]:
        """Returns the SPIs of what the hub receives from the device."""
        return {str(self.lab.hub.tunnel(self.site, instance)["spiIn"]) for instance in (0, 1)}

    @contextmanager
    def behind(self, cell: Cell) -> Iterator[None]:
        """Puts the cell's NAT, if it has one, in front of the device."""
        isp, outside, inside = self.lab.isp, f"203.0.113.{self.number}", self.branch.address
        if cell.nat == "no NAT":
            yield
            return
        isp.run(
            "nft",
            "-f",
            "-",
            stdin=f"""table ip nat{self.number} {{
  chain from {{ type nat hook postrouting priority srcnat; ip saddr {inside} oifname "uhub" snat to {outside}; }}
  chain to {{ type nat hook prerouting priority dstnat; ip daddr {outside} dnat to {inside}; }}
}}""",
        )
        try:
            yield
        finally:
            isp.run("nft", "delete", "table", "ip", f"nat{self.number}")
            # What is known of a flow outlives the rules.
            isp.run("conntrack", "-F", check=False)


class StrongswanDevice(Device):
    """charon with a swanctl.conf."""

    interfaces = ("t0", "t1")
    _SUITES: Final = {
        ("IKEv2", "default"): Suite(2, "default", "default"),
        ("IKEv1", "default"): Suite(1, "default", "default"),
        ("IKEv2", "custom policy"): Suite(2, "aes256-sha384-ecp384", "aes256gcm16-ecp384"),
        ("IKEv1", "custom policy"): Suite(1, "aes256-sha384-ecp384", "aes256gcm16-ecp384"),
        ("IKEv2", "legacy"): Suite(2, "aes256-sha1-modp1024", "aes256-sha1"),
        ("IKEv1", "legacy"): Suite(1, "aes256-sha1-modp1024", "aes256-sha1"),
    }

    def configure(self, cell: Cell) -> None:
        self.branch.end_sas(force=True)
        suite = self._SUITES[cell.ike, cell.suite]
        if cell.authentication == "certificate":
            self.branch.load_by_certificate(self.certificates, self.site, suite)
        else:
            self.branch.charon.load(self.branch.conf(suite=suite))

    def rest(self) -> None:
        self.branch.end_sas(force=True)
        self.branch.charon.load("")

    def initiate(self, instance: int) -> None:
        self.branch.charon.swanctl("--initiate", "--child", f"i{instance}", "--timeout", "20", check=False)

    def rekey(self, instance: int, cell: Cell) -> None:
        self.branch.charon.swanctl("--rekey", "--child", f"i{instance}")

    def rekey_ike(self, instance: int) -> None:
        self.branch.charon.swanctl("--rekey", "--ike", f"i{instance}")

    def policy(self, cell: Cell) -> str:
        return _CUSTOM if cell.suite == "custom policy" else ""


class LibreswanDevice(Device):
    """pluto with an ipsec.conf. A suite that is left out is pluto's own choice."""

    interfaces = ("ipsec1", "ipsec2")
    _SUITES: Final = {
        ("IKEv2", "custom policy"): "  ike=aes256-sha2_384;dh20\n  esp=aes_gcm256;dh20\n",
        ("IKEv1", "custom policy"): "  ike=aes256-sha2_384;dh14\n  esp=aes_gcm256;dh14\n",
        ("IKEv2", "legacy"): "  ike=aes256-sha1;dh14\n  esp=aes256-sha1\n  pfs=no\n",
        ("IKEv1", "legacy"): "  ike=aes256-sha1;dh14\n  esp=aes256-sha1\n  pfs=no\n",
    }

    def __init__(self, lab: Lab, made: Branch, number: int) -> None:
        super().__init__(lab, made, number)
        self.pluto = Libreswan(made.node)

    def configure(self, cell: Cell) -> None:
        proof = "  authby=secret\n"
        if cell.authentication == "certificate":
            self.pluto.add_certificate(self.certificates, self.site)
            proof = f"  authby=ecdsa\n  leftcert={self.site}\n  leftid={self.branch.address}\n  rightca=%same\n"
        connections = {
            f"i{instance}": (
                f"  left={self.branch.address}\n"
                f"  right={gateway}\n"
                "  leftsubnet=0.0.0.0/0\n"
                "  rightsubnet=0.0.0.0/0\n"
                f"{proof}"
                f"  keyexchange={cell.ike.lower()}\n"
                f"{self._SUITES.get((cell.ike, cell.suite), '')}"
                # Two tunnels for everything, each an interface of its own, which the routes choose.
                "  overlapip=yes\n"
                f"  ipsec-interface={instance + 1}\n"
                "  leftupdown=\n"
                "  auto=add\n"
            )
            for instance, gateway in enumerate(self.branch.gateways)
        }
        keys = [f'{self.branch.address} {gateway} : PSK "{self.branch.key}"\n' for gateway in self.branch.gateways]
        self.pluto.load(connections, "".join(keys))

    def rest(self) -> None:
        self.pluto.load({}, "")

    def initiate(self, instance: int) -> None:
        self.pluto.initiate(f"i{instance}")

    def rekey(self, instance: int, cell: Cell) -> None:
        # Asked to rekey a child SA of IKEv1, pluto 5.2 ends by an assertion; starting again is a new quick mode.
        if cell.ike == "IKEv1":
            self.pluto.initiate(f"i{instance}")
        else:
            self.pluto.rekey_child(f"i{instance}")

    def rekey_ike(self, instance: int) -> None:
        self.pluto.rekey_ike(f"i{instance}")

    def policy(self, cell: Cell) -> str:
        custom = _CUSTOM if cell.ike == "IKEv2" else _CUSTOM_14
        return {"default": "", "custom policy": custom, "legacy": _OLD_14}[cell.suite]


def add_devices(lab: Lab) -> dict[str, Device]:
    """Adds both devices to the lab's network, their daemons started. The hub knows nothing of them yet."""
    libreswan = LibreswanDevice(lab, _branch(lab, LIBRESWAN), LIBRESWAN)
    libreswan.pluto.start()
    strongswan = StrongswanDevice(lab, _branch(lab, STRONGSWAN), STRONGSWAN)
    strongswan.branch.charon.start()
    return {"Libreswan": libreswan, "strongSwan": strongswan}


def _branch(lab: Lab, number: int) -> Branch:
    made = another(lab, number, WAN1)
    lab.branches[made.node.name] = made
    return made
