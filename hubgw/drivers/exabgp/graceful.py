"""How long routes outlive a session, and how long their peer may take to tell them again (RFC 4724). No I/O.

`negotiated` and `notification` are those of the adapter's SESSION frames.
"""

from collections.abc import Mapping
from typing import Any, Final

from hubgw.drivers.exabgp.message import CEASE

OUR_RESTART: Final = 120  # seconds that a peer may take to come back after ExaBGP, or this process, ended
REFRESHED: Final = 60  # seconds after which a peer that cannot mark the end of a refresh has told all
_TOLD: Final = 60  # the same once its session is up, of a peer without graceful restart: it may never say End-of-RIB
LONGEST_TELLING: Final = 180  # the same of a peer with it, which may have to learn its routes first

MAXIMUM_PREFIXES: Final = 1  # subcodes of Cease (RFC 4486)
ADMINISTRATIVE_RESET: Final = 4


def kept_for(notification: Mapping[str, Any] | None, negotiated: Mapping[str, Any]) -> float:
    """Returns for how many seconds the routes of a session outlive its end; 0 for not at all.

    A NOTIFICATION ends them too: our OPEN has no N bit (RFC 8538), whatever the peer's has. A peer that lists no family
    only helps others to restart.
    """
    graceful = negotiated.get("graceful_restart")
    if notification or not graceful or not graceful.get("ipv4_unicast"):
        return 0.0
    return float(graceful["time"])


def still_forwards(negotiated: Mapping[str, Any]) -> bool:
    """Tells whether a peer that came back still forwards what it announced before (RFC 4724, 4.2)."""
    graceful = negotiated.get("graceful_restart")
    return bool(graceful and graceful.get("forwarding"))


def end_of_rib_within(negotiated: Mapping[str, Any]) -> int:
    """Returns the seconds after which a peer whose session came up has told all, though it did not say so."""
    return LONGEST_TELLING if negotiated.get("graceful_restart") else _TOLD


def by_our_will(notification: Mapping[str, Any] | None) -> bool:
    """Tells whether a session was ended on purpose, and by us."""
    return bool(notification and notification["sent"] and notification["code"] == CEASE)
