"""The whole surface of a driver."""

from collections.abc import Sequence
from typing import Protocol

from hubgw.plan.types import Object, Op, OpError


class DriverError(Exception):
    """The kernel or daemon could not be asked at all; the pass ends and is tried again."""


class Driver(Protocol):
    """Observes and changes what is ours in one part of the machine."""

    async def observe(self) -> list[Object]:
        """Returns all objects of ours that are there now, without any cache.

        Raises:
            DriverError: nothing could be observed.
        """
        ...

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        """Carries out the operations in the order given and keeps going past independent failures.

        Deleting what is absent succeeds. The verification is the next diff, which must be empty.

        Raises:
            DriverError: the connection was lost; some operations may have been carried out.
        """
        ...
