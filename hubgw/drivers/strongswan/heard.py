"""Events and log of charon -> connections whose SAs came or went; why SAs came to nothing; what becomes of users'."""

import time
from collections.abc import AsyncIterator, Container, Iterable, Mapping

from hubgw.drivers.strongswan import logins
from hubgw.drivers.strongswan.client import listen
from hubgw.drivers.strongswan.faults import Ended, Fault, Faults, says_something
from hubgw.drivers.strongswan.inbox import Missed
from hubgw.drivers.strongswan.ledger import Ledger
from hubgw.drivers.strongswan.peers import Peers
from hubgw.drivers.strongswan.users import Users, unrouted
from hubgw.names import interface_of


class Heard:
    """What the charon behind one VICI socket tells by itself; it is heard in threads of its own."""

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

    async def events(self) -> AsyncIterator[str]:
        """Yields the name of a connection whenever an SA of it came or went, and an empty one when events have begun to
        come: what came and went before is for the caller to look at. Not of users who move no route, as those do whom
        RADIUS gives addresses: they may come by the hundred. Raises DriverError when charon is gone."""

        def names(kind: str, message: Mapping[str, object]) -> list[str]:
            self._peers.hear(kind, message, time.time())
            return moved(kind, message, self._ledger.changed, self._unrouted)

        def wanted(packet: bytes) -> bool:
            return not logins.is_child(packet, self._unrouted)

        async for name in listen(self._path, [*logins.KINDS], names, wanted):
            yield "" if isinstance(name, Missed) else name

    async def faults(self) -> AsyncIterator[Fault | Ended | logins.Login | Missed]:
        """Yields why an IKE SA, or its child, came to nothing, as charon logs it; and of users' SAs how they end, and
        what becomes of them, in the order in which charon says it. Raises DriverError when charon is gone."""
        faults = Faults()

        def heard(kind: str, message: Mapping[str, object]) -> Iterable[Fault | Ended | logins.Login]:
            return faults.hear(message) if kind == "log" else logins.hear(kind, message, self._users_of)

        def wanted(packet: bytes) -> bool:
            return says_something(packet) and logins.says_something(packet, self._users_of)

        async for one in listen(self._path, ["log", *logins.KINDS], heard, wanted):
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
