"""Events of charon -> connections whose SAs came or went, and what becomes of users' SAs."""

import time
from collections.abc import AsyncIterator, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from hubgw.drivers.strongswan import logins
from hubgw.drivers.strongswan.client import listen
from hubgw.drivers.strongswan.inbox import Missed
from hubgw.drivers.strongswan.ledger import Ledger
from hubgw.drivers.strongswan.peers import Peers
from hubgw.drivers.strongswan.users import Users, unrouted
from hubgw.names import interface_of


@dataclass(frozen=True, slots=True)
class Moved:
    """An SA of a connection came or went; without a name, events have begun to come: what came and went before is for
    whoever takes this to look at."""

    connection: str = ""


class Heard:
    """What the charon behind one VICI socket tells by itself; it is heard in a thread of its own."""

    def __init__(self, vici_path: str, ledger: Ledger, peers: Peers) -> None:
        self._path = vici_path
        self._ledger = ledger
        self._peers = peers
        self._users_of: frozenset[str] = frozenset()  # the interfaces
        self._unrouted: frozenset[str] = frozenset()  # those of them whose users move no route

    def expect(self, users: Mapping[str, Users]) -> None:
        """Says what is wanted for users, by name."""
        self._users_of = frozenset(map(interface_of, users))
        self._unrouted = unrouted(users.values())

    async def events(self) -> AsyncIterator[Moved | logins.Login | Missed]:
        """Yields which SAs came or went, and what becomes of users', in the order in which charon says it. Users who
        move no route move nothing, as those do whom RADIUS gives addresses: they may come by the hundred. Raises
        DriverError when charon is gone."""

        def hear(kind: str, message: Mapping[str, object]) -> Iterator[Moved | logins.Login]:
            self._peers.hear(kind, message, time.time())
            yield from map(Moved, moved(kind, message, self._ledger.changed, self._unrouted))
            yield from logins.hear(kind, message, self._users_of)

        async for one in listen(self._path, [*logins.KINDS], hear):
            yield one


def moved(kind: str, message: Iterable[str], changed: Container[str], users: Container[str]) -> list[str]:
    """Returns the connections whose SAs came or went by an event; an empty name where events have begun to come.

    Args:
        kind: of the event; "" for the beginning.
        message: names of connections, and "up".
        changed: connections of which it matters what became of an old child SA.
        users: interfaces whose SAs move no route.
    """
    if not kind:
        return [""]
    if kind == "ike-rekey":
        return []
    if kind == "child-rekey":
        return [name for name in message if name in changed]
    return [name for name in message if name != "up" and interface_of(name) not in users]
