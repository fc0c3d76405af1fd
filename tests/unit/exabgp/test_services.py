"""Service directories as runit takes them, and what is written to a runsv that is there, or is not."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from hubgw.drivers.exabgp import services
from hubgw.drivers.exabgp.services import Supervisor
from hubgw.plan.numbers import SESSIONS
from hubgw.plan.sessions import Speaker

SPEAKER = Speaker("hgv1-0", "hgv1", SESSIONS[2], 65515, (IPv4Address("10.9.0.1"),))


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path / "services")


def test_a_script_starts_one_program_without_privileges(tmp_path: Path) -> None:
    directory = tmp_path / "a name; with $(words) and 'quotes'"
    for service, module, capabilities in zip(
        services.of(SPEAKER, directory),
        ("hubgw.drivers.exabgp.adapter", "hubgw.drivers.exabgp.helper"),
        ("-all,+net_bind_service", "-all"),
        strict=True,
    ):
        subprocess.run(["sh", "-n"], input=service.script, text=True, check=True)
        words = shlex.split(service.script, comments=True)
        assert words[-5:] == [sys.executable, "-P", "-m", module, str(directory)]
        options = words[words.index("setpriv") : -5]
        for option in ("--reuid", "--regid"):
            assert options[options.index(option) + 1] == str(SPEAKER.uid)
        for option in ("--bounding-set", "--inh-caps", "--ambient-caps"):
            assert options[options.index(option) + 1] == capabilities
        assert {"--clear-groups", "--no-new-privs"} < set(options)
        assert words[words.index("env") + 1] == "-i"


def test_what_was_installed_is_intact_until_it_is_touched(tmp_path: Path, supervisor: Supervisor) -> None:
    service, _ = services.of(SPEAKER, tmp_path / "hgv1-0")
    assert not supervisor.intact(service)
    supervisor.install(service)
    assert supervisor.intact(service)
    assert supervisor.linked() == {"hgv1-0"}
    assert (tmp_path / "services/hgv1-0/run").samefile(service.directory / "run")
    assert not supervisor.intact(services.of(replace(SPEAKER, uid=SESSIONS[4]), tmp_path / "hgv1-0")[0])
    (service.directory / "run").chmod(0o644)
    assert not supervisor.intact(service)


def test_a_service_that_is_installed_again_is_looked_at_again(tmp_path: Path, supervisor: Supervisor) -> None:
    service, _ = services.of(SPEAKER, tmp_path / "hgv1-0")
    supervisor.install(service)
    os.utime(supervisor.directory, (1, 1))
    supervisor.install(service)
    assert supervisor.directory.stat().st_mtime > 1


def test_what_lies_in_the_way_is_replaced(tmp_path: Path, supervisor: Supervisor) -> None:
    service, _ = services.of(SPEAKER, tmp_path / "hgv1-0")
    (supervisor.directory / "hgv1-0").mkdir(parents=True)
    (service.directory / "run").mkdir(parents=True)
    supervisor.install(service)
    assert supervisor.intact(service)


def test_commands_reach_a_runsv_that_is_there(tmp_path: Path, supervisor: Supervisor) -> None:
    service, _ = services.of(SPEAKER, tmp_path / "hgv1-0")
    supervisor.install(service)
    assert not supervisor.control(service, b"t")
    assert not supervisor.supervised(service)
    pipes = [service.directory / "supervise" / name for name in ("ok", "control")]
    pipes[0].parent.mkdir()
    for pipe in pipes:
        os.mkfifo(pipe)
    assert not supervisor.control(service, b"t")
    _, control = ends = [os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) for pipe in pipes]
    assert supervisor.supervised(service)
    assert supervisor.control(service, b"t")
    assert os.read(control, 16) == b"t"
    supervisor.unlink(service)
    assert os.read(control, 16) == b"x"
    assert supervisor.linked() == set()
    for end in ends:
        os.close(end)
