"""Operations and the way to encode one -> what the kernel refused of them, with the interfaces' numbers at hand."""

import errno
from collections.abc import Callable, Iterable
from typing import Final

from hubgw.drivers.netlink import decode, encode
from hubgw.drivers.netlink.client import Client, words
from hubgw.plan.diff import target
from hubgw.plan.kernel import (
    Address,
    Classifier,
    Gateway,
    Nexthop,
    OnLink,
    Port,
    Route,
    Translation,
    Tunnel,
)
from hubgw.plan.types import Object, Op, OpError

ABSENT: Final = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL})
"""Answers to a deletion of what is not there."""

PRESENT: Final = frozenset({errno.EEXIST})
"""The answer to making what is there; whether it is equal, the next diff sees."""

NONE: Final[frozenset[int]] = frozenset()


class Kernel:
    """Carries operations to the kernel. `index` has the ifindexes as they were last read."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.index: dict[str, int] = {}

    async def links(self) -> dict[int, decode.Link]:
        """Returns all interfaces of the namespace by ifindex."""
        links = {link.ifindex: link for link in map(decode.link, await self.client.dump(encode.dump_links()))}
        self.index = {link.name: ifindex for ifindex, link in links.items()}
        return links

    async def know(self, ops: Iterable[Op]) -> None:
        """Reads the interfaces again where an operation names one that is not known yet."""
        if any(name not in self.index for op in ops for name in _interfaces(target(op))):
            await self.links()

    async def send(
        self, ops: Iterable[Op], encode_: Callable[[Op], list[bytes]], harmless: frozenset[int]
    ) -> list[OpError]:
        """Sends each operation's messages and returns the first refusal of each that is not a harmless one."""
        owners: list[Op] = []
        messages: list[bytes] = []
        errors: list[OpError] = []
        for op in ops:
            try:
                encoded = encode_(op)
            except encode.UnencodableError as error:
                errors.append(OpError(op, str(error)))
                continue
            owners += [op] * len(encoded)
            messages += encoded
        refused: dict[int, OpError] = {}
        for op, answer in zip(owners, await self.client.request(messages), strict=True):
            if answer is not None and answer.errno not in harmless:
                refused.setdefault(id(op), OpError(op, words(answer)))
        return errors + list(refused.values())


def _interfaces(obj: Object) -> tuple[str, ...]:
    match obj:
        case Tunnel(vrf=vrf):
            return (vrf,)
        case Port(vrf=vrf, parent=parent):
            return (vrf, parent) if parent else (vrf,)
        case (
            Address(interface=interface)
            | Classifier(interface=interface)
            | Translation(interface=interface)
            | Nexthop(interface=interface)
        ):
            return (interface,)
        case Route(via=OnLink(interface) | Gateway(interface)):
            return (interface,)
    return ()
