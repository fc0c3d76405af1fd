"""The command line against an agent on a real socket, in a folder of its own."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubgw.cli.__main__ import run
from tests.fakes.served import served
from tests.unit.agent.rig import Rig
from tests.unit.cli.ended import Ended, Hubgw


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.store.close()


@pytest.fixture
def hubgw(
    rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hubgw]:
    monkeypatch.setenv("HUBGW_SOCKET", str(tmp_path / "agent.sock"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    # The agent answers from this process, and other tests have left it handlers whose streams are closed.
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def run_(*arguments: str) -> Ended:
        code = run(arguments)
        return Ended(code, *capsys.readouterr())

    with served(rig.hub, tmp_path / "agent.sock"):
        yield run_
