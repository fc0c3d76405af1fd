"""An agent without a machine: answers what a test puts in, and remembers what it was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hubgw.agent.metrics import exposition
from hubgw.agent.service import Applied, BgpRoutes, Refusal, Refused, Sources
from hubgw.agent.statuses import (
    BgpPeerStatus,
    BgpRouteStatus,
    CertificateStatus,
    Connection,
    Event,
    Issued,
    IssuedToUser,
    Json,
    PoolStatus,
    Provisioning,
    ResourceStatus,
    RouteStatus,
    SessionStatus,
    Status,
    TunnelStatus,
    UserGateway,
    UsersStatus,
    UserStatus,
    Validity,
)
from hubgw.profiles.types import Terms

HEAD: Final = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/hubgw/providers"
NOW: Final = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC


def id_of(path: str) -> str:
    """Returns the full id of ``vpnSites/branch1``."""
    return f"{HEAD}/{'Hubgw' if path.startswith('nodes/') else 'Microsoft'}.Network/{path}"


def resource(
    path: str,
    properties: Mapping[str, object],
    *,
    location: str = "",
    state: Provisioning = Provisioning.SUCCEEDED,
    reason: str = "",
    connection: Connection | None = None,
) -> ResourceStatus:
    """Makes a resource as the agent tells it."""
    head = {"id": id_of(path), "name": path.rpartition("/")[2]} | ({"location": location} if location else {})
    return ResourceStatus(id_of(path), {**head, "properties": properties}, state, reason, connection)


def certificate(
    kind: str, name: str, serial: str, days: int, state: Validity, *, owner: str = "", subject: str = ""
) -> CertificateStatus:
    """Makes a certificate of hubgw's own authority as the agent tells it."""
    issuer, until = "O=hubgw, CN=hubgw authority", NOW + days * 86_400
    return CertificateStatus(kind, name, owner, subject or f"O=hubgw, CN={name}", issuer, serial, until, days, state)


CERTIFICATES: Final = (
    certificate("authority", "hubgw", "1a", 3649, Validity.VALID, subject="O=hubgw, CN=hubgw authority"),
    certificate("gateway", "gw1", "1b", 12, Validity.EXPIRES, owner=id_of("vpnGateways/gw1")),
    CertificateStatus(
        "revocationList", "gw1", id_of("vpnGateways/gw1"), "CN=ca", "CN=ca", "", None, None, Validity.VALID
    ),
    certificate("branch", "branch1.example.com", "1c", -1, Validity.EXPIRED),
    certificate("branch", "branch2.example.com", "1d", 300, Validity.REVOKED),
)


def session(user: str, number: int, *, identity: str = "") -> SessionStatus:
    """Makes a user's session with the second instance, as the agent tells it."""
    return SessionStatus(
        user=user,
        identity=identity or f"O=Example, CN={user}",
        group="",
        addresses=(f"10.99.0.{128 + number}",),
        remote_address=f"203.0.113.{number}",
        remote_port=4500,
        cipher="AES_GCM_16-256",
        ike_cipher="AES_GCM_16-256-PRF_HMAC_SHA2_384-ECP_384",
        bytes_in=1_500_000 * number,
        bytes_out=2048,
        since=NOW - 3725 * number,
        gateway=id_of("p2sVpnGateways/p1"),
        instance=1,
        ike_sa=number,
    )


SESSIONS: Final = (session("alice", 1), session("bob@example.com\x1b[31m", 2, identity="bob@example.com\x1b[31m"))
USERS: Final = (
    UserStatus("alice", 1, ("10.99.0.129",), NOW - 3725, None, "", ""),
    UserStatus("mallory", 0, (), None, NOW - 60, "203.0.113.9", "wrong password, or no such user"),
)
POOLS: Final = (
    PoolStatus("hgt7-0", "10.99.0.0/30", id_of("p2sVpnGateways/p1"), 0, 2, 2, 0, exhausted=True),
    PoolStatus("hgt8-0", "10.99.0.4/30", id_of("p2sVpnGateways/p1"), 1, 2, 1, 1, exhausted=False),
)
GATEWAYS: Final = (UserGateway(id_of("p2sVpnGateways/p1"), 0, 2, 1_000, 2_000, 2, 2, exhausted=True),)


