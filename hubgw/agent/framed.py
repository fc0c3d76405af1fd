"""Users' SAs whose addresses RADIUS may have given -> a route for each that is good, and the SAs that end.

charon gives out whatever address a RADIUS server says (Framed-IP-Address), its own leases and others' addresses among
them. So what is given so is routed to nobody until it was looked at here.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from typing import Final, Self

from hubgw.agent.ends import Ends
from hubgw.agent.journal import Journal
from hubgw.agent.live import Sas
from hubgw.agent.user_sessions import REPLACED, spis, stands, user_of
from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.names import interface_of
from hubgw.plan.ipsec import IkePool, IkeServer
from hubgw.plan.kernel import OnLink, Route
from hubgw.plan.types import Plan, UsersOf

_HOST: Final = 32

Held = tuple[str, str]
"""A gateway, or an interface, and an address that somebody has there."""


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


def judge(
    terms: Terms, standing: Iterable[IkeSa], holders: Mapping[Held, str]
) -> tuple[dict[Held, IkeSa], list[Wrong]]:
    """Returns who has each framed address, and the SAs whose address is not theirs.

    Of a user's own SAs the newest has it: a client that comes back is here before its old SA is found dead. Another
    user never takes it away from one of the `holders`. Of those who were never seen without each other none has it: a
    rekey gives an SA another number, and another age, so that nothing says who came first.
    """
    claims: defaultdict[Held, list[IkeSa]] = defaultdict(list)
    wrong: list[Wrong] = []
    for sa in standing:
        users = terms.users[sa.connection]
        for address in sa.virtual_addresses:
            if any(ip_address(address) in prefix for prefix in users.framed):
                claims[users.gateway, address].append(sa)
            elif not terms.pool_of(sa, address):
                reason = f"{address} is neither of a pool nor in framedAddressPrefixes"
                wrong.append(Wrong(sa, users, address, reason))
    have: dict[Held, IkeSa] = {}
    for held, sas in claims.items():
        claimants = {_user(sa): sa.identity for sa in sas}
        holder = holders.get(held, "") if len(claimants) > 1 else next(iter(claimants))
        for sa in sas:
            users, address = terms.users[sa.connection], held[1]
            if holder not in claimants:
                others = " and ".join(user_of(one) for name, one in claimants.items() if name != _user(sa))
                reason = f"RADIUS gave {address} to {others} as well"
                wrong.append(Wrong(sa, users, address, reason))
            elif _user(sa) != holder:
                reason = f"RADIUS gave {address}, which {user_of(claimants[holder])} has"
                wrong.append(Wrong(sa, users, address, reason))
            else:
                if older := have.get(held):
                    wrong.append(Wrong(older, terms.users[older.connection], address, REPLACED, gives_way=True))
                have[held] = sa
    ended = {spis(one.sa) for one in wrong}
    return {held: sa for held, sa in have.items() if spis(sa) not in ended}, wrong


@dataclass(frozen=True, slots=True)
class PoolClaim:
    """An address of a pool that an SA has; how many SAs of its user's have it, and whether another's has it too."""

    sa: IkeSa
    pool: str
    address: str
    own: int
    others: bool

    @property
    def key(self) -> tuple[str, str, str]:
        return (*spis(self.sa), self.address)

    def objection(self, leased: Set[tuple[str, str]] | None) -> str:
        """Returns why the address is not the SA's, or an empty string. `leased` is None where it is not known."""
        if leased is None:
            unknown = f"{self.address} is another's as well, and charon does not say who leases it"
            return unknown if self.others else ""
        return "" if (self.address, self.sa.identity) in leased else f"RADIUS gave {self.address}, which is of a pool"


