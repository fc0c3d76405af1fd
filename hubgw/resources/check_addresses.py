"""The hub's own addresses, which no branch may have as its address or identity."""

from collections.abc import Iterator

from hubgw.resources.base import Address, Resource
from hubgw.resources.check_nodes import instances
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, words
from hubgw.resources.site import Link, VpnSite

_Use = tuple[Resource, Path, str]
"""A resource, where it says the address, and whose address it says, to stand before the resource's name."""


def check_own_addresses(report: Report) -> None:
    """A link has no address of a gateway instance, and a branch not the identity of one, its public address."""
    local: dict[Address, _Use] = {}
    public: dict[str, _Use] = {}
    for node, path, instance in instances(report):
        whose = f"the address of instance {instance.instance} of vpnGateway {instance.vpn_gateway.name} on"
        local[instance.public_address] = (node, (*path, "publicAddress"), whose)
        public[str(instance.public_address)] = local[instance.public_address]
        if instance.private_address is not None:
            local[instance.private_address] = (node, (*path, "privateAddress"), whose)
    for site in report.inventory.sites:
        for path, link in _links(site):
            if link.ip_address in local:
                use: _Use = (site, path, f"the address of link {link.name} of")
                hint = "a branch has an address of its own, none of the hub's"
                _report(report, use, local[link.ip_address], shown(link.ip_address), hint)
    for settings in report.inventory.settings:
        identity = settings.properties.remote_identity
        if identity in public:
            used: _Use = (settings, ("properties", "remoteIdentity"), "the remoteIdentity of")
            _report(report, used, public[identity], shown(identity), "a branch has an identity of its own")


def _links(site: VpnSite) -> Iterator[tuple[Path, Link]]:
    for index, link in enumerate(site.links):
        declared = ("properties", "vpnSiteLinks", index, "properties", "ipAddress")
        yield (declared if site.properties.vpn_site_links else ("properties", "ipAddress")), link


def _report(report: Report, branch: _Use, hub: _Use, value: str, hint: str) -> None:
    (one, path, what), (other, place, that) = report.later(branch, hub, key=lambda it: it[0].key)
    message = f"{what} {words(one)} is {that} {report.placed(other, place)}"
    report.add(one, path, message, value, hint)
