"""Rows -> the table for people and `bench.json` for programs; and which machine it was. It measures nothing."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_HEAD: Final = ("row", "work", "ours", "anchor", "ratio", "goal", "met")
_MARKS: Final = {True: "yes", False: "NO", None: "-"}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. `ours` and `anchor` are in `unit`; `goal` is the most that the ratio may be, None for none.

    `detail` is what the figure is made of, in words. A row without an anchor tells a figure alone.
    """

    row: str
    work: str
    ours: float
    anchor: float | None = None
    goal: float | None = None
    unit: str = "s"
    detail: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by the anchor; 0 of 0 is 1: as much as the anchor."""
        if self.anchor is None:
            return None
        if self.anchor == 0:
            return 1.0 if self.ours == 0 else float("inf")
        return self.ours / self.anchor

    @property
    def met(self) -> bool | None:
        return None if self.goal is None or self.ratio is None else self.ratio <= self.goal


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured. `accel` is ``kvm``, ``tcg`` (emulated), ``none`` (no guest) or what the guest says."""

    cpu: str
    cores: int
    accel: str
    kernel: str
    python: str
    load: float  # of one minute, before the first measurement: others' work

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, accel {self.accel}, Linux {self.kernel}, Python {self.python}, "
            f"load {self.load:.2f} before"
        )


def machine() -> Machine:
    """Returns the machine that this runs on."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    return Machine(cpu, cores, _accel(cpu), platform.release(), platform.python_version(), os.getloadavg()[0])


def _accel(cpu: str) -> str:
    if "TCG" in cpu or shutil.which("systemd-detect-virt") is None:
        return "tcg" if "TCG" in cpu else "unknown"
    # It exits with 1 where there is no guest.
    said = subprocess.run(["systemd-detect-virt", "--vm"], capture_output=True, text=True, check=False).stdout.strip()
    return {"qemu": "tcg"}.get(said, said or "none")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def to_json(rows: Sequence[Row], where: Machine, kept: str = "[]") -> str:
    """Returns a JSON list of an object a row, each with the machine, so that a row can be quoted alone.

    `kept` is such a list, of which those rows stay that begin with another letter.
    """
    entries = [
        {
            "row": row.row,
            "work": row.work,
            "ours": round(row.ours, 6),
            "anchor": None if row.anchor is None else round(row.anchor, 6),
            "ratio": None if row.ratio is None or row.ratio == float("inf") else round(row.ratio, 3),
            "goal": row.goal,
            "met": row.met,
            "unit": row.unit,
            "detail": row.detail,
            "machine": asdict(where),
        }
        for row in rows
    ]
    letters = {row.row[0] for row in rows}
    others = [entry for entry in json.loads(kept) if entry["row"][0] not in letters]
    return json.dumps(sorted(others + entries, key=lambda entry: str(entry["row"])), indent=2) + "\n"


def render(rows: Sequence[Row]) -> str:
    """Returns the table, with each row's detail below it."""
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    text = []
    for index, line in enumerate(lines):
        text.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if index and (detail := rows[index - 1].detail):
            text.append(f"{'':{widths[0]}}    {detail}")
    return "\n".join(text) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.row,
        row.work,
        _figure(row.ours, row.unit),
        "-" if row.anchor is None else _figure(row.anchor, row.unit),
        "-" if row.ratio is None else f"{row.ratio:.2f}x",
        "-" if row.goal is None else f"<= {row.goal:g}x",
        _MARKS[row.met],
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:.3f} s" if unit == "s" else f"{value:g} {unit}"
