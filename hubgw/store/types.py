"""What the store speaks in: snapshots and generations of resources, by key, without knowing what a resource is."""

from collections.abc import Mapping
from dataclasses import dataclass

Json = Mapping[str, object]
"""A resource in Azure's JSON shape, with its secrets."""

Allocations = Mapping[tuple[str, str], int]
"""(kind, owner) -> number: what the names and ids of kernel objects are made from."""


class StoreError(Exception):
    """The store cannot be opened, read or written: which file, why, and what to do. Nothing was changed."""


class Conflict(StoreError):  # noqa: N818 - a fact to act upon, not a failure
    """Another commit came first: `head` is the generation to read and to decide upon again."""

    def __init__(self, expected: int, head: int) -> None:
        super().__init__(f"store: the head is generation {head}, the commit expected {expected}; read it and try again")
        self.head = head


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All resources of one generation. The allocations are those of now, also where the generation is an old one.

    `last` is the highest number that was ever given, by kind: a number is never given again.
    """

    generation: int
    resources: Mapping[str, Json]
    allocations: Allocations
    last: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Generation:
    """One commit, as history tells it. `time` is UTC in ISO 8601; `put` and `deleted` are keys of resources, sorted."""

    number: int
    time: str
    who: str
    message: str
    put: tuple[str, ...]
    deleted: tuple[str, ...]
