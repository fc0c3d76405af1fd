"""The state of a session as a PEER frame tells it, in JSON. Pure state.

{"peer", "state": "idle" | "connected" | "established" | "held", "since", "reason", "attempt", "notification",
"negotiated", "learned", "stale", "advertised", "held_until", "flaps", "updates_in", "updates_out",
"treated_as_withdraw", "discarded", "last_malformed"}: times are epoch seconds, `held_until` 0 for none; `reason` is why
the last session ended, and `attempt` why none came since; `discarded` counts UPDATEs that lost an attribute (RFC 7606).
"""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(slots=True)
class Shown:
    """A session in words. `learned`, `stale` and `advertised` are brought up to date by who tells it."""

    peer: str
    state: str = "idle"
    since: float = 0.0
    reason: str = ""
    attempt: str = ""
    notification: dict[str, Any] | None = None
    negotiated: dict[str, Any] | None = None
    learned: int = 0
    stale: int = 0
    advertised: int = 0
    held_until: float = 0.0
    flaps: int = 0
    updates_in: int = 0
    updates_out: int = 0
    treated_as_withdraw: int = 0
    discarded: int = 0
    last_malformed: str = ""

    def document(self) -> dict[str, Any]:
        """Returns what goes into the frame."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
