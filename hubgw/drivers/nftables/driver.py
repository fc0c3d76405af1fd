"""Observes and changes the table `inet hubgw`: plan objects in, one transaction out. No other table is ever touched."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final, Protocol

from hubgw.drivers.base import DriverError
from hubgw.drivers.nftables import codec
from hubgw.drivers.nftables.client import RefusedError
from hubgw.plan.kernel import Element, Key, Ruleset
from hubgw.plan.types import Create, Delete, Object, Op, OpError

MOST_DESTROYED: Final = 64
"""The kernel takes 7 ms to remove one of 4,000 concatenated intervals, and 0.2 s to make the whole table anew."""


class Nft(Protocol):
    """What the driver needs of `client.Client`."""

    def run(self, text: str) -> str: ...
    def list_table(self, family: str, name: str) -> list[dict[str, object]]: ...


class NftablesDriver:
    """Driver of `Ruleset` and `Element`: a table that is not whole shows no Ruleset, so that the diff makes it anew."""

    def __init__(self, client: Nft) -> None:
        self._client = client

    async def observe(self) -> list[Object]:
        """Returns the Ruleset where the table is whole, and the elements of our sets. Raises DriverError."""
        table = await asyncio.to_thread(self._table)
        ruleset = [codec.RULESET] if codec.is_whole(table) else []
        return [*ruleset, *codec.elements(table)]

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        """Carries out all operations in one transaction, less those that the kernel refuses by themselves.

        A Ruleset replaces the table with its elements in that same transaction, so that nothing is open in between.
        """
        return await asyncio.to_thread(self._apply, ops) if ops else []

    async def spoofed(self) -> dict[str, int]:
        """Returns the packets with a spoofed source per tunnel, since the tunnel was made. Raises DriverError."""
        return codec.spoofed(await asyncio.to_thread(self._table))

    async def forget(self, tunnels: Collection[str]) -> None:
        """Removes the counts of tunnels that are gone. Raises DriverError."""
        await asyncio.to_thread(self._forget, tunnels)

    def _table(self) -> list[dict[str, object]]:
        return self._client.list_table(codec.FAMILY, codec.TABLE)

    def _forget(self, tunnels: Collection[str]) -> None:
        counted = sorted(codec.spoofed(self._table()).keys() & set(tunnels))
        if counted:
            try:
                self._client.run(codec.forget_spoofed(counted))
            except RefusedError as refused:
                raise DriverError(f"nftables: {codec.SPOOFED}: {refused}") from refused

    def _apply(self, ops: Sequence[Op]) -> list[OpError]:
        if any(isinstance(op, Delete) and isinstance(op.old, Ruleset) for op in ops):
            return self._commit(codec.REMOVE_TABLE, {}, {}, ops)
        destroyed = {op.old.key: op.old for op in ops if not isinstance(op, Create) and isinstance(op.old, Element)}
        added = {op.new.key: op.new for op in ops if not isinstance(op, Delete) and isinstance(op.new, Element)}
        intervals = sum(element.set in codec.INTERVALS for element in destroyed.values())
        if intervals <= MOST_DESTROYED and not any(_makes_table(op) for op in ops):
            return self._commit("", destroyed, added, ops)
        table = self._table()
        kept = {seen.key: seen for seen in codec.elements(table) if seen.key not in destroyed}
        return self._commit(codec.REPLACE_TABLE + codec.keep_spoofed(table), {}, kept | added, ops)

    def _commit(
        self, base: str, destroyed: dict[Key, Element], added: dict[Key, Element], ops: Sequence[Op]
    ) -> list[OpError]:
        refused: dict[Key, str] = {}
        for key, element in (*destroyed.items(), *added.items()):
            try:
                codec.written(element)
            except ValueError as problem:
                refused[key] = str(problem)
        while True:
            lines = codec.render(
                *([item for key, item in by.items() if key not in refused] for by in (destroyed, added))
            )
            try:
                self._client.run(base + "".join(f"{line}\n" for line, _ in lines))
                break
            except RefusedError as error:
                named = _named(error, lines, base.count("\n"))
                if not named:
                    return [OpError(op, str(error)) for op in ops]
                refused |= named
        return [OpError(op, refused[key]) for op in ops if (key := _key(op)) in refused]


def _named(error: RefusedError, lines: Sequence[tuple[str, Element | None]], before: int) -> dict[Key, str]:
    """Returns the elements that the complaints are about; none where they are about something else."""
    about = {number: element for number, (_, element) in enumerate(lines, before + 1) if element}
    return {about[line].key: reason for line, reason in error.complaints if line in about}


def _makes_table(op: Op) -> bool:
    return not isinstance(op, Delete) and isinstance(op.new, Ruleset)


def _key(op: Op) -> Key:
    return op.old.key if isinstance(op, Delete) else op.new.key
