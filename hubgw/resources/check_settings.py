"""settings: one of a resource, and only what that kind of resource has a use for."""

from hubgw.resources.connection import VpnConnection
from hubgw.resources.ids import LINK_SEGMENT
from hubgw.resources.problem import shown
from hubgw.resources.report import Report, seconds
from hubgw.resources.site import VpnSite


def check_settings(report: Report) -> None:
    """A resource has one settings; an identity belongs to a link, a priority to a site."""
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
