"""Rows -> tables for people; sizes and times in few characters. What others wrote cannot steer a terminal."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

WIDTH: Final = 100

_UNITS: Final = ("B", "K", "M", "G", "T", "P")
_STEP: Final = 1024
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def line(text: str = "") -> None:
    """Writes a line to stdout."""
    sys.stdout.write(clean(text) + "\n")


def note(text: str) -> None:
    """Writes a line to stderr: what is told beside the answer."""
    sys.stderr.write(clean(text) + "\n")


def as_json(value: object) -> None:
    """Writes a value as indented JSON to stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table; the columns are as wide as their widest cell, the last one is left ragged.

    >>> table(["NAME", "N"], [["a", "1"], ["bcdef", ""]])
    ['NAME   N', 'a      1', 'bcdef  -']
    """
    cells = [list(heads), *([clean(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def listing(found: object, heads: Sequence[str], rows: Sequence[Sequence[str]], *, for_programs: bool) -> None:
    """Writes what was found as JSON, or its rows as a table."""
    if for_programs:
        as_json(found)
        return
    for text in table(heads, rows):
        line(text)


def pairs(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Returns the lines of one thing's fields, names before values."""
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name.ljust(width)}  {clean(value) or '-'}" for name, value in rows]


def few(items: Sequence[str], shown: int = 2) -> str:
    """Joins the first items, and says how many more there are.

    >>> few(["a", "b", "c"])
    'a, b +1'
    """
    more = len(items) - shown
    return ", ".join(items[:shown]) + (f" +{more}" if more > 0 else "")


def size(count: int) -> str:
    """Says a number of bytes.

    >>> size(999), size(10_240), size(3_500_000_000)
    ('999B', '10.0K', '3.3G')
    """
    value, unit = float(count), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f}{_UNITS[unit]}" if unit else f"{count}B"


def age(seconds: float) -> str:
    """Says a duration in its two largest units.

    >>> age(5), age(3725), age(90_000)
    ('5s', '1h2m', '1d1h')
    """
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR}h"


def moment(time: float) -> str:
    """Says a point in time, in UTC: logs of several machines are read side by side."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def clean(text: str) -> str:
    """Escapes what is not printable.

    >>> clean("a\\x1b[31m")
    'a\\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
