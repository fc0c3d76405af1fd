"""The examples in the docstrings hold."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "hubgw.agent.differences",
        "hubgw.agent.references",
        "hubgw.agent.service",
        "hubgw.cli.kinds",
        "hubgw.cli.output",
        "hubgw.cli.preflight_checks",
    ],
)
def test_examples(module: str) -> None:
    tried = doctest.testmod(importlib.import_module(module))
    assert tried.attempted
    assert not tried.failed
