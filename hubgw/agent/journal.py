"""What happened, for the operator: a bounded list of events, each also a line of the log with its fields.

An event is a constant word with fields; no field ever holds a secret.
"""

import logging
import re
import time
import traceback
from collections import deque
from collections.abc import Callable

from hubgw.agent.statuses import Event

LOG = logging.getLogger("hubgw")

KEPT = 2_000
"""Events that are kept; older ones are in the log."""

_PLAIN = re.compile('[^ "=]+')
"""What is shown without quotes, where it can be printed."""


class Journal:
    """Keeps the newest events and writes each to the log."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=KEPT)

    def record(
        self,
        event: str,
        resource: str = "",
        level: int = logging.INFO,
        fault: BaseException | None = None,
        **fields: object,
    ) -> None:
        """Adds an event about a resource (its full id, or empty); `fields` are shown as text.

        Where a `fault` came from is in the log alone; its own text nowhere, for it may hold a secret.
        """
        text = " ".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())
        self._events.append(Event(self._clock(), event, resource, text))
        about = {"resource": resource} if resource else {}
        if fault is not None:
            fields["traceback"] = "".join(traceback.format_tb(fault.__traceback__))
            text += f"\n{fields['traceback']}"
        LOG.log(level, "%s %s", event, text, extra={"event": event, "fields": {**about, **fields}})

    def events(self, limit: int = KEPT) -> tuple[Event, ...]:
        """Returns the newest events, the oldest of them first."""
        return tuple(self._events)[-limit:] if limit > 0 else ()


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and value.isprintable() else repr(value)
