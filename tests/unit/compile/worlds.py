"""Inventories drawn at random: WANs, hubs, virtual networks and sites on one machine, valid together.

Names repeat between worlds, so that two of them are an old and a new configuration of one machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.draft import Allocations
from hubgw.compile.plan import compile_plan
from hubgw.plan.types import Plan
from hubgw.resources.inventory import Inventory
from hubgw.resources.parse import parse
from hubgw.resources.problem import STORED
from hubgw.resources.validate import validate

Documents = Sequence[Mapping[str, Any]]

INTERFACES = ("lo", "eth0", "trunk", *(f"port{number}" for number in range(8)))
"""What the machine has itself."""

CUSTOM = {
    "asn": 65515,
    "bgpPeeringAddresses": [
        {"ipconfigurationId": "Instance0", "customBgpIpAddresses": ["169.254.21.1", "169.254.22.1"]},
        {"ipconfigurationId": "Instance1", "customBgpIpAddresses": ["169.254.21.5"]},
    ],
}

REGIONS = ("westeurope", "northeurope")


@dataclass(frozen=True, slots=True)
class World:
    """One configuration."""

    documents: Documents

    def inventory(self) -> Inventory:
        return inventory_of(self.documents)


def inventory_of(documents: Documents) -> Inventory:
    """Reads documents as they stand in a file."""
    parsed = [parse(document) for document in documents]
    assert [one.findings for one in parsed if one.findings] == []
    resources = [one.resource for one in parsed if one.resource]
    assert [*map(str, validate(resources, lambda key, path: STORED))] == []
    return Inventory.of(resources)


def plan_of(inventory: Inventory, known: Allocations | None = None) -> tuple[Plan, Allocations]:
    """Compiles; numbers given before stay."""
    numbers = numbered(owners(inventory), known or {})
    return compile_plan(inventory, inventory.nodes[0], numbers, "digest", b"key of the test"), numbers


def document(type_: str, name: str, location: str = "", **properties: object) -> dict[str, Any]:
    head = {"type": type_, "name": name} | ({"location": location} if location else {})
    return head | {"properties": {key: value for key, value in properties.items() if value is not None}}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draws a configuration."""
    documents: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    attachments: list[dict[str, Any]] = []
    for wan in range(1, draw(st.integers(1, 2)) + 1):
        documents.append(document("virtualWans", f"wan{wan}", allowBranchToBranchTraffic=draw(st.booleans())))
        gateways = draw(st.permutations([f"gw{wan}a", f"gw{wan}b"]))
        hubs = draw(st.integers(1, 2))
        for index in range(hubs):
            hub, region = f"hub{wan}{index}", REGIONS[index]
            prefix = f"10.{200 + index}.0.0/24"
            documents.append(document("virtualHubs", hub, region, virtualWan=f"wan{wan}", addressPrefix=prefix))
            documents.append(document("vpnGateways", gateways[index], region, virtualHub=hub, bgpSettings=CUSTOM))
            for instance in draw(st.sets(st.integers(0, 1), min_size=1)):
                number = int(gateways[index].endswith("b")) * 2 + instance + wan * 10
                instances.append(
                    {
                        "vpnGateway": gateways[index],
                        "instance": instance,
                        "publicAddress": f"198.51.100.{number}",
                        "interface": "eth0",
                        "underlayMtu": draw(st.sampled_from([1500, 9000])),
                    }
                )
        documents += draw(_vnets(wan, hubs, attachments))
        documents += draw(_sites(wan, gateways[:hubs]))
    node = document("nodes", "node1", gatewayInstances=instances, virtualNetworks=attachments)
    return World([*documents, node])


