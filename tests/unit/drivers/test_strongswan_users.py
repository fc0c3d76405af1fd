"""What charon is told of users, and who is off when a password is gone."""

import asyncio
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.users import (
    MOST_TOLD,
    behind,
    encode_server,
    encode_user,
    leased,
    other_proof,
    unrouted,
)
from hubgw.names import Secret
from hubgw.plan.ipsec import IkeCertificate, IkeServer, IkeUser
from hubgw.plan.types import Create, Delete, Update

CERTIFICATES = {digest: IkeCertificate(digest, f"CN={digest}", digest.encode()) for digest in ("hub", "root", "other")}
SERVER = IkeServer(
    name="hgt1",
    if_id=1,
    local_address="198.51.100.10",
    local_id="198.51.100.10",
    certificate="hub",
    authorities=("root",),
    pools=("hgt1-pool0",),
    reached=("10.50.0.0/24",),
    proposals=("aes256gcm16-prfsha384-ecp384",),
    esp_proposals=("aes256gcm16",),
    dpd_delay=10,
    child_life_time=28_800,
)


def remote(server: IkeServer) -> object:
    (connection,) = encode_server(server, CERTIFICATES, frozenset()).values()
    assert isinstance(connection, dict)
    return connection["remote"]


def test_each_way_to_prove_who_one_is() -> None:
    assert remote(SERVER) == {"id": "%any", "auth": "pubkey", "cacerts": [b"root"]}
    tls = {"id": "%any", "auth": "eap-tls", "eap_id": "%any", "cacerts": [b"root"]}
    assert remote(replace(SERVER, eap="tls")) == tls
    by_password = replace(SERVER, eap="mschapv2", authorities=())
    assert remote(by_password) == {"id": "%any", "auth": "eap-mschapv2", "eap_id": "%any"}


def test_a_password_is_for_eap_and_for_its_user() -> None:
    encoded = encode_user(IkeUser("hgu-1", "alice", Secret("example-password")))
    assert encoded == {"id": "hgu-1", "type": "EAP", "data": "example-password", "owners": ["alice"]}


def test_sessions_end_where_who_is_in_may_be_nobody_now() -> None:
    assert not other_proof(SERVER, replace(SERVER, dpd_delay=20, reached=(), authorities=("other", "root")))
    for other in (
        replace(SERVER, authorities=("other",)),
        replace(SERVER, eap="tls"),
        replace(SERVER, local_id="vpn.example.com"),
    ):
        assert other_proof(SERVER, other)
    framed = replace(SERVER, is_framed=True)
    assert other_proof(framed, SERVER) and not other_proof(SERVER, framed), "addresses are of no pool any longer"


def test_who_has_an_address_by_radius_is_given_none_of_the_pools() -> None:
    (connection,) = encode_server(replace(SERVER, is_framed=True), CERTIFICATES, frozenset()).values()
    assert isinstance(connection, dict) and connection["pools"] == ["radius", "hgt1-pool0"]


def test_where_some_are_given_addresses_by_radius_users_move_routes() -> None:
    by_radius = replace(SERVER, name="hgt1-eap", eap="radius")
    others = replace(SERVER, name="hgt2")
    assert unrouted([SERVER, by_radius, others]) == {"hgt1", "hgt2"}
    assert unrouted([SERVER, replace(by_radius, is_framed=True), others]) == {"hgt2"}


def test_an_address_is_leased_while_its_client_is_there() -> None:
    told = [("10.99.0.1", "alice", b"online"), ("10.99.0.2", "bob", b"offline")]
    leases = {
        str(number): {"address": address.encode(), "identity": name.encode(), "status": status}
        for number, (address, name, status) in enumerate(told)
    }
    assert set(leased({"hgt1-pool0": {"size": b"2", "leases": leases}})) == {("10.99.0.1", "alice")}
    assert set(leased({})) == set(leased({"hgt1-pool0": {"size": b"2"}})) == set()


def test_leases_are_not_asked_for_where_they_are_more_than_charon_tells(tmp_path: Path) -> None:
    class Session:
        online = MOST_TOLD - 1

        def get_pools(self, about: dict[str, str]) -> dict[str, object]:
            assert about["name"] == "hgt1-10.99.0.0-16"
            lease = {"address": b"10.99.0.1", "identity": b"alice", "status": b"online"}
            told = {"leases": {"0": lease}} if "leases" in about else {}
            return {about["name"]: {"online": str(self.online).encode(), "offline": b"1", **told}}

    async def leased() -> object:
        driver, session = StrongswanDriver(str(tmp_path / "vici"), tmp_path / "ledger.json"), Session()
        with patch.object(driver._commands, "_call", lambda work: work(session)):
            few = await driver.leased("hgt1-10.99.0.0-16")
            session.online += 1
            many = await driver.leased("hgt1-10.99.0.0-16")
        await driver.close()
        return few, many

    assert asyncio.run(leased()) == ({("10.99.0.1", "alice")}, None)


def test_who_is_barred_gets_nothing_and_the_others_are_led_on() -> None:
    barring = replace(SERVER, name="hgt1-barred", authorities=(), pools=(), reached=(), barred=("other", "root"))
    (encoded,) = encode_server(barring, CERTIFICATES, frozenset()).values()
    assert isinstance(encoded, dict)
    assert encoded["remote"] == {"id": "%any", "auth": "pubkey", "certs": [b"other", b"root"]}
    assert encoded["children"] == {} and "pools" not in encoded
    tls = replace(SERVER, name="hgt1-eap", eap="tls")
    wanted = [barring, SERVER, tls]
    assert behind([Create(barring)], wanted) == [SERVER], "charon takes the first that was loaded"
    assert behind([Update(replace(barring, barred=("root",)), barring)], wanted) == [SERVER]
    assert behind([Delete(barring), Create(SERVER)], wanted) == []
    assert behind([Create(replace(tls, name="hgt1-eap-barred", barred=("root",)))], wanted) == [tls]