def pool_claims(terms: Terms, standing: Iterable[IkeSa], every: Iterable[IkeSa]) -> list[PoolClaim]:
    """Returns the claims of those who stand, beside `every` SA: those to whom RADIUS gives nothing lease as well."""
    having: defaultdict[Held, list[str]] = defaultdict(list)
    for sa in every:
        for address in sa.virtual_addresses:
            having[interface_of(sa.connection), address].append(_user(sa))
    claims = []
    for sa in standing:
        for address in sa.virtual_addresses:
            if pool := terms.pool_of(sa, address):
                users = having[interface_of(sa.connection), address]
                own = users.count(_user(sa))
                claims.append(PoolClaim(sa, pool, address, own, own < len(users)))
    return claims


def _route(users: UsersOf, address: str) -> Route:
    return Route(users.table, IPv4Network((address, _HOST)), OnLink(users.name))


def _user(sa: IkeSa) -> str:
    return sa.identity.casefold()


class Framed:
    """Who has an address by RADIUS; `ends` ends the others. `failure` is why not all could be looked at."""

    def __init__(self, strongswan: StrongswanDriver, journal: Journal, ends: Ends) -> None:
        self._strongswan = strongswan
        self._journal = journal
        self._ends = ends
        self._terms = Terms.of(None)
        self._holders: dict[Held, str] = {}  # who has each framed address, by what he proved
        self._leasing: set[tuple[str, str, str]] = set()  # keys of claims: charon itself gave the address
        self._routes: tuple[Route, ...] = ()
        self.failure = ""

    async def routes(self, plan: Plan, sas: Sas) -> tuple[Route, ...]:
        """Returns what is to be routed now, and begins to end who has what is not his."""
        if self._terms.plan is not plan:
            self._terms = Terms.of(plan)
            known = {OnLink(one.name) for one in plan.users if one.framed}
            self._routes = tuple(route for route in self._routes if route.via in known)
        if sas.ike is None:
            return self._routes
        standing = [sa for sa in self._terms.standing(sas.ike) if sa not in self._ends]
        have, wrong = judge(self._terms, standing, self._holders)
        self._holders = {held: _user(sa) for held, sa in have.items()}
        self._routes = tuple(_route(self._terms.users[sa.connection], address) for (_, address), sa in have.items())
        failure = ""
        # What charon does not answer is asked, or said, again at the next look.
        try:
            await self._end(wrong)
            await self._look_at_pools(standing, sas.ike)
        except DriverError as error:
            failure = str(error)
        if failure and failure != self.failure:
            self._journal.record("address.unchecked", level=logging.WARNING, reason=failure)
        self.failure = failure
        return self._routes

    async def _look_at_pools(self, standing: Sequence[IkeSa], every: Iterable[IkeSa]) -> None:
        """Ends who has an address of a pool that charon did not give him: it gives it to another, if it has not yet."""
        claims = pool_claims(self._terms, standing, every)
        self._leasing &= {one.key for one in claims}
        unsure = [one for one in claims if one.others or one.key not in self._leasing]
        leased: dict[str, Set[tuple[str, str]] | None] = {}
        failure: DriverError | None = None
        try:
            for pool in sorted({one.pool for one in unsure}):
                leased[pool] = await self._strongswan.leased(pool)
        except DriverError as error:
            failure = error
        wrong: list[Wrong] = []
        for one in unsure:
            of_pool = leased.get(one.pool)
            if of_pool is None and one.key in self._leasing:
                continue
            if reason := one.objection(of_pool):
                wrong.append(Wrong(one.sa, self._terms.users[one.sa.connection], one.address, reason))
            elif of_pool is not None and one.own == 1:
                self._leasing.add(one.key)
        await self._end(wrong)
        if failure:
            raise failure

    async def _end(self, wrong: Iterable[Wrong]) -> None:
        for one in wrong:
            if one.sa in self._ends or await self._ends.end(one.sa, one.reason) or one.gives_way:
                continue
            self._journal.record(
                "address.refused",
                one.users.gateway,
                logging.WARNING,
                user=user_of(one.sa.identity),
                address=one.address,
                client=one.sa.remote_address,
                instance=one.users.instance,
                reason=one.reason,
            )
