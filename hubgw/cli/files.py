"""Files named on the command line -> sources for the agent, byte by byte: reading them is the agent's part."""

import base64
import sys
from collections.abc import Sequence
from pathlib import Path

from hubgw.cli.exits import Code, Fail


def sources(names: Sequence[str]) -> list[dict[str, str]]:
    """Reads each file, `-` being stdin.

    Raises:
        Fail: USAGE, with every file that cannot be read.
    """
    read: list[dict[str, str]] = []
    problems: list[str] = []
    if names.count("-") > 1:
        problems.append("-: stdin can be read once; name it once")
    for name in names:
        try:
            content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except IsADirectoryError:
            problems.append(f"{name}: is a directory; name the files in it, each with -f")
        except ValueError:
            problems.append(f"{name!r}: is no name of a file")
        except OSError as error:
            problems.append(f"{name}: {error.strerror}; is it the file that was meant?")
        else:
            read.append({"file": "(stdin)" if name == "-" else name, "base64": base64.b64encode(content).decode()})
    if problems:
        raise Fail(Code.USAGE, problems)
    return read
