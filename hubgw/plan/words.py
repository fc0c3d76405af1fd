"""Operations -> sentences that a network engineer reads, one an operation; secrets never."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, assert_never

from hubgw.plan.diff import target
from hubgw.plan.ipsec import (
    SA_TERMS,
    IkeCertificate,
    IkeConnection,
    IkeKey,
    IkePool,
    IkeRadius,
    IkeSecret,
    IkeServer,
    IkeUser,
)
from hubgw.plan.kernel import (
    Address,
    Classifier,
    Element,
    Gateway,
    Group,
    Nexthop,
    OnLink,
    Port,
    Route,
    Rule,
    Ruleset,
    Sysctl,
    Tiers,
    Translation,
    Tunnel,
    Tunnels,
    Unreachable,
    Via,
    Vrf,
)
from hubgw.plan.numbers import tunnel_interface
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Create, Delete, Object, Op, Update

_ELEMENTS = {
    "bgp_peers": "BGP accepted from",
    "bgp_ttl_security": "BGP only with TTL 255 from",
    "hub_addresses": "the hub's own address",
    "ike_open": "IKE answered at",
    "initiator_only": "IKE that the hub alone starts, with",
    "mss": "TCP MSS clamped in",
    "no_branch_to_branch": "branch-to-branch closed in",
    "no_default": "default route closed to",
    "not_in_fib": "source accepted while its tunnel is out of the routing table:",
    "ports": "virtual network interface",
    "siblings": "source accepted that is routed through the site's other tunnel:",
    "underlay": "underlay interface",
    "vrf_mark": "VRF of the sources from",
}


_WAYS = {"in": "from", "out": "into"}

_FEW = 3


def describe(op: Op) -> str:
    """Returns an operation in words: ``route 10.1.0.0/24 in table 10000001: add, via hgt1 hgt2``."""
    subject = name(target(op))
    match op:
        case Create(new):
            return f"{subject}: add{_suffix(new)}"
        case Delete():
            return f"{subject}: withdraw" if isinstance(op.old, Route) else f"{subject}: remove"
        case Update(old, new):
            return f"{subject}: change{_changes(old, new)}"
        case _:
            assert_never(op)


def name(obj: Object) -> str:
    """Returns an object's kind and name."""
    match obj:
        case Sysctl(path):
            return f"kernel setting {path.replace('/', '.')}"
        case Vrf(device, table):
            return f"VRF {device} (table {table})"
        case Tunnel(device, alias=alias):
            return f"tunnel interface {device} ({alias})"
        case Port(device, kind=kind):
            return f"{kind} interface {device}"
        case Address(interface, address):
            return f"address {address} on {interface}"
        case Classifier(interface):
            return f"hooks for NAT on {interface}"
        case Translation(interface, way, end, old, new):
            return f"NAT of packets {_WAYS[way]} {interface}: {end} {old} -> {new}"
        case Nexthop(_, interface):
            return f"nexthop of {interface}"
        case Group(tiers):
            return f"nexthop group over {_tiers(tiers)}"
        case Route(table, prefix):
            return f"route {prefix} in table {table}"
        case Rule(priority):
            return f"routing rule {priority}{_selectors(obj)}"
        case Ruleset():
            return "nftables table inet hubgw"
        case Element(set_, item):
            return f"{_ELEMENTS.get(set_, set_)} {' '.join(item)}"
        case IkeSecret(id_, owners):
            # charon tells the ids of the keys that it has, and no owners.
            return f"preshared key {id_} of {' and '.join(owners)}" if owners else f"preshared key {id_}"
        case IkeUser(id_, user):
            return f"password {id_} of {user}" if user else f"password {id_}"
        case IkeKey(id_):
            return f"private key {id_}"
        case IkeCertificate(digest, subject, revokes=revokes):
            # Of what charon has beside the wanted, its digest is all that is kept.
            of = f" of {subject}" if subject else ""
            return f"{'revocation list' if revokes else 'certificate'} {digest}{of}"
        case IkeConnection(device, local_address=local, remote_address=remote):
            return f"IKE connection {device} {local} - {remote}"
        case IkePool(device, prefix):
            return f"address pool {device} {prefix}"
        case IkeRadius(address):
            return f"RADIUS server {address}"
        case IkeServer(device, local_address=local):
            return f"IKE connection {device} of users at {local}"
        case Speaker(speaker, asn=asn, addresses=addresses):
            return f"BGP speaker {speaker} (AS {asn}) at {' '.join(map(str, addresses))}"
        case Neighbor(_, address, local_address, asn):
            return f"BGP session with {address} (AS {asn}) from {local_address}"
        case _:
            assert_never(obj)


def via(way: Via) -> str:
    """Returns a route's way in words."""
    match way:
        case Unreachable():
            return "unreachable"
        case OnLink(interface):
            return f"on link {interface}"
        case Gateway(interface, address):
            return f"via {address} on {interface}"
        case Tunnels(tiers):
            return f"via {_tiers(tiers)}"
        case _:
            assert_never(way)


def few(items: Sequence[str]) -> list[str]:
    """Returns items to be listed in a sentence: many are not.

    >>> few(["a", "b", "c"]), few(["a", "b", "c", "d", "e", "f"])
    (['a', 'b', 'c'], ['a', 'b', 'c', '3 more'])
    """
    return [*items[:_FEW], f"{len(items) - _FEW} more"] if len(items) > _FEW + 1 else list(items)


def _selectors(rule: Rule) -> str:
    source = f" from {rule.source}" if rule.source else ""
    uid = "" if rule.uid is None else f" of user {rule.uid}"
    mark = f" for packets marked {rule.fwmark:#x}" if rule.fwmark else ""
    return source + uid + mark


def _lookup(rule: Rule) -> str:
    if rule.table:
        return f"table {rule.table}"
    if not rule.l3mdev:
        return "unreachable"
    return "the VRF's table" + ("" if rule.suppress_prefixlength is None else " without its default route")


def _tiers(tiers: Tiers) -> str:
    return ", else ".join(" ".join(tunnel_interface(member) for member in tier) for tier in tiers)


def _suffix(obj: Object) -> str:
    match obj:
        case Route():
            return f", {via(obj.via)}"
        case Rule():
            return f", {_lookup(obj)}"
        case Sysctl() | Element() if obj.value:
            return f", {obj.value}"
        case _:
            return ""


def _changes(old: Object, new: Object) -> str:
    if isinstance(old, Route) and isinstance(new, Route):
        return f", {via(old.via)} -> {via(new.via)}"
    if isinstance(old, Group) and isinstance(new, Group):
        return f", members {_members(old.active)} -> {_members(new.active)}"
    if isinstance(old, Rule) and isinstance(new, Rule):
        return f", to {_lookup(new)}"
    compared = [field.name for field in fields(new) if field.compare]
    changed = {
        name: _change(name, getattr(old, name), getattr(new, name))
        for name in compared
        if getattr(old, name) != getattr(new, name)
    }
    kept = isinstance(new, IkeConnection) and changed.keys() <= SA_TERMS
    anew = "; the SAs go on until the tunnel is set up anew beside them, or the branch sets it up"
    return f", {'; '.join(changed.values())}" + (anew if kept else "")


def _change(name: str, old: Any, new: Any) -> str:
    if name == "digest":
        return "password"
    if name == "selectors":
        old, new = (", ".join(few([" === ".join(pair) for pair in pairs])) for pairs in (old, new))
    return f"{name} {old} -> {new}"


def _members(active: tuple[int, ...]) -> str:
    return " ".join(tunnel_interface(member) for member in active) or "none (blackhole)"
