"""What ExaBGP holds of ours, wanted and seen alike: a speaker for each gateway instance, and its neighbors."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from hubgw.names import Secret
from hubgw.plan.kernel import Key


@dataclass(frozen=True, slots=True)
class Speaker:
    """ExaBGP and its helper for one gateway instance: its sockets are bound to the VRF, and it runs under its own uid.

    `name` is ``<vrf>-<instance>``; it listens at `addresses`, the first of which is its router id.
    """

    name: str
    vrf: str
    uid: int
    asn: int
    addresses: tuple[IPv4Address, ...]

    @property
    def key(self) -> Key:
        return ("Speaker", self.name)


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A BGP session of a speaker. Routes never go back to the `site` (full id of the vpnSite) that they came from.

    `digest` tells one password from another and nothing of it; "" where there is none. `hold_time` is in seconds.
    """

    speaker: str
    address: IPv4Address
    local_address: IPv4Address
    asn: int
    site: str
    hold_time: int
    passive: bool
    ttl_security: bool
    maximum_prefixes: int
    digest: str = ""
    password: Secret | None = field(default=None, compare=False)

    @property
    def key(self) -> Key:
        return ("Neighbor", self.speaker, self.address)
