"""Who may speak to the agent: root and members of the group hubgw, by the socket's mode and the peer's credentials."""

import grp
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubgw.cli.client import DEFAULT_SOCKET
from hubgw.cli.exits import Code
from tests.lab.hub import Hub
from tests.lab.topology import Lab

GROUP = "hubgw"
MEMBER = "lab-member"
OTHER = "lab-other"
KEY = "example-key-of-branch-1"


def _accounts(*commands: str, check: bool) -> None:
    for command in commands:
        subprocess.run(command.split(), check=check, capture_output=not check)


@pytest.fixture
def hub(lab: Lab) -> Iterator[Hub]:
    """The hub as on an operator's machine: the group is there before the agent, whose socket is at its default path."""
    hub, elsewhere = lab.hub, lab.hub.socket
    gone = (f"userdel {MEMBER}", f"userdel {OTHER}", f"groupdel {GROUP}")
    _accounts(*gone, check=False)
    hub.kill_agent(signal.SIGTERM)
    try:
        _accounts(
            f"groupadd --system {GROUP}",
            f"useradd --system --no-create-home --groups {GROUP} {MEMBER}",
            f"useradd --system --no-create-home {OTHER}",
            check=True,
        )
        hub.socket = Path(DEFAULT_SOCKET)
        hub.start_agent()
        yield hub
    finally:
        if hub.agent_runs():
            hub.kill_agent(signal.SIGTERM)
        hub.socket = elsewhere
        _accounts(*gone, check=False)
        hub.start_agent()


def _as(user: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a verb as a user, with the groups that it has when it logs in, on the socket that is the default."""
    command = ["runuser", "-u", user, "--", sys.executable, "-m", "hubgw.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ))


def _is_answered(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (Code.OK, "")
    assert "branch1" in done.stdout


def _is_refused(done: subprocess.CompletedProcess[str], why: str) -> None:
    assert (done.returncode, done.stdout) == (Code.UNREACHABLE, "")
    assert done.stderr == f"agent: {why}\n"


def test_members_of_the_group_may_and_others_may_not(hub: Hub) -> None:
    status = hub.socket.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o660, 0)
    assert grp.getgrgid(status.st_gid).gr_name == GROUP
    _is_answered(_as(MEMBER, "show", "tunnel"))
    _is_refused(_as(OTHER, "show", "tunnel"), f"{hub.socket}: permission denied; be root, or join the group hubgw")
    # Whoever opens the socket to all does not open the agent: it asks the kernel who is there.
    hub.socket.chmod(0o666)
    uid = pwd.getpwnam(OTHER).pw_uid
    for words in (
        ["show", "tunnel"],
        ["delete", "--all", "--yes"],
        ["show", "connection", "gw1/branch1", "--show-key"],
    ):
        _is_refused(_as(OTHER, *words), f"uid {uid} may not; be root, or join the group hubgw")
    assert f"http.refused uid={uid}" in hub.agent_log
    _is_answered(_as(MEMBER, "show", "tunnel"))


def test_a_key_is_shown_to_root_alone(hub: Hub) -> None:
    ask = ("show", "connection", "gw1/branch1", "--show-key")
    events = hub.run("events").stdout.count("key.shown")
    assert _as(MEMBER, "show", "connection", "gw1/branch1").returncode == Code.OK
    _is_refused(_as(MEMBER, *ask), "preshared keys are shown to root alone")
    assert hub.run("events").stdout.count("key.shown") == events, "it was not shown"
    assert hub.run(*ask).stdout.strip() == KEY
    assert hub.run("events").stdout.count("key.shown") == events + 1
