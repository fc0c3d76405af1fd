"""The agent as its socket shows it: `service.Service` on the store, the compiler and the reconciler."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from hubgw.agent import bgp_status, edit
from hubgw.agent.certificates import Certificates
from hubgw.agent.desired import Compiler, Desired
from hubgw.agent.edit import Edit
from hubgw.agent.expiry import certificate_statuses
from hubgw.agent.journal import Journal
from hubgw.agent.metrics import exposition
from hubgw.agent.observed import resource_statuses, route_statuses, tunnel_statuses, user_gateways
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.references import is_named, is_vpn_connection
from hubgw.agent.service import Applied, BgpRoutes, Refusal, Refused, Sources
from hubgw.agent.statuses import (
    BgpPeerStatus,
    BgpRouteStatus,
    Event,
    Issued,
    IssuedToUser,
    Json,
    PoolStatus,
    ResourceStatus,
    SessionStatus,
    Status,
    UsersStatus,
)
from hubgw.agent.user_profiles import profile_terms
from hubgw.agent.user_sessions import NAME_OF_USER
from hubgw.agent.users import Users
from hubgw.compile.allocate import owners
from hubgw.drivers.base import DriverError
from hubgw.plan.bgp import PeerOf
from hubgw.plan.diff import diff
from hubgw.plan.types import Plan
from hubgw.plan.words import describe
from hubgw.profiles.types import Terms
from hubgw.resources.inventory import Inventory
from hubgw.resources.load import Loaded, load
from hubgw.resources.parse import parse
from hubgw.resources.problem import STORED, Path, Place, Problem
from hubgw.resources.validate import validate
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import Conflict, StoreError

Where = Callable[[str, Path], Place]

SETTLED_WITHIN = 60.0
"""Seconds for which an apply waits for the pass that carries it out, before it answers all the same."""

ROWS_AT_ONCE = 500


class Hub:
    """Answers what the socket is asked. Changes are one at a time; the kernel is the reconciler's alone."""

    def __init__(
        self,
        store: SqliteStore,
        compiler: Compiler,
        reconciler: Reconciler,
        journal: Journal,
        settle: Callable[[], Awaitable[None]],
        *,
        certificates: Certificates,
        users: Users,
    ) -> None:
        """`settle` asks for a pass at once and returns when it has ended."""
        self._store = store
        self._compiler = compiler
        self._reconciler = reconciler
        self._journal = journal
        self._settle = settle
        self._certificates = certificates
        self._users = users
        self._changing = asyncio.Lock()

    async def apply(
        self, sources: Sources, *, prune: bool, dry_run: bool, if_generation: int | None, who: str
    ) -> Applied:
        """See `Service.apply`."""
        loaded = await asyncio.to_thread(load, sources)
        named = await asyncio.to_thread(lambda: {one.key: one.to_json(secrets=True) for one in loaded.resources})
        return await self._change(
            lambda stored: edit.apply_(stored, named, prune=prune and not loaded.problems),
            known=loaded,
            dry_run=dry_run,
            if_generation=if_generation,
            who=who,
            message="apply --prune" if prune else "apply",
        )

    async def put(self, resource_id: str, body: Json, *, who: str) -> bool:
        """See `Service.put`."""
        # The path says what it is; Azure's clients send the rest as they got it.
        document = {key: value for key, value in body.items() if key not in ("name", "type")} | {"id": resource_id}
        parsed = parse(document)
        if parsed.resource is None:
            found = [str(Problem.at(("(request)", 0), finding)) for finding in parsed.findings]
            raise Refused(Refusal.INVALID, found)
        resource = parsed.resource
        fresh = resource.key not in (await self._desired()).inventory.by_key
        await self._change(
            lambda stored: edit.apply_(stored, {resource.key: resource.to_json(secrets=True)}, prune=False),
            known=None,
            dry_run=False,
            if_generation=None,
            who=who,
            message=f"put {resource.label}",
        )
        return fresh

    async def delete(
        self,
        names: Sequence[str],
        sources: Sources,
        *,
        everything: bool,
        cascade: bool,
        dry_run: bool,
        if_generation: int | None,
        who: str,
    ) -> Applied:
        """See `Service.delete`."""
        loaded = await asyncio.to_thread(load, sources)
        if loaded.problems:
            raise Refused(Refusal.INVALID, [str(problem) for problem in loaded.problems])
        keys = [resource.key for resource in loaded.resources]
        return await self._change(
            lambda stored: edit.delete(stored, names, keys, everything=everything, cascade=cascade),
            known=None,
            dry_run=dry_run,
            if_generation=if_generation,
            who=who,
            message="delete --all" if everything else "delete",
        )

    async def resources(self) -> Mapping[str, ResourceStatus]:
        """See `Service.resources`."""
        desired = await self._desired()
        return {status.id.lower(): status for status in resource_statuses(desired, self._reconciler.state)}

    async def status(self) -> Status:
        """See `Service.status`."""
        desired = await self._desired()
        state = self._reconciler.state
        counters = await self._reconciler.counters()
        try:
            await self._reconciler.follow()
            seen = await self._reconciler.observe_kernel()
            learned = await self._reconciler.observe_learned()
        except DriverError:
            seen, learned = [], {}
        return Status(
            time=counters.time,
            generation=desired.snapshot.generation,
            charon=state.unreachable.get("strongswan") or counters.charon,
            resources=tuple(resource_statuses(desired, state)),
            tunnels=tuple(tunnel_statuses(desired.plan, state, counters)),
            routes=(
                *route_statuses(desired.plan, seen),
                *bgp_status.learned_routes(desired.plan, self._reconciler.routing, learned, seen),
            ),
            certificates=certificate_statuses(desired, self._certificates, counters.time),
            sessions=tuple(self._users.sessions()),
            users=tuple(self._users.users()),
            pools=tuple(await self._pools()),
        )

    async def bgp_peers(self, of: str) -> Sequence[BgpPeerStatus]:
        """See `Service.bgp_peers`."""
        desired = await self._desired()
        return list(bgp_status.peer_statuses(desired.plan, self._reconciler.routing, self._wanted(desired.plan, of)))

    async def bgp_routes(self, which: BgpRoutes, of: str) -> Sequence[BgpRouteStatus]:
        """See `Service.bgp_routes`."""
        plan = (await self._desired()).plan
        wanted = self._wanted(plan, of)
        if which is BgpRoutes.ADVERTISED:
            return await _in_turns(bgp_status.advertised_statuses(plan, self._reconciler.routing, wanted))
        refused = which is BgpRoutes.REFUSED
        return await _in_turns(bgp_status.learned_statuses(plan, self._reconciler.routing, wanted, refused=refused))

    def _wanted(self, plan: Plan, of: str) -> bgp_status.Wanted:
        hub_of = bgp_status.hubs(plan)

        def wanted(peer: PeerOf, hub: str) -> bool:
            return of in {"", str(peer.address)} or any(is_named(of, one) for one in (peer.connection, peer.site, hub))

        if of and not any(wanted(peer, hub_of[peer.table]) for peer in plan.peers):
            hint = "name a connection, a site or a hub, or a peer's address; hubgw show bgp peers lists them"
            raise Refused(Refusal.NOT_FOUND, [f"{of}: has no BGP session; {hint}"])
        return wanted

    async def metrics(self) -> bytes:
        """See `Service.metrics`."""
        desired = await self._desired()
        counters = await self._reconciler.counters()
        with suppress(DriverError):
            await self._reconciler.follow()
        tunnels = tunnel_statuses(desired.plan, self._reconciler.state, counters)
        certificates = certificate_statuses(desired, self._certificates, counters.time)
        carried = await self._carried(desired.plan)
        gateways = user_gateways(desired.plan, self._users.sessions(), await self._pools(), carried)
        return exposition(tunnels, await self.bgp_peers(""), certificates, gateways)

    async def _pools(self) -> Sequence[PoolStatus]:
        with suppress(DriverError):
            await self._users.pools.round()
        return self._users.pools.statuses()

    async def _carried(self, plan: Plan) -> Mapping[str, tuple[int, int]]:
        with suppress(DriverError):
            return await self._reconciler.octets() if plan.users else {}
        return {}

    async def disconnect(self, name: str, *, who: str) -> Sequence[SessionStatus]:
        """See `Service.disconnect`."""
        if not NAME_OF_USER.fullmatch(name):
            hint = "name a user as hubgw show sessions does, or the address that the user's client was given"
            raise Refused(Refusal.INVALID, [f"user: is no name and no address, got {name[:64]!r}; {hint}"])
        with suppress(DriverError):
            await self._reconciler.follow()
        try:
            found = await self._users.disconnect(name, who)
        except DriverError as error:
            raise Refused(Refusal.UNAVAILABLE, [str(error)]) from error
        if not found:
            raise Refused(Refusal.NOT_FOUND, [f"{name}: is not signed on; hubgw show sessions lists who is"])
        return found

    async def events(self, limit: int) -> Sequence[Event]:
        """See `Service.events`."""
        return self._journal.events(limit)

    async def shared_keys(self, connection: str, *, who: str) -> Mapping[str, str]:
        """See `Service.shared_keys`."""
        stored = (await self._desired()).snapshot.resources
        key = edit.find(stored, connection)
        if not is_vpn_connection(key):
            raise Refused(Refusal.NOT_FOUND, [f"{connection}: is not a vpnConnection; only those have a sharedKey"])
        self._journal.record("key.shown", str(stored[key]["id"]), who=who)
        return edit.shared_keys(stored[key])

    async def authority(self) -> str:
        """See `Service.authority`."""
        with _kept():
            return self._certificates.authority()

    async def issued(self) -> Sequence[Issued]:
        """See `Service.issued`."""
        return self._certificates.issued()

    async def issue(self, request: str, name: str, names: Sequence[str], days: int, *, who: str) -> tuple[Issued, str]:
        """See `Service.issue`."""
        # Who comes by the one that there is, once there is another, is told from who comes by that.
        if self._certificates.names_one(names):
            await self._reconciler.forget_peers()
        with _kept():
            return self._certificates.issue(request, name, names, days, who=who)

    async def revoke(self, name: str, *, who: str) -> Sequence[Issued]:
        """See `Service.revoke`."""
        with _kept():
            revoked = self._certificates.revoke(name, who=who)
        await self._settled()
        return revoked

    async def users(self) -> UsersStatus:
        """See `Service.users`."""
        users = self._certificates.users
        with _kept():
            authority = users.authority()
        own, *_ = authority.revocation_lists
        return UsersStatus(authority.root, "".join(authority.below), own, users.issued())

    async def issue_user(
        self, request: str, name: str, days: int, *, renews: bool, revokes: bool, who: str
    ) -> tuple[IssuedToUser, str]:
        """See `Service.issue_user`."""
        users = self._certificates.users
        # Who comes by the one that there is, once there is another, is told from who comes by that.
        if users.in_force(name):
            await self._reconciler.forget_peers()
        with _kept():
            made = users.issue(request, name, days, renews=renews, revokes=revokes, who=who)
        if revokes:
            await self._settled()
        return made

    async def profile(self, gateway: str, user: str) -> Terms:
        """See `Service.profile`."""
        return profile_terms(await self._desired(), gateway, user)

    async def revoke_user(self, name: str, *, who: str) -> Sequence[IssuedToUser]:
        """See `Service.revoke_user`."""
        with _kept():
            revoked = self._certificates.users.revoke(name, who=who)
        await self._settled()
        return revoked

    async def _desired(self) -> Desired:
        try:
            return await self._compiler.latest()
        except StoreError as error:
            raise Refused(Refusal.UNAVAILABLE, [str(error)]) from error

    async def _change(
        self,
        decide: Callable[[Mapping[str, Json]], Edit],
        *,
        known: Loaded | None,
        dry_run: bool,
        if_generation: int | None,
        who: str,
        message: str,
    ) -> Applied:
        async with self._changing:
            before = await self._desired()
            head = before.snapshot.generation
            if if_generation is not None and if_generation != head:
                raise Refused(
                    Refusal.CONFLICT, [f"store: the head is generation {head}, not {if_generation}; try again"]
                )
            decided = decide(before.snapshot.resources)
            try:
                problems, inventory, plan = await asyncio.to_thread(self._judge, before, decided, known)
            except StoreError as error:
                raise Refused(Refusal.UNAVAILABLE, [str(error)]) from error
            if problems:
                raise Refused(Refusal.INVALID, problems)
            words = tuple(describe(op) for op in diff(plan.objects, before.plan.objects))
            if not dry_run:
                head = self._commit(head, decided, inventory, who, message)
        if not dry_run and (decided.puts or decided.deletes):
            self._journal.record("configuration.applied", generation=head, who=who, changes=len(decided.changes))
            await self._settled()
        return Applied(head, decided.changes, words, decided.pruned)

    def _judge(self, before: Desired, decided: Edit, known: Loaded | None) -> tuple[list[str], Inventory, Plan]:
        """Validates what would be there, and compiles it; problems of the files and of the whole come together."""
        resources = [
            before.inventory.by_key[key] if key not in decided.puts else self._compiler.resource(key, body)
            for key, body in decided.desired.items()
        ]
        where: Where = known.where if known else lambda key, path: STORED
        problems = [*(known.problems if known else ()), *validate(resources, where, time.time())]
        if problems:
            return [str(problem) for problem in sorted(problems, key=_place)], before.inventory, before.plan
        inventory = Inventory.of(resources)
        snapshot = before.snapshot
        return [], inventory, self._compiler.preview(inventory, snapshot.allocations, snapshot.last)

    def _commit(self, head: int, decided: Edit, inventory: Inventory, who: str, message: str) -> int:
        try:
            return self._store.commit(
                head, decided.puts, decided.deletes, _by_kind(owners(inventory)), who=who, message=message
            )
        except Conflict as conflict:
            raise Refused(Refusal.CONFLICT, [str(conflict)]) from conflict
        except StoreError as error:
            raise Refused(Refusal.UNAVAILABLE, [str(error)]) from error

    async def _settled(self) -> None:
        try:
            await asyncio.wait_for(self._settle(), SETTLED_WITHIN)
        except TimeoutError:
            self._journal.record("pass.slow", seconds=SETTLED_WITHIN)


@contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise Refused(Refusal.UNAVAILABLE, [str(error)]) from error


async def _in_turns(rows: Iterable[BgpRouteStatus]) -> list[BgpRouteStatus]:
    """Takes all rows, which may be millions, and lets others have their turn now and then."""
    taken = []
    for row in rows:
        taken.append(row)
        if len(taken) % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return taken


def _by_kind(wanted: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {"vrf": set(), "tunnel": set(), "port": set()}
    for kind, owner in wanted:
        kinds[kind].add(owner)
    return kinds


def _place(problem: Problem) -> Place:
    return problem.file, problem.line
