"""What answers users, and their address pools <-> VICI messages, without I/O."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any, Final

from hubgw.drivers.strongswan.codec import REPLAY_WINDOW, Certificates, offered
from hubgw.names import BARRED, Secret, interface_of, is_ours
from hubgw.plan.ipsec import IkePool, IkeRadius, IkeServer, IkeUser
from hubgw.plan.types import Delete, Op

Users = IkeServer | IkePool | IkeRadius

_BY_RADIUS: Final = "radius"
"""The pool by which charon knows that of eap-radius: the Framed-IP-Address of who signs on, where he has one."""

MOST_TOLD: Final = 2_048
"""Leases of a pool that charon is asked for: an answer of more than 512 KiB it drops without a word, and identities
may be long."""


@dataclass(frozen=True, slots=True)
class Leases:
    """How many addresses a pool has, how many of them somebody uses, and how many wait for whoever had them."""

    pool: str
    size: int
    online: int
    offline: int


def encode_server(server: IkeServer, certificates: Certificates, methods: Set[str]) -> dict[str, object]:
    """Returns what load-conn takes. Clients rekey by themselves: Windows behind a NAT refuses a rekey of the hub's."""
    child = {
        "local_ts": list(server.reached),
        "remote_ts": ["dynamic"],
        "if_id_in": str(server.if_id),
        "if_id_out": str(server.if_id),
        "esp_proposals": offered(server.esp_proposals, methods),
        "rekey_time": "0",
        "life_time": str(server.child_life_time),
        "rekey_bytes": "0",
        "life_bytes": str(server.child_life_bytes),
        "replay_window": str(REPLAY_WINDOW),
        "copy_dscp": "out",
        "start_action": "none",
        "close_action": "none",
        "dpd_action": "clear",
    }
    pools = [*([_BY_RADIUS] if server.is_framed else []), *server.pools]
    return {
        server.name: {
            "version": "2",
            "mobike": "yes",
            "local_addrs": [server.local_address],
            "remote_addrs": ["%any"],
            "fragmentation": "yes",
            "proposals": offered(server.proposals, methods),
            "unique": server.unique,
            "dpd_delay": str(server.dpd_delay),
            "rekey_time": "0",
            "send_cert": "always",
            **({"pools": pools} if pools else {}),
            "local": {"auth": "pubkey", "id": server.local_id, "certs": [certificates[server.certificate].der]},
            "remote": _remote(server, certificates),
            "children": {} if server.barred else {server.name: child},
        }
    }


def _remote(server: IkeServer, certificates: Certificates) -> dict[str, object]:
    authorities = [certificates[one].der for one in server.authorities]
    # A name in place of %any would keep charon from asking for the EAP identity, which the methods need.
    method = {"auth": f"eap-{server.eap}", "eap_id": "%any"} if server.eap else {"auth": "pubkey"}
    strict = {"revocation": "strict"} if server.is_strict else {}
    # charon takes the Class that a RADIUS server gives for a group.
    groups = {"groups": list(server.groups)} if server.groups else {}
    believed = {"cacerts": authorities} if authorities else {}
    # Of several one suffices.
    barred = {"certs": [certificates[one].der for one in server.barred]} if server.barred else {}
    return {"id": server.remote_id, **method, **groups, **believed, **barred, **strict}


def encode_user(user: IkeUser) -> dict[str, object]:
    """Returns what load-shared takes."""
    return {"id": user.id, "type": "EAP", "data": user.secret.reveal(), "owners": [user.name]}


def other_proof(old: IkeServer, new: IkeServer) -> bool:
    """Tells whether who is in by the old may be nobody to the new: another method, or an authority no longer believed;
    or whether an SA of the old is of no use, since it ends elsewhere, or its address is in no pool of the new."""

    def ends(one: IkeServer) -> tuple[object, ...]:
        return one.eap, one.if_id, one.local_address, one.local_id, one.remote_id, one.groups

    kept = set(old.authorities) <= set(new.authorities) and set(old.pools) <= set(new.pools)
    kept = kept and old.is_framed <= new.is_framed
    return ends(old) != ends(new) or not kept


def unrouted(users: Iterable[Users]) -> frozenset[str]:
    """Returns the interfaces of users none of whom has a route of his own."""
    servers = [one for one in users if isinstance(one, IkeServer)]
    every = {interface_of(one.name) for one in servers}
    return frozenset(every - {interface_of(one.name) for one in servers if one.is_framed})


def encode_pool(pool: IkePool) -> dict[str, object]:
    """Returns what load-pool takes."""
    dns = {"dns": list(pool.dns_servers)} if pool.dns_servers else {}
    return {pool.name: {"addrs": pool.prefix, **dns}}


def pool_names(message: Mapping[str, Any]) -> set[str]:
    """Returns the names of get-pools that are ours: ``hgt<number>-<address>-<length>``."""
    return {name for name in message if is_ours(name.partition("-")[0]) and "-" in name}


def leases(message: Mapping[str, Any]) -> Iterator[Leases]:
    """Yields what get-pools says of those that are ours."""
    for name in sorted(pool_names(message)):
        yield Leases(name, *(int(message[name].get(key, 0)) for key in ("size", "online", "offline")))


def leased(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (address, identity of who has it now) of get-pools with leases."""
    for pool in message.values():
        for one in pool.get("leases", {}).values():
            if one["status"] == b"online":
                yield one["address"].decode(), one["identity"].decode(errors="replace")


def to_ledger(one: Users) -> dict[str, object]:
    """Returns what JSON takes; there is no secret in it."""
    if isinstance(one, IkeRadius):
        return {"kind": one.key[0], "address": one.address, "score": one.score, "digest": one.digest}
    return {"kind": one.key[0], **asdict(one)}


def from_ledger(entry: Mapping[str, Any]) -> Users:
    """Returns what an entry of a ledger holds. Raises TypeError or KeyError where another version wrote it."""
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    kind = fields.pop("kind")
    if kind == "IkeRadius":
        return IkeRadius(**fields, secret=Secret(""))
    return IkePool(**fields) if kind == "IkePool" else IkeServer(**fields)


def behind(ops: Iterable[Op], wanted: Iterable[Users]) -> list[IkeServer]:
    """Returns the connections that have to be loaded behind others, as charon takes the first that fits: those by
    RADIUS without a group, to which everybody fits, behind those with one; and any behind what bars some from it."""
    loaded = [op.new for op in ops if not isinstance(op, Delete) and isinstance(op.new, IkeServer)]
    grouped = {one.name.rpartition("-")[0] for one in loaded if one.groups}
    barring = {one.name.removesuffix(BARRED) for one in loaded if one.barred}
    servers = [one for one in wanted if isinstance(one, IkeServer)]
    return [one for one in servers if one.name in barring or (one.name in grouped and not one.groups)]
