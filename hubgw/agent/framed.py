"""Users' SAs whose addresses RADIUS may have given -> a route for each that is good, and the SAs that end.

charon gives out whatever address a RADIUS server says (Framed-IP-Address), its own leases and others' addresses among
them. So what is given so is routed to nobody until it was looked at here.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from typing import Final, Self

from hubgw.agent.journal import Journal
from hubgw.agent.live import Sas
from hubgw.agent.user_sessions import REPLACED, Ends, spis, stands, user_of
from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.names import interface_of
from hubgw.plan.ipsec import IkePool, IkeServer
from hubgw.plan.kernel import OnLink, Route
from hubgw.plan.types import Plan, UsersOf

_HOST: Final = 32


@dataclass(frozen=True, slots=True)
class Wrong:
    """An SA whose address is not its user's, and why; of one that `gives_way` the user himself has another."""

    sa: IkeSa
    users: UsersOf
    address: str
    reason: str
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What users may have at the gateways of one plan."""

    plan: Plan | None
    users: Mapping[str, UsersOf]  # by name of the connection, of those alone where RADIUS gives addresses
    pools: Mapping[str, Mapping[str, IPv4Network]]  # by name of the connection, and of the pool

    @classmethod
    def of(cls, plan: Plan | None) -> Self:
        objects = plan.objects if plan else ()
        by_interface = {one.name: one for one in plan.users} if plan else {}
        prefixes = {obj.name: IPv4Network(obj.prefix) for obj in objects if isinstance(obj, IkePool)}
        framed = [obj for obj in objects if isinstance(obj, IkeServer) and obj.is_framed]
        return cls(
            plan,
            {one.name: by_interface[interface_of(one.name)] for one in framed},
            {one.name: {name: prefixes[name] for name in one.pools} for one in framed},
        )

    def standing(self, sas: Iterable[IkeSa]) -> list[IkeSa]:
        """Returns the SAs of users to whom RADIUS may have given their addresses, the oldest first."""
        return sorted((sa for sa in sas if sa.connection in self.users and stands(sa)), key=lambda sa: sa.uniqueid)

    def pool_of(self, sa: IkeSa, address: str) -> str:
        """Returns the name of the pool that an address of an SA is in, or an empty string."""
        pools = self.pools[sa.connection].items()
        return next((name for name, prefix in pools if ip_address(address) in prefix), "")


def judge(terms: Terms, standing: Iterable[IkeSa]) -> tuple[tuple[Route, ...], list[Wrong]]:
    """Returns the route of each framed address that somebody has, and the SAs whose address is not theirs.

    Of a user's own SAs the newest has it: a client that comes back is here before its old SA is found dead. Another
    user never takes it away.
    """
    holders: dict[tuple[str, str], IkeSa] = {}
    wrong: list[Wrong] = []
    for sa in standing:
        users = terms.users[sa.connection]
        for address in sa.virtual_addresses:
            key = users.gateway, address
            if not any(ip_address(address) in prefix for prefix in users.framed):
                if not terms.pool_of(sa, address):
                    reason = f"{address} is neither of a pool nor in framedAddressPrefixes"
                    wrong.append(Wrong(sa, users, address, reason))
            elif (older := holders.get(key)) is None:
                holders[key] = sa
            elif _identity(older).casefold() == _identity(sa).casefold():
                wrong.append(Wrong(older, terms.users[older.connection], address, REPLACED, gives_way=True))
                holders[key] = sa
            else:
                reason = f"RADIUS gave {address}, which {user_of(_identity(older))} has"
                wrong.append(Wrong(sa, users, address, reason))
    ended = {one.sa.uniqueid for one in wrong}
    good = ((sa, address) for (_, address), sa in holders.items() if sa.uniqueid not in ended)
    return tuple(_route(terms.users[sa.connection], address) for sa, address in good), wrong


def _route(users: UsersOf, address: str) -> Route:
    return Route(users.table, IPv4Network((address, _HOST)), OnLink(users.name))


def _identity(sa: IkeSa) -> str:
    return sa.eap_identity or sa.remote_id


class Framed:
    """Who has an address by RADIUS; `ends` is told why an SA ends."""

    def __init__(self, strongswan: StrongswanDriver, journal: Journal, ends: Ends) -> None:
        self._strongswan = strongswan
        self._journal = journal
        self._ends = ends
        self._terms = Terms.of(None)
        self._leasing: set[tuple[str, str]] = set()  # SPIs of those to whom charon gave what they have
        self._routes: tuple[Route, ...] = ()

    async def routes(self, plan: Plan, sas: Sas) -> tuple[Route, ...]:
        """Returns what is to be routed now, and begins to end who has what is not his."""
        if self._terms.plan is not plan:
            self._terms = Terms.of(plan)
            known = {OnLink(one.name) for one in plan.users if one.framed}
            self._routes = tuple(route for route in self._routes if route.via in known)
        if sas.ike is None:
            return self._routes
        standing = [sa for sa in self._terms.standing(sas.ike) if sa.uniqueid not in self._ends]
        self._routes, wrong = judge(self._terms, standing)
        # A charon that is lost in between is looked at again when it is back.
        with suppress(DriverError):
            for one in [*wrong, *await self._unleased(standing)]:
                await self._end(one)
        return self._routes

    async def _unleased(self, standing: Sequence[IkeSa]) -> list[Wrong]:
        """Returns who has an address of a pool that charon did not give him: it would give it to another."""
        self._leasing &= {spis(sa) for sa in standing}
        asked: dict[str, set[tuple[str, str]]] = {}
        wrong = []
        for sa in (sa for sa in standing if spis(sa) not in self._leasing):
            pools = {address: name for address in sa.virtual_addresses if (name := self._terms.pool_of(sa, address))}
            for name in set(pools.values()) - asked.keys():
                asked[name] = await self._strongswan.leased(name)
            for address, name in pools.items():
                if (address, _identity(sa)) in asked[name]:
                    self._leasing.add(spis(sa))
                else:
                    reason = f"RADIUS gave {address}, which is of a pool"
                    wrong.append(Wrong(sa, self._terms.users[sa.connection], address, reason))
        return wrong

    async def _end(self, wrong: Wrong) -> None:
        number = wrong.sa.uniqueid
        if number in self._ends:
            return
        # That the SA is gone may be heard before charon has answered.
        self._ends.put(number, wrong.reason)
        try:
            refusal = await self._strongswan.terminate(number)
        except DriverError:
            self._ends.take(number)
            raise
        if refusal:
            self._ends.take(number)
        elif not wrong.gives_way:
            self._journal.record(
                "address.refused",
                wrong.users.gateway,
                logging.WARNING,
                user=user_of(_identity(wrong.sa)),
                address=wrong.address,
                client=wrong.sa.remote_address,
                instance=wrong.users.instance,
                reason=wrong.reason,
            )