def two_branches() -> Status:
    """A hub with two branches, one of them failed, and a virtual network."""
    wan, hub, gateway = ({"id": id_of(path)} for path in ("virtualWans/wan1", "virtualHubs/hub1", "vpnGateways/gw1"))

    def site(name: str, number: int) -> ResourceStatus:
        space = {"addressPrefixes": [f"10.{number}.0.0/24", f"10.{number}.1.0/24", f"10.{number}.2.0/24"]}
        links = [{"name": "isp", "properties": {"ipAddress": f"192.0.2.{number}"}}]
        properties = {"virtualWan": wan, "addressSpace": space, "vpnSiteLinks": links}
        return resource(f"vpnSites/{name}", properties)

    def tunnel(number: int, branch: int, state: Connection, error: str = "") -> TunnelStatus:
        up = state is Connection.CONNECTED
        return TunnelStatus(
            name=f"hgt{number}",
            connection=id_of(f"vpnGateways/gw1/vpnConnections/branch{branch}"),
            site=id_of(f"vpnSites/branch{branch}"),
            link="isp",
            instance=(number - 1) % 2,
            local_address=f"198.51.100.{10 + (number - 1) % 2}",
            remote_address=f"192.0.2.{branch}",
            state=state,
            since=NOW - 3725 * number if up else None,
            spi_in=f"c000000{number}" if up else "",
            spi_out=f"c100000{number}" if up else "",
            bytes_in=1_500_000 * number if up else 0,
            bytes_out=2048 if up else 0,
            cipher="AES_GCM_16-256" if up else "",
            last_error=error,
        )

    def joined(branch: int, **status: Provisioning | Connection | str) -> ResourceStatus:
        rules = [{"id": id_of("vpnGateways/gw1/natRules/lan1")}] if branch == 1 else []
        body = {
            "remoteVpnSite": {"id": id_of(f"vpnSites/branch{branch}")},
            "vpnLinkConnections": [{"name": "isp", "properties": {"ingressNatRules": rules}}],
        }
        return resource(f"vpnGateways/gw1/vpnConnections/branch{branch}", body, **status)  # type: ignore[arg-type]

    resources = (
        resource("virtualWans/wan1", {"allowBranchToBranchTraffic": True}),
        resource("virtualHubs/hub1", {"virtualWan": wan, "addressPrefix": "10.100.0.0/24"}, location="westeurope"),
        resource("vpnGateways/gw1", {"virtualHub": hub}, location="westeurope"),
        site("branch1", 1),
        site("branch2", 2),
        site("branch3", 3),
        joined(1, connection=Connection.CONNECTED),
        joined(
            2,
            connection=Connection.NOT_CONNECTED,
            state=Provisioning.FAILED,
            reason="charon: no proposal chosen\x1b[31m",
        ),
        resource(
            "vpnGateways/gw1/natRules/lan1",
            {
                "mode": "IngressSnat",
                "internalMappings": [{"addressSpace": "10.9.0.0/24"}],
                "externalMappings": [{"addressSpace": "172.30.1.0/24"}],
            },
        ),
        resource(
            "virtualNetworks/vnet1", {"addressSpace": {"addressPrefixes": ["10.50.0.0/24"]}}, location="westeurope"
        ),
        resource(
            "virtualHubs/hub1/hubVirtualNetworkConnections/vnet1",
            {"remoteVirtualNetwork": {"id": id_of("virtualNetworks/vnet1")}},
        ),
        resource("nodes/n1", {"gatewayInstances": [{"vpnGateway": gateway, "instance": 0}]}),
    )
    tunnels = (
        tunnel(1, 1, Connection.CONNECTED),
        tunnel(2, 1, Connection.CONNECTED),
        tunnel(3, 2, Connection.CONNECTING, "AUTHENTICATION_FAILED"),
        tunnel(4, 2, Connection.NOT_CONNECTED, "no answer"),
    )
    hub_id = hub["id"]
    routes = (
        RouteStatus(10_000_001, "hgv1", hub_id, "0.0.0.0/0", "unreachable"),
        RouteStatus(10_000_001, "hgv1", hub_id, "10.1.0.0/24", "tunnels", ("hgt1", "hgt2"), id_of("vpnSites/branch1")),
        RouteStatus(
            table=10_000_001,
            vrf="hgv1",
            hub=hub_id,
            prefix="10.9.0.0/16",
            via="via hgt1",
            nexthops=("hgt1",),
            origin=id_of("vpnGateways/gw1/vpnConnections/branch1"),
            protocol="bgp",
            as_path="65010 65011",
        ),
        RouteStatus(10_000_001, "hgv1", hub_id, "10.50.0.0/24", "on link, eth1", (), id_of("virtualNetworks/vnet1")),
        RouteStatus(10_000_002, "hgv2", id_of("virtualHubs/hub2"), "10.1.0.0/24", "unreachable"),
    )
    return Status(NOW, 7, "6.0.1", resources, tunnels, routes, CERTIFICATES, SESSIONS, USERS, POOLS)


