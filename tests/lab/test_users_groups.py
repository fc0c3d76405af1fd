"""Point-to-site: groups of users by what their certificates say, each with addresses of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.certificates import Pair, make
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import Client, client, node_with_users, root_of_users, server, user
from tests.lab.waiting import wait_for

_GROUPS = """  configurationPolicyGroups:
    - name: marketing
      properties:
        priority: 1
        policyMembers: [{attributeType: CertificateGroupId, attributeValue: marketing.example.com}]
    - name: finance
      properties:
        priority: 2
        policyMembers: [{attributeType: CertificateGroupId, attributeValue: "O=Example, OU=finance, CN=*"}]
"""
_DEFAULT = """    - {name: rest, properties: {isDefault: true, priority: 3}}
"""
_GATEWAY = """
---
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
        vpnClientAddressPool: {{addressPrefixes: [{pool}]}}
        configurationPolicyGroupAssociations: [{name}]
"""
_POOLS = {"marketing": "10.99.1.0/24", "finance": "10.99.2.0/24", "rest": "10.99.3.0/24"}


@pytest.fixture(scope="module")
def clients(running_lab: Lab) -> Iterator[list[Client]]:
    made = [client(running_lab, number) for number in (57, 58)]
    yield made
    for one in made:
        one.node.destroy()


@pytest.fixture(autouse=True)
def logged_out(clients: list[Client]) -> Iterator[None]:
    yield
    for one in clients:
        one.logout(force=True)


def configured(root: Pair, *, default: bool) -> str:
    names = [name for name in _POOLS if default or name != "rest"]
    gateway = _GATEWAY + "".join(_CONFIGURATION.format(name=name, pool=_POOLS[name]) for name in names)
    return f"{server(root).rstrip()}\n{_GROUPS}{_DEFAULT if default else ''}{gateway}"


@contextmanager
def groups(lab: Lab, root: Pair) -> Iterator[str]:
    """Has three groups, one of them the default; yields the hub's authority."""
    lab.hub.apply_text("---\n".join((configured(root, default=True), node_with_users())))
    try:
        yield lab.hub.run("user", "ca").stdout
    finally:
        lab.hub.apply("node.yaml")
        lab.hub.run("delete", "p2sVpnGateways/p1", "vpnServerConfigurations/users", "--yes")


def test_each_group_has_its_own_addresses(lab: Lab, clients: list[Client]) -> None:
    root, (one, two) = root_of_users(), clients
    alice = make("O=Example, CN=alice", ["alice@marketing.example.com"], by=root, now=time.time())
    bob = make("O=Example, OU=finance, CN=bob", ["bob@example.com"], by=root, now=time.time())
    carol = user(root, "carol")
    with groups(lab, root) as authority:
        for pair, identity, group in (
            (alice, "alice@marketing.example.com", "marketing"),
            (bob, "", "finance"),
            (carol, "carol@example.com", "rest"),
        ):
            assert one.login(authority, pair, identity=identity), group
            assert IPv4Address(one.virtual) in IPv4Network(_POOLS[group])
            wait_for("its session is shown", lambda: [each["group"] for each in lab.hub.show("sessions")] == [group])  # noqa: B023
            assert pings(one.node, one.virtual, "10.50.0.4")
            one.logout()

        # Who claims another's group has no certificate that says so.
        assert one.login(authority, alice, identity="alice@marketing.example.com")
        for claimed in ("carol@marketing.example.com", '"O=Example, OU=finance, CN=carol"'):
            assert not two.login(authority, carol, identity=claimed), claimed
        assert pings(one.node, one.virtual, "10.50.0.4")

        # Without a default the rest is refused, and who is in stays.
        lab.hub.apply_text(configured(root, default=False))
        assert pings(one.node, one.virtual, "10.50.0.4")
        assert not two.login(authority, carol, identity="carol@example.com")
        assert two.login(authority, bob)
        assert two.virtual.startswith("10.99.2.")


def test_by_tls_whoever_one_claims_to_be_one_is_in_the_default_group(lab: Lab, clients: list[Client]) -> None:
    root, one = root_of_users(), clients[0]
    carol = user(root, "carol")
    (one.folder / "root.pem").write_text(root.pem)
    more = f"authorities {{\n  users {{\n    cacert = {one.folder}/root.pem\n  }}\n}}\n"
    with groups(lab, root) as authority:
        conf = one.conf(authority, carol, identity="carol@marketing.example.com")
        one.charon.load(conf.replace("auth = pubkey", "auth = eap-tls\n      eap_id = carol@example.com", 1) + more)
        one.charon.load_key(carol.key)
        assert one.charon.swanctl("--initiate", "--child", "hub", "--timeout", "20", check=False).returncode == 0
        assert one.virtual.startswith("10.99.3.")
