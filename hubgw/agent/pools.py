"""How full charon's pools for users are -> their states; an event when one is exhausted, and when it is no longer."""

import logging
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from typing import Any

from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.statuses import PoolStatus
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.users import Leases
from hubgw.names import interface_of
from hubgw.plan.ipsec import IkePool
from hubgw.plan.types import UsersOf


class Pools:
    """The pools of the gateways of users, as they were looked at last."""

    def __init__(self, reconciler: Reconciler, strongswan: StrongswanDriver, journal: Journal) -> None:
        self._reconciler = reconciler
        self._strongswan = strongswan
        self._journal = journal
        self._leases: Sequence[Leases] = ()
        self._exhausted: set[str] = set()

    async def round(self) -> None:
        """Looks at them, where there are any. Raises DriverError."""
        desired = self._reconciler.state.desired
        self._leases = await self._strongswan.leases() if desired and desired.plan.users else ()
        self._exhausted &= {one.pool for one in self._leases}
        for status in self.statuses():
            if status.online >= status.size:
                self._exhaust(status)
            elif status.name in self._exhausted:
                self._exhausted.remove(status.name)
                self._journal.record("pool.freed", status.gateway, **_about(status))

    def full(self, users: UsersOf, pool: str) -> None:
        """Takes in that a pool had no address for a client; that may be over by the next look."""
        for status in self.statuses():
            if status.name == pool and interface_of(pool) == users.name:
                self._exhaust(status)

    def statuses(self) -> list[PoolStatus]:
        """Returns the pools of the plan that charon has, by gateway and instance."""
        return sorted(self._statuses(), key=lambda one: (one.gateway, one.instance, IPv4Network(one.prefix)))

    def _statuses(self) -> Iterator[PoolStatus]:
        desired = self._reconciler.state.desired
        if desired is None or not self._leases:
            return
        users = {one.name: one for one in desired.plan.users}
        pools = {obj.name: obj for obj in desired.plan.objects if isinstance(obj, IkePool)}
        for one in self._leases:
            if one.pool in pools and (owner := users.get(interface_of(one.pool))):
                exhausted = one.online >= one.size
                numbers = one.size, one.online, one.offline
                yield PoolStatus(one.pool, pools[one.pool].prefix, owner.gateway, owner.instance, *numbers, exhausted)

    def _exhaust(self, status: PoolStatus) -> None:
        if status.name not in self._exhausted:
            self._exhausted.add(status.name)
            self._journal.record("pool.exhausted", status.gateway, logging.WARNING, **_about(status))


def _about(status: PoolStatus) -> dict[str, Any]:
    return {"pool": status.name, "prefix": status.prefix, "size": status.size, "instance": status.instance}
