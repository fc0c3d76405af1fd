"""vpnConnections: one WAN, links of the site, and branches that IKE can tell apart."""

from hubgw.names import Secret
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.hub import VirtualHub
from hubgw.resources.problem import Path, nearest, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.site import VpnSite
from hubgw.resources.uses import Use, used

_SITE: Path = ("properties", "remoteVpnSite")


def check_connections(report: Report) -> None:
    """A connection joins a site and a gateway of one WAN, once, over links that the site has."""
    for pair in seconds(report.inventory.connections, lambda one: (one.parent_key, one.properties.remote_vpn_site.key)):
        connection, other = report.later(*pair, key=lambda one: one.key)
        name = connection.properties.remote_vpn_site.name
        message = f"vpnSite {name} is connected to this gateway already, by {report.placed(other, _SITE)}"
        report.add(
            connection, _SITE, message, shown(name), "one connection of a site to a gateway; add link connections"
        )
    for connection in report.inventory.connections:
        site = report.of(VpnSite, connection.properties.remote_vpn_site)
        if site is None:
            continue
        _check_wan(report, connection, site)
        if not site.links:
            message = f"{report.placed(site, ())} has no link to connect"
            report.add(connection, _SITE, message, shown(site.name), "give it vpnSiteLinks with an ipAddress or fqdn")
        _check_link_connections(report, connection, site)


def _check_wan(report: Report, connection: VpnConnection, site: VpnSite) -> None:
    gateway = report.of(VpnGateway, connection.parent_key)
    hub = report.of(VirtualHub, gateway.properties.virtual_hub) if gateway else None
    if hub and hub.properties.virtual_wan.key != site.properties.virtual_wan.key:
        path = ("properties", "virtualWan")
        message = (
            f"{report.placed(site, path)} is in virtualWan {site.properties.virtual_wan.name}, "
            f"and {report.placed(hub, path)} in {hub.properties.virtual_wan.name}"
        )
        report.add(
            connection, _SITE, message, shown(site.name), "a site connects to hubs of its own WAN; a hub is in one"
        )


def _check_link_connections(report: Report, connection: VpnConnection, site: VpnSite) -> None:
    if not connection.properties.vpn_link_connections:
        return
    links = {link.key: link for link in site.links}
    indexed = list(enumerate(connection.properties.vpn_link_connections))
    for index, one in indexed:
        ref = one.properties.vpn_site_link
        path = (*_link_connection(index), "properties", "vpnSiteLink")
        if not ref.key.startswith(f"{site.key}/"):
            message = f"is a link of another site than {words(site)}"
            report.add(connection, path, message, shown("/".join(ref.id.split("/")[-3::2])))
        elif ref.key not in links:
            hint = nearest(ref.name, (link.name for link in site.links))
            report.add(connection, path, f"{report.placed(site, ())} has no link of this name", shown(ref.name), hint)
    for (index, one), (_, first) in seconds(indexed, lambda pair: pair[1].properties.vpn_site_link.key):
        message = f"the link is connected twice, also by {first.name}"
        path = (*_link_connection(index), "properties", "vpnSiteLink")
        report.add(connection, path, message, shown(one.properties.vpn_site_link.name))
    for (index, one), _ in seconds(indexed, lambda pair: pair[1].name.lower()):
        report.add(
            connection, (*_link_connection(index), "name"), "two link connections have this name", shown(one.name)
        )


def _link_connection(index: int) -> Path:
    return ("properties", "vpnLinkConnections", index)


def check_identities(report: Report) -> None:
    """The branches of a gateway differ in their IKE identities, which are addresses or names of their links by default.

    Who a branch is, and so which tunnel is meant, is told by its identity alone.
    """
    for pair in seconds(used(report), lambda use: (use.connection.parent_key, _identity(report, use))):
        use, other = report.later(*pair, key=lambda one: one.connection.key)
        if use.site.key == other.site.key:
            continue
        identity = _identity(report, use)
        what = "remoteIdentity" if identity != use.link.peer else "address" if use.link.ip_address else "fqdn"
        message = (
            f"link {use.link.name} of {report.placed(use.site, ())} has the {what} of link {other.link.name} of "
            f"{report.placed(other.site, ())}, and both connect to one gateway (the other by {words(other.connection)})"
        )
        hint = "give them different remoteIdentity in settings"
        report.add(use.connection, _SITE, message, shown(identity), hint)


def check_keys(report: Report) -> None:
    """What connects to one identity has one key, over all gateways.

    charon looks a preshared key up by the branch's identity alone: of two it would take either. Two connections of one
    gateway to one identity are refused already, whatever their keys.
    """
    by_key = (use for use in used(report) if not report.inventory.by_certificate(use.link.key))
    for pair in seconds(by_key, lambda use: _identity(report, use)):
        if _key(pair[0]) == _key(pair[1]):
            continue
        use, other = report.later(*pair, key=lambda one: one.connection.key)
        connection = use.connection
        if connection.key != other.connection.key and connection.parent_key == other.connection.parent_key:
            continue
        than = "" if connection.key == other.connection.key else f" than {report.placed(other.connection, _SITE)}"
        message = (
            f"link {use.link.name} of {words(use.site)} has the identity of link {other.link.name} of "
            f"{words(other.site)}, and {words(connection)} gives it another sharedKey{than}"
        )
        hint = "give both the same sharedKey"
        if use.link.key != other.link.key:
            hint = "give the links different remoteIdentity in settings, or both the same sharedKey"
        report.add(connection, _SITE, message, shown(_identity(report, use)), hint)


def _key(use: Use) -> Secret | str:
    """A use's key; where none is given one is made, which is like no other connection's."""
    return use.terms.shared_key or use.connection.key


def _identity(report: Report, use: Use) -> str:
    return report.inventory.identity(use.link).lower()
