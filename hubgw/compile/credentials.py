"""A gateway's certificates, the operator's or hubgw's own -> what charon holds, and what a connection refers to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hubgw.compile.draft import Draft
from hubgw.compile.scope import of_type
from hubgw.pki.reading import Certificate, Credentials, key_id, normalised, read_certificates, read_revocation_lists
from hubgw.plan.ipsec import IkeCertificate, IkeKey
from hubgw.resources.connection import VpnGateway
from hubgw.resources.inventory import Inventory
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.site import VpnSite
from hubgw.resources.vpn_server import VpnServerConfigurationProperties


@dataclass(frozen=True, slots=True)
class Proof:
    """What a connection refers to, by digests: the hub's own certificate, and the authorities of the branches."""

    certificate: str
    authorities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsersAuthority:
    """hubgw's own authority of users: its root, those below it, and the lists of what they have revoked. All as PEM."""

    root: str = field(repr=False)
    below: tuple[str, ...] = field(repr=False)
    revocation_lists: tuple[str, ...] = field(repr=False)

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The root, and those below it."""
        return tuple(one for text in (self.root, *self.below) for one in read_certificates(text))


@dataclass(frozen=True, slots=True)
class UserNeeds:
    """What hubgw's own authority of users is needed for: certificates of gateways, by key, with the names that users
    call each by, a host name before addresses; to be believed; to have certificates on its list, by their SHA-1.
    `others` are those of the certificates of other authorities that are no good either."""

    gateways: Mapping[str, tuple[str, ...]]
    is_believed: bool
    thumbprints: frozenset[str]
    others: frozenset[str] = frozenset()


def given(inventory: Inventory, gateway: VpnGateway | P2sVpnGateway) -> Credentials | None:
    """Returns what the settings of a gateway give it to prove itself by; None where it is hubgw's own authority's."""
    settings = inventory.settings_by_resource.get(gateway.key)
    own = settings.properties if settings else None
    if own is None or own.certificate is None or own.private_key is None:
        return None
    return Credentials(own.certificate, own.private_key, own.certificate_authorities or (), own.revocation_lists or ())


def proves_itself(inventory: Inventory, gateway: VpnGateway) -> bool:
    """Tells whether some branch of a gateway is to be shown a certificate."""
    return any(
        inventory.by_certificate(terms.link.key)
        for connection in inventory.connections
        if connection.parent_key == gateway.key
        for terms in connection.terms(of_type(inventory, VpnSite, connection.properties.remote_vpn_site.key))
    )


def needs(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Returns the gateways that hubgw's own authority has to issue a certificate to, with the addresses to name."""
    addresses: dict[str, set[str]] = {}
    for node in inventory.nodes:
        for instance in node.properties.gateway_instances:
            addresses.setdefault(instance.vpn_gateway.key, set()).add(str(instance.public_address))
    return {
        gateway.key: tuple(sorted(addresses[gateway.key]))
        for gateway in inventory.gateways
        if gateway.key in addresses and proves_itself(inventory, gateway) and given(inventory, gateway) is None
    }


def user_needs(inventory: Inventory) -> UserNeeds:
    """Returns what the gateways of users, and whom they believe, need of hubgw's own authority of users."""
    addresses: dict[str, set[str]] = {}
    for node in inventory.nodes:
        for instance in node.properties.user_gateway_instances:
            addresses.setdefault(instance.user_gateway.key, set()).add(str(instance.public_address))
    gateways = {
        gateway.key: (
            *((fqdn,) if (fqdn := inventory.gateway_fqdn(gateway.key)) else ()),
            *sorted(addresses[gateway.key]),
        )
        for gateway in inventory.user_gateways
        if gateway.key in addresses and given(inventory, gateway) is None
    }
    believing = [server.properties for server in inventory.servers if server.properties.by_own_authority]
    others = [server.properties for server in inventory.servers if not server.properties.by_own_authority]
    return UserNeeds(gateways, bool(believing), _thumbprints(believing), _thumbprints(others))


def _thumbprints(servers: Iterable[VpnServerConfigurationProperties]) -> frozenset[str]:
    return frozenset[str]().union(*(one.thumbprints for one in servers))


def compile_credentials(draft: Draft, credentials: Credentials, *owners: str) -> Proof:
    """Writes a gateway's key, certificates and revocation lists."""
    own, *between = credentials.own
    authorities = credentials.believed
    draft.add(IkeKey(key_id(credentials.key), normalised(credentials.key)), *owners)
    for one in (own, *between, *authorities):
        draft.add(IkeCertificate(one.digest, one.subject, one.der), *owners)
    compile_lists(draft, credentials.revocation_lists, *owners)
    return Proof(own.digest, tuple(sorted(one.digest for one in authorities)))


def compile_lists(draft: Draft, lists: Iterable[str], *owners: str) -> None:
    """Writes revocation lists, each as PEM."""
    for revoked in (one for text in lists for one in read_revocation_lists(text)):
        draft.add(IkeCertificate(revoked.digest, revoked.issuer, revoked.der, revokes=True), *owners)


Barred = Mapping[str, Certificate]
"""Certificates of other authorities that are no good, by thumbprint, as far as their owners have shown them."""

Own = Mapping[str, Credentials]
"""What hubgw's own authorities have issued to gateways, by key."""
