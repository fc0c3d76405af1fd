"""Wanted objects -> what `ip -batch`, `nft -f` and `swanctl --load-all` take to make the same, and what reads it.

That they are the same is proven by the agent's own diff of what these made (`rows`), secrets aside: swanctl gives them
other ids. Pure: nothing is run here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.sites import VNET
from hubgw.drivers.nftables import codec as nft
from hubgw.drivers.strongswan import codec as charon
from hubgw.plan.diff import diff, target
from hubgw.plan.ipsec import IkeConnection, IkeSecret
from hubgw.plan.kernel import (
    Address,
    Element,
    Gateway,
    Group,
    Nexthop,
    OnLink,
    Port,
    Route,
    Rule,
    Sysctl,
    Tiers,
    Tunnel,
    Tunnels,
    Unreachable,
    Vrf,
)
from hubgw.plan.numbers import GROUPS, PROTOCOL
from hubgw.plan.types import Object

IP_ROUTE: Final = ("ip", "route", "show", "table", "all")
READERS: Final[Mapping[str, tuple[str, ...]]] = {
    "ip route": IP_ROUTE,
    "ip -6 route": ("ip", "-6", "route", "show", "table", "all"),
    "ip link": ("ip", "-d", "link", "show"),
    "ip address": ("ip", "address", "show"),
    "ip nexthop": ("ip", "nexthop", "show"),
    "ip xfrm state": ("ip", "xfrm", "state", "list", "nokeys"),
    "nft": ("nft", "-j", "list", "table", "inet", "hubgw"),
}
"""What prints the kernel's part of what a pass reads."""

SWANCTL_READERS: Final[Mapping[str, tuple[str, ...]]] = {
    "list-conns": ("swanctl", "--list-conns"),
    "list-sas": ("swanctl", "--list-sas"),
}

# No `ip` command has these; an interface takes them over when it is made.
_DEFAULTS: Final = {
    "net/ipv4/conf/default/forwarding": "1",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/default/promote_secondaries": "1",
    f"net/ipv4/conf/{VNET}/forwarding": "1",
    f"net/ipv4/conf/{VNET}/rp_filter": "0",
}


def write(objects: Sequence[Object], groups: Path, into: Path) -> None:
    """Writes sysctl.conf, ip.batch, hubgw.nft and swanctl.conf. `groups` is the netlink driver's ledger."""
    ordered = [target(op) for op in diff(objects, ())]
    numbers = {_tiers(tiers): int(number) for number, tiers in json.loads(groups.read_text())}
    (into / "sysctl.conf").write_text(sysctls(ordered))
    (into / "ip.batch").write_text("".join(f"{line}\n" for line in ip_batch(ordered, numbers)))
    (into / "hubgw.nft").write_text(nft_file(ordered))
    (into / "swanctl.conf").write_text(swanctl_conf(ordered))


def commands(files: Path, vici: Path) -> dict[str, tuple[str, ...]]:
    """Returns what makes everything of these files, in order, each by its name in the detail."""
    load = ("swanctl", "--load-all", "--noprompt", "--file", str(files / "swanctl.conf"), "--uri", f"unix://{vici}")
    return {
        "sysctl": ("sysctl", "-qp", str(files / "sysctl.conf")),
        "nft -f": ("nft", "-f", str(files / "hubgw.nft")),
        "ip -batch": ("ip", "-batch", str(files / "ip.batch")),
        "swanctl --load-all": load,
    }


def sysctls(objects: Iterable[Object]) -> str:
    values = {obj.path: obj.value for obj in objects if isinstance(obj, Sysctl)} | _DEFAULTS
    return "".join(f"{path} = {value}\n" for path, value in values.items())


def ip_batch(objects: Sequence[Object], groups: Mapping[Tiers, int]) -> list[str]:
    """Returns the lines of `ip -batch`, one a netlink message as far as `ip` can."""
    blackhole = f"nexthop add id {GROUPS[0]} blackhole protocol {PROTOCOL}"
    return [blackhole, *(line for obj in objects for line in _ip(obj, groups))]


