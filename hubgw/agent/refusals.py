"""What charon said of a user's client that did not get in -> why, in words, and events of it, not too many."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hubgw.agent.journal import Journal
from hubgw.drivers.strongswan.faults import Fault, Why
from hubgw.plan.ipsec import IkeServer
from hubgw.plan.types import UsersOf

MOST: Final = (20, 5.0)
"""Refusals of those who said who they are that are told at once, and seconds from one to the next after these."""

MOST_OF_ONE: Final = (5, 10.0)
"""And of one address."""

MOST_NAMELESS: Final = (3, 10.0)
"""And of those who did not say, whom one packet from any address suffices for."""

SILENCE: Final = 10.0  # seconds after which it is told how many were not told

_REMEMBERED: Final = 1_000  # names and addresses: anybody can make up new ones

_ANOTHER: Final = "give the user another"
_PROFILE: Final = "give the user a new profile"

NO_GOOD: Final = f"the certificate is revoked (vpnClientRevokedCertificates); {_ANOTHER}"


@dataclass(frozen=True, slots=True)
class Refused:
    """Who did not get in the last time, as he called himself; epoch seconds."""

    time: float
    address: str
    reason: str


class _Budget:
    """So many at once, and then one every so many seconds."""

    __slots__ = ("_at", "_every", "_left", "_most")

    def __init__(self, most: tuple[int, float], now: float) -> None:
        self._most, self._every = most
        self._left, self._at = float(self._most), now

    def has(self, now: float) -> bool:
        self._left = min(self._most, self._left + (now - self._at) / self._every)
        self._at = now
        return self._left >= 1

    def spend(self) -> None:
        self._left -= 1


class Refusals:
    """Tells refusals, and keeps the last of each user."""

    def __init__(self, journal: Journal, clock: Callable[[], float], time: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._time = time
        self._named, self._nameless = _Budget(MOST, clock()), _Budget(MOST_NAMELESS, clock())
        self._of_one: OrderedDict[str, _Budget] = OrderedDict()  # by address
        self._untold, self._told = 0, clock()
        self.last: OrderedDict[str, Refused] = OrderedDict()

    def take(self, users: UsersOf, user: str, address: str, reason: str) -> None:
        """Takes in that somebody was refused; `user` is empty where he has not said who he is."""
        if user:
            self.last[user] = Refused(self._time(), address, reason)
            _forget(self.last, user)
        now = self._clock()
        budgets = self._named if user else self._nameless, self._of_one.setdefault(address, _Budget(MOST_OF_ONE, now))
        _forget(self._of_one, address)
        if not all(budget.has(now) for budget in budgets):
            self._untold += 1
            return
        for budget in budgets:
            budget.spend()
        about: dict[str, Any] = {"user": user} if user else {}
        about |= {"client": address, "instance": users.instance, "reason": reason}
        self._tell(users.gateway, **about)

    def round(self) -> None:
        """Tells how many were not told, where none was for a while that could have said so."""
        if self._untold and self._clock() >= self._told + SILENCE:
            self._tell("")

    def _tell(self, gateway: str, **about: object) -> None:
        more = {"more": self._untold} if self._untold else {}
        self._untold, self._told = 0, self._clock()
        self._journal.record("user.refused", gateway, logging.WARNING, None, **about, **more)


def _forget(remembered: OrderedDict[str, Refused] | OrderedDict[str, _Budget], key: str) -> None:
    """Forgets who was there the longest ago."""
    remembered.move_to_end(key)
    if len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)


def words(fault: Fault, server: IkeServer | None) -> str:
    """Says why a client was refused, and what to do.

    >>> words(Fault(Why.NO_ADDRESS), None)
    'every address of the pool is in use; give the gateway a greater one (vpnClientAddressPool)'
    """
    about = fault.details
    match fault.why:
        case Why.NO_PROPOSAL:
            both = f"the client offers {about.get('received', 'nothing known')}, the gateway has "
            both += about.get("configured", "none of it")
            return f"no algorithms in common: {both}; {_PROFILE}, or set vpnClientIpsecPolicies"
        case Why.NO_CONNECTION | Why.WITHOUT_IKEV1:
            return "the client does not speak IKEv2; set it to that"
        case Why.UNKNOWN_IDENTITY | Why.OTHER_IDENTITY if server and about.get("called", server.local_id) not in {
            server.local_id,
            "%any",
        }:
            return f"the client takes the gateway for {about['called']}, and it is {server.local_id}; {_PROFILE}"
        case Why.UNKNOWN_IDENTITY | Why.OTHER_IDENTITY:
            return f"the gateway knows nobody who calls himself so, or proves it in this way; {_PROFILE}"
        case Why.CERTIFICATE | Why.NO_PROOF if server and server.is_strict and _lacks_a_list(about):
            hint = "give a newer one in revocationLists of the vpnServerConfiguration's settings"
            return f"the certificate's authority has no list of what is revoked that is still good; {hint}"
        case Why.CERTIFICATE:
            return _certificate(fault)
        case Why.AUTHENTICATION_REFUSED:
            return f"the client does not believe the gateway's certificate; {_PROFILE}"
        case Why.SELECTORS | Why.SELECTORS_REFUSED:
            return f"the client asks for traffic that the gateway does not carry; {_PROFILE}"
        case Why.NO_ADDRESS:
            return "every address of the pool is in use; give the gateway a greater one (vpnClientAddressPool)"
        case Why.NO_ADDRESS_ASKED:
            return f"the client asks for no address; {_PROFILE}"
        case Why.EAP_FAILED if "silent" in about:
            return "no RADIUS server answers; is it up, does it know the hub, and has it the same radiusServerSecret?"
        case Why.EAP_FAILED if "unknown" in about:
            return "there is no such user"
        case Why.EAP_FAILED:
            return "wrong password, or no such user"
        case Why.EAP_METHOD:
            return f"the client takes another EAP method alone; {_PROFILE}"
        case Why.NO_PROOF:
            hint = f"{_PROFILE}, or add the authority of the certificate to vpnClientRootCertificates"
            return f"the client proves itself in no way that the gateway takes; {hint}"
        case Why.HALF_OPEN:
            return "the client began and did not go on; are UDP 500 and 4500 let through, fragments too?"
        case Why.NO_ANSWER:
            return "the client does not answer any longer"
        case _:
            return f"the client speaks otherwise than the gateway; {_PROFILE}"


def _lacks_a_list(about: Mapping[str, str]) -> bool:
    return "unlisted" in about and about.keys().isdisjoint({"revoked", "validity", "unbelieved", "mismatched"})


def _certificate(fault: Fault) -> str:
    """The most certain of what charon said of a certificate."""
    match fault.details:
        case {"revoked": revoked}:
            return f"the certificate was revoked on {revoked}; {_ANOTHER}"
        case {"validity": validity}:
            return f"the certificate, or its authority's, has ended or is not yet good ({validity}); {_ANOTHER}"
        case {"unbelieved": subject}:
            hint = f"{_ANOTHER}, or add its authority to vpnClientRootCertificates"
            return f"the certificate ({subject}) is of an authority that the gateway does not know; {hint}"
        case {"mismatched": _}:
            return f"the client does not sign by the key of its certificate; {_ANOTHER}"
    return f"the client shows no certificate that names it as it calls itself; {_PROFILE}"
