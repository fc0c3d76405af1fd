"""Turns the working tree into a verdict without a kernel: format, types, import direction, unit and golden tests."""

import signal
import subprocess
import sys
from pathlib import Path

from tools import packages, venv
from tools.progress import LabError, phase, say

SOURCES = ("hubgw", "tools", "tests", "bench", "packaging")
TESTS = ("tests/unit", "tests/golden", "tests/tools")


def there(names: tuple[str, ...]) -> list[str]:
    """The folders among `names` that have Python files."""
    return [name for name in names if any((packages.REPO / name).rglob("*.py"))]


def steps(bin_: Path) -> list[tuple[str, list[str]]]:
    sources = there(SOURCES)
    return [
        ("ruff check", [str(bin_ / "ruff"), "check", "--quiet", *sources]),
        ("ruff format", [str(bin_ / "ruff"), "format", "--check", "--quiet", *sources]),
        ("mypy", [str(bin_ / "mypy"), "--no-error-summary", *sources]),
        ("import-linter", [str(bin_ / "lint-imports"), "--no-logo"]),
        ("pytest", [str(bin_ / "python"), "-m", "pytest", "-q", *there(TESTS)]),
    ]


def main() -> int:
    # A job in a shell's background ignores SIGINT, and so would what it starts; a test of ^C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bin_ = venv.host() / "bin"
    failed = []
    for name, argv in steps(bin_):
        with phase(name, beat=False):
            code = subprocess.run(argv, cwd=packages.REPO, stdin=subprocess.DEVNULL, check=False).returncode
        if code != 0:
            failed.append(name)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as problem:
        say(str(problem))
        sys.exit(1)
