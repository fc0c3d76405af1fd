"""What one peer has announced, judged by its route table's policy: Adj-RIB-In. It knows nothing of other peers."""

from collections.abc import Set
from typing import Final

from hubgw.plan.bgp import Attributes, Nlri, PeerOf
from hubgw.rib.best import spread
from hubgw.rib.policy import Path, Policy, blocks_of

_SLACK: Final = 64


class AdjRibIn:
    """Adj-RIB-In of a peer. All of `paths` is there to be shown; what is in `refused` (by reason) is not used.

    `unconfirmed` are the prefixes that End-of-RIB sweeps. `live` are the nexthop ids of the peer's tunnels that are up,
    `used` those of them of the greatest `weight`, and `group` what its routes take when they have no rival (None: no
    tunnel is up).
    """

    __slots__ = (
        "_judged",
        "alone",
        "group",
        "internal",
        "key",
        "live",
        "of",
        "paths",
        "refused",
        "unconfirmed",
        "used",
        "weight",
    )

    def __init__(self, of: PeerOf, up: Set[int]) -> None:
        self.of = of
        self.key = of.key
        self.internal = blocks_of(of.internal)
        self.paths: dict[Nlri, Path] = {}
        self.refused: dict[Nlri, str] = {}
        self.unconfirmed: set[Nlri] = set()
        self.alone = (self,)
        self.live: tuple[int, ...] = ()
        self.used: tuple[int, ...] = ()
        self.weight = 0
        self.group: tuple[int, ...] | None = None
        self._judged: dict[bytes, Path] = {}
        self.set_up(up)

    def set_up(self, up: Set[int]) -> bool:
        """Takes over which tunnels are up; tells whether that changes where this peer's routes lead."""
        live = tuple(sorted({nexthop for nexthop in self.of.nexthops if nexthop in up}))
        if live == self.live:
            return False
        self.live = live
        weights = dict(zip(self.of.nexthops, self.of.weights, strict=False))
        self.weight = max([weights.get(nexthop, 0) for nexthop in live], default=0)
        self.used = tuple([nexthop for nexthop in live if weights.get(nexthop, 0) == self.weight])
        self.group = spread(self.alone) or None
        return True

    def path(self, attributes: Attributes, policy: Policy) -> Path:
        """Returns the judgement of these attributes: for equal attributes the same object, as long as it is in use."""
        path = self._judged.get(attributes.wire)
        if path is None:
            if len(self._judged) > 2 * len(self.paths) + _SLACK:
                self._judged = {path.attributes.wire: path for path in self.paths.values()}
            path = self._judged[attributes.wire] = policy.judge(self.of, attributes)
        return path

    def accepted(self) -> list[Nlri]:
        """Returns the prefixes whose paths are not refused."""
        return [prefix for prefix in self.paths if prefix not in self.refused]

    def holds(self, asns: Set[int]) -> bool:
        """Tells whether one of these AS numbers is in some path."""
        return any(
            not asns.isdisjoint(segment) for path in self._judged.values() for _, segment in path.attributes.as_path
        )
