"""Interfaces, addresses and the default route -> a node, as YAML, and what was chosen and why. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from typing import Final

from hubgw.cli.exits import Code, Fail
from hubgw.names import INTERFACE, is_ours

_INSTANCES: Final = 2
_USUAL_MTU: Final = 1500
_BEHIND_NAT: Final = tuple(
    IPv4Network(prefix) for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)  # RFC 1918, RFC 6598


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of the machine with its global IPv4 addresses, in the kernel's order."""

    name: str
    mtu: int
    addresses: tuple[IPv4Interface, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the kernel tells. `default` is the interface of the main table's default route, or empty."""

    interfaces: tuple[Interface, ...]
    default: str


@dataclass(frozen=True, slots=True)
class DerivedNode:
    yaml: str
    choices: tuple[str, ...]


def derive(name: str, gateway: str, machine: Machine) -> DerivedNode:
    """Chooses the underlay and the instances.

    Raises:
        Fail: there is no default route, or no global address on its interface.
    """
    underlay = next((one for one in machine.interfaces if one.name == machine.default), None)
    if underlay is None:
        raise Fail(Code.USAGE, ["init: this machine has no IPv4 default route; give it one, or write the node by hand"])
    if not underlay.addresses:
        raise Fail(
            Code.USAGE, [f"init: {underlay.name} has no global IPv4 address; give it one, or write the node by hand"]
        )
    hosted = underlay.addresses[:_INSTANCES]
    others = [
        one
        for one in machine.interfaces
        if one is not underlay and one.addresses and INTERFACE.fullmatch(one.name) and not is_ours(one.name)
    ]
    return DerivedNode(_yaml(name, gateway, underlay, hosted, others), tuple(_choices(underlay, hosted, others)))


def _choices(underlay: Interface, hosted: Sequence[IPv4Interface], others: Sequence[Interface]) -> list[str]:
    choices = [f"underlay: {underlay.name}, the default route's interface, MTU {underlay.mtu}"]
    for instance, address in enumerate(hosted):
        nat = (
            " (private: where a NAT stands in front, set publicAddress and privateAddress)"
            if any(address.ip in prefix for prefix in _BEHIND_NAT)
            else ""
        )
        choices.append(f"instance {instance}: {address.ip}{nat}")
    if len(hosted) < _INSTANCES:
        choices.append(
            f"one instance only: {underlay.name} has a single global address; a second gives two tunnels a link"
        )
    if len(underlay.addresses) > _INSTANCES:
        unused = ", ".join(str(address.ip) for address in underlay.addresses[_INSTANCES:])
        choices.append(f"not used: {unused}; a gateway has two instances")
    choices += [
        f"{one.name}, {one.addresses[0]}: attaches no virtual network yet; see the YAML's comment" for one in others
    ]
    return choices


def _yaml(
    name: str, gateway: str, underlay: Interface, hosted: Sequence[IPv4Interface], others: Sequence[Interface]
) -> str:
    lines = ["type: nodes", f"name: {json.dumps(_node_name(name))}", "properties:", "  gatewayInstances:"]
    for instance, address in enumerate(hosted):
        lines += [
            f"    - vpnGateway: {_reference(gateway)}",
            f"      instance: {instance}",
            f"      publicAddress: {address.ip}",
            f"      interface: {underlay.name}",
        ]
        if underlay.mtu != _USUAL_MTU:
            lines.append(f"      underlayMtu: {underlay.mtu}")
    if others:
        lines.append("  # virtualNetworks:")
    for one in others:
        lines.append(f"  #   - {{virtualNetwork: NAME, interface: {one.name}, address: {one.addresses[0]}}}")
    return "\n".join(lines) + "\n"


def _node_name(host: str) -> str:
    """A host's name as a resource's: its first label, without what the pattern of names refuses."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", host.partition(".")[0]).strip("-")[:64] or "node"


def _reference(gateway: str) -> str:
    return f"{{id: {json.dumps(gateway)}}}" if gateway.startswith("/") else json.dumps(gateway)
