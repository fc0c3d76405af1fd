"""Point-to-site: clients with certificates get addresses and reach virtual networks, inside ESP; of hubgw's own
authority they do until they are revoked."""

from pathlib import Path

from tests.lab.capture import capture
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import OWN_AUTHORITY, Client, gateway_of_users, own_user, root_of_users, server, user
from tests.lab.waiting import wait_for


def test_a_user_with_a_certificate_reaches_a_virtual_network(lab: Lab, clients: list[Client]) -> None:
    root, one = root_of_users(), clients[0]
    with gateway_of_users(lab, server(root)):
        authority = lab.hub.run("user", "ca").stdout
        assert one.login(authority, user(root, "alice"))
        with (
            capture(lab.isp, "uhub", f"host {one.address} and ip proto 50", to_the_last=True) as esp,
            capture(lab.isp, "uhub", "net 10.0.0.0/8", to_the_last=True) as clear,
        ):
            assert pings(one.node, one.virtual, "10.50.0.4")
            assert pings(lab.vnets["vnet1"], "10.50.0.4", one.virtual)
        assert esp.lines and not clear.lines
        # Another authority's certificate for the same name is worth nothing.
        assert not clients[1].login(authority, user(root_of_users(), "alice"))
    assert lab.hub.sas(one.address) == []


def test_each_instance_has_its_own_half_of_the_pool(lab: Lab, clients: list[Client]) -> None:
    root = root_of_users()
    with gateway_of_users(lab, server(root)):
        authority = lab.hub.run("user", "ca").stdout
        for instance, one in enumerate(clients):
            assert one.login(authority, user(root, f"user{instance}"), instance=instance)
            assert pings(lab.vnets["vnet1"], "10.50.0.4", one.virtual)
        first, second = (int(one.virtual.rpartition(".")[2]) for one in clients)
        assert 0 < first < 127 and 128 < second < 255


def test_a_user_has_an_address_of_his_own_at_each_instance(lab: Lab, clients: list[Client]) -> None:
    root, vnet1 = root_of_users(), lab.vnets["vnet1"]
    own = "{identity: alice@example.com, addresses: [10.99.9.1, 10.99.9.2]}"
    settings = f"type: settings\nname: p1\nproperties: {{resource: p2sVpnGateways/p1, staticAddresses: [{own}]}}"
    with gateway_of_users(lab, server(root)):
        lab.hub.apply_text(settings)
        try:
            authority, alice = lab.hub.run("user", "ca").stdout, user(root, "alice")
            for instance, one in enumerate(clients):
                assert one.login(authority, alice, instance=instance, identity="alice@example.com")
                assert one.virtual == f"10.99.9.{instance + 1}"
                assert pings(vnet1, "10.50.0.4", one.virtual) and pings(one.node, one.virtual, "10.50.0.4")
            # Who is somebody else is not given it, whatever he calls himself.
            clients[0].logout()
            assert not clients[0].login(authority, user(root, "bob"), identity="alice@example.com")
            assert clients[0].login(authority, user(root, "bob"), identity="bob@example.com")
            assert clients[0].virtual.startswith("10.99.0.")
        finally:
            lab.hub.run("delete", "settings/p1", "--yes")


def test_a_user_of_hubgws_own_authority_is_in_until_revoked(lab: Lab, clients: list[Client], tmp_path: Path) -> None:
    hub, one = lab.hub, clients[0]
    with gateway_of_users(lab, OWN_AUTHORITY):
        alice, authority = own_user(hub, "alice@example.com", tmp_path), hub.run("user", "ca").stdout
        assert one.login(authority, alice)
        assert pings(one.node, one.virtual, "10.50.0.4")
        hub.run("user", "revoke", f"{alice.certificate.serial_number:x}", "--yes")
        wait_for("no SA is left", lambda: not one.charon.established() and hub.sas(one.address) == [], 60)
        assert not one.login(authority, alice)
        assert "was revoked" in hub.charon.log
