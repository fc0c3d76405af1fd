"""What charon and the kernel hold of our tunnels -> which are up, which SAs nobody keeps, each one's state. Pure."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from hubgw.agent.statuses import Connection
from hubgw.drivers.netlink.xfrm import KernelSa
from hubgw.drivers.strongswan.codec import ChildSa, IkeSa
from hubgw.plan.types import TunnelOf, UsersOf

CHILD_UP = frozenset({"INSTALLED", "UPDATING", "REKEYING"})
"""States of a child SA in which it carries traffic, in charon's words."""

ORPHANS_SERVE = 60.0
"""Seconds after charon's start for which SAs of its predecessor keep their tunnels up: by then the branch's own dead
peer detection, unanswered, has taken its end down."""

REPLACED_AFTER = 10
"""Seconds for which an SA must have stood before what it replaces is collected: the branch has moved to it by then."""


@dataclass(frozen=True, slots=True)
class Sas:
    """All SAs of one moment. `ike` is None while charon cannot be asked; `started` is charon's start, epoch seconds."""

    ike: Sequence[IkeSa] | None
    kernel: Sequence[KernelSa]
    started: float
    now: float

    @property
    def children(self) -> Mapping[str, tuple[IkeSa, ChildSa]]:
        """The youngest child SA that carries traffic, by connection."""
        found: dict[str, tuple[IkeSa, ChildSa]] = {}
        for sa in self.ike or ():
            for child in sa.children:
                known = found.get(sa.connection)
                if child.state in CHILD_UP and (known is None or child.uniqueid > known[1].uniqueid):
                    found[sa.connection] = (sa, child)
        return found

    @property
    def installed(self) -> Mapping[str, Mapping[str, ChildSa]]:
        """The youngest child SA that carries traffic of each name, by connection."""
        found: dict[str, dict[str, ChildSa]] = {}
        for sa in self.ike or ():
            for child in sorted(sa.children, key=lambda child: child.uniqueid):
                if child.state in CHILD_UP:
                    found.setdefault(sa.connection, {})[child.name] = child
        return found

    @property
    def outlived(self) -> list[KernelSa]:
        """Kernel SAs that a charon before this one made: only the kernel keeps them."""
        # charon tells its start as local time, which the clock may have left behind since.
        own = self.own
        return [sa for sa in self.kernel if sa.add_time < int(self.started) and sa.spi not in own]

    @property
    def own(self) -> Set[int]:
        """The SPIs of the charon that runs."""
        return {int(spi, 16) for sa in self.ike or () for child in sa.children for spi in (child.spi_in, child.spi_out)}


def up_tunnels(tunnels: Iterable[TunnelOf], sas: Sas) -> frozenset[int]:
    """Returns the nexthop ids of the tunnels that carry traffic.

    A charon that was killed leaves its SAs in the kernel, where they go on: while it is away, and for a time after it
    is back, they count.
    """
    if sas.ike is None:
        held = {sa.if_id for sa in sas.kernel}
    elif sas.now - sas.started < ORPHANS_SERVE:
        held = {sa.if_id for sa in sas.outlived}
    else:
        held = set()
    children = sas.children
    return frozenset(tunnel.nexthop for tunnel in tunnels if tunnel.name in children or tunnel.nexthop in held)


def left_of_users(users: Iterable[UsersOf], sas: Sas) -> tuple[list[KernelSa], set[int]]:
    """Returns the kernel SAs of users that the charon which runs did not make, and the if_ids of whose policies all are
    such.

    Its leases are gone with a charon that was killed, so that the next user is given the address of one whose SA would
    still carry. To be deleted before IKE is opened: until then it has made none.
    """
    if sas.ike is None:
        return [], set()
    if_ids = {one.if_id for one in users}
    own = sas.own
    # One that was made since may be on its way into charon's list.
    left = [sa for sa in sas.kernel if sa.if_id in if_ids and sa.spi not in own and sa.add_time <= int(sas.started) + 1]
    return left, {sa.if_id for sa in left} - {sa.if_id for sa in sas.kernel if sa.spi in own}


def uncollected(
    tunnels: Iterable[TunnelOf], sas: Sas, users: Iterable[UsersOf] = ()
) -> tuple[list[KernelSa], set[int]]:
    """Returns the kernel SAs to delete, and the if_ids whose policies go with them, without those of `users`.

    An SA that outlived its charon goes when its replacement has stood for a while, when nobody came to replace it in
    time, or when its tunnel is wanted no more. SAs of the charon that runs are its own to delete.
    """
    if sas.ike is None:
        return [], set()
    children = sas.children
    wanted = {tunnel.nexthop: tunnel.name for tunnel in tunnels}
    shared = {one.if_id for one in users}
    doomed, policies = [], set()
    for sa in (sa for sa in sas.outlived if sa.if_id not in shared):
        name = wanted.get(sa.if_id)
        if name is None:
            doomed.append(sa)
            policies.add(sa.if_id)
        elif name in children:
            if children[name][1].installed >= REPLACED_AFTER:
                doomed.append(sa)
        elif sas.now - sas.started >= ORPHANS_SERVE:
            doomed.append(sa)
            policies.add(sa.if_id)
    return doomed, policies


def states(tunnels: Iterable[TunnelOf], sas: Sas, up: Set[int]) -> dict[str, Connection]:
    """Returns each tunnel's connectionStatus by name."""
    if sas.ike is None:
        return {tunnel.name: Connection.UNKNOWN for tunnel in tunnels}
    attempted = {sa.connection for sa in sas.ike}
    return {
        tunnel.name: Connection.CONNECTED
        if tunnel.nexthop in up
        else Connection.CONNECTING
        if tunnel.name in attempted
        else Connection.NOT_CONNECTED
        for tunnel in tunnels
    }


def summary(tunnels: Iterable[Connection]) -> Connection:
    """Returns a connection's state from its tunnels': Azure calls it Connected where any of them is."""
    found = set(tunnels)
    for state in (Connection.CONNECTED, Connection.UNKNOWN, Connection.CONNECTING):
        if state in found:
            return state
    return Connection.NOT_CONNECTED
