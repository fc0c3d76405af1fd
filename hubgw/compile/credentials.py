"""A gateway's certificates, the operator's or hubgw's own -> what charon holds, and what a connection refers to."""

from collections.abc import Mapping
from dataclasses import dataclass

from hubgw.compile.draft import Draft
from hubgw.compile.scope import of_type
from hubgw.pki.reading import Credentials, key_id, normalised
from hubgw.plan.ipsec import IkeCertificate, IkeKey
from hubgw.resources.connection import VpnGateway
from hubgw.resources.inventory import Inventory
from hubgw.resources.site import VpnSite


@dataclass(frozen=True, slots=True)
class Proof:
    """What a connection refers to, by digests: the hub's own certificate, and the authorities of the branches."""

    certificate: str
    authorities: tuple[str, ...]


def given(inventory: Inventory, gateway: VpnGateway) -> Credentials | None:
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
        for users in node.properties.user_gateway_instances:
            addresses.setdefault(users.user_gateway.key, set()).add(str(users.public_address))
    gateways = [
        gateway.key
        for gateway in inventory.gateways
        if proves_itself(inventory, gateway) and given(inventory, gateway) is None
    ]
    every = (*gateways, *(gateway.key for gateway in inventory.user_gateways))
    return {key: tuple(sorted(addresses[key])) for key in every if key in addresses}


def compile_credentials(draft: Draft, credentials: Credentials, *owners: str) -> Proof:
    """Writes a gateway's key, certificates and revocation lists."""
    own, *between = credentials.own
    authorities = credentials.believed
    draft.add(IkeKey(key_id(credentials.key), normalised(credentials.key)), *owners)
    for one in (own, *between, *authorities):
        draft.add(IkeCertificate(one.digest, one.subject, one.der), *owners)
    for revoked in credentials.revoked:
        draft.add(IkeCertificate(revoked.digest, revoked.issuer, revoked.der, revokes=True), *owners)
    return Proof(own.digest, tuple(sorted(one.digest for one in authorities)))


Own = Mapping[str, Credentials]
"""What hubgw's own authority has issued to gateways, by key."""
