"""Observes and changes what is ours of the kernel's links, addresses, NAT, nexthops, routes, rules, settings and SAs.

Operations are carried out in the order given; neighbours of one class and kind go in one send. Only what bears our
names, numbers and protocol is seen or deleted; an interface of the operator's is enslaved and given back.
"""

import asyncio
import socket
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from hubgw.drivers.netlink import decode, encode, groups, learned, links, nat, rules, sysctl, xfrm
from hubgw.drivers.netlink.client import NETLINK_ROUTE, NETLINK_XFRM, Client, words
from hubgw.drivers.netlink.kernel import ABSENT, NONE, Kernel
from hubgw.drivers.netlink.ledger import Ledger
from hubgw.drivers.netlink.monitor import Monitor
from hubgw.plan.bgp import Nlri
from hubgw.plan.diff import target
from hubgw.plan.kernel import (
    Address,
    Classifier,
    Group,
    Nexthop,
    Port,
    Route,
    Rule,
    Sysctl,
    Tiers,
    Translation,
    Tunnel,
    Vrf,
)
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Update


class NetlinkDriver:
    """The kernel of the network namespace that the calling thread is in when the driver is made."""

    def __init__(self, ledger: Path, sysctls: Sequence[str] = ()) -> None:
        """Opens the sockets. `ledger` is a file under /run; `sysctls` are the paths below /proc/sys to observe.

        Raises:
            DriverError: the kernel gives no netlink socket.
        """
        self._kernel = Kernel(Client(NETLINK_ROUTE))
        self._xfrm = Client(NETLINK_XFRM)
        self._ledger = Ledger(ledger)
        self._sysctls = tuple(sysctls)
        self._applying = asyncio.Lock()

    def close(self) -> None:
        self._kernel.client.close()
        self._xfrm.close()

    def monitor(self, nftables_table: str) -> Monitor:
        """Returns the events of others' changes to what is ours, from now on, and to an nftables table.

        Raises:
            DriverError: the kernel does not let us listen.
        """
        return Monitor((self._kernel.client.port_id,), nftables_table)

    async def observe(self) -> list[Object]:
        """Returns all objects of ours that are there now. See `drivers.base.Driver`."""
        dump = self._kernel.client.dump
        interfaces = await self._kernel.links()
        found: list[Object] = [*sysctl.read(self._sysctls), *decode.our_links(interfaces)]
        found += decode.our_addresses(await dump(encode.dump_addresses()), interfaces)
        nexthops, members = decode.our_nexthops(await dump(encode.dump_nexthops()), interfaces)
        found += nexthops
        found += groups.named(self._ledger, members)
        for family in (socket.AF_INET, socket.AF_INET6):
            routes = await dump(encode.dump_routes(family))
            found += decode.our_routes(routes, interfaces, self._ledger.names)
        found += await rules.observe(self._kernel)
        found += await nat.observe(self._kernel, interfaces)
        return found

    async def octets(self) -> dict[str, tuple[int, int]]:
        """Returns what each tunnel interface of ours has received and sent. Raises DriverError."""
        return decode.octets(await self._kernel.client.dump(encode.dump_counted_links()))

    async def apply(self, ops: Sequence[Op]) -> list[OpError]:
        """Carries out the operations that are this driver's. See `drivers.base.Driver`."""
        errors: list[OpError] = []
        async with self._applying:
            # Between two passes an interface may have been made anew under its old name.
            self._kernel.index.clear()
            for (kind, class_), neighbours in groupby(ops, key=lambda op: (type(op), type(target(op)))):
                errors += await self._carry_out(kind, class_, list(neighbours))
        return errors

    async def set_active(self, changed: Sequence[Group]) -> list[OpError]:
        """Gives groups that are there other members at once, by one message each: a tunnel went up or down.

        It waits for no pass under way. A group that is not there is left to the pass that makes it.
        """
        return await groups.set_active(self._kernel, self._ledger, changed)

    async def make_groups(self, new: Sequence[Group]) -> list[OpError]:
        """Makes groups that learned routes are about to use. It waits for no pass under way."""
        return await groups.make(self._kernel, self._ledger, [Create(group) for group in new])

    async def observe_learned(self) -> dict[int, dict[Nlri, Tiers]]:
        """Returns the routes that BGP taught, by table; a route that no plan could want has no tiers."""
        return await learned.observe(self._kernel, self._ledger.names)

    async def program_learned(self, table: int, ways: learned.Ways) -> dict[Nlri, str]:
        """Makes, replaces and, where there are no tiers, deletes routes that BGP taught, in one table.

        Their groups are there already. Returns what the kernel refused, in its words, by prefix. It waits for no pass
        under way.

        Raises:
            DriverError: the answers were lost; some routes may have been changed.
        """
        return await learned.program(self._kernel, self._ledger, table, ways)

    async def xfrm_states(self) -> list[xfrm.KernelSa]:
        """Returns the SAs of the namespace, hubgw's and others'."""
        return xfrm.states(await self._xfrm.dump(xfrm.dump_states()))

    async def delete_states(self, sas: Iterable[xfrm.KernelSa]) -> list[str]:
        """Deletes SAs whose charon is gone; returns what the kernel refused, in its words."""
        return await self._delete_xfrm([xfrm.delete_state(sa) for sa in sas])

    async def delete_policies(self, if_ids: Collection[int]) -> list[str]:
        """Deletes all policies of these interfaces; returns what the kernel refused, in its words."""
        return await self._delete_xfrm(xfrm.policy_deletions(await self._xfrm.dump(xfrm.dump_policies()), if_ids))

    async def _delete_xfrm(self, deletions: Sequence[bytes]) -> list[str]:
        answers = await self._xfrm.request(deletions)
        return [words(answer) for answer in answers if answer is not None and answer.errno not in ABSENT]

    async def _carry_out(self, kind: type[Op], class_: type[Object], ops: Sequence[Op]) -> list[OpError]:
        if class_ is Sysctl:
            return sysctl.write(ops)
        if class_ is Group:
            act = groups.delete if kind is Delete else groups.make
            return await act(self._kernel, self._ledger, ops)
        if class_ in (Vrf, Tunnel, Port):
            return await (links.delete if kind is Delete else links.make)(self._kernel, ops)
        if class_ is Rule:
            return await (rules.delete if kind is Delete else rules.make)(self._kernel, ops)
        if class_ in (Classifier, Translation):
            return await nat.apply(self._kernel, ops)
        await self._kernel.know(ops)
        return await self._kernel.send(ops, self._encode, ABSENT if kind is Delete else NONE)

    def _encode(self, op: Op) -> list[bytes]:
        index = self._kernel.index
        match op, target(op):
            case Delete(), Address() as address:
                return [encode.delete_address(address, index)] if address.interface in index else []
            case Update(), Address() as address:
                return [encode.delete_address(address, index), encode.new_address(address, index)]
            case _, Address() as address:
                return [encode.new_address(address, index)]
            case Delete(), Nexthop(id=number):
                return [encode.delete_nexthop(number)]
            case _, Nexthop() as nexthop:
                return [encode.new_nexthop(nexthop, index)]
            case Delete(), Route() as route:
                return [encode.delete_route(route)]
            case _, Route() as route:
                return [encode.new_route(route, index, self._ledger)]
        raise TypeError(f"not an object of the kernel: {op}")
