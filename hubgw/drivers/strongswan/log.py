"""charon's log: a file under /run that charon appends to while an agent reads it -> its lines, as they come.

VICI would tell them too, as events; but one costs charon as much as the rest of a login does, for some fifty lines.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from hubgw.drivers import ledger_file
from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.inbox import Missed

EVERY: Final = 0.2  # seconds from one look to the next
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


class LogFile:
    """The file, and charon's settings that have it written, as seen from charon: in force when it reads them again."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "charon.log"
        self._settings = directory / "charon.d" / "log.conf"

    def ask(self) -> None:
        """Writes the settings, and makes the file, which root alone can read. Raises DriverError."""
        try:
            ledger_file.replace(self._settings, _SETTINGS.format(path=self._path))
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DriverError(f"{error.filename}: {error.strerror}") from error

    def withdraw(self) -> bool:
        """Removes both; tells whether there were any settings."""
        was_asked = self._settings.exists()
        for path in (self._settings, self._path):
            path.unlink(missing_ok=True)
        return was_asked

    async def lines(self) -> AsyncIterator[bytes | Missed]:
        """Yields whole lines, many at once, that are written from now on.

        Raises DriverError where the file is gone.
        """
        try:
            file = self._path.open("r+b", buffering=0)
        except OSError as error:
            raise DriverError(f"{self._path}: {error.strerror}") from error
        with file:
            file.seek(0, os.SEEK_END)
            torn = b""
            while True:
                await asyncio.sleep(EVERY)
                size = self._size(file)
                if size < file.tell():  # somebody has emptied it
                    file.seek(0)
                if size - file.tell() > _BEHIND:
                    yield Missed(sum(octets.count(b"\n") for octets in iter(lambda: file.read(_AT_ONCE), b"")))
                    torn = b""
                elif octets := file.read(_AT_ONCE):
                    whole, end, torn = (torn + octets).rpartition(b"\n")
                    yield whole + end
                elif size > _LONGEST:
                    # charon appends, wherever the end is.
                    file.truncate(0)

    def _size(self, file: BinaryIO) -> int:
        status = os.fstat(file.fileno())
        if not status.st_nlink:
            raise DriverError(f"{self._path}: somebody has removed it")
        return status.st_size
