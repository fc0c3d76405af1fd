"""Sites and their links."""

from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.site import Link, VpnSite


def check_sites(report: Report) -> None:
    """The links of a site have names of their own, and addresses, or identities, that tell them apart."""
    for site in report.inventory.sites:
        indexed = list(enumerate(site.links))
        if len(indexed) > 1:
            _check_links(report, site, indexed)
        address = site.properties.ip_address
        if address is not None and address not in {link.ip_address for link in site.links}:
            message = f"{words(site)} has links, and none of them has the site's own address"
            report.add(site, ("properties", "ipAddress"), message, shown(address), "leave it out")


def _check_links(report: Report, site: VpnSite, indexed: list[tuple[int, Link]]) -> None:
    for (index, link), (_, first) in seconds(indexed, lambda one: one[1].key):
        message = f"{words(site)} has a link of this name already"
        report.add(site, (*_link(index), "name"), message, shown(link.name), f"the other is {first.name}")

    def who(one: tuple[int, Link]) -> tuple[str, str]:
        return one[1].peer, report.inventory.identity(one[1]).lower()

    for (index, link), (_, first) in seconds(indexed, who):
        what, field = ("a name", "fqdn") if link.fqdn else ("an address", "ipAddress")
        message = f"link {link.name} of {words(site)} has the address of its link {first.name}, and its identity"
        hint = f"each link needs {what} of its own, or a remoteIdentity in settings"
        report.add(site, (*_link(index), "properties", field), message, shown(link.peer), hint)


def _link(index: int) -> Path:
    return ("properties", "vpnSiteLinks", index)
