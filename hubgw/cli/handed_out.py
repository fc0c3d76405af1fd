"""The files that certificates and keys are handed out in: made before anything is issued, and never written over; and
the passwords of keys in them."""

import os
import re
import secrets
from pathlib import Path
from typing import Final

from hubgw.cli.exits import Code, Fail
from hubgw.names import Secret

PUBLIC: Final = 0o644
PRIVATE: Final = 0o600

_PASSWORD_BYTES: Final = 15
_PASSWORD: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?", re.ASCII)


def new_password() -> Secret:
    """Makes a password that nobody guesses, to be shown once."""
    return Secret(secrets.token_urlsafe(_PASSWORD_BYTES))


def read_password(name: str) -> Secret:
    """Reads a password from a file's one line. Raises Fail (USAGE)."""
    try:
        text = Path(name).read_text(encoding="ascii").removesuffix("\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not ASCII"
        raise Fail(Code.USAGE, [f"{name}: {why}; is it the file with the password?"]) from None
    if not _PASSWORD.fullmatch(text):
        message = "expected a password of 1 to 128 printable ASCII characters, on one line"
        raise Fail(Code.USAGE, [f"{name}: {message}"])
    return Secret(text)


def read_request(name: str) -> str:
    """Returns a request for a certificate that somebody else made. Raises Fail (USAGE)."""
    try:
        return Path(name).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no PEM"
        raise Fail(Code.USAGE, [f"{name}: {why}; is it the request that was meant?"]) from None


def create(path: Path, mode: int, other: str = "another folder with --out") -> None:
    """Makes a new file; what is there already, which may be in use, is left alone. Raises Fail (USAGE)."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no name of a file"
        raise Fail(Code.USAGE, [f"{path}: {why}; move it away, or name {other}"]) from None


def fill(path: Path, content: str | bytes, issued_by: str = "hubgw pki") -> None:
    """Writes what was issued. Raises Fail (FAILED)."""
    try:
        if isinstance(content, str):
            path.write_text(content, encoding="ascii")
        else:
            path.write_bytes(content)
    except OSError as error:
        hint = f"revoke what was issued ({issued_by} list), and ask again"
        raise Fail(Code.FAILED, [f"{path}: {error.strerror}; {hint}"]) from None
