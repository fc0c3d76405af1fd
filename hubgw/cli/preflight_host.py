"""The host as preflight asks it: files, one run of nft, charon's version, the clock. Never writes."""

import ctypes
import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

_DEADLINE: Final = 10.0  # seconds
_TIMEX_LENGTH: Final = 1024  # bytes, more than struct timex has on any architecture
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised


@dataclass
class Host:
    """Reads below `root`; `vici` is charon's socket."""

    vici: str
    root: Path = Path("/")

    def text(self, path: str) -> str | None:
        """Returns a file's text, None where it cannot be read."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return None

    def lines(self, path: str) -> list[str]:
        """Returns a file's lines, none where it cannot be read."""
        return (self.text(path) or "").splitlines()

    def exists(self, path: str) -> bool:
        """Tells whether there is something at the path."""
        return (self.root / path).exists()

    def dropins(self, name: str) -> list[str]:
        """Returns the paths of systemd's configuration `name`, later ones having the last word (systemd.conf(5))."""
        directories = ("usr/lib/systemd", "run/systemd", "etc/systemd")
        main = [f"{directory}/{name}" for directory in directories if self.exists(f"{directory}/{name}")]
        below = {
            path.name: str(path.relative_to(self.root))
            for directory in directories
            for path in sorted((self.root / directory / f"{name}.d").glob("*.conf"))
        }
        return [*main[-1:], *(below[file] for file in sorted(below))]

    @property
    def release(self) -> str:
        """The kernel's, as uname -r."""
        return os.uname().release

    @property
    def is_root(self) -> bool:
        return os.geteuid() == 0

    @property
    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def clock_is_synchronised(self) -> bool:
        """What the kernel says, whoever keeps its clock."""
        return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_LENGTH)) != _TIME_ERROR)

    @cached_property
    def nft_chains(self) -> list[dict[str, Any]] | str:
        """All chains of nftables, or why they cannot be had."""
        told = self._run(["nft", "-j", "list", "chains"])
        if isinstance(told, str):
            return told
        try:
            return [item["chain"] for item in json.loads(told)["nftables"] if "chain" in item]
        except (ValueError, KeyError, TypeError):
            return "nft -j answers no JSON"

    def charon_version(self) -> str:
        """Returns charon's version over VICI.

        Raises:
            OSError: nobody answers.
        """
        import vici  # noqa: PLC0415 - only this check needs it

        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_DEADLINE)
            connection.connect(self.vici)
            answer = vici.Session(connection).version()
        return str(answer["version"].decode())

    def _run(self, command: Sequence[str]) -> bytes | str:
        try:
            done = subprocess.run(command, capture_output=True, timeout=_DEADLINE, check=False)
        except FileNotFoundError:
            return f"there is no program {command[0]}"
        except subprocess.TimeoutExpired:
            return f"{command[0]} did not answer in {_DEADLINE:g} s"
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        if done.returncode:
            return (done.stderr.decode(errors="replace").strip().splitlines() or [f"{command[0]} failed"])[0]
        return done.stdout
