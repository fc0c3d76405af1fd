"""What answers users, and their address pools <-> VICI messages, without I/O."""

from collections.abc import Mapping, Set
from dataclasses import asdict
from typing import Any

from hubgw.drivers.strongswan.codec import REPLAY_WINDOW, Certificates, offered
from hubgw.names import is_ours
from hubgw.plan.ipsec import IkePool, IkeServer

Users = IkeServer | IkePool


def encode_server(server: IkeServer, certificates: Certificates, methods: Set[str]) -> dict[str, object]:
    """Returns what load-conn takes. Clients rekey by themselves: Windows behind a NAT refuses a rekey of the hub's."""
    return {
        server.name: {
            "version": "2",
            "mobike": "yes",
            "local_addrs": [server.local_address],
            "remote_addrs": ["%any"],
            "fragmentation": "yes",
            "proposals": offered(server.proposals, methods),
            "unique": "never",
            "dpd_delay": str(server.dpd_delay),
            "rekey_time": "0",
            "send_cert": "always",
            "pools": list(server.pools),
            "local": {"auth": "pubkey", "id": server.local_id, "certs": [certificates[server.certificate].der]},
            "remote": {
                "auth": "pubkey",
                "id": "%any",
                "cacerts": [certificates[one].der for one in server.authorities],
            },
            "children": {
                server.name: {
                    "local_ts": list(server.reached),
                    "remote_ts": ["dynamic"],
                    "if_id_in": str(server.if_id),
                    "if_id_out": str(server.if_id),
                    "esp_proposals": offered(server.esp_proposals, methods),
                    "rekey_time": "0",
                    "replay_window": str(REPLAY_WINDOW),
                    "copy_dscp": "out",
                    "start_action": "none",
                    "close_action": "none",
                    "dpd_action": "clear",
                }
            },
        }
    }


def encode_pool(pool: IkePool) -> dict[str, object]:
    """Returns what load-pool takes."""
    dns = {"dns": list(pool.dns_servers)} if pool.dns_servers else {}
    return {pool.name: {"addrs": pool.prefix, **dns}}


def pool_names(message: Mapping[str, Any]) -> set[str]:
    """Returns the names of get-pools that are ours: ``hgt<number>-<number>``."""
    return {name for name in message if is_ours(name.partition("-")[0]) and "-" in name}


def to_ledger(one: Users) -> dict[str, object]:
    """Returns what JSON takes; there is no secret in it."""
    return {"kind": one.key[0], **asdict(one)}


def from_ledger(entry: Mapping[str, Any]) -> Users:
    """Returns what an entry of a ledger holds. Raises TypeError or KeyError where another version wrote it."""
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    kind = fields.pop("kind")
    return IkePool(**fields) if kind == "IkePool" else IkeServer(**fields)