@st.composite
def _vnets(draw: st.DrawFn, wan: int, hubs: int, attachments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    documents = []
    for index in range(draw(st.integers(0, 2))):
        name, hub, second = f"vnet{wan}{index}", draw(st.integers(0, hubs - 1)), 50 + index
        documents += [
            document(
                "virtualNetworks",
                name,
                REGIONS[hub],
                addressSpace={"addressPrefixes": [f"10.{second}.0.0/16", f"172.16.{second}.0/24"]},
            ),
            document(
                "hubVirtualNetworkConnections",
                f"hub{wan}{hub}/{name}",
                remoteVirtualNetwork=name,
                enableInternetSecurity=draw(st.booleans()),
            ),
        ]
        # An interface serves one virtual network: each has one of its own, and they may swap.
        free = [port for port in INTERFACES[3:] if not any(port in json.dumps(used) for used in attachments)]
        way: dict[str, Any] = draw(
            st.sampled_from(
                [
                    {"interface": free[0]},
                    {"interface": free[-1]},
                    {"vlan": {"parent": "trunk", "id": 10 * wan + index}},
                    {"bridge": {"ports": free[:1]}},
                    {"bridge": {"ports": [free[0], free[-1]]}},
                ]
            )
        )
        gateway = draw(st.sampled_from([{}, {"gateway": f"10.{second}.0.254"}]))
        attachments.append({"virtualNetwork": name, "address": f"10.{second}.0.1/24"} | way | gateway)
    return documents


@st.composite
def _sites(draw: st.DrawFn, wan: int, gateways: Sequence[str]) -> list[dict[str, Any]]:
    documents = []
    for number in draw(st.sets(st.integers(1, 4))):
        name = f"site{wan}{number}"
        # What a rule hides of a site has nothing around it there but a default route.
        hides = draw(st.booleans())
        shared = ["10.99.0.0/24", "10.99.7.0/24", "0.0.0.0/0", *([] if hides else ["10.0.0.0/9"])]
        pool = [f"10.{number}.0.0/16", f"10.{number}.4.0/24", f"10.{number}.4.0/25", f"10.{number}.8.1/32", *shared]
        links = draw(st.integers(1, 3))
        asn = 65010 + draw(st.integers(0, 1))
        space, external = draw(st.lists(st.sampled_from(pool), unique=True)), f"172.20.{number}.0/24"
        documents.append(
            document(
                "vpnSites",
                name,
                virtualWan=f"wan{wan}",
                addressSpace={"addressPrefixes": [*space, external]},
                # An address of its own, or one that the address space may name.
                bgpProperties={"asn": asn, "bgpPeeringAddress": f"10.{number}.8.{draw(st.integers(1, 2))}"},
                vpnSiteLinks=[
                    {
                        "name": f"link{link}",
                        "properties": {"ipAddress": f"192.0.2.{wan * 100 + number * 10 + link}"}
                        | draw(_own_peer(asn, number, link)),
                    }
                    for link in range(links)
                ],
            )
        )
        priority = number + draw(st.sampled_from([0, 10])) * number
        documents.append(
            document(
                "settings",
                f"of-{name}",
                resource=f"vpnSites/{name}",
                priority=priority,
                bgpPassword=draw(st.sampled_from([None, "key-of-the-test-1", "key-of-the-test-2"])),
                bgpTtlSecurity=draw(st.booleans()),
                bgpPassive=draw(st.booleans()),
            )
        )
        for gateway in draw(st.sets(st.sampled_from(list(gateways)), max_size=1)):
            chosen = draw(st.sets(st.integers(0, links - 1)))
            rules = {
                "ingressNatRules": [f"in{number}"] if hides else [],
                "egressNatRules": draw(st.sampled_from([[], [f"out{number}"]])),
            }
            documents += [
                _nat_rule(f"{gateway}/in{number}", "IngressSnat", "10.99.7.0/24", external),
                _nat_rule(f"{gateway}/out{number}", "EgressSnat", "10.50.0.0/16", "172.21.0.0/16"),
            ]
            documents.append(
                document(
                    "vpnConnections",
                    f"{gateway}/{name}",
                    remoteVpnSite=name,
                    sharedKey=f"key-of-the-test-{draw(st.integers(1, 2))}",
                    dpdTimeoutSeconds=draw(st.sampled_from([None, 20])),
                    enableBgp=draw(st.booleans()),
                    enableInternetSecurity=draw(st.booleans()),
                    vpnLinkConnections=[
                        {"name": f"to{link}", "properties": {"vpnSiteLink": f"link{link}"} | rules}
                        for link in sorted(chosen)
                    ],
                )
            )
    return documents


def _nat_rule(name: str, mode: str, internal: str, external: str) -> dict[str, Any]:
    return document(
        "natRules",
        name,
        mode=mode,
        internalMappings=[{"addressSpace": internal}],
        externalMappings=[{"addressSpace": external}],
    )


@st.composite
def _own_peer(draw: st.DrawFn, asn: int, number: int, link: int) -> dict[str, Any]:
    addresses = [f"10.{number}.9.{link}", f"169.254.21.{100 + 10 * number + link}"]
    address = draw(st.sampled_from([None, *addresses]))
    return {"bgpProperties": {"asn": asn, "bgpPeeringAddress": address}} if address else {}
