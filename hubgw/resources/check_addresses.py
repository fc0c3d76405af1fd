"""The hub's own addresses, which no branch may have as its address or identity."""

from collections.abc import Iterator

from hubgw.resources.base import Address, Resource
from hubgw.resources.check_bgp import peering_addresses
from hubgw.resources.check_nodes import instances
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, words
from hubgw.resources.site import VpnSite

_Use = tuple[Resource, Path, str]
"""A resource, where it says the address, and whose address it says, to stand before the resource's name."""


def check_own_addresses(report: Report) -> None:
    """A branch has no address of a gateway instance, outside or as a BGP peer, nor its identity, the public address."""
    local: dict[Address, _Use] = {}
    public: dict[str, _Use] = {}
    for node, path, instance in instances(report):
        whose = f"the address of instance {instance.instance} of {instance.KIND} {instance.gateway.name} on"
        # Gateways of branches, which come first, and of users may have one address.
        local.setdefault(instance.public_address, (node, (*path, "publicAddress"), whose))
        public[str(instance.public_address)] = local[instance.public_address]
        if instance.private_address is not None:
            local.setdefault(instance.private_address, (node, (*path, "privateAddress"), whose))
    for site in report.inventory.sites:
        for path, what, address in (*_links(site), *peering_addresses(site)):
            if address in local:
                hint = "a branch has an address of its own, none of the hub's"
                _report(report, (site, path, what), local[address], shown(address), hint)
    for settings in report.inventory.settings:
        identity = settings.properties.remote_identity
        if identity in public:
            used: _Use = (settings, ("properties", "remoteIdentity"), "the remoteIdentity of")
            _report(report, used, public[identity], shown(identity), "a branch has an identity of its own")


def _links(site: VpnSite) -> Iterator[tuple[Path, str, Address]]:
    for index, link in enumerate(site.links):
        declared = ("properties", "vpnSiteLinks", index, "properties", "ipAddress")
        path = declared if site.properties.vpn_site_links else ("properties", "ipAddress")
        if link.ip_address is not None:
            yield path, f"the address of link {link.name} of", link.ip_address


def _report(report: Report, branch: _Use, hub: _Use, value: str, hint: str) -> None:
    (one, path, what), (other, place, that) = report.later(branch, hub, key=lambda it: it[0].key)
    message = f"{what} {words(one)} is {that} {report.placed(other, place)}"
    report.add(one, path, message, value, hint)
