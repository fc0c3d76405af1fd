"""Turns phases of work into lines that say what is going on and how long it took."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

EVERY = 10.0


class LabError(Exception):
    """Something a person can read and act on; printed without a stack trace."""


def say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip()[:100] for line in reversed(lines) if line.strip()), "")


@contextmanager
def phase(what: str, log: Path | None = None, beat: bool = True) -> Iterator[None]:
    """Says that `what` begins, each ten seconds that it goes on (with the last line of `log`), and how long it took.

    Without `beat` for what shows its own progress.
    """
    start = time.monotonic()
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(EVERY):
            now = f": {last_line(log)}" if log and log.exists() else ""
            say(f"  {what}, {time.monotonic() - start:.0f} s{now}")

    say(f"{what} ...")
    thread = threading.Thread(target=go_on, daemon=True)
    if beat:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if beat:
            thread.join()
    say(f"{what}: {time.monotonic() - start:.1f} s")


def run(what: str, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Runs a command with its output in `log`; on failure the end of the log is the message."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with phase(what, log), log.open("ab") as out:
        code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, check=False).returncode
    if code != 0:
        raise LabError(f"{what} failed with status {code}; the end of {log}:\n{tail(log)}")


def tail(log: Path, lines: int = 30) -> str:
    if not log.exists():
        return "    (nothing)"
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


def wait_for(condition: Callable[[], bool], seconds: float, what: str, log: Path | None = None) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {seconds:.0f} s for: {what}\n{tail(log) if log else ''}")
        time.sleep(0.05)
