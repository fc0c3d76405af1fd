"""Events of charon -> that SAs came or went, and what becomes of users' SAs."""

import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from hubgw.drivers.strongswan import logins
from hubgw.drivers.strongswan.client import listen
from hubgw.drivers.strongswan.ledger import Ledger
from hubgw.drivers.strongswan.peers import Peers
from hubgw.drivers.strongswan.users import Users, unrouted
from hubgw.names import interface_of


@dataclass(frozen=True, slots=True)
class Moved:
    """SAs came or went; or events have begun to come, and whoever takes this looks at what came and went before."""


class Heard:
    """What the charon behind one VICI socket tells by itself."""

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

    async def events(self, take: Callable[[Moved | logins.Login], None]) -> None:
        """Has `take` called where SAs came or went, and with what becomes of users', in the order in which charon says
        it. Users who move no route move nothing, as those do whom RADIUS gives addresses: they may come by the hundred.
        Raises DriverError when charon is gone, and what `take` raises."""

        def hear(kind: str, octets: bytes) -> None:
            message = logins.read(kind, octets)
            self._peers.hear(kind, message, time.time())
            if moves(kind, message, self._ledger.changed, self._unrouted):
                take(Moved())
            for login in logins.hear(kind, message, self._users_of):
                take(login)

        await listen(self._path, logins.KINDS, hear)


def moves(kind: str, message: Iterable[str], changed: Container[str], users: Container[str]) -> bool:
    """Tells whether an event says of tunnels that SAs came or went, or, by an empty kind, that events come from now on.

    Args:
        kind: of the event.
        message: names of connections, and "up".
        changed: connections of which it matters what became of an old child SA.
        users: interfaces whose SAs move no route.
    """
    if not kind:
        return True
    if kind == "ike-rekey":
        return False
    if kind == "child-rekey":
        return any(name in changed for name in message)
    return any(name != "up" and interface_of(name) not in users for name in message)
