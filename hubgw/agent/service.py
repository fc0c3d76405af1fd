"""What the HTTP layer asks of the agent: the one contract between http.py and the daemon. Answers are `statuses`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hubgw.agent.statuses import (
    BgpPeerStatus,
    BgpRouteStatus,
    Event,
    Issued,
    IssuedToUser,
    Json,
    ResourceStatus,
    SessionStatus,
    Status,
    UsersStatus,
)
from hubgw.profiles.types import Terms

Sources = Sequence[tuple[str, bytes]]
"""Files of an apply: the name that its errors are told with, and the content as it was read."""


class Refusal(StrEnum):
    """Why nothing was changed."""

    INVALID = "invalid"  # the configuration has problems
    NOT_FOUND = "notFound"  # no resource of that name
    IN_USE = "inUse"  # what remains refers to it
    CONFLICT = "conflict"  # another change came first
    UNAVAILABLE = "unavailable"  # the store cannot be read or written


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """Nothing was changed; every problem at once, each as `where: what, with the value; hint`, without secrets."""

    def __init__(self, why: Refusal, problems: Sequence[str]) -> None:
        super().__init__(f"{why}: {len(problems)} problems")
        self.why = why
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply or delete did, or with `dry_run` would do.

    `generation` is the head after it. `changes` are the resources in words, `plan` the tunnels and routes in words,
    `pruned` what was deleted because no file names it, as words of ids (`vpnSites/branch1`).
    """

    generation: int
    changes: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()


class BgpRoutes(StrEnum):
    """Which routes of BGP peers."""

    LEARNED = "learned"
    ADVERTISED = "advertised"
    REFUSED = "refused"


class Service(Protocol):
    """The agent, as its socket shows it. Every method may raise `Refused`; `who` names the caller for the history."""

    async def apply(
        self, sources: Sources, *, prune: bool, dry_run: bool, if_generation: int | None, who: str
    ) -> Applied:
        """Creates and updates what the files name, and with `prune` deletes what they do not.

        `if_generation` refuses (CONFLICT) where the head is another by now: what was shown is what is done.
        """
        ...

    async def put(self, resource_id: str, body: Json, *, who: str) -> bool:
        """Creates or replaces one resource; tells whether it is new. `body` is Azure's; its id, name and type are not
        looked at."""
        ...

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
        """Deletes by id or `type/name`, what files name, or everything; with `cascade` also what refers to it.

        A name that is not there is NOT_FOUND; what a file names and is not there is no problem.
        """
        ...

    async def resources(self) -> Mapping[str, ResourceStatus]:
        """Returns all resources by key. Asks neither kernel nor charon."""
        ...

    async def status(self) -> Status:
        """Returns everything, as observed now."""
        ...

    async def bgp_peers(self, of: str) -> Sequence[BgpPeerStatus]:
        """Returns the BGP sessions of a connection, site or hub (by name or id), or of a peer's address; "": all.

        NOT_FOUND where there is none of them.
        """
        ...

    async def bgp_routes(self, which: BgpRoutes, of: str) -> Sequence[BgpRouteStatus]:
        """Returns what peers announced, or are told; `of` as for `bgp_peers`."""
        ...

    async def metrics(self) -> bytes:
        """Returns what is counted, as Prometheus reads it."""
        ...

    async def events(self, limit: int) -> Sequence[Event]:
        """Returns the newest events, the oldest of them first."""
        ...

    async def disconnect(self, name: str, *, who: str) -> Sequence[SessionStatus]:
        """Ends the sessions of a user, or of the client that was given an address; returns those that it ends.

        NOT_FOUND where there is none.
        """
        ...

    async def authority(self) -> str:
        """Returns the certificate of hubgw's own authority, as PEM."""
        ...

    async def issued(self) -> Sequence[Issued]:
        """Returns what hubgw's own authority has issued to branches, the newest last."""
        ...

    async def issue(self, request: str, name: str, names: Sequence[str], days: int, *, who: str) -> tuple[Issued, str]:
        """Issues a certificate for the key of a request (PEM); returns what it is, and itself as PEM."""
        ...

    async def revoke(self, name: str, *, who: str) -> Sequence[Issued]:
        """Revokes a certificate by its serial, or all of a name, and ends the SAs that they made."""
        ...

    async def users(self) -> UsersStatus:
        """Returns hubgw's own authority of users, made if there is none, and what it has issued, the newest last."""
        ...

    async def issue_user(
        self, request: str, name: str, days: int, *, renews: bool, revokes: bool, who: str
    ) -> tuple[IssuedToUser, str]:
        """Issues a certificate to a user, from a request in PEM; returns what it is, and as PEM. One that `renews` is
        beside what the user has, which goes on unless it `revokes`. INVALID, NOT_FOUND."""
        ...

    async def profile(self, gateway: str, user: str) -> Terms:
        """Returns what a user's client of a p2sVpnGateway has to know, by its name or id; "": of the only one. INVALID,
        NOT_FOUND."""
        ...

    async def revoke_user(self, name: str, *, who: str) -> Sequence[IssuedToUser]:
        """Revokes a certificate by its serial, or all of a user, and ends the SAs that they made. NOT_FOUND."""
        ...

    async def shared_keys(self, connection: str, *, who: str) -> Mapping[str, str]:
        """Returns a connection's preshared key under "", and those of link connections with their own by their name.

        `connection` is an id or a name. An event tells who asked.
        """
        ...
