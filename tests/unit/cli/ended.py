"""How a verb ended, and its output against the stored text."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

GOLDEN = Path(__file__).parent / "golden"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Hubgw = Callable[..., Ended]


def check_golden(name: str, text: str) -> None:
    """Compares with the stored text; HUBGW_GOLDEN=write stores what there is."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("HUBGW_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
