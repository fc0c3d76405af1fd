"""What charon holds of ours, wanted and seen alike: connections, and what their ends prove themselves by."""

from dataclasses import dataclass, field
from typing import Final

from hubgw.names import Secret
from hubgw.plan.kernel import Key


@dataclass(frozen=True, slots=True)
class IkeSecret:
    """A preshared key and its owners: the identities that may use it to authenticate themselves.

    `id` changes with the secret, which charon never gives back, so that comparing ids compares secrets.
    """

    id: str
    owners: tuple[str, ...] = field(compare=False)
    secret: Secret = field(compare=False)

    @property
    def key(self) -> Key:
        return ("IkeSecret", self.id)


@dataclass(frozen=True, slots=True)
class IkeUser:
    """A user's password. `id` changes with the name and the password, which charon never gives back."""

    id: str
    name: str = field(compare=False)
    secret: Secret = field(compare=False)

    @property
    def key(self) -> Key:
        return ("IkeUser", self.id)


@dataclass(frozen=True, slots=True)
class IkeRadius:
    """A RADIUS server that charon asks about users, that of the greatest `score` first. `digest` is of its secret."""

    address: str
    score: int
    digest: str
    secret: Secret = field(compare=False)

    @property
    def name(self) -> str:
        return self.address

    @property
    def key(self) -> Key:
        return ("IkeRadius", self.address)


Selectors = tuple[tuple[str, str], ...]
"""Pairs of prefixes, the hub's side and the branch's: what the child SAs of a tunnel carry, one SA a pair."""

ALL_TRAFFIC: Final[Selectors] = (("0.0.0.0/0", "0.0.0.0/0"),)


def child_names(name: str, selectors: Selectors) -> tuple[str, ...]:
    """Returns the names of a connection's children in charon: a pair keeps its SA whatever comes or goes beside it.

    All traffic has the connection's own.

    >>> child_names("hgt1", ALL_TRAFFIC)
    ('hgt1',)
    >>> child_names("hgt1", (("10.50.0.0/24", "10.1.0.0/24"),))
    ('hgt1-10.50.0.0/24-10.1.0.0/24',)
    >>> child_names("hgt1", (*ALL_TRAFFIC, ("10.50.0.0/24", "10.1.0.0/24")))
    ('hgt1', 'hgt1-10.50.0.0/24-10.1.0.0/24')
    """
    return tuple(name if pair in ALL_TRAFFIC else f"{name}-{pair[0]}-{pair[1]}" for pair in selectors)


@dataclass(frozen=True, slots=True)
class IkeKey:
    """A private key of the hub's; `id` is the SHA-1 of its public key, by which charon tells it."""

    id: str
    secret: Secret = field(compare=False)

    @property
    def key(self) -> Key:
        return ("IkeKey", self.id)


@dataclass(frozen=True, slots=True)
class IkeCertificate:
    """A certificate, an authority's or the hub's own, or with `revokes` a revocation list; by its own digest.

    `subject` is whose it is; of a revocation list, whose certificates it revokes.
    """

    digest: str
    subject: str = field(compare=False)
    der: bytes = field(compare=False, repr=False)
    revokes: bool = False

    @property
    def key(self) -> Key:
        return ("IkeCertificate", self.digest)


@dataclass(frozen=True, slots=True)
class IkeConnection:
    """One tunnel's IKE connection, with a child for each pair of `selectors`; by preshared key, or, where there is a
    `certificate` (digest of the hub's), by certificates that one of the `authorities` has issued.

    `version` is that of IKE, 1 or 2; `dpd_timeout` (seconds) is IKEv1's alone, and `mobike` (RFC 4555) IKEv2's. A child
    SA lives for `child_life_time` or so many bytes (0: any number), whichever comes first.
    """

    name: str
    if_id: int
    local_address: str
    remote_address: str
    local_id: str
    remote_id: str
    proposals: tuple[str, ...]
    esp_proposals: tuple[str, ...]
    dpd_delay: int  # seconds
    rekey_time: int  # of the IKE SA, seconds
    child_rekey_time: int  # seconds
    child_life_time: int  # seconds
    child_rekey_bytes: int = 0
    child_life_bytes: int = 0
    version: int = 2
    dpd_timeout: int = 0
    selectors: Selectors = ALL_TRAFFIC
    certificate: str = ""
    authorities: tuple[str, ...] = ()
    mobike: bool = False

    @property
    def key(self) -> Key:
        return ("IkeConnection", self.name)


@dataclass(frozen=True, slots=True)
class IkePool:
    """Addresses that charon gives to users' clients, and the DNS servers that it names to them."""

    name: str
    prefix: str
    dns_servers: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return ("IkePool", self.name)


@dataclass(frozen=True, slots=True)
class IkeServer:
    """What answers users at a gateway instance: whoever has a certificate by one of the `authorities`, or proves
    himself by the EAP method (`tls`, `mschapv2`, `radius`), calls himself what matches `remote_id`, and is in one of
    the `groups` where there are some (by the Class of RADIUS), is given an address of the `pools`, and reaches the
    prefixes that are `reached`. All of them share one interface. Where it `is_strict`, whoever has a certificate whose
    authority has no list, or one that is too old, is refused. `unique` is charon's word for several devices of one
    user: never (all stay), replace (the newest does). Where it `is_framed`, who is given an address by RADIUS has that
    one instead.

    One with `barred` (digests of certificates) is for whoever proves himself by one of these, and for nobody else: it
    has neither address nor child for him, and stands before the one of the same identity that would have."""

    name: str
    if_id: int
    local_address: str
    local_id: str
    certificate: str
    authorities: tuple[str, ...]
    pools: tuple[str, ...]
    reached: tuple[str, ...]
    proposals: tuple[str, ...]
    esp_proposals: tuple[str, ...]
    dpd_delay: int  # seconds
    child_life_time: int  # seconds
    child_life_bytes: int = 0  # 0: any number
    eap: str = ""
    remote_id: str = "%any"
    groups: tuple[str, ...] = ()
    unique: str = "never"
    is_strict: bool = False
    is_framed: bool = False
    barred: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return ("IkeServer", self.name)


SA_TERMS: Final = frozenset(
    {
        "proposals",
        "esp_proposals",
        "dpd_delay",
        "dpd_timeout",
        "rekey_time",
        "child_rekey_time",
        "child_life_time",
        "child_rekey_bytes",
        "child_life_bytes",
        "mobike",
    }
)
"""The fields of a connection that charon keeps for an SA as they were when the SA was made, and rekeys it with."""
