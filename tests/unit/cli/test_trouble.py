"""What a user can cause ends in a line and an exit code, never in a trace: the program as it is started."""

import importlib.metadata
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hubgw.cli.__main__ import run
from tests.fakes.served import served
from tests.fakes.service import FakeService

HUBGW = [sys.executable, "-m", "hubgw.cli"]


def hubgw(path: Path, *arguments: str) -> tuple[int, str, str]:
    command = [*HUBGW, "--socket", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_no_agent(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    hint = "there is no socket; start the agent (systemctl start hubgw), or name its socket with --socket"
    assert hubgw(path, "show", "wan") == (3, "", f"agent: {path}: {hint}\n")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    told = f"agent: {path}: nobody listens; start the agent (systemctl start hubgw)\n"
    assert hubgw(path, "show", "wan") == (3, "", told)


def test_a_path_that_no_socket_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ("x" * 200)
    assert run(["--socket", str(path), "show", "wan"]) == 3
    assert "AF_UNIX path too long; name the agent's socket with --socket" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert run(["--socket", str(tmp_path / "file"), "show", "wan"]) == 3
    assert "nobody listens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "the connection broke; look into the agent's log"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "the connection broke; look into the agent's log"),
        (b"SSH-2.0-OpenSSH\r\n", "the connection broke; look into the agent's log"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", "answers no JSON; is it hubgw's socket?"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", "agent: answered 500 without saying why"),
    ],
)
def test_an_agent_that_talks_nonsense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes, told: str
) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "agent.sock"))
    listening.listen()

    def talk() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=talk)
    thread.start()
    code = run(["--socket", str(tmp_path / "agent.sock"), "show", "wan"])
    thread.join()
    listening.close()
    assert code == (1 if b"500" in answer else 3)
    assert told in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_permission_denied(tmp_path: Path) -> None:
    script = "import os, sys; from hubgw.cli import __main__, show; os.setgid(65534); os.setuid(65534); __main__.main()"
    path = tmp_path / "agent.sock"
    with served(FakeService(), path):
        command = [sys.executable, "-c", script, "--socket", str(path), "show", "wan"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    told = f"agent: {path}: permission denied; be root, or join the group hubgw\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, "", told)


def test_nobody_reads_any_more(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with served(FakeService(), path):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [*HUBGW, "--socket", str(path), "show", "site"],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    listening.settimeout(60)
    with subprocess.Popen([*HUBGW, "--socket", str(path), "show", "wan"], stderr=subprocess.PIPE, text=True) as waiting:
        connection, _ = listening.accept()
        waiting.send_signal(signal.SIGINT)
        _, told = waiting.communicate(timeout=60)
        connection.close()
    listening.close()
    assert (waiting.returncode, told) == (130, "interrupted\n")


def test_other_verbs_load_no_heavy_library() -> None:
    script = (
        "import sys, hubgw.cli.__main__\n"
        "from hubgw.cli import apply, delete, events, effective_routes, plan, show, completion, preflight, agent\n"
        "from hubgw.cli import init\n"
        "print(sorted({'aiohttp', 'pydantic', 'pyroute2', 'yaml', 'vici', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_version_is_told_also_where_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in the appliance, which runs the source where it lies."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert run(["--version"]) == 0
    assert re.fullmatch(r"hubgw \d+\.\d+\.\d+\n", capsys.readouterr().out)
