"""Point-to-site by EAP: names and passwords that hubgw keeps, and certificates inside TLS."""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from tests.certificates import Pair
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import Client, eap_secret, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

FIRST, SECOND, OTHER = "example-password-1", "example-password-2", "example-password-of-bob"

_USER = """
type: vpnUsers
name: {name}
properties: {{vpnServerConfiguration: users{password}}}
"""


def login(
    one: Client,
    authority: str,
    pair: Pair,
    *,
    method: str,
    name: str,
    secrets: str = "",
    root: str = "",
    instance: int = 0,
) -> bool:
    """Tells whether the gateway takes a user by an EAP method; `root` is who made the user's certificate."""
    public_key = one.conf(authority, pair, identity=name, instance=instance)
    conf = public_key.replace("auth = pubkey", f'auth = eap-{method}\n      eap_id = "{name}"', 1)
    one.charon.load(conf + secrets)
    if root:
        one.charon.load_authority(root)
    one.charon.load_key(pair.key)
    done = one.charon.swanctl("--initiate", "--child", "hub", "--timeout", "20", check=False)
    return done.returncode == 0


def vpn_user(name: str, password: str = "") -> str:
    return _USER.format(name=name, password=f", password: {password}" if password else "")


@contextmanager
def passwords(lab: Lab, root: Pair, **users: str) -> Iterator[str]:
    """Has users with passwords beside those with certificates; yields the hub's authority."""
    with gateway_of_users(lab, server(root)):
        lab.hub.apply_text("---".join(vpn_user(name, password) for name, password in users.items()))
        try:
            yield lab.hub.run("user", "ca").stdout
        finally:
            lab.hub.run("delete", *(f"vpnUsers/{name}" for name in users), "--yes")


def by_password(one: Client, authority: str, pair: Pair, name: str, password: str, *, instance: int = 0) -> bool:
    secrets = eap_secret(name, password)
    return login(one, authority, pair, method="mschapv2", name=name, secrets=secrets, instance=instance)


def by_tls(one: Client, authority: str, root: str, pair: Pair, name: str) -> bool:
    return login(one, authority, pair, method="tls", name=name, root=root)


def test_a_user_with_a_password(lab: Lab, clients: list[Client]) -> None:
    root = root_of_users()
    spare, (one, two) = user(root, "carol"), clients
    with passwords(lab, root, alice=FIRST, bob=OTHER) as authority:
        assert by_password(one, authority, spare, "alice", FIRST)
        assert pings(one.node, one.virtual, "10.50.0.4")
        for name, password in (("bob", FIRST), ("nobody", FIRST), ("ALICE", SECOND), ("*lice", FIRST)):
            assert not by_password(two, authority, spare, name, password)
        assert two.login(authority, spare)  # a certificate, at the same gateway
        assert pings(two.node, two.virtual, "10.50.0.4")
        two.logout()

        # A new password touches no session, and the old is worth nothing from then on.
        lab.hub.apply_text(vpn_user("alice", SECOND))
        assert not by_password(two, authority, spare, "alice", FIRST)
        assert by_password(two, authority, spare, "alice", SECOND)
        two.logout()
        assert pings(one.node, one.virtual, "10.50.0.4")
        lab.hub.apply_text(vpn_user("alice"))
        assert by_password(two, authority, spare, "alice", SECOND)
        two.logout()

        assert by_password(two, authority, spare, "bob", OTHER)
        lab.hub.run("delete", "vpnUsers/alice", "--yes")
        wait_for("alice is off", lambda: lab.hub.sas(one.address) == [])
        wait_for("the event says why", lambda: "there is no such user any longer" in lab.hub.agent_log)
        assert pings(two.node, two.virtual, "10.50.0.4")
        assert not by_password(one, authority, spare, "alice", SECOND)
        lab.hub.apply_text(vpn_user("alice", FIRST))
        shown = lab.hub.run("show", "resources", check=False).stdout
        log = lab.hub.charon.log
        assert not [word for word in (FIRST, SECOND, OTHER) if word in log or word in shown]


def test_a_certificate_inside_tls(lab: Lab, clients: list[Client]) -> None:
    root, foreign, (one, two) = root_of_users(), root_of_users(), clients
    alice = user(root, "alice")
    with gateway_of_users(lab, server(root)):
        authority = lab.hub.run("user", "ca").stdout
        assert by_tls(one, authority, root.pem, alice, "alice@example.com")
        assert pings(one.node, one.virtual, "10.50.0.4")
        assert two.login(authority, user(root, "bob"))  # by public key, at the same gateway
        two.logout()
        assert not by_tls(two, authority, root.pem, alice, "bob@example.com")
        assert not by_tls(two, authority, foreign.pem, user(foreign, "alice"), "alice@example.com")
        # charon has the hub's own authority too, which vouches for branches and not for users.
        lab.hub.run("pki", "issue", "alice", "--identity", "alice@example.com", "--out", str(two.folder))
        certificate, key = ((two.folder / f"alice.{kind}").read_bytes() for kind in ("pem", "key"))
        private = load_pem_private_key(key, None)
        assert isinstance(private, EllipticCurvePrivateKey)
        branch = Pair(load_pem_x509_certificate(certificate), private)
        assert not by_tls(two, authority, authority, branch, "alice@example.com")
        assert not two.login(authority, branch)
        assert pings(one.node, one.virtual, "10.50.0.4")
