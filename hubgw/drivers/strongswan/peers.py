"""Events of charon, and what it remembers -> by which certificate the other end of an IKE SA has proved itself. No I/O.

charon tells nowhere by which certificate an SA was made. It remembers those that were proved; among them is that of an
SA which was seen to be made since it last had to forget.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.drivers.strongswan.held import Held
from hubgw.pki.reading import Certificate

_HEARD_WITHIN: Final = 5.0  # seconds from a proof to the event of its SA


class Peers:
    """What is known of each IKE SA by its unique id."""

    def __init__(self) -> None:
        self._made: dict[str, float] = {}
        self._proved: dict[str, tuple[Certificate, ...]] = {}
        self._forgotten = 0.0

    def hear(self, kind: str, message: Mapping[str, Any], now: float) -> None:
        """Takes an event; of an empty kind, when events have begun to come: what came before was not heard."""
        if not kind:
            self._made.clear()
            self._proved.clear()
        for sa in (one for one in message.values() if isinstance(one, Mapping)):
            if kind == "ike-rekey":
                self._rekeyed(_id(sa.get("old", {})), _id(sa.get("new", {})))
            elif kind == "ike-updown" and message.get("up") == b"yes":
                self._made[_id(sa)] = now
            elif kind == "ike-updown":
                self._made.pop(_id(sa), None)
                self._proved.pop(_id(sa), None)

    @property
    def forgotten(self) -> float:
        """When charon was told to forget (epoch seconds)."""
        return self._forgotten

    def forget(self, now: float) -> None:
        """Takes note that charon was told to forget."""
        self._forgotten = now

    def look(self, sas: Iterable[IkeSa], held: Held) -> None:
        """Takes note of who proved himself by what, once: later there may be more certificates of his."""
        for sa in sas:
            id_ = str(sa.uniqueid)
            made = self._made.get(id_, 0.0)
            is_told = held.is_whole and self._forgotten + _HEARD_WITHIN < made < held.at
            if id_ not in self._proved and is_told and (found := held.of_peer(sa.identity)):
                self._proved[id_] = found

    def of(self, sa: IkeSa) -> tuple[Certificate, ...]:
        """Returns the certificates by one of which an SA was made; none where that is not known."""
        return self._proved.get(str(sa.uniqueid), ())

    def _rekeyed(self, old: str, new: str) -> None:
        """An SA that is rekeyed is another, and nobody proves anything."""
        if (made := self._made.pop(old, None)) is not None:
            self._made[new] = made
        if found := self._proved.pop(old, None):
            self._proved[new] = found


def _id(sa: Mapping[str, Any]) -> str:
    return str(sa.get("uniqueid", b"").decode())
