"""Turns requirements.lock, which has the tools of development too, into the part of it that hubgw needs to run.

    python3 packaging/runtime_lock.py pyproject.toml requirements.lock | pip install --require-hashes -r /dev/stdin

The lock says of each package what asked for it ("# via"); what the project's own dependencies reach that way is kept,
with its hashes.
"""

import re
import sys
import tomllib
from pathlib import Path


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct(pyproject: str) -> set[str]:
    """The names of the project's own dependencies."""
    specifiers: list[str] = tomllib.loads(pyproject)["project"]["dependencies"]
    found = (re.match(r"[A-Za-z0-9._-]+", specifier) for specifier in specifiers)
    return {normal(name.group()) for name in found if name}


def blocks(lock: str) -> dict[str, str]:
    """The lock's text by package: the line with the version, its hashes, and who asked for it."""
    parts = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
    return {normal(part.partition("==")[0]): part for part in parts if "==" in part.partition("\n")[0]}


def asked_by(block: str) -> set[str]:
    comments = (
        line.strip().lstrip("#").strip().removeprefix("via").strip()
        for line in block.splitlines()
        if line.strip().startswith("#")
    )
    return {normal(comment.partition(" ")[0].partition("[")[0]) for comment in comments if comment}


def runtime(pyproject: str, lock: str) -> str:
    known = blocks(lock)
    wanted = direct(pyproject)
    missing = wanted - known.keys()
    if missing:
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}: run make lock")
    while more := {name for name, block in known.items() if asked_by(block) & wanted} - wanted:
        wanted |= more
    return "".join(block for name, block in known.items() if name in wanted)


if __name__ == "__main__":
    sys.stdout.write(runtime(*(Path(name).read_text(encoding="utf-8") for name in sys.argv[1:3])))
