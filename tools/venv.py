"""Turns requirements.lock into a virtual environment of the host: `python3 -m tools.venv` prints its path."""

import subprocess
import sys
from pathlib import Path

from tools import cache, packages
from tools.progress import LabError, run, say

LOCK = packages.REPO / "requirements.lock"
UV = "uv==0.13.*"
LEAST = (3, 11)


def make(kind: str, key: str, pip: list[str]) -> Path:
    """A virtual environment remembers its own path, so it is made in place and a mark says that it is complete."""
    if sys.version_info < LEAST:
        raise LabError(f"hubgw needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}")
    folder = cache.home() / f"{kind}-{key}"
    complete = folder / "complete"
    with cache.locked(kind):
        if not complete.exists():
            cache.remove(folder)
            packages.ensure_python_venv()
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            argv = [str(folder / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", *pip]
            run(f"the host's Python packages ({kind})", argv, cache.home() / f"{kind}.log")
            complete.touch()
            cache.prune(kind, folder, ())
    return folder


def host() -> Path:
    key = cache.key([LOCK.read_bytes(), sys.version, sys.base_prefix])
    return make("venv", key, ["--require-hashes", "-r", str(LOCK)])


def lock() -> None:
    """Writes requirements.lock anew from pyproject.toml; packages already in it keep their versions."""
    uv = make("uv", cache.key([UV, sys.version, sys.base_prefix]), [UV]) / "bin/uv"
    argv = [str(uv), "pip", "compile", "pyproject.toml", "--universal", "--generate-hashes", "--all-extras"]
    argv += ["--no-header", "--quiet", "--output-file", str(LOCK)]
    subprocess.run(argv, cwd=packages.REPO, check=True, stdin=subprocess.DEVNULL)
    say(f"{LOCK.name} is up to date")


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["lock"]:
            lock()
        else:
            print(host())
    except LabError as problem:
        say(str(problem))
        sys.exit(1)
