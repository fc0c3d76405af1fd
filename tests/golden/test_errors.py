"""Every error of a configuration, word for word. HUBGW_GOLDEN=write writes what is expected anew.

A case is a folder of YAML files, as one apply has them; `stored.yaml`, if it is there, is what the store holds already.
"""

import os
from pathlib import Path

import pytest

from hubgw.resources.load import load
from hubgw.resources.validate import validate
from tests.certificates import NOW

CASES = Path(__file__).parent / "errors"


def _problems(case: Path) -> str:
    files = sorted(path for path in case.glob("*.yaml") if path.name != "stored.yaml")
    loaded = load([(path.name, path.read_bytes()) for path in files])
    stored = load([(path.name, path.read_bytes()) for path in case.glob("stored.yaml")])
    assert not stored.problems
    resources = {resource.key: resource for resource in (*stored.resources, *loaded.resources)}
    problems = (*loaded.problems, *validate(resources.values(), loaded.where, NOW))
    return "".join(f"{problem}\n" for problem in problems)


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_errors(case: Path) -> None:
    problems = _problems(case)
    expected = case / "expected.txt"
    if os.environ.get("HUBGW_GOLDEN") == "write":
        expected.write_text(problems)
    assert problems == expected.read_text()
    assert bool(problems) is not case.name.endswith("-fine")
    assert "do-not-show-me" not in problems
