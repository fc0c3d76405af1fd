"""A VM is known by its own processes alone: a pid file is not believed without the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import vm
from tools.progress import LabError, wait_for


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBGW_CACHE", str(tmp_path / "cache"))


def test_a_foreign_process_with_our_pid_is_not_ours(tmp_path: Path) -> None:
    pid_file = tmp_path / "qemu.pid"
    assert vm.process_of(pid_file, tmp_path) is None
    pid_file.write_text(str(os.getpid()), encoding="utf-8")
    assert vm.process_of(pid_file, tmp_path / "elsewhere") is None


def test_stop_ends_what_was_started_and_forgets_it() -> None:
    machine = vm.Vm("one")
    machine.state.mkdir(parents=True)
    code = "import time; time.sleep(60)"
    machine.start("qemu", [sys.executable, "-c", code, str(machine.state)])
    assert machine.alive()
    assert vm.all_names() == ["one"]
    assert machine.stop()
    assert not machine.alive()
    assert vm.all_names() == []
    assert not machine.stop()


def test_a_command_keeps_its_words() -> None:
    command = vm.Vm("one").ssh(["sh", "-c", "echo 'two words' $HOME"])[-1]
    done = subprocess.run(["sh", "-c", command.replace("cd /src", "cd /")], capture_output=True, text=True, check=True)
    assert done.stdout == f"two words {os.environ['HOME']}\n"


def test_a_command_without_a_machine_says_what_to_do() -> None:
    with pytest.raises(LabError, match=r"one is not up: python3 -m tools\.lab up"):
        vm.Vm("one").execute(["true"])


def test_waiting_ends_with_what_was_waited_for() -> None:
    with pytest.raises(LabError, match=r"waited 0 s for: the sun"):
        wait_for(lambda: False, 0.1, "the sun")
