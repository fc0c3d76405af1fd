"""What was last loaded into charon, in a file under /run: charon does not give everything back.

An entry is good for the charon that it was loaded into, known by its start. There is no secret in it.
"""

import json
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from hubgw.drivers import ledger_file
from hubgw.drivers.strongswan import users
from hubgw.drivers.strongswan.codec import from_ledger, is_another, to_ledger
from hubgw.drivers.strongswan.users import Users
from hubgw.plan.ipsec import IkeConnection


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a revocation list has newly, since when (epoch seconds): SAs made before are still to be held against it."""

    since: float
    serials: Set[str]


class Ledger:
    """The connections that this charon was given, by name; the ids of keys, and the digests of certificates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._epoch = 0.0
        self.connections: dict[str, IkeConnection] = {}
        self.credentials: dict[str, str] = {}  # kind of the object by its id or digest
        self.users: dict[str, Users] = {}  # what answers users, and their pools, by name
        self.changed: dict[str, float] = {}  # when a connection's terms changed under its SAs, monotonic
        self.fresh: dict[str, Fresh] = {}  # by digest of the list
        self._saved = False
        self._read()

    def of(self, epoch: float) -> dict[str, IkeConnection]:
        """Returns the entries for the charon that started then; another's are dropped."""
        if is_another(epoch, self._epoch):
            self._epoch, self._saved = epoch, False
            self.connections.clear()
            self.credentials.clear()
            self.users.clear()
            self.changed.clear()
            self.fresh.clear()
        return self.connections

    def put(self, connection: IkeConnection) -> None:
        """Keeps what was loaded."""
        self._saved = self._saved and self.connections.get(connection.name) == connection
        self.connections[connection.name] = connection

    def drop(self, name: str) -> None:
        """Forgets what was unloaded."""
        self._saved = self.connections.pop(name, None) is None and self._saved
        self.settle(name)

    def put_users(self, one: Users) -> None:
        """Keeps what was loaded for users."""
        self._saved = self._saved and self.users.get(one.name) == one
        self.users[one.name] = one

    def drop_users(self, name: str) -> None:
        """Forgets what was unloaded."""
        self._saved = self.users.pop(name, None) is None and self._saved

    def change(self, name: str, when: float) -> None:
        """Keeps that a connection has SAs of terms that it had until then."""
        self.changed[name], self._saved = when, False

    def settle(self, name: str) -> None:
        """Forgets it."""
        self._saved = self.changed.pop(name, None) is None and self._saved

    def put_credential(self, kind: str, id_: str) -> None:
        """Keeps that a key or certificate was loaded."""
        self._saved = self._saved and self.credentials.get(id_) == kind
        self.credentials[id_] = kind

    def drop_credential(self, id_: str) -> None:
        """Forgets one that was unloaded."""
        self._saved = self.credentials.pop(id_, None) is None and self._saved

    def put_fresh(self, digest: str, fresh: Fresh) -> None:
        """Keeps what a list has newly."""
        self._saved = False
        self.fresh[digest] = fresh

    def drop_fresh(self, before: float) -> None:
        """Forgets what SAs were held against."""
        kept = {digest: one for digest, one in self.fresh.items() if one.since >= before}
        self._saved = self._saved and kept == self.fresh
        self.fresh = kept

    def save(self) -> None:
        """Replaces the file where something changed."""
        if self._saved:
            return
        entries = [to_ledger(one) for one in self.connections.values()]
        fresh = {digest: [one.since, sorted(one.serials)] for digest, one in self.fresh.items()}
        content = {
            "epoch": self._epoch,
            "connections": entries,
            "credentials": self.credentials,
            "users": [users.to_ledger(one) for one in self.users.values()],
            "changed": self.changed,
            "fresh": fresh,
        }
        ledger_file.write(self._path, json.dumps(content))
        self._saved = True

    def _read(self) -> None:
        try:
            content = json.loads(self._path.read_text())
            self._epoch = float(content["epoch"])
            self.connections = {entry["name"]: from_ledger(entry) for entry in content["connections"]}
            self.credentials = {str(id_): str(kind) for id_, kind in content.get("credentials", {}).items()}
            self.changed = {str(name): float(when) for name, when in content.get("changed", {}).items()}
            read = [users.from_ledger(entry) for entry in content.get("users", [])]
            self.users = {one.name: one for one in read}
            fresh = content.get("fresh", {}).items()
            self.fresh = {str(digest): Fresh(float(since), frozenset(serials)) for digest, (since, serials) in fresh}
            self._saved = True
        except (OSError, ValueError, TypeError, KeyError):
            self._epoch, self.connections, self.credentials = 0.0, {}, {}
            self.users, self.changed, self.fresh = {}, {}, {}