def bgp_peer(branch: int, instance: int, state: str, reason: str = "") -> BgpPeerStatus:
    """Makes a session with branch1 or branch2 as the agent tells it."""
    up = state == "Established"
    return BgpPeerStatus(
        speaker=f"hgv1-{instance}",
        hub=id_of("virtualHubs/hub1"),
        connection=id_of(f"vpnGateways/gw1/vpnConnections/branch{branch}"),
        site=id_of(f"vpnSites/branch{branch}"),
        link="isp",
        instance=instance,
        address=f"10.{branch}.0.254",
        local_address=f"10.100.0.{12 + instance}",
        asn=65000 + 10 * branch,
        state=state,
        since=NOW if up else None,
        reason=reason,
        attempt="",
        hold_time=180 if up else None,
        graceful_restart=up,
        learned=3 if up else 0,
        accepted=2 if up else 0,
        refused=1 if up else 0,
        stale=0,
        advertised=4 if up else 0,
        updates_in=7 if up else 0,
        updates_out=9 if up else 0,
        flaps=0 if up else 2,
        held_until=NOW + 60 if state == "Held" else None,
        treated_as_withdraw=1 if up else 0,
        discarded=2 if up else 0,
        last_malformed="ORIGIN: 3 octets" if up else "",
    )


def bgp_route(
    prefix: str, as_path: str, *, communities: tuple[str, ...] = (), best: bool = False, refusal: str = ""
) -> BgpRouteStatus:
    """Makes a route of the session of branch1 with instance 0."""
    peer = bgp_peer(1, 0, "Established")
    ends = (peer.hub, peer.connection, peer.site, peer.instance, peer.address)
    return BgpRouteStatus(*ends, prefix, as_path, communities, best, refusal)


PEERS: Final = (
    bgp_peer(1, 0, "Established"),
    bgp_peer(1, 1, "Established"),
    bgp_peer(2, 0, "Held", "their NOTIFICATION: Cease, Administrative Shutdown: moving\x1b[31m"),
    bgp_peer(2, 1, "Unknown", "the helper of its speaker does not answer"),
)
ROUTES: Final = {
    BgpRoutes.LEARNED: (
        bgp_route("10.9.0.0/16", "65010 65011", communities=("65010:1", "65010:2"), best=True),
        bgp_route("10.50.0.0/24", "65010", refusal="own-prefix"),
    ),
    BgpRoutes.ADVERTISED: (bgp_route("10.50.0.0/24", "65515"), bgp_route("10.8.0.0/16", "65515 65020 {65021,65022}")),
    BgpRoutes.REFUSED: (bgp_route("10.50.0.0/24", "65010", refusal="own-prefix"),),
}

APPLIED: Final = Applied(8, ("vpnSites/branch1: created",), ("route 10.1.0.0/24 added",))


