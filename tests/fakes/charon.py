"""A charon in memory behind a real VICI socket: it holds connections and keys, and remembers what it was asked."""

import contextlib
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from vici.protocol import Message, Packet, Transport

from hubgw.names import Secret
from hubgw.pki.reading import key_id, revocation_list_of

READS = frozenset(
    {
        "version",
        "stats",
        "get-algorithms",
        "get-conns",
        "get-shared",
        "get-keys",
        "get-pools",
        "list-certs",
        "list-conns",
        "list-sas",
    }
)


class FakeCharon:
    """`requests` counts commands by name; `fail_next` holds the errmsg with which a command is refused once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: Counter[str] = Counter()
        self.fail_next: dict[str, str] = {}
        self.key_exchanges = ["ECP_384", "CURVE_25519", "MODP_2048"]
        self._starts = 0
        self.start()

    @property
    def writes(self) -> int:
        return sum(count for command, count in self.requests.items() if command not in READS)

    def start(self) -> None:
        self.connections: dict[str, Any] = {}
        self.pools: dict[str, Any] = {}
        self.keys: list[str] = []
        self.private_keys: list[str] = []
        self.certificates: list[tuple[str, bytes]] = []  # type and DER
        # Each start is another second, as charon's own uptime tells no more.
        self._since = time.strftime("%b %d %H:%M:%S %Y", time.localtime(1_700_000_000 + self._starts))
        self._starts += 1
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def kill(self) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.path.unlink()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                self._open.append(accepted)
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        transport = Transport(accepted)
        with contextlib.suppress(OSError):
            while True:
                packet = transport.receive()
                end = 2 + packet[1]
                name = packet[2:end].decode()
                if packet[0] in {Packet.EVENT_REGISTER, Packet.EVENT_UNREGISTER}:
                    transport.send(bytes([Packet.EVENT_CONFIRM]))
                    continue
                self.requests[name] += 1
                if name == "list-conns":
                    for connection, config in self.connections.items():
                        event = bytes([Packet.EVENT, 9]) + b"list-conn"
                        transport.send(event + Message.serialize({connection: _listed(config)}))
                if name == "list-certs":
                    for kind, der in self.certificates:
                        event = bytes([Packet.EVENT, 9]) + b"list-cert"
                        transport.send(event + Message.serialize({"type": kind, "data": der}))
                answer = self._answer(name, Packet.parse(b"\x01" + packet[end:]).payload)
                transport.send(bytes([Packet.CMD_RESPONSE]) + Message.serialize(answer))

    def _answer(self, command: str, payload: Any) -> dict[str, Any]:
        message = Message.deserialize(payload)
        if command in self.fail_next:
            return {"success": "no", "errmsg": self.fail_next.pop(command)}
        match command:
            case "version":
                return {"daemon": "charon-systemd", "version": "6.0.1"}
            case "stats":
                return {"uptime": {"running": "1 second", "since": self._since}}
            case "get-algorithms":
                return {"ke": dict.fromkeys(self.key_exchanges, "openssl")}
            case "get-conns":
                return {"conns": list(self.connections)}
            case "get-shared":
                return {"keys": self.keys}
            case "get-keys":
                return {"keys": self.private_keys}
            case "load-key":
                self.private_keys = [*self.private_keys, key_id(Secret(message["data"].decode()))]
            case "unload-key":
                self.private_keys = [key for key in self.private_keys if key != message["id"].decode()]
            case "load-cert":
                self._load(message["type"].decode(), message["data"])
            case "clear-creds":
                self.keys, self.private_keys, self.certificates = [], [], []
            case "get-pools":
                return {name: {"base": pool["addrs"].decode().partition("/")[0]} for name, pool in self.pools.items()}
            case "load-pool":
                self.pools.update(message)
            case "unload-pool":
                self.pools.pop(message["name"].decode(), None)
            case "load-conn":
                self.connections.update(message)
            case "unload-conn":
                name = message["name"].decode()
                if self.connections.pop(name, None) is None:
                    return {"success": "no", "errmsg": f"unload: connection '{name}' not found"}
            case "load-shared":
                self.keys = sorted({*self.keys, message["id"].decode()})
            case "unload-shared":
                self.keys = [key for key in self.keys if key != message["id"].decode()]
        return {"success": "yes"}

    def _load(self, kind: str, der: bytes) -> None:
        """Of the lists of one authority charon has the newest alone."""
        if kind == "X509_CRL":
            new = revocation_list_of(der)
            for one in [one for one in self.certificates if one[0] == kind]:
                held = revocation_list_of(one[1])
                if new.replaces(held):
                    self.certificates.remove(one)
                elif new.same_authority(held):
                    return
        self.certificates.append((kind, der))


def _listed(config: dict[str, Any]) -> dict[str, Any]:
    """A connection as list-conns tells it: without proposals and interface ids."""
    return {
        "local_addrs": config["local_addrs"],
        "remote_addrs": config["remote_addrs"],
        "dpd_delay": _seconds(config["dpd_delay"]),
        "rekey_time": _seconds(config["rekey_time"]),
        "local-1": {"id": config["local"]["id"]},
        "remote-1": {"id": config["remote"]["id"]},
        "children": {
            name: {
                "rekey_time": _seconds(child["rekey_time"]),
                "local-ts": child["local_ts"],
                "remote-ts": child["remote_ts"],
            }
            for name, child in config["children"].items()
        },
    }


def _seconds(value: bytes) -> str:
    return value.decode().removesuffix("s")
