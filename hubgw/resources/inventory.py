"""The whole desired set, by key and by type. Immutable, and checks nothing: validate.py does, on one of these."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from hubgw.resources.base import Prefix, Ref, Resource
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.hub import VirtualHub
from hubgw.resources.ids import LINK_SEGMENT
from hubgw.resources.nat import NatRule
from hubgw.resources.node import Node
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.settings import ConcurrentSessions, Settings, SettingsProperties, StaticAddress
from hubgw.resources.site import Link, VpnSite
from hubgw.resources.vnet import HubVirtualNetworkConnection, VirtualNetwork
from hubgw.resources.vpn_server import VpnServerConfiguration
from hubgw.resources.vpn_user import VpnUser
from hubgw.resources.wan import VirtualWan

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Resources by key, each type sorted by key; of two with one key the last stays. Build with `Inventory.of`."""

    by_key: Mapping[str, Resource]
    wans: tuple[VirtualWan, ...]
    hubs: tuple[VirtualHub, ...]
    gateways: tuple[VpnGateway, ...]
    vnets: tuple[VirtualNetwork, ...]
    vnet_connections: tuple[HubVirtualNetworkConnection, ...]
    sites: tuple[VpnSite, ...]
    connections: tuple[VpnConnection, ...]
    nat_rules: tuple[NatRule, ...]
    user_gateways: tuple[P2sVpnGateway, ...]
    servers: tuple[VpnServerConfiguration, ...]
    vpn_users: tuple[VpnUser, ...]
    nodes: tuple[Node, ...]
    settings: tuple[Settings, ...]
    settings_by_resource: Mapping[str, Settings]

    @staticmethod
    def of(resources: Iterable[Resource]) -> "Inventory":
        by_key = {resource.key: resource for resource in resources}
        ordered = [by_key[key] for key in sorted(by_key)]

        def every(kind: type[R]) -> tuple[R, ...]:
            return tuple(resource for resource in ordered if isinstance(resource, kind))

        settings = every(Settings)
        return Inventory(
            by_key=MappingProxyType(by_key),
            wans=every(VirtualWan),
            hubs=every(VirtualHub),
            gateways=every(VpnGateway),
            vnets=every(VirtualNetwork),
            vnet_connections=every(HubVirtualNetworkConnection),
            sites=every(VpnSite),
            connections=every(VpnConnection),
            nat_rules=every(NatRule),
            user_gateways=every(P2sVpnGateway),
            servers=every(VpnServerConfiguration),
            vpn_users=every(VpnUser),
            nodes=every(Node),
            settings=settings,
            settings_by_resource=MappingProxyType({one.properties.resource.key: one for one in settings}),
        )

    def get(self, ref: Ref | str) -> Resource | None:
        """Returns the resource of a reference or key."""
        return self.by_key.get(ref if isinstance(ref, str) else ref.key)

    def users_of(self, server_key: str) -> tuple[VpnUser, ...]:
        """Returns those who have a password for the gateways of a vpnServerConfiguration."""
        return tuple(one for one in self.vpn_users if one.properties.vpn_server_configuration.key == server_key)

    def priority(self, site: VpnSite) -> int | None:
        """Returns the order among sites that announce one prefix (lower is preferred), where settings give one."""
        settings = self.settings_by_resource.get(site.key)
        return settings.properties.priority if settings else None

    def legacy(self, link_key: str) -> bool:
        """Tells whether a link may use legacy algorithms: its settings say so, or else those of its site."""
        return any(said.legacy_algorithms for said in self._said(link_key, "legacy_algorithms"))

    def mobike(self, link_key: str) -> bool:
        """Tells whether the branch may move its end of an SA to another address: its settings say so, or the site's."""
        return any(said.mobike for said in self._said(link_key, "mobike"))

    def concurrent_sessions(self, gateway_key: str) -> ConcurrentSessions:
        """Returns what becomes of a user's sessions at a gateway when there is another of his."""
        settings = self.settings_by_resource.get(gateway_key)
        return (settings and settings.properties.concurrent_sessions) or "both"

    def identity(self, link: Link) -> str:
        """Returns the branch's IKE identity on a link: its address, or else its name, where settings give none.

        One that is known by its name has an address that changes, and so a name for what it calls itself.
        """
        settings = self.settings_by_resource.get(link.key)
        return (settings and settings.properties.remote_identity) or link.peer

    def by_certificate(self, link_key: str) -> bool:
        """Tells whether the ends of a link prove themselves by certificates: its settings say so, or the site's."""
        return any(said.authentication == "Certificate" for said in self._said(link_key, "authentication"))

    def gateway_fqdn(self, gateway_key: str) -> str | None:
        """Returns the name that users call a gateway by, where settings give one."""
        settings = self.settings_by_resource.get(gateway_key)
        return settings.properties.gateway_fqdn if settings else None

    def custom_routes(self, gateway_key: str) -> tuple[Prefix, ...]:
        """Returns what users' clients of a gateway route into the tunnel beside what hubgw knows."""
        settings = self.settings_by_resource.get(gateway_key)
        return (settings and settings.properties.custom_routes) or ()

    def static_addresses(self, gateway_key: str) -> tuple[StaticAddress, ...]:
        """Returns the users of a gateway who have addresses of their own."""
        settings = self.settings_by_resource.get(gateway_key)
        return (settings and settings.properties.static_addresses) or ()

    def framed_prefixes(self, gateway_key: str) -> tuple[Prefix, ...]:
        """Returns the prefixes of which RADIUS servers give users of a gateway addresses of their own."""
        settings = self.settings_by_resource.get(gateway_key)
        return (settings and settings.properties.framed_address_prefixes) or ()

    def _said(self, link_key: str, field: str) -> list[SettingsProperties]:
        """Returns what settings say of a link, if one has the field: the link's own, or else those of its site."""
        keys = (link_key, link_key.partition(LINK_SEGMENT)[0])
        extending = (self.settings_by_resource[key] for key in keys if key in self.settings_by_resource)
        return [one.properties for one in extending if getattr(one.properties, field) is not None][:1]
