"""The property test sees each fault of `mutants.py`: on sequences that are the same each time, every mutant fails."""

import sys
from collections.abc import Callable
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

import hubgw.rib
from tests.unit.rib.mutants import MUTANTS, Mutant
from tests.unit.rib.reference import State
from tests.unit.rib.worlds import Step, check, expectations, steps

MODULES = ("best", "policy", "adj_in", "table", "rib")  # each imports only those before it, and types

Recorded = list[tuple[list[Step], list[State]]]


class Text(InspectLoader):
    """Loads a module from this text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, fullname: str) -> str:
        return self._text


def text_of(module: str, mutant: Mutant | None) -> str:
    text = (Path(hubgw.rib.__path__[0]) / f"{module}.py").read_text()
    if mutant is None or mutant.file != module:
        return text
    assert text.count(mutant.old) == 1, f"{mutant.old!r} is not in {module}.py once"
    return text.replace(mutant.old, mutant.new)


def rib_of(mutant: Mutant | None) -> Callable[[], Any]:
    """Returns the class Rib of a copy of the package, whose types stay the same."""
    with patch.dict(sys.modules):
        for name in MODULES:
            full = f"hubgw.rib.{name}"
            loader = Text(text_of(name, mutant))
            spec = spec_from_loader(full, loader)
            assert spec is not None
            module: ModuleType = module_from_spec(spec)
            sys.modules[full] = module
            loader.exec_module(module)
        rib: Callable[[], Any] = module.Rib
        return rib


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    sequences = [steps(Random(seed)) for seed in range(200)]
    return [(sequence, expectations(sequence)) for sequence in sequences]


def test_the_copy_without_a_fault_passes(recorded: Recorded) -> None:
    rib = rib_of(None)
    for sequence, states in recorded:
        check(rib, sequence, states)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.why)
def test_a_mutant_fails(mutant: Mutant, recorded: Recorded) -> None:
    rib = rib_of(mutant)
    for sequence, states in recorded:
        try:
            check(rib, sequence, states)
        except Exception:  # a wrong answer, or none
            return
    pytest.fail(f"survived: {mutant.why}")
