"""Every link that a connection uses, with what holds there: what the checks of connections go through."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic.alias_generators import to_camel

from hubgw.resources.connection import Terms, VpnConnection
from hubgw.resources.problem import Path
from hubgw.resources.report import Report
from hubgw.resources.site import Link, VpnSite


@dataclass(frozen=True, slots=True)
class Use:
    """A link of a site, used by a connection."""

    connection: VpnConnection
    site: VpnSite
    terms: Terms

    @property
    def link(self) -> Link:
        return self.terms.link

    @property
    def own(self) -> Path:
        """The path of the link connection's properties; the connection's where it has none."""
        if self.terms.index is None:
            return ("properties",)
        return ("properties", "vpnLinkConnections", self.terms.index, "properties")

    def written(self, field: str) -> Path:
        """The path of a property, by its name in the model, that its link connection has, or else the connection."""
        index = self.terms.index
        own = None if index is None else self.connection.properties.vpn_link_connections[index].properties
        return (*(self.own if own and getattr(own, field) else ("properties",)), to_camel(field))


def used(report: Report) -> Iterator[Use]:
    """Yields each use; what refers to nothing is reported elsewhere."""
    for connection in report.inventory.connections:
        if site := report.of(VpnSite, connection.properties.remote_vpn_site):
            yield from (Use(connection, site, terms) for terms in connection.terms(site))
