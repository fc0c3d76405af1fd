"""What charon said of an attempt that failed -> which tunnels it was, and what an operator is to change, and where."""

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from hubgw.agent.desired import Desired
from hubgw.agent.journal import Journal
from hubgw.agent.reconcile import Reconciler
from hubgw.agent.users import Users
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.faults import OF_USERS, Fault, Why
from hubgw.drivers.strongswan.log import Missed
from hubgw.plan.ipsec import ALL_TRAFFIC, IkeConnection
from hubgw.plan.types import TunnelOf
from hubgw.plan.words import few

FAILURES_EVERY: Final = 10.0  # seconds in which a tunnel's failures are `FAILURES` events at most
FAILURES: Final = 3
STRANGERS_EVERY: Final = 10.0  # seconds from one stranger that is told to the next: anybody can send a packet

_LEGACY: Final = re.compile(r"SHA1|3DES|MODP_1024\b")

_IDENTITY: Final = "set its own identity, or remoteIdentity in the settings of the link"
_ANOTHER: Final = "give the branch another (hubgw pki issue)"
_KEY: Final = "give both ends the same (hubgw show connection --show-key)"


_Told = tuple[TunnelOf, IkeConnection]


@dataclass(frozen=True, slots=True)
class _Index:
    """The tunnels of one generation by what a failure knows of them: anybody can send what makes charon tell one."""

    desired: Desired | None
    by_name: Mapping[str, _Told]
    by_address: Mapping[str, Sequence[_Told]]

    @classmethod
    def of(cls, desired: Desired | None) -> Self:
        objects = desired.plan.objects if desired else ()
        connections = {obj.name: obj for obj in objects if isinstance(obj, IkeConnection)}
        tunnels = desired.plan.tunnels if desired else ()
        # Where a name leads nowhere there is no connection to fail.
        told = [(tunnel, connections[tunnel.name]) for tunnel in tunnels if tunnel.name in connections]
        by_address: dict[str, list[_Told]] = {}
        for tunnel, connection in told:
            by_address.setdefault(tunnel.remote_address, []).append((tunnel, connection))
        return cls(desired, {tunnel.name: (tunnel, connection) for tunnel, connection in told}, by_address)


