"""The exit codes of every verb, in one place, and the error that carries one."""

from collections.abc import Sequence
from enum import IntEnum


class Code(IntEnum):
    """What a verb ends with."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    FAILED = 5
    INTERRUPTED = 130
    PIPE = 141


HELP = """\b
Exit codes:
  0    done
  1    refused: the configuration has problems, or something refers to it; nothing was changed
  2    the command line is wrong, or a file cannot be read
  3    the agent cannot be reached, or the caller may not
  4    there is no resource of that name
  5    a resource or a check has failed
  130  interrupted
  141  nobody reads the output any more
"""


class Fail(Exception):  # noqa: N818 - the end of a verb
    """Ends a verb with a code; each line is `where: what, with the value; hint`, for stderr."""

    def __init__(self, code: Code, lines: Sequence[str]) -> None:
        super().__init__(*lines)
        self.code = code
        self.lines = tuple(lines)
