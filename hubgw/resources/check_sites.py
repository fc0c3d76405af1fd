"""Sites and their links."""

from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.site import Link, VpnSite


def check_sites(report: Report) -> None:
    """The links of a site have names and addresses of their own."""
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
    for (index, link), (_, first) in seconds(indexed, lambda one: one[1].ip_address):
        message = f"link {link.name} of {words(site)} has the address of its link {first.name}"
        path = (*_link(index), "properties", "ipAddress")
        report.add(site, path, message, shown(link.ip_address), "each link needs an address of its own")


def _link(index: int) -> Path:
    return ("properties", "vpnSiteLinks", index)
