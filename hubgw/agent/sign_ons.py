"""Who has signed on since it was last looked by what. No I/O."""

import asyncio
from typing import Final

MANY: Final = 16
"""Names: charon remembers 32 certificates, and what issued them is among those."""


class SignOns:
    """`some` and `many` are set while somebody has, or by as many names."""

    def __init__(self) -> None:
        self.some = asyncio.Event()
        self.many = asyncio.Event()
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        """Takes note of a name that was proved."""
        self._names.add(name)
        self.some.set()
        if len(self._names) >= MANY:
            self.many.set()

    def looked(self) -> None:
        """Takes note that somebody looks now."""
        self._names.clear()
        self.some.clear()
        self.many.clear()
