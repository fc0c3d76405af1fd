"""Users whose certificates the operator's own authority issued, and resources revoke by thumbprint."""

import re
import time

import pytest

from hubgw.agent.thumbprints import BEGUN
from hubgw.pki.reading import read_certificates
from tests.certificates import Pair, make
from tests.lab.reach import pings
from tests.lab.test_users_eap import by_tls
from tests.lab.topology import Lab
from tests.lab.users import Client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

WITHIN = 60.0  # seconds from a revocation to the end of a session


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


def _revoke(lab: Lab, root: Pair, *revoked: Pair) -> None:
    prints = [one.thumbprint for pair in revoked for one in read_certificates(pair.pem)]
    named = ", ".join(f"{{name: user{number}, thumbprint: '{one}'}}" for number, one in enumerate(prints))
    lab.hub.apply_text(server(root) + f"  vpnClientRevokedCertificates: [{named}]\n")


def _spis(lab: Lab, one: Client) -> set[str]:
    return {found for sa in lab.hub.sas(one.address) for found in re.findall(r"spi (0x\w+)", sa)}


def _ike(lab: Lab, one: Client) -> list[str]:
    """Returns the connections of its IKE SAs."""
    return [name for name, sa in lab.hub.charon.sas() if sa["remote-host"].decode() == one.address]


def _refused(lab: Lab, one: Client, authority: str, pair: Pair, *, instance: int = 0, identity: str = "") -> None:
    """Has a client try, and waits for the event that says why not, and for the end of what there was."""
    since = time.time()
    assert not one.login(authority, pair, instance=instance, identity=identity)
    told = lab.hub.wait_event("user.refused", f"client={one.address} ", since=since)
    assert "the certificate is revoked (vpnClientRevoked" in told, told
    wait_for("nothing stands", lambda: not _ike(lab, one))
    one.logout(force=True)


def test_whose_thumbprint_is_added_is_off_and_refused_until_it_is_taken_away(
    lab: Lab, root: Pair, clients: list[Client]
) -> None:
    (one, other), hub = clients, lab.hub
    alice, renewed = user(root, "alice"), user(root, "alice")
    with gateway_of_users(lab, server(root)):
        authority = hub.run("user", "ca").stdout
        # charon tells neither of the two letters that are not ASCII.
        bob = make("O=Example, CN=B\u00f6b", by=root, now=time.time())
        assert one.login(authority, alice) and other.login(authority, bob, instance=1)
        spis, since = _spis(lab, other), time.time()
        _revoke(lab, root, alice)
        wait_for("who has it is off", lambda: hub.sas(one.address) == [], WITHIN)
        out = hub.wait_event("user.logout", f"client={one.address} ", since=since)
        assert "user=alice" in out and "the certificate is revoked" in out
        one.logout(force=True)
        for instance, identity in ((0, ""), (1, "alice@example.com")):
            _refused(lab, one, authority, alice, instance=instance, identity=identity)

        # Of whoever signed on before it is not known by which of the two.
        since = time.time()
        wait_for("charon has refused for a while", lambda: time.time() > since + BEGUN + 2)
        hub.kill_agent()
        assert not one.login(authority, alice, seconds=5), "charon refuses by itself"
        one.logout(force=True)
        assert one.login(authority, renewed, instance=1), "another of the same name"
        assert pings(one.node, one.virtual, "10.50.0.4")
        hub.start_agent()
        _revoke(lab, root, alice)
        assert len(_ike(lab, one)) == 1 and pings(one.node, one.virtual, "10.50.0.4")
        one.logout()

        _revoke(lab, root)
        assert one.login(authority, alice)
        assert pings(one.node, one.virtual, "10.50.0.4")
        one.logout()
        assert _spis(lab, other) == spis
        assert pings(other.node, other.virtual, "10.50.0.4")
        other.logout()


def test_by_eap_who_was_never_seen_is_in_for_a_moment_alone(lab: Lab, root: Pair, clients: list[Client]) -> None:
    (one, other), hub = clients, lab.hub
    eve = user(root, "eve")
    with gateway_of_users(lab, server(root)):
        authority = hub.run("user", "ca").stdout
        assert by_tls(other, authority, root.pem, user(root, "dave"), "dave@example.com")
        _revoke(lab, root, eve)
        spis = _spis(lab, other)
        by_tls(one, authority, root.pem, eve, "eve@example.com")
        wait_for("who has it is off", lambda: hub.sas(one.address) == [], WITHIN)
        hub.wait_event("user.logout", "user=eve@example.com ")
        one.logout(force=True)
        hub.wait_event("certificate.barred", "CN=eve")
        assert not by_tls(one, authority, root.pem, eve, "eve@example.com")
        assert "the certificate is revoked" in hub.wait_event("user.refused", "user=eve@example.com ")
        one.logout(force=True)
        _refused(lab, one, authority, eve)
        assert by_tls(one, authority, root.pem, user(root, "frank"), "frank@example.com")
        assert pings(one.node, one.virtual, "10.50.0.4")
        assert _spis(lab, other) == spis
        assert pings(other.node, other.virtual, "10.50.0.4")
