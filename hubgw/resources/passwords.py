"""Secrets that are typed in: printable ASCII of some length, kept as `Secret`."""

import re
from collections.abc import Callable
from typing import Final

from hubgw.names import Secret
from hubgw.resources.base import fault, text_of

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")


def typed(what: str, lengths: range) -> Callable[[object], Secret]:
    """Returns what reads such a secret; `what` begins its errors: ``a password``."""

    def read(value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        text = text_of(value, f"{what} as text")
        if not _PRINTABLE.fullmatch(text):
            raise fault(f"{what} has printable ASCII characters only")
        if len(text) not in lengths:
            raise fault(f"{what} has {lengths.start} to {lengths.stop - 1} characters")
        return Secret(text)

    return read
