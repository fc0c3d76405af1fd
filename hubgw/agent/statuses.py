"""What the agent shows: facts in frozen dataclasses, as plain strings and numbers, and their JSON.

A resource's key is its full id in lower case; `id` keeps the case that it was written in.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

Json = Mapping[str, object]


class Provisioning(StrEnum):
    """Azure's provisioningState, as far as hubgw has it: Failed carries what the kernel or charon refused."""

    SUCCEEDED = "Succeeded"
    UPDATING = "Updating"
    FAILED = "Failed"


class Connection(StrEnum):
    """Azure's connectionStatus. Unknown: charon or the kernel could not be asked."""

    UNKNOWN = "Unknown"
    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    NOT_CONNECTED = "NotConnected"


class Validity(StrEnum):
    """How a certificate, or a revocation list, stands. Replaced: its holder has been issued another since."""

    NOT_YET = "NotYetValid"
    VALID = "Valid"
    EXPIRES = "Expires"
    EXPIRED = "Expired"
    REPLACED = "Replaced"
    REVOKED = "Revoked"


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """A resource and how far it has come. `body` is Azure's JSON of it without secrets.

    `connection_status` is set for vpnConnections alone; `reason` is why it Failed, in the kernel's or charon's words.
    """

    id: str
    body: Json
    provisioning_state: Provisioning
    reason: str = ""
    connection_status: Connection | None = None


@dataclass(frozen=True, slots=True)
class TunnelStatus:
    """One tunnel as charon and the kernel have it.

    `name` is the interface's; `connection` and `site` are full ids; `link` is the vpnSiteLink's name. `since` is when
    it came into this state, in epoch seconds. SPIs are in hexadecimal, empty while there is none. `spoofed` counts
    packets dropped for an inner source that the site may not use; `replayed` and `integrity_failed` what the SAs that
    are there now dropped as having come before or too late, and as changed on the way. `selectors` are the traffic
    selectors that both ends agreed on, the hub's first.
    """

    name: str
    connection: str
    site: str
    link: str
    instance: int
    local_address: str
    remote_address: str
    state: Connection
    since: float | None = None
    spi_in: str = ""
    spi_out: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    packets_in: int = 0
    packets_out: int = 0
    spoofed: int = 0
    replayed: int = 0
    integrity_failed: int = 0
    cipher: str = ""
    ike_version: int = 0
    ike_cipher: str = ""
    selectors: str = ""
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """A route as the kernel has it. `via` says in words where it leads, `nexthops` names the tunnels in use now.

    `hub` and `origin` are full ids: whose table it is, and the resource that it comes from (empty: hubgw's own).
    `protocol` is ``static`` for what the configuration says and ``bgp`` for what a branch said, with its `as_path`.
    """

    table: int
    vrf: str
    hub: str
    prefix: str
    via: str
    nexthops: tuple[str, ...] = ()
    origin: str = ""
    protocol: str = "static"
    as_path: str = ""


@dataclass(frozen=True, slots=True)
class BgpPeerStatus:
    """A BGP session with a branch. `hub`, `connection` and `site` are full ids; times are epoch seconds.

    `state` is Idle, Connected (TCP stands), Established, Held (kept down until `held_until`) or Unknown; `reason` says
    in words why the last one ended, `attempt` why none came since. `learned` = `accepted` + `refused` prefixes, `stale`
    those that a restarting peer has not confirmed yet. `treated_as_withdraw` and `discarded` count malformed UPDATEs
    (RFC 7606).
    """

    speaker: str
    hub: str
    connection: str
    site: str
    link: str
    instance: int
    address: str
    local_address: str
    asn: int
    state: str
    since: float | None
    reason: str
    attempt: str
    hold_time: int | None
    graceful_restart: bool
    learned: int
    accepted: int
    refused: int
    stale: int
    advertised: int
    updates_in: int
    updates_out: int
    flaps: int
    held_until: float | None
    treated_as_withdraw: int
    discarded: int
    last_malformed: str


