"""The lab's branches that speak BGP, beside those of `tests.lab.topology` that do not.

br4 192.0.2.14  lan 10.4.0.1  peers from 10.254.0.4, AS 65010       FRR   (wan1)
br5 192.0.2.18  lan 10.5.0.1  peers from 10.254.0.5, AS 4200000020  BIRD  (wan1)
br6 192.0.2.22  lan 10.4.0.1  peers from 10.254.0.4, AS 65010       FRR   (wan2): br4 once more
br7 192.0.2.26  lan 10.7.0.1  peers from 10.254.0.7, AS 65030       no daemon: `tests.lab.raw_peer` (wan1)
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.lab.bgp_branch import HUB
from tests.lab.bird import Bird
from tests.lab.frr import Frr
from tests.lab.raw_peer import RawPeer
from tests.lab.topology import WAN1, WAN2, Branch, Lab, another
from tests.lab.waiting import wait_for

RAW = "branch7"
"""The site of the raw peer."""

_PATIENCE = 8.0  # seconds


@dataclass(frozen=True)
class BgpLab:
    """The lab, and the routers of its branches with BGP; `raw` has none."""

    lab: Lab
    frr: Frr
    bird: Bird
    twin: Frr
    raw: Branch

    @property
    def hub_prefixes(self) -> tuple[str, ...]:
        """What a branch of wan1 learns of the hub itself: its own prefix, and those of its virtual networks."""
        return ("10.100.0.0/24", "10.50.0.0/24", "10.60.0.0/16")

    def wait_ready(self) -> None:
        """Waits until every tunnel is up, and every branch has from both instances what it shall learn."""
        hub = self.lab.hub
        hub.wait_connected(seconds=90)
        hub.wait_sessions("branch4", "branch5", "branch6")
        self.frr.wait_learned(*self.hub_prefixes, self.bird.lan, "10.1.0.0/24", "10.2.0.0/24")
        self.bird.wait_learned(*self.hub_prefixes, self.frr.lan, "10.1.0.0/24", "10.2.0.0/24")
        self.twin.wait_learned("10.100.0.0/24", "10.50.0.0/24", "10.1.0.0/24")

    @property
    def table(self) -> int:
        """The routing table of wan1's VRF."""
        routes = self.lab.hub.show("route")
        return next(int(route["table"]) for route in routes if route["hub"].endswith("/hub1"))

    def raw_session(self, instance: int, *, restart_time: int | None = None) -> RawPeer:
        """Returns an established session of the tests' own peer with an instance of wan1's gateway."""
        hub = self.lab.hub

        def free() -> bool:
            return hub.peer(RAW, instance)["state"] not in {"Established", "Held"}

        if (hub.peer(RAW, instance)["heldUntil"] or 0) > time.time() + _PATIENCE:
            self.connect_anew()
        wait_for("the hub takes a session with the raw peer", free)
        peer = RawPeer(self.raw, instance)
        peer.connect()
        peer.open(restart_time=restart_time)
        wait_for("established at the hub", lambda: hub.peer(RAW, instance)["state"] == "Established")
        return peer

    def connect_anew(self) -> None:
        """Takes the raw peer's sessions away from the hub and gives them back: it is held down no longer."""
        words = "remoteVpnSite: branch7, enableBgp: %s"
        connection = f"type: vpnConnections\nname: gw1/{RAW}\nproperties: {{{words}}}\n"
        self.lab.hub.apply_text(connection % "false")
        wait_for("no session of the raw peer", lambda: RAW not in str(self.lab.hub.bgp("peers")))
        self.lab.hub.apply_text(connection % "true")
        wait_for("sessions of the raw peer", lambda: self.lab.hub.peer(RAW, 1)["state"] in {"Idle", "Connected"})


def add_bgp_branches(lab: Lab) -> BgpLab:
    """Adds the branches to the lab's network, each charon and router started. The hub knows nothing of them yet."""
    made = {
        f"br{number}": _branch(lab, number, twin, gateways)
        for number, twin, gateways in ((4, 4, WAN1), (5, 5, WAN1), (6, 4, WAN2), (7, 7, WAN1))
    }
    lab.branches.update(made)
    with ThreadPoolExecutor() as pool:
        list(pool.map(_start, made.values()))
    frr = Frr(made["br4"].node, 65010, "10.254.0.4", "10.4.0.0/24")
    bird = Bird(made["br5"].node, 4200000020, "10.254.0.5", "10.5.0.0/24")
    twin = Frr(made["br6"].node, 65010, "10.254.0.4", "10.4.0.0/24")
    for router in (frr, bird, twin):
        router.start()
    return BgpLab(lab, frr, bird, twin, made["br7"])


def _branch(lab: Lab, number: int, twin: int, gateways: tuple[str, str]) -> Branch:
    """Makes a branch whose addresses inside are those of number `twin`."""
    made = another(lab, number, gateways, twin)
    for instance, hub in enumerate(HUB):
        made.node.ip(f"addr add 10.254.0.{twin} peer {hub}/32 dev t{instance}")
    return made


def _start(made: Branch) -> None:
    made.charon.start()
    made.charon.load(made.conf())
