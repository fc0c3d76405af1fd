"""What several files of the packaging say, they say alike."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tools import images, packages

REPO = Path(__file__).resolve().parents[2]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runtime_lock = load(REPO / "packaging" / "runtime_lock.py")


def test_ike_is_closed_by_the_same_gate_before_and_after_the_agent() -> None:
    closing = (REPO / "packaging" / "close-ike.nft").read_text(encoding="utf-8")
    ruleset = (REPO / "hubgw/drivers/nftables/hubgw.nft").read_text(encoding="utf-8")
    chain = re.search(r"chain ike_gate \{\n(.*?)\n\t\}", ruleset, re.DOTALL)
    assert chain
    rules = [line.strip() for line in chain.group(1).splitlines() if not line.strip().startswith("#")]
    hook, *rules = rules
    assert re.findall(r"(?m)^add rule inet hubgw ike_gate (.*)$", closing) == rules
    assert f"add chain inet hubgw ike_gate {{ {hook} }}" in closing
    declared = re.search(r"set ike_open \{\s*(.*?)\s*\}", ruleset, re.DOTALL)
    assert declared
    assert f"add set inet hubgw ike_open {{ {declared.group(1)}; }}" in closing


def test_charon_gives_up_within_the_seconds_that_compile_counts_on() -> None:
    from hubgw.compile.ike import RETRANSMISSION  # noqa: PLC0415

    text = (REPO / "packaging" / "charon.conf").read_text(encoding="utf-8")
    timeout, base, tries = (
        float(match.group(1))
        for name in ("timeout", "base", "tries")
        if (match := re.search(rf"retransmit_{name} = ([0-9.]+)", text))
    )
    given_up = sum(timeout * base**attempt for attempt in range(int(tries) + 1))
    assert RETRANSMISSION - 2 < given_up <= RETRANSMISSION


def test_package_lists_are_sorted_and_apart() -> None:
    appliance, lab = packages.read(packages.APPLIANCE), packages.read(packages.LAB)
    assert list(appliance) == sorted(set(appliance))
    assert list(lab) == sorted(set(lab))
    assert not set(appliance) & set(lab)


def test_the_images_lock_is_the_runtime_part_of_the_lock() -> None:
    pyproject = (REPO / "pyproject.toml").read_text(encoding="utf-8")
    lock = (REPO / "requirements.lock").read_text(encoding="utf-8")
    names = set(runtime_lock.blocks(runtime_lock.runtime(pyproject, lock)))
    assert {"aiohttp", "pydantic-core", "vici"} <= names
    assert not names & {"pytest", "mypy", "ruff", "scapy"}


def test_what_a_runtime_dependency_asks_for_is_kept() -> None:
    pyproject = '[project]\ndependencies = ["A_one>=1"]\n'
    lock = (
        "a-one==1 \\\n    --hash=sha256:00\n    # via hubgw\n"
        "b==2 \\\n    --hash=sha256:01\n    # via\n    #   c\n    #   dev\n"
        "c==3 ; python_version < '3.12' \\\n    --hash=sha256:02\n    # via a-one\n"
        "dev==4 \\\n    --hash=sha256:03\n    # via hubgw (pyproject.toml)\n"
    )
    assert list(runtime_lock.blocks(runtime_lock.runtime(pyproject, lock))) == ["a-one", "b", "c"]
    with pytest.raises(SystemExit, match="lacks gone"):
        runtime_lock.runtime('[project]\ndependencies = ["gone"]\n', lock)


@pytest.mark.parametrize("file", ["Dockerfile", ".dockerignore", "vagrant/provision.sh", "pyproject.toml"])
def test_the_templates_come_with_the_source(file: str) -> None:
    assert "config-templates" in (REPO / file).read_text(encoding="utf-8")


def test_a_change_of_a_template_makes_the_images_anew() -> None:
    assert {"hubgw", "config-templates"} <= set(images.INPUTS)
