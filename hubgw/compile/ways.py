"""A gateway of users -> the ways in: by what, as whom, and which connection configuration's pools that gets."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from hubgw.compile.scope import HostedUsers
from hubgw.resources.p2s_gateway import ConnectionConfiguration
from hubgw.resources.policy_group import PolicyMember

ANYBODY = "%any"
MSCHAPV2 = "mschapv2"


@dataclass(frozen=True, slots=True)
class Way:
    """One way in. `suffix` is what the name of its connection ends in; `eap` is a method, or empty for public keys;
    `identity` is what who takes it may call himself, `groups` those of RADIUS, one of which he is in, if any; `group`
    is the name of the policy group. Who has `addresses` of his own, one at each instance, is given no other. Where
    it is `by_own_authority`, of all that are believed hubgw's own alone may say who one is."""

    suffix: str
    eap: str
    identity: str
    configuration: ConnectionConfiguration
    groups: tuple[str, ...] = ()
    group: str = ""
    addresses: tuple[str, ...] = ()
    by_own_authority: bool = False

    @property
    def by_certificate(self) -> bool:
        """Tells whether charon itself is shown a certificate."""
        return self.eap in {"", "tls"}


def ways(users: HostedUsers, *, believes_own: bool) -> Iterator[Way]:
    """Yields the ways in; who is in no group has none where there is no default. Where the gateway `believes_own`, the
    subjects that hubgw's own authority gives lead into groups by domain too.

    charon leads who wants EAP past public keys, but not from one method to another: there is one. By EAP what the
    client calls itself is not proved, so that groups by certificates are by public keys alone. Where several ways fit a
    public key charon takes the one whose identity has the fewest wildcards. Windows calls itself by its certificate's
    subject, which no pattern of names matches: the domain is in those of hubgw's own authority, and a pattern of them.
    """
    types, (default, group) = users.server.properties.vpn_authentication_types, _default(users)
    if "Certificate" in types:
        members = [one for one in _members(users) if one[1].by_certificate]
        said = {member.identity for _, member, _ in members}
        for of, member, configuration in members:
            yield Way(_suffix(member.identity), "", member.identity, configuration, group=of)
            subject = member.own_subject
            if believes_own and subject and subject not in said:
                yield Way(_suffix(subject), "", subject, configuration, group=of, by_own_authority=True)
        if default:
            yield Way("", "", ANYBODY, default, group=group)
        for one in users.static:
            own = default or users.gateway.properties.connection_configurations[0]
            addresses = tuple(map(str, one.addresses))
            yield Way(_suffix(one.identity), "", one.identity, own, group=group, addresses=addresses)
    if "Radius" in types:
        # Before that without a group: charon takes the first that fits.
        for of, member, configuration in _members(users):
            if not member.by_certificate:
                value = member.attribute_value
                yield Way(f"-eap{_suffix(value)}", "radius", ANYBODY, configuration, (value,), group=of)
    if default:
        method = MSCHAPV2 if users.passwords else "radius" if "Radius" in types else "tls"
        yield Way("-eap", method, ANYBODY, default, group=group)


def _suffix(value: str) -> str:
    """Returns what does not move when another group comes or goes: sessions are of a connection, by its name."""
    return f"-{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def _members(users: HostedUsers) -> Iterator[tuple[str, PolicyMember, ConnectionConfiguration]]:
    groups = {users.server.group_key(group): group for group in users.server.properties.configuration_policy_groups}
    for one in users.gateway.properties.connection_configurations:
        for ref in one.properties.configuration_policy_group_associations:
            for member in groups[ref.key].properties.policy_members:
                yield groups[ref.key].name, member, one


def _default(users: HostedUsers) -> tuple[ConnectionConfiguration | None, str]:
    configurations = users.gateway.properties.connection_configurations
    groups = users.server.properties.configuration_policy_groups
    if not groups:
        return configurations[0], ""
    defaults = {users.server.group_key(group): group.name for group in groups if group.properties.is_default}
    return next(
        (
            (one, defaults[ref.key])
            for one in configurations
            for ref in one.properties.configuration_policy_group_associations
            if ref.key in defaults
        ),
        (None, ""),
    )
