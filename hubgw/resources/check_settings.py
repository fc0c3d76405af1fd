"""settings: one of a resource, and only what that kind of resource has a use for."""

from typing import Final

from hubgw.resources.base import Resource
from hubgw.resources.connection import VpnConnection
from hubgw.resources.ids import LINK_SEGMENT
from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.problem import shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.settings import OF_USERS, Settings
from hubgw.resources.site import VpnSite

_BGP: Final = ("bgpPassword", "bgpTtlSecurity", "bgpHoldTime", "bgpPassive", "maximumPrefixes")


def check_settings(report: Report) -> None:
    """A resource has one settings; an identity belongs to a link, a priority to a site, BGP to whose session it is."""
    path = ("properties", "resource")
    for pair in seconds(report.inventory.settings, lambda one: one.properties.resource.key):
        settings, other = report.later(*pair, key=lambda one: one.key)
        name = settings.properties.resource.name
        report.add(settings, path, f"the resource has settings already, {report.placed(other, path)}", shown(name))
    for settings in report.inventory.settings:
        target = report.inventory.get(settings.properties.resource)
        if isinstance(target, VpnConnection):
            message = "settings of a vpnConnection are not implemented yet"
            report.add(settings, path, message, shown(target.label), "extend the vpnSite, or one of its links")
        elif isinstance(target, VpnSite) and settings.properties.remote_identity is not None:
            message = "an identity belongs to a link, and the settings extend a vpnSite"
            hint = f"extend vpnSites/{target.name}/vpnSiteLinks/{next((link.name for link in target.links), '...')}"
            identity = shown(settings.properties.remote_identity)
            report.add(settings, ("properties", "remoteIdentity"), message, identity, hint)
        elif LINK_SEGMENT in settings.properties.resource.key and settings.properties.priority is not None:
            message = "a priority belongs to a vpnSite, and the settings extend one of its links"
            report.add(settings, ("properties", "priority"), message, shown(settings.properties.priority))
        _check_users(report, settings, target)
        _check_bgp(report, settings)


def _check_users(report: Report, settings: Settings, target: Resource | None) -> None:
    """What concerns users' clients belongs to their gateway."""
    is_link = LINK_SEGMENT in settings.properties.resource.key
    if isinstance(target, P2sVpnGateway) or (target is None and not is_link):
        return
    said = settings.properties.model_dump(by_alias=True, exclude_none=True)
    for field in (field for field in OF_USERS if field in said):
        path = ("properties", field)
        report.add(settings, path, "is what a p2sVpnGateway has", shown(said[field], path), "extend the p2sVpnGateway")


def _check_bgp(report: Report, settings: Settings) -> None:
    """Several links that are ways to the site's one peer cannot each say how its session is."""
    site_key, segment, _ = settings.properties.resource.key.partition(LINK_SEGMENT)
    site = report.of(VpnSite, site_key)
    if not segment or site is None or site.properties.bgp_properties is None:
        return
    shared = {link.key for link in site.links if link.bgp is None}
    if len(shared) < 2 or settings.properties.resource.key not in shared:
        return
    said = settings.properties.model_dump(by_alias=True, exclude_none=True)
    for field in (field for field in _BGP if field in said):
        path = ("properties", field)
        message = f"the link has no bgpProperties of its own, and the peer of {words(site)} is reached over all links"
        hint = f"extend vpnSites/{site.name}, or give the link bgpProperties"
        report.add(settings, path, message, shown(said[field], path), hint)
