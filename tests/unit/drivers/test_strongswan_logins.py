"""Events and lists of charon -> users' SAs. The messages are charon 6.0.1's own."""

from typing import Any

from vici.protocol import Message

from hubgw.drivers.strongswan.codec import ike_sas
from hubgw.drivers.strongswan.logins import Barred, Came, Carried, Login, Rekeyed, Went, hear, read
from hubgw.drivers.strongswan.users import Leases, leases

CHILD = {
    "name": b"hgt7",
    "uniqueid": b"8",
    "state": b"INSTALLED",
    "spi-in": b"ce67434d",
    "spi-out": b"c1821362",
    "encr-alg": b"AES_GCM_16",
    "encr-keysize": b"256",
    "bytes-in": b"84",
    "bytes-out": b"168",
}
SA = {
    "uniqueid": b"7",
    "version": b"2",
    "state": b"ESTABLISHED",
    "local-host": b"198.51.100.10",
    "local-id": b"198.51.100.10",
    "remote-host": b"192.0.2.202",
    "remote-port": b"4500",
    "remote-id": b"O=Example, CN=alice",
    "initiator-spi": b"b4f3e371b5efa55c",
    "responder-spi": b"0fa6566da94abfa1",
    "established": b"5",
    "remote-vips": [b"10.99.0.1"],
}
WITH_CHILD = {**SA, "child-sas": {"hgt7-8": CHILD}}


def test_of_an_ike_sa_that_came_or_went_its_number_is_read() -> None:
    for up in ({"up": b"yes"}, {}):
        octets = bytes(Message.serialize({**up, "hgt7": WITH_CHILD}))
        assert read("ike-updown", octets) == {**up, "hgt7": {"uniqueid": b"7"}}
        assert read("child-updown", octets) == {**up, "hgt7": WITH_CHILD}
    barred = {"up": b"yes", "hgt7-barred": SA}
    assert read("ike-updown", bytes(Message.serialize(barred))) == barred


def heard(kind: str, message: dict[str, Any]) -> list[Login]:
    return list(hear(kind, message, {"hgt7"}))


def test_what_a_list_says_of_a_users_sa() -> None:
    eap = {**WITH_CHILD, "remote-eap-id": b"alice"}
    first, second = ike_sas([{"hgt7": WITH_CHILD}, {"hgt7-eap": eap}, {"home": SA}])
    assert (first.virtual_addresses, first.remote_address, first.remote_port) == (("10.99.0.1",), "192.0.2.202", 4500)
    assert (first.remote_id, first.eap_identity, first.established) == ("O=Example, CN=alice", "", 5)
    assert (second.connection, second.eap_identity) == ("hgt7-eap", "alice")


def test_each_event() -> None:
    (came,) = heard("child-updown", {"up": b"yes", "hgt7": WITH_CHILD})
    assert isinstance(came, Came) and (came.sa.uniqueid, came.sa.children[0].cipher) == (7, "AES_GCM_16-256")
    assert heard("ike-updown", {"up": b"yes", "hgt7": SA}) == [], "it has no child yet"
    assert heard("ike-updown", {"hgt7": SA}) == [Went(7)]
    (barred,) = heard("ike-updown", {"up": b"yes", "hgt7-eap-barred": SA})
    assert isinstance(barred, Barred) and (barred.sa.uniqueid, barred.sa.connection) == (7, "hgt7-eap-barred")
    assert heard("child-updown", {"hgt7": WITH_CHILD}) == [Carried(7, 84, 168)]
    rekeyed = {**SA, "child-sas": {"hgt7": {"old": CHILD, "new": {**CHILD, "bytes-in": b"0"}}}}
    assert heard("child-rekey", {"hgt7": rekeyed}) == [Carried(7, 84, 168)]
    (again,) = heard("ike-rekey", {"hgt7": {"old": SA, "new": {**SA, "uniqueid": b"9", "initiator-spi": b"aa"}}})
    assert isinstance(again, Rekeyed) and (again.old, again.new.uniqueid, again.new.initiator_spi) == (7, 9, "aa")


def test_others_are_not_heard() -> None:
    for name in ("hgt1", "home", "(unnamed)"):
        for kind in ("ike-updown", "child-updown", "ike-rekey", "child-rekey", ""):
            assert heard(kind, {name: WITH_CHILD}) == []
    assert len(list(hear("ike-updown", {"hgt7-eap": SA}, {"hgt7"}))) == 1


def test_how_full_pools_are() -> None:
    said = {"base": b"10.99.0.1", "size": b"2", "online": b"1", "offline": b"1"}
    assert list(leases({"hgt7-0": said, "others": said})) == [Leases("hgt7-0", 2, 1, 1)]
