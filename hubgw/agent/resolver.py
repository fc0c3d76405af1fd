"""Names of branches -> the addresses that their tunnels lead to; a name is asked for only while its tunnel is down.

A tunnel that is up stays where it is, whatever the DNS says meanwhile, as Azure's do.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Final

from hubgw.agent.backoff import Backoff
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.resolved import Resolved
from hubgw.plan.types import TunnelOf
from hubgw.resources.base import NOT_ROUTED

FIRST_DELAY: Final = 2.0  # seconds
LONGEST_DELAY: Final = 30.0
DEADLINE: Final = 10.0  # seconds for one answer, once it is asked for; a resolver that is away may take thirty
AT_ONCE: Final = 16

_HINT: Final = "see to its A record, and to the resolver of this machine"

LookUp = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the IPv4 addresses of a name, in the order of the answer. Raises OSError."""


class Resolver:
    """Asks for names with back-off, each apart from the others; `changed` is called when an address is another."""

    def __init__(
        self,
        reconciler: Reconciler,
        resolved: Resolved,
        journal: Journal,
        changed: Callable[[], None],
        look_up: LookUp | None = None,
    ) -> None:
        self._reconciler = reconciler
        self._resolved = resolved
        self._journal = journal
        self._changed = changed
        self._look_up = look_up or System().look_up
        self._attempts = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, str] = {}  # why a name leads nowhere, by name
        self._said: dict[str, str] = {}  # the last error that is ours, by tunnel
        self._taken: dict[str, str] = {}  # whose name leads to somebody else, by tunnel

    async def round(self) -> None:
        """Asks for what is due, and waits for no answer."""
        now = asyncio.get_running_loop().time()
        down = self._down()
        names = {tunnel.fqdn for tunnel in down}
        self._attempts.keep(names)
        self._told = {name: why for name, why in self._told.items() if name in names}
        for name in names - self._asking.keys():
            if self._attempts.due(name, now):
                self._attempts.failed(name, now)
                self._asking[name] = asyncio.create_task(self._ask(name))
        self._say(down)

    def _named(self) -> list[TunnelOf]:
        desired = self._reconciler.state.desired
        return [tunnel for tunnel in desired.plan.tunnels if tunnel.fqdn] if desired else []

    def _down(self) -> list[TunnelOf]:
        return [tunnel for tunnel in self._named() if tunnel.nexthop not in self._reconciler.state.up]

    async def _ask(self, name: str) -> None:
        try:
            found = await self._look_up(name)
        except OSError as error:
            self._tell(name, f"fqdn {name} has no IPv4 address: {error.strerror or 'no answer'}; {_HINT}")
        else:
            if usable := [address for address in found if _is_host(address)]:
                self._take(name, usable)
            else:
                said = ", ".join(found) or "nothing"
                self._tell(name, f"fqdn {name} has no IPv4 address: the answer is {said}; {_HINT}")
        finally:
            del self._asking[name]

    def _take(self, name: str, found: Sequence[str]) -> None:
        """Keeps an address that is still among the answers, whose order may turn, and else takes the first."""
        self._told.pop(name, None)
        known, moved = self._resolved.addresses, {}
        for tunnel in self._down():
            held = known.get(key := (tunnel.name, name))
            if tunnel.fqdn == name and (held is None or held.address not in found):
                moved[key] = found[0]
        for tunnel_name, _ in moved:
            self._journal.record("name.resolved", tunnel=tunnel_name, fqdn=name, address=found[0])
        if self._resolved.put(moved, {(tunnel.name, tunnel.fqdn) for tunnel in self._named()}):
            self._changed()

    def _tell(self, name: str, why: str) -> None:
        if self._told.get(name) != why:
            self._told[name] = why
            self._journal.record("name.failed", level=logging.WARNING, fqdn=name, reason=why)

    def _say(self, down: Iterable[TunnelOf]) -> None:
        """Gives each tunnel without an address its last error, and takes that back when it has one."""
        errors = self._reconciler.state.last_errors
        said = {tunnel.name: self._reason(tunnel) for tunnel in down if not tunnel.remote_address}
        for tunnel, reason in self._said.items():
            if tunnel not in said and errors.get(tunnel) == reason:
                del errors[tunnel]
        self._said = {tunnel: reason for tunnel, reason in said.items() if reason}
        errors.update(self._said)
        self._tell_taken(down)

    def _tell_taken(self, down: Iterable[TunnelOf]) -> None:
        """Says once of each tunnel that its name leads where somebody else is."""
        taken = {
            tunnel.name: (tunnel, why)
            for tunnel in down
            if (why := self._said.get(tunnel.name)) and tunnel.fqdn not in self._told
        }
        for name, (tunnel, why) in taken.items():
            if self._taken.get(name) != why:
                self._journal.record(
                    "name.taken", tunnel.connection, level=logging.WARNING, tunnel=name, fqdn=tunnel.fqdn, reason=why
                )
        self._taken = {name: why for name, (_, why) in taken.items()}

    def _reason(self, tunnel: TunnelOf) -> str:
        if why := self._told.get(tunnel.fqdn):
            return why
        desired = self._reconciler.state.desired
        if desired and (found := desired.addresses.get((tunnel.name, tunnel.fqdn))):
            ends = tunnel.local_address, found.address
            plan = desired.plan
            there = {one.connection for one in plan.tunnels if (one.local_address, one.remote_address) == ends}
            whose = f"where {', '.join(sorted(there))} was first" if there else "which is the hub's own"
            return (
                f"fqdn {tunnel.fqdn} leads to {found.address}, {whose}, and they could not be told apart; correct its "
                "A record, or give both branches IKEv2, the same mode and own identities"
            )
        return ""


def _is_host(address: str) -> bool:
    return not any(IPv4Address(address) in special for special in NOT_ROUTED)


class System:
    """The machine's own resolver. A look-up cannot be ended, so each has a thread that nobody waits for at the end."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)

    async def look_up(self, name: str) -> Sequence[str]:
        """Returns the IPv4 addresses of a name. Raises OSError: there are none, or no answer came in time."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str] | OSError] = loop.create_future()

        def take(found: list[str] | OSError) -> None:
            self._free.release()
            if not answer.done():
                answer.set_result(found)

        def ask() -> None:
            try:
                infos = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_DGRAM)
                found: list[str] | OSError = [str(info[4][0]) for info in infos]
            except (OSError, UnicodeError) as error:
                found = error if isinstance(error, OSError) else OSError(0, "no name of a host")
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(take, found)

        await self._free.acquire()  # outside of the deadline: slow names make others wait, and not fail
        try:
            async with asyncio.timeout(DEADLINE):
                threading.Thread(target=ask, name="look-up", daemon=True).start()
                got = await answer
        except TimeoutError:
            raise OSError(0, f"no answer within {DEADLINE:g} s") from None
        if isinstance(got, OSError):
            raise got
        return got
