"""Each case's input compiles to exactly the plan that is written beside it.

HUBGW_GOLDEN=write writes what is compiled now; read the difference before you commit it.
"""

import os
from pathlib import Path

import pytest

from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.plan import compile_plan
from hubgw.plan.types import Plan
from hubgw.resources.inventory import Inventory
from hubgw.resources.load import load
from hubgw.resources.validate import validate

CASES = sorted(path.parent for path in Path(__file__).parent.glob("compile/*/input.yaml"))


def compiled(case: Path) -> Plan:
    loaded = load([("input.yaml", (case / "input.yaml").read_bytes())])
    assert [*loaded.problems, *validate(loaded.resources, loaded.where)] == []
    inventory = Inventory.of(loaded.resources)
    return compile_plan(inventory, inventory.nodes[0], numbered(owners(inventory), {}), "digest", b"golden")


def text_of(plan: Plan) -> str:
    lines = [f"{obj!r}\n    of {' '.join(plan.owners[obj.key])}" for obj in plan.objects]
    return "\n".join([*lines, *map(repr, (*plan.tunnels, *plan.peers, *plan.route_tables)), ""])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(case: Path) -> None:
    text, expected = text_of(compiled(case)), case / "plan.txt"
    if os.environ.get("HUBGW_GOLDEN") == "write":
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_secret_in_a_plan(case: Path) -> None:
    assert "example-key" not in text_of(compiled(case))
