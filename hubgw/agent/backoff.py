"""Failures -> when to try again: doubling delays with a spread, so that a thousand tunnels do not dial at once."""

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays of one kind of attempt, by name; times are seconds of the event loop's clock."""

    first: float
    longest: float
    spread: random.Random = field(default_factory=random.Random)
    _next: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)

    def due(self, name: str, now: float) -> bool:
        """Tells whether an attempt may be made; a name that never failed may."""
        return self._next.get(name, 0.0) <= now

    def failures(self, name: str) -> int:
        """Returns how many attempts have failed since the last `reset`."""
        return self._failures.get(name, 0)

    def failed(self, name: str, now: float) -> float:
        """Counts an attempt as failed until `reset` says otherwise, and returns the seconds until the next."""
        failures = self._failures.get(name, 0)
        delay: float = min(self.longest, self.first * 2 ** min(failures, 16)) * self.spread.uniform(0.75, 1.25)
        self._failures[name] = failures + 1
        self._next[name] = now + delay
        return delay

    def reset(self, name: str) -> None:
        """Forgets the failures of a name."""
        self._failures.pop(name, None)
        self._next.pop(name, None)

    def keep(self, names: set[str]) -> None:
        """Forgets all names but these."""
        for name in self._next.keys() - names:
            self.reset(name)
