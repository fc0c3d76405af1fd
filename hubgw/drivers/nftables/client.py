"""Runs nft commands in-process by libnftables: text in, JSON out. Touches the library alone; knows no plan type."""

import json
import os
import re
import threading
from collections.abc import Sequence
from typing import Final

from hubgw.drivers.base import DriverError

ABSENT: Final = "No such file or directory"
_COMPLAINT: Final = re.compile(r"^(?:[^\s:]+:(\d+):[\d-]+: )?Error: (.*)$", re.MULTILINE)


class RefusedError(Exception):
    """What nft or the kernel refused; nothing of the transaction was carried out.

    `complaints` are (line of the commands counted from 1, or 0 where it is unknown; reason), at least one. The kernel
    names the first refused element of each message, and a message holds many.
    """

    def __init__(self, complaints: Sequence[tuple[int, str]]) -> None:
        super().__init__(complaints[0][1])
        self.complaints = tuple(complaints)


class Client:
    """One libnftables context, in the network namespace of the thread that makes it.

    Raises:
        DriverError: libnftables is not there.
    """

    def __init__(self) -> None:
        try:
            import nftables  # noqa: PLC0415  (only the machine that forwards has it)

            self._nft = nftables.Nftables()
        except (ImportError, OSError) as problem:
            raise DriverError(f"nftables: {problem}; install python3-nftables") from problem
        self._nft.set_json_output(True)
        self._lock = threading.Lock()

    def run(self, text: str) -> str:
        """Carries out commands in nft's own syntax as one transaction and returns the JSON that they print.

        Raises:
            RefusedError: none of them was carried out.
        """
        # Complaints about a buffer have no line numbers, those about a file do.
        file = os.memfd_create("hubgw.nft")
        try:
            os.write(file, text.encode())
            with self._lock:
                code, output, error = self._nft.cmd_from_file(f"/proc/self/fd/{file}")
        finally:
            os.close(file)
        if code:
            raise RefusedError(complaints(error))
        return str(output)

    def list_table(self, family: str, name: str) -> list[dict[str, object]]:
        """Returns the objects of a table as libnftables-json(5) has them; none where there is no such table.

        Raises:
            DriverError: the kernel could not be asked.
        """
        try:
            output = self.run(f"list table {family} {name}\n")
        except RefusedError as refused:
            if ABSENT in str(refused):
                return []
            raise DriverError(f"nftables: list table {family} {name}: {refused}") from refused
        objects: list[dict[str, object]] = json.loads(output)["nftables"]
        return objects


def complaints(error: str) -> list[tuple[int, str]]:
    r"""Returns line and reason of each complaint of nft, without the commands that it quotes.

    >>> complaints('/proc/self/fd/5:4:1-6: Error: Could not process rule: File exists\n"hgt1" . 10.1.0.0/16\n^^^^^^\n')
    [(4, 'Could not process rule: File exists')]
    """
    found = [(int(line or 0), reason) for line, reason in _COMPLAINT.findall(error)]
    return found or [(0, error.strip().partition("\n")[0] or "refused without a word")]
