"""Policy groups: one default, an order that charon keeps, and each in one connection configuration of a gateway."""

from collections.abc import Iterator
from itertools import product

from hubgw.resources.p2s_gateway import P2sVpnGateway
from hubgw.resources.policy_group import PolicyGroup, PolicyMember
from hubgw.resources.problem import Path, shown
from hubgw.resources.report import Report, seconds, words
from hubgw.resources.vpn_server import VpnServerConfiguration

_GROUPS: Path = ("properties", "configurationPolicyGroups")
_CONFIGURATIONS: Path = ("properties", "p2SConnectionConfigurations")


def check_policy_groups(report: Report) -> None:
    """What the groups of a vpnServerConfiguration need, and the gateways that tell users apart by them."""
    for server in report.inventory.servers:
        _check_groups(report, server)
        _check_members(report, server)
    for gateway in report.inventory.user_gateways:
        if whose := report.of(VpnServerConfiguration, gateway.properties.vpn_server_configuration):
            _check_configurations(report, gateway, whose)


def _check_groups(report: Report, server: VpnServerConfiguration) -> None:
    groups = [*enumerate(server.properties.configuration_policy_groups)]
    for (index, group), (_, other) in seconds(groups, lambda it: it[1].name.lower()):
        report.add(server, (*_GROUPS, index, "name"), f"is the name of group {other.name} already", shown(group.name))
    for (index, group), (_, other) in seconds(groups, lambda it: it[1].properties.priority):
        message = f"group {other.name} has this priority already"
        report.add(server, (*_GROUPS, index, "properties", "priority"), message, shown(group.properties.priority))
    defaults = [(index, group) for index, group in groups if group.properties.is_default]
    for index, _ in defaults[1:]:
        message = f"group {defaults[0][1].name} is the default already"
        report.add(server, (*_GROUPS, index, "properties", "isDefault"), message, shown(True))
    for index, group in groups:
        if not group.properties.is_default and not group.properties.policy_members:
            report.add(server, (*_GROUPS, index, "properties", "policyMembers"), f"nobody is in group {group.name}")
    if groups and not defaults and report.inventory.users_of(server.key):
        message = "users with passwords are in the default group alone, as what they call themselves is not proved"
        report.add(server, _GROUPS, message, hint="make one isDefault, or delete the vpnUsers")


def _members(server: VpnServerConfiguration) -> Iterator[tuple[Path, PolicyGroup, PolicyMember]]:
    for index, group in enumerate(server.properties.configuration_policy_groups):
        for position, member in enumerate(group.properties.policy_members):
            yield (*_GROUPS, index, "properties", "policyMembers", position, "attributeValue"), group, member


def _check_members(report: Report, server: VpnServerConfiguration) -> None:
    members = [*_members(server)]
    for authentication, by_certificate in (("Certificate", True), ("Radius", False)):
        mine = [path for path, _, member in members if member.by_certificate is by_certificate]
        if mine and authentication not in server.properties.vpn_authentication_types:
            message = f"nobody is in a group by this: {authentication} is not among vpnAuthenticationTypes"
            report.add(server, (*mine[0][:-1], "attributeType"), message)
    for number, (path, group, member) in enumerate(members):
        for _, other_group, other in members[:number]:
            shared = None if group is other_group else _overlap(member, other)
            if shared is None:
                continue
            here, there = (identity.count("*") for identity in shared)
            if here == there:
                message = f"group {other_group.name} has some of these users by {shown(other.attribute_value)} already"
                report.add(server, path, message, shown(member.attribute_value))
            elif (here < there) != (group.properties.priority < other_group.properties.priority):
                message = (
                    f"some of these users are in group {other_group.name} too, by {shown(other.attribute_value)}, and "
                    "charon takes the pattern with fewer * whatever the priority"
                )
                report.add(
                    server, path, message, shown(member.attribute_value), "give the group of that the smaller priority"
                )


def _overlap(one: PolicyMember, other: PolicyMember) -> tuple[str, str] | None:
    """Returns the identities by which somebody may be in both, None where nobody is."""
    if one.by_certificate is not other.by_certificate:
        return None
    mine, its = ([each for each in (member.identity, member.own_subject) if each] for member in (one, other))
    return next((pair for pair in product(mine, its) if _fits_both(*pair)), None)


def _fits_both(one: str, other: str) -> bool:
    """Tells whether something may be as both say: subjects of the same parts in one order, each value equal or any."""
    mine, its = ([part.partition("=")[::2] for part in text.lower().split(", ")] for text in (one, other))
    return len(mine) == len(its) and all(
        name == its_name and (value == its_value or "*" in {value, its_value})
        for (name, value), (its_name, its_value) in zip(mine, its, strict=True)
    )


def _check_configurations(report: Report, gateway: P2sVpnGateway, server: VpnServerConfiguration) -> None:
    configurations = [*enumerate(gateway.properties.connection_configurations)]
    groups = {server.group_key(group): group for group in server.properties.configuration_policy_groups}
    for (index, one), (_, other) in seconds(configurations, lambda it: it[1].name.lower()):
        path = (*_CONFIGURATIONS, index, "name")
        report.add(gateway, path, f"is the name of configuration {other.name} already", shown(one.name))
    if not groups and len(configurations) > 1:
        message = f"users are told apart by groups, and {words(server)} has no configurationPolicyGroups"
        report.add(gateway, (*_CONFIGURATIONS, 1), message, hint="give them groups, or have one configuration")
    associated: dict[str, str] = {}
    for index, one in configurations:
        path = (*_CONFIGURATIONS, index, "properties", "configurationPolicyGroupAssociations")
        if groups and not one.properties.configuration_policy_group_associations:
            report.add(gateway, path, f"{words(server)} has groups, and none of them is in configuration {one.name}")
        for position, ref in enumerate(one.properties.configuration_policy_group_associations):
            if not ref.key.startswith(f"{server.key}/"):
                message = f"is a group of another vpnServerConfiguration than {server.name}, which the gateway has"
                report.add(gateway, (*path, position), message, shown(ref.name))
            elif holder := associated.get(ref.key, ""):
                message = f"configuration {holder} has this group already"
                report.add(gateway, (*path, position), message, shown(ref.name))
            associated.setdefault(ref.key, one.name)
    if missing := [group.name for key, group in groups.items() if key not in associated]:
        message = f"no configuration has group {', '.join(missing)} of {words(server)}"
        report.add(gateway, _CONFIGURATIONS, message, hint="add it to configurationPolicyGroupAssociations of one")
