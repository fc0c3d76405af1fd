"""Which of the paths to one prefix are best, and over which tunnels they go. Longest prefix and static over learned are
not decided here: the kernel does the one, `hubgw.rib.table` the other."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

from hubgw.plan.bgp import Preference

MAX_NEXTHOPS: Final = 8
"""Most tunnels that packets to one prefix are spread over."""

Rank = tuple[int, int, int]
"""What paths are compared by; the least is best, equal ones share the packets."""


class Way(Protocol):
    """Where paths lead: nexthop ids of the tunnels to use, sorted."""

    @property
    def used(self) -> Sequence[int]: ...


def rank(preference: Preference, path_length: int, express_route: bool = False, remote: bool = False) -> Rank:
    """Returns how a path compares under a hubRoutingPreference: a path of a VPN connection unless `express_route`, of a
    connection of this hub unless `remote`.

    Azure prefers this hub's own connections, then the kind of connection, then the shorter AS path, and in ASPath mode
    the AS path before the others. Among paths of remote hubs VPN comes first in every mode. What other BGP speakers
    compare next (origin, MED, age, router id) has no part in it.

    >>> rank("VpnGateway", 2) < rank("VpnGateway", 1, express_route=True) < rank("VpnGateway", 1, remote=True)
    True
    >>> rank("ExpressRoute", 2, express_route=True) < rank("ExpressRoute", 1)
    True
    >>> rank("ExpressRoute", 2, remote=True) < rank("ExpressRoute", 1, express_route=True, remote=True)
    True
    >>> rank("ASPath", 1, remote=True) < rank("ASPath", 2)
    True
    """
    vpn_first = remote or preference == "VpnGateway"
    second_kind = express_route == vpn_first
    if preference == "ASPath":
        return path_length, remote, second_kind
    return remote, second_kind, path_length


def spread(ways: Iterable[Way]) -> tuple[int, ...]:
    """Returns the nexthop ids that packets are spread over, sorted: of more than eight those of the first ways."""
    nexthops = dict.fromkeys(nexthop for way in ways for nexthop in way.used)
    return tuple(sorted(islice(nexthops, MAX_NEXTHOPS)))
