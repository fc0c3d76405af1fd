"""Point-to-site: groups of users by what their certificates say, each with addresses of its own."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.certificates import make, revoke
from tests.lab import profiles
from tests.lab.platforms import Typed
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import OWN_AUTHORITY, Client, node_with_users, own_user, root_of_users, server, user
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
_SUBJECT = "O=hubgw, OU=marketing.example.com, CN={name}@marketing.example.com"
_POOLS = {"marketing": "10.99.1.0/24", "finance": "10.99.2.0/24", "rest": "10.99.3.0/24"}


def configured(believing: str, *, default: bool) -> str:
    names = [name for name in _POOLS if default or name != "rest"]
    gateway = _GATEWAY + "".join(_CONFIGURATION.format(name=name, pool=_POOLS[name]) for name in names)
    return f"{believing.rstrip()}\n{_GROUPS}{_DEFAULT if default else ''}{gateway}"


@contextmanager
def groups(lab: Lab, believing: str) -> Iterator[str]:
    """Has three groups, one of them the default; yields the hub's authority."""
    lab.hub.apply_text("---\n".join((configured(believing, default=True), node_with_users())))
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
    with groups(lab, server(root)) as authority:
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
        lab.hub.apply_text(configured(server(root), default=False))
        assert pings(one.node, one.virtual, "10.50.0.4")
        assert not two.login(authority, carol, identity="carol@example.com")
        assert two.login(authority, bob)
        assert two.virtual.startswith("10.99.2.")


def test_by_tls_whoever_one_claims_to_be_one_is_in_the_default_group(lab: Lab, clients: list[Client]) -> None:
    root, one = root_of_users(), clients[0]
    carol = user(root, "carol")
    (one.folder / "root.pem").write_text(root.pem)
    more = f"authorities {{\n  users {{\n    cacert = {one.folder}/root.pem\n  }}\n}}\n"
    with groups(lab, server(root)) as authority:
        conf = one.conf(authority, carol, identity="carol@marketing.example.com")
        one.charon.load(conf.replace("auth = pubkey", "auth = eap-tls\n      eap_id = carol@example.com", 1) + more)
        one.charon.load_key(carol.key)
        assert one.charon.swanctl("--initiate", "--child", "hub", "--timeout", "20", check=False).returncode == 0
        assert one.virtual.startswith("10.99.3.")


def test_by_a_subject_of_hubgws_own_making_one_is_in_the_group_of_its_domain(
    lab: Lab, clients: list[Client], tmp_path: Path
) -> None:
    (one, two), root, own = clients, root_of_users(), lab.hub.run("user", "ca").stdout
    erin, frank = (own_user(lab.hub, f"{name}.example.com", tmp_path) for name in ("erin@marketing", "frank@sales"))
    grace = make(_SUBJECT.format(name="grace"), ["grace@example.com"], by=root, now=time.time())
    lists = {"resource": "vpnServerConfigurations/users", "revocationLists": [revoke(root, now=time.time() - 60)]}
    with groups(lab, server(root, own)) as authority:
        lab.hub.apply_text(json.dumps({"type": "settings", "name": "lists", "properties": lists}))
        try:
            assert one.login(authority, erin)
            assert one.virtual.startswith("10.99.1.")
            wait_for("its session is shown", lambda: [each["user"] for each in lab.hub.show("sessions")])
            (shown,) = lab.hub.show("sessions")
            assert (shown["user"], shown["group"]) == ("erin@marketing.example.com", "marketing")
            assert shown["identity"] == _SUBJECT.format(name="erin")
            assert pings(one.node, one.virtual, "10.50.0.4")

            # Whoever another authority gives such a subject is in no group by it; nor is who has none and claims one.
            assert two.login(authority, grace)
            assert two.virtual.startswith("10.99.3.")
            two.logout()
            assert not two.login(authority, frank, identity=f'"{_SUBJECT.format(name="frank")}"')
            assert two.login(authority, frank)
            assert two.virtual.startswith("10.99.3.")
            assert pings(one.node, one.virtual, "10.50.0.4")
        finally:
            lab.hub.run("delete", "settings/lists", "--yes")


def test_windows_is_in_the_group_of_the_users_domain(lab: Lab, clients: list[Client], tmp_path: Path) -> None:
    machine = clients[1]
    with groups(lab, OWN_AUTHORITY):
        content, password = profiles.written(lab.hub, "heidi@marketing.example.com", "windows", tmp_path)
        made = profiles.client("windows", content, Typed(key_password=password), rekeying=True)
        charon = profiles.install(machine, made)
        charon.swanctl("--initiate", "--child", made.child, "--timeout", "30")
        assert machine.virtual.startswith("10.99.1.")
        assert pings(machine.node, machine.virtual, "10.50.0.4")
        charon.swanctl("--terminate", "--ike", "profile")
