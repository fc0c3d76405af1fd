"""Files and directories under /run as a speaker's processes read them: whole, with mode and group, or not at all.

Only the agent writes here; what lies there and is of another kind than it shall be is replaced.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

# Who is not root owns all that it makes.
_GIVES: Final = os.geteuid() == 0


def text(path: Path) -> str | None:
    """Returns what a file holds; None where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def link(path: Path) -> str | None:
    """Returns what a symbolic link holds; None where there is none."""
    try:
        return os.readlink(path)  # noqa: PTH115 - the text itself
    except OSError:
        return None


def entries(path: Path) -> Iterator[Path]:
    """Yields what a directory holds, in order; nothing where there is none. Raises OSError."""
    with suppress(FileNotFoundError, NotADirectoryError):
        yield from sorted(path.iterdir())


def has(path: Path, kind: int, mode: int, uid: int = 0, gid: int = 0) -> bool:
    """Tells whether something of this kind (`stat.S_IFDIR`), mode and owner lies there."""
    try:
        found = path.lstat()
    except OSError:
        return False
    if (stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)) != (kind, mode):
        return False
    return not _GIVES or (found.st_uid, found.st_gid) == (uid, gid)


def directory(path: Path, mode: int, uid: int = 0, gid: int = 0) -> bool:
    """Sees to a directory of this mode and owner; tells whether it was made. Raises OSError."""
    if has(path, stat.S_IFDIR, mode, uid, gid):
        return False
    made = not path.is_dir() or path.is_symlink()
    if made:
        path.unlink(missing_ok=True)
        if not path.parent.exists():
            directory(path.parent, 0o755)
        path.mkdir(mode=0o700)
    _own(path, mode, uid, gid)
    return made


def write(path: Path, content: str, mode: int, gid: int = 0) -> None:
    """Replaces a file at once, unless it is the same. It belongs to root. Raises OSError."""
    if has(path, stat.S_IFREG, mode, 0, gid) and text(path) == content:
        return
    partial = path.with_name(f".{path.name}.new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    _own(partial, mode, 0, gid)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    partial.replace(path)


def relink(path: Path, target: Path) -> None:
    """Replaces a symbolic link at once, also by the same: who watches its directory looks again. Raises OSError."""
    partial = path.with_name(f".{path.name}.new")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    partial.replace(path)


def _own(path: Path, mode: int, uid: int, gid: int) -> None:
    if _GIVES:
        os.chown(path, uid, gid)
    path.chmod(mode)
