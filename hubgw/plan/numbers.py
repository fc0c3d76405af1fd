"""The numbers that are ours, of interfaces, tables, rules, marks and routes; DESIGN.md has the table of them."""

from typing import Final

from hubgw.names import TUNNEL_PREFIX

TABLES: Final = range(10_000_000, 20_000_000)
"""Routing tables of our VRFs: 10,000,000 + the VRF's number."""

IF_IDS: Final = range(100_000_000, 200_000_000)
"""if_id of a tunnel's xfrm interface, and the id of its nexthop object: 100,000,000 + the tunnel's number."""

SESSIONS: Final = range(20_000_000, 30_000_000)
"""What a gateway instance's BGP sessions have of their own: the routing table to its peers, and the uid of its process;
20,000,000 + twice the VRF's number + the instance."""

GROUPS: Final = range(200_000_000, 300_000_000)
"""Nexthop groups, numbered by the netlink driver; the first is the blackhole nexthop that an empty group holds."""

PROTOCOL: Final = 250
"""Routing protocol number of our routes and nexthops: one that iproute2 gives no name."""

LEARNED_METRIC: Final = 20
"""Metric of a route that BGP taught; a declared one to the same prefix has 0, and is preferred."""

RULES: Final = range(900, 1000)
"""Priorities of our rules: before the kernel's own l3mdev rule, which has 1000."""

NO_DEFAULT_MARK: Final = 0x48470001
"""Mark of packets from connections that may not use a default route (enableInternetSecurity)."""

VRF_MARKS: Final = range(0x49000000, 0x49000000 + len(TABLES))
"""Marks by which sources are looked up in a VRF's table: 0x49000000 + the VRF's number. No packet leaves with one."""

LEARNED_PROTOCOL: Final = 251
"""Routing protocol number of the routes that BGP taught: they are dumped, and verified, apart from the others."""

UNREACHABLE_METRIC: Final = 4278198272
"""Metric of a VRF's default route of last resort: the one that the kernel's documentation of VRF gives."""


def tunnel_interface(number: int) -> str:
    """Returns the interface name of the tunnel with this if_id or nexthop id.

    >>> tunnel_interface(IF_IDS[12])
    'hgt12'
    """
    return f"{TUNNEL_PREFIX}{number - IF_IDS.start}"
