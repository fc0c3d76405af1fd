"""Point-to-site by RADIUS: a FreeRADIUS says who a user is, and of which group; if it is silent, the next one does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.certificates import Pair
from tests.lab.radius import Radius
from tests.lab.reach import pings
from tests.lab.test_users_eap import by_password
from tests.lab.topology import Lab
from tests.lab.users import Client, node_with_users, root_of_users, server, user

FIRST, SECOND = "example-secret-one", 'example "secret" \\ two'
USERS = {
    "alice": ("example-password-1", "finance"),
    "bob": ("example-password-2", ""),
    "carol": ("example-password-3", "sales"),
}
_SERVERS = """  radiusServers:
    - {{radiusServerAddress: 198.51.100.1, radiusServerScore: 30, radiusServerSecret: '{first}'}}
    - {{radiusServerAddress: 198.51.100.2, radiusServerScore: 1, radiusServerSecret: '{second}'}}
  configurationPolicyGroups:
    - {{name: rest, properties: {{isDefault: true, priority: 9}}}}
"""
_GROUP = """    - name: {name}
      properties:
        priority: {priority}
        policyMembers: [{{attributeType: RadiusAzureGroupId, attributeValue: {name}}}]
"""
_GATEWAY = """---
type: p2sVpnGateways
name: p1
location: westeurope
properties:
  virtualHub: hub1
  vpnServerConfiguration: users
  p2SConnectionConfigurations:
"""
_CONFIGURATION = """    - name: {name}
      properties:
        vpnClientAddressPool: {{addressPrefixes: [10.99.{number}.0/24]}}
        configurationPolicyGroupAssociations: [{name}]
"""


@pytest.fixture
def radius(running_lab: Lab) -> Iterator[tuple[Radius, Radius]]:
    """Two servers with one list of users; neither runs yet."""
    isp = running_lab.isp
    isp.ip("addr add 198.51.100.2/24 dev uhub")
    both = Radius(isp, "198.51.100.1", USERS), Radius(isp, "198.51.100.2", USERS)
    yield both
    for one in both:
        if one.name in isp.processes:
            one.end()
    isp.ip("addr del 198.51.100.2/24 dev uhub")


def configured(root: Pair, *groups: str, first: str = FIRST) -> str:
    text = server(root).replace("[Certificate]", "[Certificate, Radius]").rstrip()
    text += "\n" + _SERVERS.format(first=first, second=SECOND)
    text += "".join(_GROUP.format(name=name, priority=number) for number, name in enumerate(groups, 1))
    numbered = enumerate(("rest", *groups), 1)
    return text + _GATEWAY + "".join(_CONFIGURATION.format(name=name, number=number) for number, name in numbered)


@contextmanager
def asked(lab: Lab, root: Pair) -> Iterator[str]:
    """Has the hub ask both servers; yields the hub's authority."""
    lab.hub.apply_text("---\n".join((configured(root, "finance"), node_with_users())))
    try:
        yield lab.hub.run("user", "ca").stdout
    finally:
        lab.hub.apply("node.yaml")
        lab.hub.run("delete", "p2sVpnGateways/p1", "vpnServerConfigurations/users", "--yes")
        assert not any(secret in lab.hub.charon.log + lab.hub.agent_log for secret in (FIRST, SECOND))


def test_a_group_by_the_class_that_the_server_gives(
    lab: Lab, clients: list[Client], radius: tuple[Radius, Radius]
) -> None:
    root, one, (first, _) = root_of_users(), clients[0], radius
    spare = user(root, "spare")
    first.start(FIRST)
    with asked(lab, root) as authority:

        def pool_of(name: str) -> str:
            assert by_password(one, authority, spare, name, USERS[name][0])
            virtual = one.virtual
            assert pings(one.node, virtual, "10.50.0.4")
            one.logout()
            return virtual.rpartition(".")[0]

        assert [pool_of(name) for name in USERS] == ["10.99.2", "10.99.1", "10.99.1"]
        assert not by_password(one, authority, spare, "bob", USERS["alice"][0])
        assert not by_password(one, authority, spare, "nobody", USERS["alice"][0])
        assert one.login(authority, spare)  # a certificate, in the default's group
        assert one.virtual.startswith("10.99.1.")
        one.logout()
        # A group that comes later goes before the default.
        lab.hub.apply_text(configured(root, "finance", "sales"))
        assert [pool_of(name) for name in USERS] == ["10.99.2", "10.99.1", "10.99.3"]
        # Without a default, who is in no group is refused.
        rest, nobody = "{isDefault: true, priority: 9}", "RadiusAzureGroupId, attributeValue: nobody"
        closed = f"{{priority: 9, policyMembers: [{{attributeType: {nobody}}}]}}"
        lab.hub.apply_text(configured(root, "finance", "sales").replace(rest, closed))
        assert not by_password(one, authority, spare, "bob", USERS["bob"][0])
        assert pool_of("alice") == "10.99.2"
        settings = lab.hub.run_dir / "charon.d" / "radius.conf"
        assert settings.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_server_that_is_silent_or_has_another_secret(
    lab: Lab, clients: list[Client], radius: tuple[Radius, Radius]
) -> None:
    root, (one, two), (first, second) = root_of_users(), clients, radius
    spare = user(root, "spare")
    first.start(FIRST)
    second.start(SECOND)
    with asked(lab, root) as authority:

        def login(client: Client) -> bool:
            return by_password(client, authority, spare, "bob", USERS["bob"][0])

        assert login(one)
        first.end()
        began = time.monotonic()
        taken = login(two)
        assert taken or time.monotonic() - began < 12
        assert taken or login(two)  # by the second
        two.logout()
        second.end()
        assert not login(two) and not login(two)
        assert pings(one.node, one.virtual, "10.50.0.4")
        assert two.login(authority, spare)  # certificates need no server
        two.logout()

        # A secret that the server does not have is as good as no server.
        first.start(FIRST)
        lab.hub.apply_text(configured(root, "finance", first="example-secret-two"))
        assert not login(two)
        lab.hub.apply_text(configured(root, "finance"))
        assert login(two)
        assert pings(one.node, one.virtual, "10.50.0.4") and pings(two.node, two.virtual, "10.50.0.4")
