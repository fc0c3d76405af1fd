"""Each change of a configuration is told in exactly the words that are written beside it.

HUBGW_GOLDEN=write writes what is told now; read the difference before you commit it.
"""

import os
from pathlib import Path

import pytest

from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.draft import Allocations
from hubgw.compile.plan import compile_plan
from hubgw.plan.diff import diff
from hubgw.plan.types import Plan
from hubgw.plan.words import describe
from hubgw.resources.inventory import Inventory
from hubgw.resources.load import load
from hubgw.resources.validate import validate

CASES = sorted(path.parent for path in Path(__file__).parent.glob("plan/*/before.yaml"))


def compiled(file: Path, known: Allocations) -> tuple[Plan, Allocations]:
    loaded = load([(file.name, file.read_bytes())])
    assert [*loaded.problems, *validate(loaded.resources, loaded.where)] == []
    inventory = Inventory.of(loaded.resources)
    numbers = numbered(owners(inventory), known)
    node = inventory.nodes[0] if inventory.nodes else None
    return compile_plan(inventory, node, numbers, "digest", b"golden"), numbers


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_words(case: Path) -> None:
    before, numbers = compiled(case / "before.yaml", {})
    after, _ = compiled(case / "after.yaml", numbers)
    text = "".join(f"{describe(op)}\n" for op in diff(after.objects, before.objects))
    expected = case / "expected.txt"
    if os.environ.get("HUBGW_GOLDEN") == "write":
        expected.write_text(text)
    assert text == expected.read_text()
    assert "-key-of-" not in text