class Diagnosis:
    """Keeps the last error of each tunnel, and tells it once."""

    def __init__(
        self,
        reconciler: Reconciler,
        strongswan: StrongswanDriver,
        journal: Journal,
        users: Users,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reconciler = reconciler
        self._strongswan = strongswan
        self._journal = journal
        self._users = users
        self._clock = clock
        self._stranger_told = -STRANGERS_EVERY
        self._told: dict[str, deque[float]] = {}  # when the last failures of a tunnel were events
        self._missed, self._missed_told = 0, -STRANGERS_EVERY
        self._index = _Index.of(None)

    async def follow(self) -> None:
        """Takes in what charon logs, for ever. Raises DriverError."""
        async for heard in self._strongswan.faults():
            if isinstance(heard, Missed):
                self.miss(heard.count)
            elif isinstance(heard, Fault):
                self.take(heard)
            else:
                self._users.take(heard)

    def miss(self, count: int) -> None:
        """Counts what came faster than it was taken in, and tells it now and then."""
        now = self._clock()
        self._missed += count
        if now >= self._missed_told + STRANGERS_EVERY:
            self._journal.record("ike.missed", level=logging.WARNING, count=self._missed)
            self._missed, self._missed_told = 0, now

    def take(self, fault: Fault) -> None:
        """Takes in one failure."""
        now, known = self._clock(), False
        for tunnel, connection in self._concerned(fault) if fault.why not in OF_USERS else ():
            known = True
            self._note(tunnel, words(fault, connection), now)
        known = known or self._users.refused(fault)
        if not known and fault.address and now >= self._stranger_told + STRANGERS_EVERY:
            self._stranger_told = now
            self._journal.record("ike.stranger", address=fault.address, reason="no connection leads to this address")

    def _note(self, tunnel: TunnelOf, reason: str, now: float) -> None:
        """Keeps a reason, and makes an event of a new one, of each tunnel not too often: a branch, or who sends in its
        name, may fail in ever new ways."""
        errors = self._reconciler.state.last_errors
        if errors.get(tunnel.name) == reason:
            return
        errors[tunnel.name] = reason
        told = self._told.setdefault(tunnel.name, deque(maxlen=FAILURES))
        if len(told) < FAILURES or now >= told[0] + FAILURES_EVERY:
            told.append(now)
            self._journal.record("tunnel.failed", tunnel.connection, logging.WARNING, tunnel=tunnel.name, reason=reason)

    def _concerned(self, fault: Fault) -> Iterator[_Told]:
        """Yields the tunnel of a connection, or those that are down to whoever is at an address."""
        state = self._reconciler.state
        if self._index.desired is not state.desired:
            self._index = _Index.of(state.desired)
        if fault.connection:
            if told := self._index.by_name.get(fault.connection):
                yield told
            return
        for tunnel, connection in self._index.by_address.get(fault.address, ()):
            if fault.local in {"", tunnel.local_address} and tunnel.nexthop not in state.up:
                yield tunnel, connection


def words(fault: Fault, connection: IkeConnection) -> str:
    """Returns why an attempt failed, and after a semicolon what to change at which end.

    >>> words(Fault(Why.NO_ANSWER), IkeConnection("hgt1", 1, "a", "192.0.2.2", "a", "b", (), (), 10, 1, 1, 1))
    'no answer from 192.0.2.2; is that the branch, is it up, and are UDP 500 and 4500 let through?'
    """
    about = fault.details
    match fault.why:
        case Why.NO_PROPOSAL:
            received, configured = about.get("received", "nothing known"), about.get("configured", "none of it")
            hint = "give both ends one suite (ipsecPolicies here)"
            if _LEGACY.search(received):
                hint += ", or allow legacyAlgorithms in the settings of the site"
            return f"no algorithms in common: the branch offers {received}, the hub has {configured}; {hint}"
        case Why.PROPOSALS_REFUSED:
            proposals = connection.esp_proposals if "established" in about else connection.proposals
            # A second key exchange comes on top of a proposal that is there without it, where charon has it at all.
            offered = [one for one in proposals if "-ke1_" not in one]
            hint = f"give both ends one suite (ipsecPolicies here), and IKEv{connection.version}"
            return f"the branch takes none of what the hub offers ({', '.join(offered)}); {hint}"
        case Why.NO_CONNECTION:
            hint = "set the branch to that, or vpnConnectionProtocolType to what it speaks"
            return f"the branch does not speak IKEv{connection.version}, which this connection has; {hint}"
        case Why.UNKNOWN_IDENTITY:
            return _identity(about.get("identity", ""), about.get("called", ""), connection)
        case Why.OTHER_IDENTITY:
            return f"the branch that answers does not call itself {connection.remote_id}; {_IDENTITY}"
        case Why.WRONG_KEY:
            return f"the branch has another preshared key; {_KEY}"
        case Why.CERTIFICATE | Why.OTHER_AUTHORITY:
            return _certificate(fault, connection)
        case Why.AUTHENTICATION_REFUSED if connection.certificate:
            hint = "its log says which; give it the hub's authority (hubgw pki ca), and the hub's identity"
            said = "does not believe the hub's certificate, or knows no hub called"
            return f"the branch {said} {connection.local_id}; {hint}"
        case Why.AUTHENTICATION_REFUSED:
            hint = "its log says which; give both ends one sharedKey, and the branch the hub's identity"
            return f"the branch has another preshared key, or knows no hub called {connection.local_id}; {hint}"
        case Why.UNREADABLE:
            if connection.version == 2:
                return "the branch sent what is no message of IKEv2; its log says what it sent"
            return f"what the branch encrypts cannot be read, as with another preshared key; {_KEY}"
        case Why.SELECTORS:
            wanted = f" ({about['wanted']})" if "wanted" in about else ""
            hint = "set the branch to 0.0.0.0/0 both ways, routes select"
            if connection.selectors != ALL_TRAFFIC:
                hint = f"the hub has {_pairs(connection)}: set the branch to those, or trafficSelectorPolicies"
            return f"the branch asks for traffic selectors that the hub does not have{wanted}; {hint}"
        case Why.SELECTORS_REFUSED:
            hint, ours = "set the branch to that, routes select", "the traffic selectors 0.0.0.0/0 both ways"
            if connection.selectors != ALL_TRAFFIC:
                ours = f"one of the traffic selectors {_pairs(connection)} (the hub's side first)"
                hint = "set the branch to those, or trafficSelectorPolicies to what the branch has"
            return f"the branch does not take {ours}; {hint}"
        case Why.NO_ANSWER:
            hint = "is that the branch, is it up, and are UDP 500 and 4500 let through?"
            return f"no answer from {connection.remote_address}; {hint}"
        case Why.WITHOUT_IKEV1:
            return "the branch speaks IKEv1, which the hub's charon was built without; set both ends to IKEv2"
        case Why.AGGRESSIVE:
            return "the branch uses aggressive mode, which lets anybody guess at the preshared key; set it to main mode"
        case why:
            raise ValueError(f"{why.name}: is of users' clients alone")


def _pairs(connection: IkeConnection) -> str:
    return ", ".join(few([" === ".join(pair) for pair in connection.selectors]))


def _identity(identity: str, called: str, connection: IkeConnection) -> str:
    if identity == connection.remote_id and called:
        hint = "give the branch that for the identity of its peer"
        return f"the branch takes the hub for {called}, and it is {connection.local_id}; {hint}"
    return f"the branch calls itself {identity or 'nothing'}, and is {connection.remote_id} here; {_IDENTITY}"


def _certificate(fault: Fault, connection: IkeConnection) -> str:
    """The most certain of what charon said of a certificate; of one with other names it says that it found none."""
    match fault.details:
        case {"revoked": revoked}:
            return f"the branch's certificate was revoked on {revoked}; {_ANOTHER}"
        case {"validity": validity}:
            return (
                f"the branch's certificate, or its authority's, has ended or is not yet good ({validity}); {_ANOTHER}"
            )
        case {"unbelieved": subject}:
            hint = f"{_ANOTHER}, or add its authority to certificateAuthorities in the settings of the gateway"
            return f"the branch's certificate ({subject}) is of an authority that the hub does not know; {hint}"
        case {"mismatched": _}:
            return "the branch does not sign by the key of its certificate; give it the key of that"
    if fault.why is Why.OTHER_AUTHORITY:
        return f"the branch's certificate is of no authority that the hub has for this connection; {_ANOTHER}"
    hint = "give it one that names that (hubgw pki issue --identity), or set remoteIdentity in the settings of the link"
    return f"the branch shows no certificate that names it {connection.remote_id}, which it is here; {hint}"
