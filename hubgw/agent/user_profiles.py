"""A gateway of users, as this machine has it -> what its clients have to know."""

import ssl
from collections.abc import Sequence
from dataclasses import fields
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from hubgw.agent.desired import Desired
from hubgw.agent.references import is_named
from hubgw.agent.service import Refusal, Refused
from hubgw.compile.credentials import given
from hubgw.compile.ways import ANYBODY
from hubgw.pki.reading import Certificate
from hubgw.plan.ipsec import IkeServer
from hubgw.profiles.types import Authentication, Suite, Terms
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.vpn_server import VpnServerConfiguration

_SUITE: Final = Suite(ike_encryption="GCMAES256")
"""What every platform can do of what a gateway accepts that has no policy."""


def profile_terms(desired: Desired, name: str, user: str) -> Terms:
    """Returns what a user's client of a gateway has to know; an empty name is the only one's.

    Who is among the vpnUsers proves himself by his password, and everybody else by a certificate, or where users have
    none to a RADIUS server. What goes into the tunnel is what the group of his name's domain has, else the default; of
    groups by subject or by RADIUS it is not known who is in.

    Raises:
        Refused: there is no such gateway, or several; it is not on this machine; hubgw issues nothing that it believes.
    """
    gateway = _gateway(desired, name)
    server = desired.inventory.get(gateway.properties.vpn_server_configuration)
    interfaces = [one.if_id for one in desired.plan.users if one.gateway == gateway.id]
    answering = [
        one for one in desired.plan.objects if isinstance(one, IkeServer) and one.if_id in interfaces and not one.barred
    ]
    credentials = given(desired.inventory, gateway) or desired.own.get(gateway.key)
    if not isinstance(server, VpnServerConfiguration) or not answering or credentials is None:
        hint = "ask the agent of the node that has it in its userGatewayInstances"
        raise Refused(Refusal.INVALID, [f"{gateway.name}: has no instance on this machine; {hint}"])
    authentication = _authentication(desired, server, user)
    way = _way(answering, authentication, user)
    root = desired.users and desired.users.certificates[0].digest
    if authentication == "Certificate" and root not in way.authorities:
        hint = f"leave vpnClientRootCertificates of {server.name} out, or add hubgw's own root (hubgw user ca)"
        raise Refused(Refusal.INVALID, [f"{gateway.name}: does not believe hubgw's own authority; {hint}"])
    policy = next(iter(server.properties.vpn_client_ipsec_policies), None)
    suite = Suite(**{one.name: getattr(policy, one.name) for one in fields(Suite)}) if policy else _SUITE
    return Terms(
        name=gateway.name,
        server=way.local_id,
        authorities=tuple(map(_pem, credentials.believed)),
        intermediates=tuple(map(_pem, credentials.own[1:])),
        authentication=authentication,
        routes=tuple(map(IPv4Network, way.reached)),
        dns_servers=tuple(IPv4Address(str(one)) for one in gateway.properties.custom_dns_servers),
        suite=suite,
    )


def _authentication(desired: Desired, server: VpnServerConfiguration, user: str) -> Authentication:
    if user.casefold() in {one.user_name.casefold() for one in desired.inventory.users_of(server.key)}:
        return "EapMsChapV2"
    if server.properties.by_certificate:
        return "Certificate"
    if server.radius:
        return "Radius"
    raise Refused(Refusal.NOT_FOUND, [f"{user}: is none of the vpnUsers of {server.name}"])


def _way(answering: Sequence[IkeServer], authentication: Authentication, user: str) -> IkeServer:
    """Returns what takes a user in, of the first instance that does."""
    mine = [one for one in answering if bool(one.eap) is (authentication != "Certificate")]
    own = f"*@{user.rpartition('@')[2]}".casefold()

    def remoteness(one: IkeServer) -> tuple[bool, bool, bool]:
        return one.remote_id.casefold() != own, one.remote_id != ANYBODY, bool(one.groups)

    return min(mine or answering, key=remoteness)


def _gateway(desired: Desired, name: str) -> P2sVpnGateway:
    named = [one for one in desired.inventory.user_gateways if not name or is_named(name, one.id)]
    if len(named) == 1:
        return named[0]
    known = ", ".join(one.name for one in desired.inventory.user_gateways) or "none"
    if named:
        raise Refused(Refusal.INVALID, [f"gateway: name one of {known}"])
    raise Refused(Refusal.NOT_FOUND, [f"{name or 'gateway'}: there is no such p2sVpnGateway; there is {known}"])


def _pem(certificate: Certificate) -> str:
    return ssl.DER_cert_to_PEM_cert(certificate.der)
