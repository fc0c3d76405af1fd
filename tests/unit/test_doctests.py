"""The examples in the docstrings hold, in every module that has one."""

import doctest
import importlib
import pkgutil

import pytest

import hubgw

MODULES = sorted(module.name for module in pkgutil.walk_packages(hubgw.__path__, "hubgw."))


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