def _ip(obj: Object, groups: Mapping[Tiers, int]) -> list[str]:
    match obj:
        case Vrf(name, table, alias):
            return [f"link add name {name} type vrf table {table}", *_configured(name, alias)]
        case Tunnel(name, if_id, vrf, mtu, alias):
            made = f"link add name {name} mtu {mtu} master {vrf} type xfrm dev lo if_id {if_id}"
            return [made, *_configured(name, alias)]
        case Port(name, vrf, "existing"):
            return [f"link set dev {name} master {vrf}", f"link set dev {name} up"]
        case Address(interface, address):
            return [f"address add {address} dev {interface} noprefixroute"]
        case Nexthop(number, interface):
            return [f"nexthop add id {number} dev {interface} protocol {PROTOCOL}"]
        case Group(tiers, active):
            members = "/".join(map(str, active or (GROUPS[0],)))
            return [f"nexthop add id {groups[tiers]} group {members} protocol {PROTOCOL}"]
        case Route():
            return [_route(obj, groups)]
        case Rule():
            return [_rule(obj)]
        case _:
            return []


def _rule(rule: Rule) -> str:
    words = [f"rule add priority {rule.priority}"]
    words += [f"from {rule.source}"] if rule.source else []
    words += [f"uidrange {rule.uid}-{rule.uid}"] if rule.uid is not None else []
    words += [f"fwmark {rule.fwmark:#x}"] if rule.fwmark else []
    words += ["l3mdev"] if rule.l3mdev else [f"table {rule.table}"] if rule.table else ["unreachable"]
    words += [] if rule.suppress_prefixlength is None else [f"suppress_prefixlength {rule.suppress_prefixlength}"]
    return " ".join([*words, f"protocol {PROTOCOL}"])


def _configured(name: str, alias: str) -> list[str]:
    return [f'link set dev {name} addrgenmode none alias "{alias}"', f"link set dev {name} up"]


def _route(route: Route, groups: Mapping[Tiers, int]) -> str:
    common = f"table {route.table} protocol {PROTOCOL}" + (f" metric {route.metric}" if route.metric else "")
    match route.via:
        case Unreachable():
            return f"route add unreachable {route.prefix} {common}"
        case OnLink(interface):
            return f"route add {route.prefix} dev {interface} scope link {common}"
        case Gateway(interface, address):
            return f"route add {route.prefix} via {address} dev {interface} {common}"
        case Tunnels(tiers):
            return f"route add {route.prefix} nhid {groups[tiers]} {common}"


def nft_file(objects: Iterable[Object]) -> str:
    elements = nft.render((), [obj for obj in objects if isinstance(obj, Element)])
    return nft.REPLACE_TABLE + "".join(f"{line}\n" for line, _ in elements)


def swanctl_conf(objects: Sequence[Object]) -> str:
    connections: dict[str, object] = {}
    secrets: dict[str, object] = {}
    for obj in objects:
        if isinstance(obj, IkeConnection):
            connections |= charon.encode_connection(obj)
        elif isinstance(obj, IkeSecret):
            owners = {f"id{number}": owner for number, owner in enumerate(obj.owners)}
            secrets[f"ike-{obj.id}"] = {**owners, "secret": f'"{obj.secret.reveal()}"'}
    return "".join(_section({"connections": connections, "secrets": secrets}))


def _section(section: Mapping[str, object], indent: str = "") -> Iterable[str]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name} {{\n"
            yield from _section(value, indent + "  ")
            yield f"{indent}}}\n"
        else:
            yield f"{indent}{name} = {', '.join(map(str, value)) if isinstance(value, list) else value}\n"


def _tiers(tiers: Iterable[Iterable[int]]) -> Tiers:
    return tuple(tuple(tier) for tier in tiers)