@dataclass(frozen=True, slots=True)
class BgpRouteStatus:
    """A prefix that a peer announced or is told. `refusal` is why policy did not take it, `best` whether it is used."""

    hub: str
    connection: str
    site: str
    instance: int
    peer: str
    prefix: str
    as_path: str
    communities: tuple[str, ...]
    best: bool
    refusal: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that hubgw's own authority has issued to a branch; times are epoch seconds, `serial` hexadecimal.

    `names` are what its holder may call itself, and so is `subject`; `revoked` is when, None where it is in force.
    """

    name: str
    serial: str
    subject: str
    names: tuple[str, ...]
    not_after: float
    revoked: float | None


@dataclass(frozen=True, slots=True)
class IssuedToUser(Issued):
    """A certificate that hubgw's own authority has issued to a user, who is to have another from `renew_from` on (epoch
    seconds); `thumbprint` is its SHA-1, by which resources revoke it."""

    renew_from: float
    thumbprint: str


@dataclass(frozen=True, slots=True)
class UsersStatus:
    """hubgw's own authority of users, and what it has issued to them. Certificates and the list are PEM."""

    authority: str  # the root
    chain: str  # those below it
    revocation_list: str
    users: tuple[IssuedToUser, ...]


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """A certificate, or a revocation list, and until when (epoch seconds) it is good; None is for ever.

    `kind` is gateway, authority, branch, user or revocationList. `name` is the gateway's, the branch's, the user's, or
    hubgw for its own authorities; `id` is the full id of the gateway or vpnServerConfiguration, or empty. `serial` is
    hexadecimal; a list has none.
    """

    kind: str
    name: str
    id: str
    subject: str
    issuer: str
    serial: str
    until: float | None
    days_left: int | None
    state: Validity


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A user's client that is signed on.

    `user` is whom it proved to be: the common name of a subject, else the `identity` as it is. `addresses` are those
    that it was given, `remote_address` and `remote_port` where it comes from. `since` is its login, in epoch seconds;
    `gateway` is a full id. What the session has carried is since then, or since the agent's start.
    """

    user: str
    identity: str
    group: str
    addresses: tuple[str, ...]
    remote_address: str
    remote_port: int
    cipher: str
    ike_cipher: str
    bytes_in: int
    bytes_out: int
    since: float
    gateway: str
    instance: int
    ike_sa: int


@dataclass(frozen=True, slots=True)
class UserStatus:
    """A user who is signed on, or of whom the agent has heard since its start; times are epoch seconds.

    Whose name a refusal bears has proved nothing. `refusal` is why the last one was, `refused_address` where it came
    from.
    """

    user: str
    sessions: int
    addresses: tuple[str, ...]
    last_login: float | None
    last_refusal: float | None
    refused_address: str
    refusal: str


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A gateway instance's pool of addresses for users; `gateway` is a full id. Of its `size` addresses `online` are in
    use, and `offline` wait for who had them, as long as there are others."""

    name: str
    prefix: str
    gateway: str
    instance: int
    size: int
    online: int
    offline: int
    exhausted: bool


@dataclass(frozen=True, slots=True)
class UserGateway:
    """What a gateway instance of users has together; `gateway` is a full id."""

    gateway: str
    instance: int
    sessions: int
    bytes_in: int
    bytes_out: int
    addresses: int
    addresses_used: int
    exhausted: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `hubgw show` needs, at one moment (`time`, epoch seconds).

    `charon` is its version, or why it does not answer.
    """

    time: float
    generation: int
    charon: str
    resources: tuple[ResourceStatus, ...]
    tunnels: tuple[TunnelStatus, ...]
    routes: tuple[RouteStatus, ...]
    certificates: tuple[CertificateStatus, ...] = ()
    sessions: tuple[SessionStatus, ...] = ()
    users: tuple[UserStatus, ...] = ()
    pools: tuple[PoolStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `event` is a constant (`tunnel.up`, `key.shown`), `resource` a full id or empty."""

    time: float
    event: str
    resource: str
    text: str


def to_json(value: object) -> object:
    """Turns an answer into what json.dumps takes, fields in camelCase as Azure's.

    >>> to_json(Event(1.0, "tunnel.up", "", "up"))
    {'time': 1.0, 'event': 'tunnel.up', 'resource': '', 'text': 'up'}
    """
    if dataclasses.is_dataclass(value):
        return {_camel(field.name): to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, IPv4Address | IPv4Network):
        return str(value)
    return value


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)
