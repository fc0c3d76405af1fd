"""charon's log: a file under /run that charon appends to while an agent reads it -> its lines, as they come.

VICI would tell them too, as events; but one costs charon as much as the rest of a login does, for some fifty lines.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from hubgw.drivers import ledger_file
from hubgw.drivers.base import DriverError

EVERY: Final = 0.5  # seconds from one look to the next
_AT_ONCE: Final = 1 << 20  # bytes
_BEHIND: Final = 4 << 20  # bytes: who is so far behind goes on from the end
_LONGEST: Final = 16 << 20  # bytes: once it is so long, and all of it was read, the file begins anew

_SETTINGS: Final = """\
# Written by hubgw.
charon-systemd {{
    filelog {{
        hubgw {{
            path = "{path}"
            default = 1
            ike_name = yes
            flush_line = yes
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Missed:
    """So many lines that were not read: anybody can make charon write."""

    count: int


class LogFile:
    """The file, and charon's settings that have it written, as seen from charon: in force when it reads them again."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "charon.log"
        self._settings = directory / "charon.d" / "log.conf"

    def ask(self) -> None:
        """Makes the file, which root alone can read, and writes the settings. Raises DriverError."""
        try:
            # First of all, as charon would make it for everybody to read.
            self._path.touch(0o600)
            self._path.chmod(0o600)
            ledger_file.replace(self._settings, _SETTINGS.format(path=self._path))
        except OSError as error:
            raise DriverError(f"{error.filename or self._settings}: {error.strerror}") from error

    def require(self, start: int) -> None:
        """Raises DriverError where charon has written nothing since the file was so long."""
        if self.size == start:
            hint = f"does its configuration include {self._settings.parent}/*.conf, and may it write there?"
            raise DriverError(f"{self._path}: charon does not write it; {hint}")

    @property
    def size(self) -> int:
        """How long the file is, in bytes. Raises DriverError."""
        try:
            return self._path.stat().st_size
        except OSError as error:
            raise DriverError(f"{self._path}: {error.strerror}") from error

    def withdraw(self) -> bool:
        """Removes both; tells whether there were any settings."""
        was_asked = self._settings.exists()
        for path in (self._settings, self._path):
            with contextlib.suppress(OSError):
                path.unlink()
        return was_asked

    async def lines(self, start: int) -> AsyncIterator[bytes | Missed]:
        """Yields whole lines, many at once, from that octet on.

        Raises DriverError where the file or the settings are gone.
        """
        try:
            file = self._path.open("r+b", buffering=0)
        except OSError as error:
            raise DriverError(f"{self._path}: {error.strerror}") from error
        with file:
            file.seek(start)
            torn = octets = b""
            while True:
                # Where there is more it is read at once.
                await asyncio.sleep(EVERY if len(octets) < _AT_ONCE else 0.0)
                size = self._size(file)
                if size < file.tell():  # somebody has emptied it
                    file.seek(0)
                    torn = b""
                is_behind, missed = size - file.tell() > _BEHIND, 0
                octets = file.read(_AT_ONCE)
                while is_behind and octets:
                    missed += octets.count(b"\n")
                    torn = octets.rpartition(b"\n")[2]
                    octets = file.read(_AT_ONCE)
                if file.tell() > _LONGEST and len(octets) < _AT_ONCE:
                    # All was read; a charon that is busy never pauses. It appends, wherever the end is.
                    file.truncate(0)
                    file.seek(0)
                if missed:
                    yield Missed(missed)
                whole, end, torn = (torn + octets).rpartition(b"\n")
                if end:
                    yield whole + end

    def _size(self, file: BinaryIO) -> int:
        """Returns how long the file is. Raises DriverError where charon, told to read its settings, would write to none
        or to another."""
        status = os.fstat(file.fileno())
        try:
            is_there = os.path.samestat(status, self._path.stat())
            self._settings.stat()
        except OSError as error:
            raise DriverError(f"{error.filename}: somebody has removed it") from error
        if not is_there:
            raise DriverError(f"{self._path}: somebody has replaced it")
        return status.st_size
