"""Files -> one archive, the same octets for the same files."""

import io
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can tell."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644


def zipped(members: Sequence[Member]) -> bytes:
    """Returns a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            entry = zipfile.ZipInfo(member.path, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = member.mode << 16
            archive.writestr(entry, member.content)
    return buffer.getvalue()


def tarred(members: Sequence[Member]) -> bytes:
    """Returns a tar, whose files are root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for member in members:
            entry = tarfile.TarInfo(member.path)
            entry.size, entry.mode = len(member.content), member.mode
            entry.uname = entry.gname = "root"
            archive.addfile(entry, io.BytesIO(member.content))
    return buffer.getvalue()
