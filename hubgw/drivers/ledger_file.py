"""A ledger's text -> its file under /run, whole or not at all, readable by root alone."""

import logging
import os
from pathlib import Path

LOG = logging.getLogger("hubgw")


def write(path: Path, text: str) -> None:
    """Replaces the file at once. A ledger is a hint: where the file system refuses, that is logged and no more."""
    try:
        replace(path, text)
    except OSError as error:
        LOG.warning("ledger.refused path=%s reason=%s", path, error.strerror, extra={"event": "ledger.refused"})


def replace(path: Path, text: str) -> None:
    """Replaces the file at once. Raises OSError."""
    partial = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)
