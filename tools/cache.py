"""Keeps what is expensive to make, by content: a key and a recipe turn into a folder that is complete or absent."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.progress import say

KEEP = 2


def home() -> Path:
    """The cache's folder, outside the repository: HUBGW_CACHE, or ~/.cache/hubgw."""
    path = Path(os.environ.get("HUBGW_CACHE") or Path.home() / ".cache" / "hubgw").resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


def key(parts: Iterable[str | bytes]) -> str:
    """Sixteen hexadecimal digits for a sequence of texts; the sequence's boundaries count."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds one lock file, so that two runs never make the same thing twice."""
    with (home() / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {file.name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def entry(kind: str, key_: str, make: Callable[[Path], None], in_use: Iterable[Path] = ()) -> Path:
    """The folder `kind`-`key_`, made by `make` in a temporary name when absent; older ones of the kind are pruned."""
    path = home() / f"{kind}-{key_}"
    if not path.exists():
        with locked(kind):
            if not path.exists():
                partial = home() / f"partial-{kind}"
                remove(partial)
                partial.mkdir()
                make(partial)
                partial.rename(path)
                prune(kind, path, in_use)
    now = time.time()
    os.utime(path, (now, now))
    return path


def prune(kind: str, newest: Path, in_use: Iterable[Path]) -> None:
    """Removes all but the entries used last, and those that a running machine stands on."""
    used = {newest, *in_use}
    entries = sorted(home().glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [path for path in entries if path.is_dir() and path not in used][KEEP - 1 :]:
        say(f"removing {path.name}, not used lately")
        remove(path)


def mounts() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]


def remove(path: Path) -> None:
    """Removes a tree; refuses where something is still mounted in it, since the host's /dev would go too."""
    inside = [mount for mount in mounts() if mount.startswith(f"{path}/")]
    if inside:
        raise RuntimeError(f"{inside[0]} is mounted: {path} is not removed")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
