"""The matrix of interoperability: devices of others against one hub, cell by cell, and the table of what was seen.

Each run of it writes build/interop.json, a list of {cell, expected, seen, met}.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cells import FACTORS, Cell, cells, combinations_of, pairwise, why_not
from tests.lab.interop import Device
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

_FILE = Path(__file__).resolve().parents[2] / "build" / "interop.json"
_FLOWS = 24
_CELLS = cells()
_ALWAYS = frozenset(pairwise(_CELLS))


@dataclass
class Table:
    """What was seen, a row a cell."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def text(self) -> str:
        lines = [f"{'met' if row['met'] else 'NOT MET':8}{', '.join(row['cell'].values())}" for row in self.rows]
        never = sorted({reason for cell in combinations_of(FACTORS) if (reason := why_not(cell))})
        return "\n".join(
            [f"interoperability, {len(lines)} of {len(_CELLS)} cells", *lines, *map("cannot be: {}".format, never)]
        )


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """Prints and writes the table when the last cell has ended."""
    table = Table()
    yield table
    _FILE.parent.mkdir(exist_ok=True)
    _FILE.write_text(json.dumps(table.rows, indent=1) + "\n")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{table.text()}")


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, id=str(cell), marks=() if cell in _ALWAYS else pytest.mark.slow) for cell in _CELLS]
)
def test_a_device_of_others(lab: Lab, devices: dict[str, Device], table: Table, cell: Cell) -> None:
    device = devices[cell.daemon]
    expected = {
        "connected": True,
        "ike": cell.ike,
        "ciphers": [device.cipher(cell)],
        "encapsulation": "UDP" if cell.nat == "NAT" else "none",
        "traffic": "both ways over both tunnels",
        "rekeyed": True,
        "traffic on the new SAs": "both ways over both tunnels",
    }
    row: dict[str, Any] = {"cell": cell.values, "expected": expected, "seen": {}, "met": False}
    table.rows.append(row)
    with device.joined(cell):
        _carry_out(lab, device, cell, row["seen"])
    row["met"] = row["seen"] == expected
    assert row["seen"] == expected


def _carry_out(lab: Lab, device: Device, cell: Cell, seen: dict[str, Any]) -> None:
    """Fills in what is seen, until something does not come about."""
    device.wait_connected(cell)
    seen["connected"] = True
    seen["ike"] = f"IKEv{lab.hub.tunnel(device.site, 0)['ikeVersion']}"
    seen["ciphers"] = sorted(lab.hub.ciphers(device.seen(cell)))
    states = lab.hub.sas(device.seen(cell))
    seen["encapsulation"] = "UDP" if all("espinudp" in state for state in states) else "none"
    seen["traffic"] = _traffic(lab, device)
    before = device.spis()
    for instance in (0, 1):
        device.rekey(instance, cell)
    wait_for("new SAs of both tunnels", lambda: not before & device.spis(), 30)
    seen["rekeyed"] = True
    seen["traffic on the new SAs"] = _traffic(lab, device)


def _traffic(lab: Lab, device: Device) -> str:
    """Answers to pings both ways, then enough flows each way that both tunnels carry some."""
    vnet1, lan = lab.vnets["vnet1"], device.branch.lan
    ways = (pings(vnet1, "10.50.0.4", lan), pings(device.node, lan, "10.50.0.4"))
    before = _octets(lab, device)
    for node, target in ((vnet1, lan), (device.node, "10.50.0.4")):
        flows = f"for port in $(seq 7101 {7100 + _FLOWS}); do echo > /dev/udp/{target}/$port; done"
        node.run("bash", "-c", flows, check=False)  # a port that nobody listens at is told of at times
    grown = all(now > then for now, then in zip(_octets(lab, device), before, strict=True))
    return "both ways over both tunnels" if all(ways) and grown else f"{ways}, {before} -> {_octets(lab, device)}"


def _octets(lab: Lab, device: Device) -> list[int]:
    tunnels = [lab.hub.tunnel(device.site, instance) for instance in (0, 1)]
    return [int(tunnel[way]) for tunnel in tunnels for way in ("bytesIn", "bytesOut")]
