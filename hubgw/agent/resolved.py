"""What the names of branches were resolved to, in a file: a restart of the agent asks no resolver and moves no tunnel.

The file is beside charon's socket, under /run: what it is for, the SAs, do not outlive the machine's boot either.
"""

import json
from collections.abc import Mapping, Set
from ipaddress import IPv4Address
from pathlib import Path

from hubgw.compile.where import Addresses
from hubgw.drivers import ledger_file


class Resolved:
    """`addresses` is replaced when something changes, and never changed itself; what has led there for longest is
    first, in the file too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.addresses: Addresses = _read(path)

    def put(self, found: Mapping[tuple[str, str], str], wanted: Set[tuple[str, str]]) -> bool:
        """Adds what was found, and forgets what is not wanted; tells whether that changed anything."""
        staying = {key: at for key, at in self.addresses.items() if found.get(key, at) == at}
        addresses = {key: address for key, address in {**staying, **found}.items() if key in wanted}
        if addresses == self.addresses:
            return False
        self.addresses = addresses
        entries = [[tunnel, name, address] for (tunnel, name), address in addresses.items()]
        ledger_file.write(self._path, json.dumps(entries))
        return True


def _read(path: Path) -> Addresses:
    try:
        entries = json.loads(path.read_text())
        return {(str(tunnel), str(name)): str(IPv4Address(address)) for tunnel, name, address in entries}
    except (OSError, ValueError, TypeError):
        return {}