@dataclass
class FakeService:
    """Implements `Service`. `calls` are the requests that change or show something, as (method, arguments)."""

    answer: Status = field(default_factory=two_branches)
    applied: Applied = APPLIED
    certificates: list[Issued] = field(default_factory=list)
    issued_to_users: list[IssuedToUser] = field(default_factory=list)
    calls: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    _failures: list[Exception] = field(default_factory=list)

    def fail_next(self, error: Exception) -> None:
        """The next request ends so."""
        self._failures.append(error)

    def _called(self, method: str, **arguments: object) -> None:
        self.calls.append((method, arguments))
        if self._failures:
            raise self._failures.pop()

    async def apply(
        self, sources: Sources, *, prune: bool, dry_run: bool, if_generation: int | None, who: str
    ) -> Applied:
        files = dict(sources)
        self._called("apply", sources=files, prune=prune, dry_run=dry_run, if_generation=if_generation, who=who)
        return self.applied

    async def put(self, resource_id: str, body: Json, *, who: str) -> bool:
        self._called("put", id=resource_id, body=body, who=who)
        known = resource_id.lower() in await self.resources()
        if not known:
            made = ResourceStatus(resource_id, {"id": resource_id, **body}, Provisioning.UPDATING)
            old = self.answer
            everything = (*old.resources, made)
            self.answer = replace(old, generation=old.generation + 1, resources=everything)
        return not known

    async def delete(
        self,
        names: Sequence[str],
        sources: Sources,
        *,
        everything: bool,
        cascade: bool,
        dry_run: bool,
        if_generation: int | None,
        who: str,
    ) -> Applied:
        self._called(
            "delete",
            names=list(names),
            sources=dict(sources),
            everything=everything,
            cascade=cascade,
            dry_run=dry_run,
            if_generation=if_generation,
            who=who,
        )
        return self.applied

    async def resources(self) -> Mapping[str, ResourceStatus]:
        return {one.id.lower(): one for one in self.answer.resources}

    async def status(self) -> Status:
        self._called("status")
        return self.answer

    async def authority(self) -> str:
        return "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"

    async def issued(self) -> Sequence[Issued]:
        return self.certificates

    async def issue(self, request: str, name: str, names: Sequence[str], days: int, *, who: str) -> tuple[Issued, str]:
        self._called("issue", request=request, name=name, names=list(names), days=days, who=who)
        issued = Issued(name, "1a", f"O=hubgw, CN={name}", tuple(names), NOW + days * 86_400, None)
        self.certificates.append(issued)
        return issued, await self.authority()

    async def revoke(self, name: str, *, who: str) -> Sequence[Issued]:
        self._called("revoke", name=name, who=who)
        return self.certificates

    async def users(self) -> UsersStatus:
        return UsersStatus("the root\n", "the chain\n", "the list\n", tuple(self.issued_to_users))

    async def issue_user(
        self, request: str, name: str, days: int, *, renews: bool, revokes: bool, who: str
    ) -> tuple[IssuedToUser, str]:
        self._called("issue_user", request=request, name=name, days=days, renews=renews, revokes=revokes, who=who)
        until = NOW + days * 86_400
        issued = IssuedToUser(name, "2a", f"O=hubgw, CN={name}", (name,), until, None, NOW, "2b" * 20)
        self.issued_to_users.append(issued)
        return issued, "a certificate\n"

    async def profile(self, gateway: str, user: str) -> Terms:
        self._called("profile", gateway=gateway, user=user)
        return Terms(name=gateway, server="vpn.example.com", authorities=(), authentication="Certificate", routes=())

    async def revoke_user(self, name: str, *, who: str) -> Sequence[IssuedToUser]:
        self._called("revoke_user", name=name, who=who)
        return self.issued_to_users

    async def disconnect(self, name: str, *, who: str) -> Sequence[SessionStatus]:
        self._called("disconnect", name=name, who=who)
        return [one for one in SESSIONS if name in {one.user, *one.addresses}]

    async def bgp_peers(self, of: str) -> Sequence[BgpPeerStatus]:
        self._called("bgp_peers", of=of)
        return [peer for peer in PEERS if of in {"", peer.address}]

    async def bgp_routes(self, which: BgpRoutes, of: str) -> Sequence[BgpRouteStatus]:
        self._called("bgp_routes", which=which, of=of)
        return ROUTES[which]

    async def metrics(self) -> bytes:
        self._called("metrics")
        return exposition(self.answer.tunnels, PEERS, self.answer.certificates, GATEWAYS)

    async def events(self, limit: int) -> Sequence[Event]:
        self._called("events", limit=limit)
        return [
            Event(NOW, "tunnel.up", id_of("vpnSites/branch1"), "hgt1 192.0.2.1"),
            Event(NOW + 1, "pass.done", "", "0 changes"),
        ][-limit:]

    async def shared_keys(self, connection: str, *, who: str) -> Mapping[str, str]:
        self._called("shared_keys", connection=connection, who=who)
        if not connection.lower().endswith("branch1"):
            raise Refused(Refusal.NOT_FOUND, [f"{connection}: there is no such resource"])
        return {"": "the-key-of-the-connection", "isp": "the-key-of-the-link"}
