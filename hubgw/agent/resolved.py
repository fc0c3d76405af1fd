"""What the names of branches were resolved to, and since when, in a file: a restart of the agent asks no resolver and
moves no tunnel.

The file is beside charon's socket, under /run: what it is for, the SAs, do not outlive the machine's boot either.
"""

import json
import time
from collections.abc import Mapping, Set
from ipaddress import IPv4Address
from pathlib import Path

from hubgw.compile.where import Addresses, Found
from hubgw.drivers import ledger_file


class Resolved:
    """`addresses` is replaced when something changes, and never changed itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.addresses: Addresses = _read(path)

    def put(self, found: Mapping[tuple[str, str], str], wanted: Set[tuple[str, str]]) -> bool:
        """Adds what was found, and forgets what is not wanted; tells whether that changed anything."""
        # A clock that is set back makes nobody the older one.
        now = max(time.time(), *(one.since for one in self.addresses.values()), 0.0)
        new = {key: Found(address, now) for key, address in found.items()}
        addresses = {key: one for key, one in {**self.addresses, **new}.items() if key in wanted}
        if addresses == self.addresses:
            return False
        self.addresses = addresses
        entries = [[tunnel, name, one.address, one.since] for (tunnel, name), one in addresses.items()]
        ledger_file.write(self._path, json.dumps(entries))
        return True


def _read(path: Path) -> Addresses:
    try:
        entries = json.loads(path.read_text())
        # An entry without its time, of a version that kept none, is older than any.
        return {
            (str(tunnel), str(name)): Found(str(IPv4Address(address)), float(since[0]) if since else 0.0)
            for tunnel, name, address, *since in entries
        }
    except (OSError, ValueError, TypeError):
        return {}
