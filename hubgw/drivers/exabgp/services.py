"""A speaker's two processes -> runit services: their directories, and the links by which runsvdir finds them.

runsvdir runs elsewhere (a unit of systemd, the container, the lab); here files are written and pipes written to.
"""

import errno
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import hubgw
from hubgw.drivers.exabgp import files
from hubgw.drivers.exabgp.frames import FORMAT
from hubgw.plan.sessions import Speaker

ADAPTER: Final = "hubgw.drivers.exabgp.adapter"
HELPER: Final = "hubgw.drivers.exabgp.helper"

# What a supervisor that died leaves behind must not speak beside what the next one starts, hence --pdeathsig; it is
# KILL since a process that says farewell would end its sessions.
_SCRIPT: Final = """\
#!/bin/sh
# Written by hubgw's agent{version}.
umask 077
exec 2>&1
exec env -i {environment} \\
  setpriv --reuid {uid} --regid {uid} --clear-groups --no-new-privs --pdeathsig KILL \\
  --bounding-set {capabilities} --inh-caps {capabilities} --ambient-caps {capabilities} \\
  {program} {directory}
"""
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Service:
    """One supervised process: `name` is that of its link, `directory` its service directory, `script` what it runs."""

    name: str
    directory: Path
    script: str


def of(speaker: Speaker, directory: Path) -> tuple[Service, Service]:
    """Returns the services of a speaker whose files lie in `directory`: ExaBGP with the adapter, and the helper."""
    exabgp = _script(ADAPTER, directory, speaker.uid, "-all,+net_bind_service")
    # A helper that speaks other frames than the agent is replaced by a script that says so.
    helper = _script(HELPER, directory, speaker.uid, "-all", f", which reads frames of format {FORMAT}")
    return _named(speaker.name, directory, exabgp, helper)


def names(speaker: str, directory: Path) -> tuple[Service, Service]:
    """Returns the services of a speaker of which no more than the name is known, with empty scripts."""
    return _named(speaker, directory, "", "")


def _named(speaker: str, directory: Path, exabgp: str, helper: str) -> tuple[Service, Service]:
    return (
        Service(speaker, directory / "exabgp", exabgp),
        Service(f"{speaker}-helper", directory / "helper", helper),
    )


def _script(module: str, directory: Path, uid: int, capabilities: str, version: str = "") -> str:
    environment = {
        "PATH": _PATH,
        "LANG": "C.UTF-8",
        # What the agent itself runs.
        "PYTHONPATH": str(Path(hubgw.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if sys.pycache_prefix:
        environment["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    return _SCRIPT.format(
        environment=" ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items()),
        version=version,
        uid=int(uid),
        capabilities=capabilities,
        program=shlex.join((sys.executable, "-P", "-m", module)),
        directory=shlex.quote(str(directory)),
    )


class Supervisor:
    """The directory that runsvdir watches."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def intact(self, service: Service) -> bool:
        """Tells whether the service is as `install` makes it."""
        run = service.directory / "run"
        return (
            files.link(self.directory / service.name) == str(service.directory)
            and files.text(run) == service.script
            and os.access(run, os.X_OK)
        )

    def install(self, service: Service) -> None:
        """Makes the service, or makes it anew; what runs goes on with the script that it was started with.

        Raises OSError.
        """
        files.directory(self.directory, 0o755)
        files.directory(service.directory, 0o755)
        files.write(service.directory / "run", service.script, 0o755)
        files.relink(self.directory / service.name, service.directory)

    def linked(self) -> set[str]:
        """Returns the names of the services that runsvdir shall run."""
        return {path.name for path in files.entries(self.directory)}

    def unlink(self, service: Service) -> None:
        """Takes the service away from runsvdir and tells what runs to end. Raises OSError."""
        (self.directory / service.name).unlink(missing_ok=True)
        self.control(service, b"x")

    def control(self, service: Service, commands: bytes) -> bool:
        """Writes commands of runsv(8); tells whether there is a runsv to read them."""
        return _write(service.directory / "supervise" / "control", commands)

    def supervised(self, service: Service) -> bool:
        """Tells whether a runsv is there for the service."""
        return _write(service.directory / "supervise" / "ok", b"")


def _write(pipe: Path, octets: bytes) -> bool:
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENXIO}:
            return False
        raise
    try:
        os.write(descriptor, octets)
    finally:
        os.close(descriptor)
    return True
