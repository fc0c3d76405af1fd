"""SAs of users that the agent ends -> why, until it is told."""

from typing import Final

from hubgw.agent.user_sessions import spis
from hubgw.drivers.strongswan.codec import IkeSa, is_another
from hubgw.drivers.strongswan.driver import StrongswanDriver

_MOST: Final = 4_096  # of an SA that was gone before anybody knew of it nobody asks


class Ends:
    """Why SAs of users end. Known by their SPIs: unique ids change as an SA is rekeyed, and each charon has its own."""

    def __init__(self, strongswan: StrongswanDriver) -> None:
        self._strongswan = strongswan
        self._reasons: dict[tuple[str, str], str] = {}
        self._charon = 0.0

    def __contains__(self, sa: IkeSa) -> bool:
        return spis(sa) in self._reasons

    def of(self, started: float) -> None:
        """Says when the charon started that runs: another's SAs are no more."""
        if is_another(started, self._charon):
            self._reasons.clear()
        self._charon = started

    async def end(self, sa: IkeSa, reason: str) -> str:
        """Starts to end an SA. Returns why charon would not, or an empty string. Raises DriverError."""
        ends = sa in self
        # That the SA is gone may be heard before charon has answered.
        self._reasons.setdefault(spis(sa), reason)
        if len(self._reasons) > _MOST:
            del self._reasons[next(iter(self._reasons))]
        try:
            refusal = await self._strongswan.terminate(sa.uniqueid)
            ends = ends or not refusal
        finally:
            if not ends:
                self.take(sa)
        return refusal

    def take(self, sa: IkeSa) -> str:
        """Returns the reason, and forgets it; an empty string where the agent did not end the SA."""
        return self._reasons.pop(spis(sa), "")
