"""What a malformed UPDATE does, row by row of RFC 7606 and of what it refers to."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

import pytest

from hubgw.drivers.exabgp.attributes import items, parsed
from hubgw.drivers.exabgp.codec import Decoder, Refresh, Update
from hubgw.drivers.exabgp.errors import SessionReset
from hubgw.drivers.exabgp.message import ROUTE_REFRESH, UPDATE, message

OWN = IPv4Address("10.1.0.4")
PEER = bytes((10, 200, 0, 1))
NLRI = bytes.fromhex("18cb0071")  # 203.0.113.0/24 as it is sent
TAKEN = bytes.fromhex("18cb007100")  # and as it is kept
OTHER = bytes.fromhex("18c63364")  # 198.51.100.0/24


def attr(code: int, value: bytes, flags: int = 0x40) -> bytes:
    return bytes((flags, code, len(value))) + value


def path(*asns: int, kind: int = 2) -> bytes:
    return bytes((kind, len(asns))) + b"".join(struct.pack("!I", asn) for asn in asns)


ORIGIN = attr(1, b"\0")
AS_PATH = attr(2, path(65001))
NEXT_HOP = attr(3, PEER)
WELL = ORIGIN + AS_PATH + NEXT_HOP


def body(attributes: bytes = WELL, nlri: bytes = NLRI, withdrawn: bytes = b"") -> bytes:
    return struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(attributes)) + attributes + nlri


def mp_reach(nlri: bytes = OTHER, next_hop: bytes = PEER, afi: int = 1, flags: int = 0x80) -> bytes:
    return attr(14, struct.pack("!HBB", afi, 1, len(next_hop)) + next_hop + b"\0" + nlri, flags)


def mp_unreach(nlri: bytes = OTHER, afi: int = 1, flags: int = 0x80) -> bytes:
    return attr(15, struct.pack("!HB", afi, 1) + nlri, flags)


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    rfc: str
    body: bytes
    outcome: Literal["accept", "discard", "withdraw", "reset"]
    says: str = ""  # in the reason
    error: tuple[int, int] = (0, 0)  # of the NOTIFICATION
    asn4: bool = True


def with_(*attributes: bytes) -> bytes:
    """An UPDATE whose attributes are these in place of the well-known ones of their type, and the others of them."""
    codes = {one[1] for one in attributes}
    kept = [one for one in (ORIGIN, AS_PATH, NEXT_HOP) if one[1] not in codes]
    return body(b"".join((*kept, *attributes)))


ROWS = [
    # Total lengths (RFC 7606, 3 b: unchanged; 4)
    Row("withdrawn length too large", "3b", struct.pack("!H", 99) + bytes(4), "reset", "Withdrawn", (3, 1)),
    Row("attribute length too large", "3b", struct.pack("!HH", 0, 99) + WELL, "reset", "Path Attributes", (3, 1)),
    Row("shorter than its length fields", "4271 6.1", b"\0\0\0", "reset", "22 octets", (1, 2)),
    Row("last attribute too long", "4 overrun", body(WELL + b"\xc0\x08\x09\0\0"), "withdraw", "attribute 8 of 9"),
    Row("two octets left", "4 underrun", body(WELL + b"\xc0\x08"), "withdraw", "2 octets after"),
    Row("three left with extended length", "4 underrun", body(WELL + b"\xd0\x08\0"), "withdraw", "3 octets after"),
    Row("overrun and no prefix", "4, 5.2", body(WELL + b"\xc0\x08\x09\0", b""), "reset", "no prefix", (3, 1)),
    # Flags (3 c)
    Row("ORIGIN optional", "3c", with_(attr(1, b"\0", 0xC0)), "withdraw", "ORIGIN with flags 0xc0"),
    Row("AS_PATH not transitive", "3c", with_(attr(2, path(65001), 0)), "withdraw", "AS_PATH with flags"),
    Row("NEXT_HOP optional", "3c", with_(attr(3, PEER, 0x80)), "withdraw", "NEXT_HOP with flags"),
    Row("MULTI_EXIT_DISC transitive", "3c", with_(attr(4, bytes(4), 0xC0)), "withdraw", "MULTI_EXIT_DISC with flags"),
    Row("COMMUNITIES well-known", "3c", with_(attr(8, bytes(4), 0x40)), "withdraw", "COMMUNITIES with flags"),
    Row("AGGREGATOR not transitive", "3c", with_(attr(7, bytes((0, 0, 0, 1, 1, 1, 1, 1)), 0x80)), "withdraw", "flags"),
    Row("ATOMIC_AGGREGATE optional", "3c", with_(attr(6, b"", 0xC0)), "withdraw", "ATOMIC_AGGREGATE with flags"),
    Row("Partial on a well-known one", "3c", with_(attr(1, b"\0", 0x60)), "accept"),
    Row("unused flag bits", "4271 4.3", with_(attr(1, b"\0", 0x4F)), "accept"),
    # Missing (3 d)
    Row("no ORIGIN", "3d", body(AS_PATH + NEXT_HOP), "withdraw", "ORIGIN is missing"),
    Row("no AS_PATH", "3d", body(ORIGIN + NEXT_HOP), "withdraw", "AS_PATH is missing"),
    Row("no NEXT_HOP", "3d", body(ORIGIN + AS_PATH), "withdraw", "NEXT_HOP is missing"),
    Row("no attributes", "3d", body(b""), "withdraw", "ORIGIN is missing"),
    Row("no NEXT_HOP, prefixes in MP_REACH_NLRI", "3d", body(mp_reach() + ORIGIN + AS_PATH, b""), "accept"),
    # Duplicates (3 g)
    Row("ORIGIN twice", "3g", body(WELL + attr(1, b"\x02")), "discard", "attribute 1 once more"),
    Row("second one malformed", "3g", body(WELL + attr(1, b"\x09\x09")), "discard", "attribute 1 once more"),
    Row("unrecognised one twice", "3g", body(WELL + 2 * attr(99, b"x", 0xC0)), "discard", "attribute 99 once more"),
    Row("MP_REACH_NLRI twice", "3g", body(2 * mp_reach() + WELL), "reset", "MP_REACH_NLRI more than once", (3, 1)),
    Row("MP_UNREACH_NLRI twice", "3g", body(2 * mp_unreach() + WELL), "reset", "more than once", (3, 1)),
    # The strongest (3 h)
    Row("discard and withdraw", "3h", with_(attr(5, bytes(4)), attr(1, b"\x07")), "withdraw", "ORIGIN of value 7"),
    Row(
        "withdraw and reset",
        "3h",
        body(attr(1, b"\x07") + 2 * mp_reach() + AS_PATH + NEXT_HOP),
        "reset",
        "MP_REACH_NLRI more than once",
        (3, 1),
    ),
    Row("withdraw and unrecognised", "3h", with_(attr(1, b"\x07"), attr(99, b"")), "reset", "attribute 99", (3, 2)),
    # No prefix (5.2)
    Row("attributes alone", "5.2", body(nlri=b""), "accept"),
    Row("malformed and no prefix", "5.2", body(attr(1, b"\x07") + AS_PATH, b""), "reset", "ORIGIN of value 7", (3, 6)),
    Row("malformed, only withdrawn", "5.2", body(attr(1, b""), b"", OTHER), "reset", "no prefix is named", (3, 5)),
    Row("to be discarded and no prefix", "5.2", body(WELL + attr(5, bytes(4)), b""), "discard", "LOCAL_PREF"),
    Row("malformed with another family's", "5.2", body(mp_reach(afi=2) + attr(1, b"\x07"), b""), "withdraw", "ORIGIN"),
    # Prefixes (5.3; 3 i)
    Row("length of 33", "5.3", body(nlri=b"\x21\x01\x02\x03\x04\x05"), "reset", "NLRI", (3, 10)),
    Row("prefix beyond the end", "5.3", body(nlri=b"\x18\x01\x02"), "reset", "NLRI", (3, 10)),
    Row("withdrawn length of 33", "3i", body(b"", b"", b"\x21\x01\x02\x03\x04\x05"), "reset", "Withdrawn", (3, 10)),
    Row("withdrawn beyond the end", "3i", body(withdrawn=b"\x18\x01"), "reset", "Withdrawn", (3, 10)),
    Row("MP_REACH_NLRI length of 33", "5.3", body(mp_reach(b"\x21" + bytes(5)) + WELL), "reset", "prefix", (3, 9)),
    Row("MP_REACH_NLRI beyond its end", "5.3", body(mp_reach(b"\x18\x01") + WELL), "reset", "prefix", (3, 9)),
    Row("MP_UNREACH_NLRI beyond its end", "5.3", body(mp_unreach(b"\x18\x01"), b""), "reset", "prefix", (3, 9)),
    Row("MP_REACH_NLRI transitive", "5.3", body(mp_reach(flags=0xC0) + WELL), "reset", "flags", (3, 9)),
    Row("MP_UNREACH_NLRI transitive", "5.3", body(mp_unreach(flags=0xC0)), "reset", "flags", (3, 9)),
    Row("MP_REACH_NLRI of 4", "5.3", body(attr(14, b"\0\x01\x01\0", 0x80) + WELL), "reset", "of 4 octets", (3, 9)),
    Row("MP_UNREACH_NLRI of 2", "5.3", body(attr(15, b"\0\x01", 0x80)), "reset", "of 2 octets", (3, 9)),
    # ORIGIN (7.1)
    Row("ORIGIN of 0", "7.1", with_(attr(1, b"")), "withdraw", "ORIGIN of 0 octets"),
    Row("ORIGIN of 2", "7.1", with_(attr(1, bytes(2))), "withdraw", "ORIGIN of 2 octets"),
    Row("ORIGIN undefined", "7.1", with_(attr(1, b"\x03")), "withdraw", "ORIGIN of value 3"),
    # AS_PATH (7.2)
    Row("AS_PATH empty", "7.2, 4", with_(attr(2, b"")), "accept"),
    Row("AS_PATH of an unknown segment", "7.2", with_(attr(2, path(65001, kind=5))), "withdraw", "segment of type 5"),
    Row("AS_PATH overrun", "7.2", with_(attr(2, b"\x02\x02\0\0\xfd\xe9")), "withdraw", "2 AS numbers in 4"),
    Row("AS_PATH underrun", "7.2", with_(attr(2, path(65001) + b"\x02")), "withdraw", "a single octet"),
    Row("AS_PATH of an empty segment", "7.2", with_(attr(2, b"\x02\0")), "withdraw", "without AS numbers"),
    Row("AS_PATH of a confederation", "5065 5", with_(attr(2, path(65001, kind=3))), "withdraw", "segment of type 3"),
    Row("AS_PATH of a confederation's set", "5065 5", with_(attr(2, path(65001, kind=4))), "withdraw", "type 4"),
    Row("AS_PATH with AS 0", "7607 2", with_(attr(2, path(65001, 0))), "withdraw", "AS 0"),
    Row("AS_PATH with a set", "7.2", with_(attr(2, path(65001) + path(1, 2, kind=1))), "accept"),
    Row("AS_PATH of two octets", "7.2", with_(attr(2, b"\x02\x01\xfd\xe9")), "accept", asn4=False),
    Row("AS_PATH of two octets as if of four", "7.2", with_(attr(2, b"\x02\x01\xfd\xe9")), "withdraw", "AS_PATH with"),
    # NEXT_HOP (7.3)
    Row("NEXT_HOP of 3", "7.3", with_(attr(3, PEER[:3])), "withdraw", "NEXT_HOP of 3 octets"),
    Row("NEXT_HOP of 16", "7.3", with_(attr(3, bytes(16))), "withdraw", "NEXT_HOP of 16 octets"),
    Row("NEXT_HOP 0.0.0.0", "4271 6.3", with_(attr(3, bytes(4))), "withdraw", "0.0.0.0, which is no host"),
    Row("NEXT_HOP multicast", "4271 6.3", with_(attr(3, bytes((224, 0, 0, 5)))), "withdraw", "no host"),
    Row("NEXT_HOP broadcast", "4271 6.3", with_(attr(3, b"\xff\xff\xff\xff")), "withdraw", "no host"),
    Row("NEXT_HOP loopback", "4271 6.3", with_(attr(3, bytes((127, 0, 0, 1)))), "withdraw", "no host"),
    Row("NEXT_HOP is ours", "4271 6.3a", with_(attr(3, OWN.packed)), "withdraw", "our own address"),
    Row("NEXT_HOP is a third party's", "4271 6.3b", with_(attr(3, bytes((10, 9, 9, 9)))), "accept"),
    Row("NEXT_HOP and no prefix is ours", "5.2", body(attr(3, OWN.packed), b""), "reset", "our own", (3, 8)),
    # MULTI_EXIT_DISC (7.4), LOCAL_PREF (7.5)
    Row("MULTI_EXIT_DISC of 3", "7.4", with_(attr(4, bytes(3), 0x80)), "withdraw", "MULTI_EXIT_DISC of 3"),
    Row("LOCAL_PREF", "7.5", with_(attr(5, bytes(4))), "discard", "LOCAL_PREF from an external peer"),
    Row("LOCAL_PREF of 3", "7.5", with_(attr(5, bytes(3))), "discard", "LOCAL_PREF from an external peer"),
    # ATOMIC_AGGREGATE (7.6), AGGREGATOR (7.7)
    Row("ATOMIC_AGGREGATE", "7.6", with_(attr(6, b"")), "accept"),
    Row("ATOMIC_AGGREGATE of 1", "7.6", with_(attr(6, b"x")), "discard", "ATOMIC_AGGREGATE of 1"),
    Row("AGGREGATOR of 6 for 8", "7.7", with_(attr(7, b"\xfd\xe9" + PEER, 0xC0)), "discard", "AGGREGATOR of 6"),
    Row(
        "AGGREGATOR of 8 for 6",
        "7.7",
        with_(attr(2, b"\x02\x01\xfd\xe9"), attr(7, b"\0\0\xfd\xe9" + PEER, 0xC0)),
        "discard",
        "AGGREGATOR of 8",
        asn4=False,
    ),
    Row("AGGREGATOR with AS 0", "7607 2", with_(attr(7, bytes(4) + PEER, 0xC0)), "discard", "AGGREGATOR with AS 0"),
    # COMMUNITIES (7.8)
    Row("COMMUNITIES of 0", "7.8, 4", with_(attr(8, b"", 0xC0)), "withdraw", "COMMUNITIES of 0"),
    Row("COMMUNITIES of 6", "7.8", with_(attr(8, bytes(6), 0xC0)), "withdraw", "COMMUNITIES of 6"),
    # ORIGINATOR_ID (7.9), CLUSTER_LIST (7.10)
    Row("ORIGINATOR_ID", "7.9", with_(attr(9, PEER, 0x80)), "discard", "ORIGINATOR_ID from an external peer"),
    Row("CLUSTER_LIST of 3", "7.10", with_(attr(10, bytes(3), 0x80)), "discard", "CLUSTER_LIST from an external peer"),
    # MP_REACH_NLRI (7.11), MP_UNREACH_NLRI (7.12)
    Row("MP_REACH_NLRI", "4760 3", body(mp_reach() + ORIGIN + AS_PATH), "withdraw", "NEXT_HOP is missing"),
    Row("MP_REACH_NLRI with its own next hop", "4760 3", body(mp_reach() + ORIGIN + AS_PATH, b""), "accept"),
    Row("MP_REACH_NLRI beside NEXT_HOP", "4760 3", body(mp_reach() + with_(attr(3, bytes(4)))[4:-4], b""), "accept"),
    Row("MP_REACH_NLRI of next hop 16", "7.11", body(mp_reach(next_hop=bytes(16)) + WELL), "reset", "16 oct", (3, 9)),
    Row("MP_REACH_NLRI of next hop 5", "7.11", body(mp_reach(next_hop=bytes(5)) + WELL), "reset", "5 octets", (3, 9)),
    Row(
        "MP_REACH_NLRI shorter than its next hop",
        "7.11",
        body(attr(14, b"\0\x01\x01\x04\x0a", 0x80) + WELL),
        "reset",
        "of 5 octets",
        (3, 9),
    ),
    Row("MP_REACH_NLRI via us", "4271 6.3a", body(mp_reach(next_hop=OWN.packed) + WELL), "withdraw", "our own"),
    Row("MP_REACH_NLRI of another family", "4760 6", body(mp_reach(afi=2) + WELL), "accept"),
    Row("MP_UNREACH_NLRI of another family", "4760 6", body(mp_unreach(afi=2), b""), "accept"),
    # Communities of other kinds (7.14, 7.15; RFC 8092, 5)
    Row("EXTENDED_COMMUNITIES", "7.14", with_(attr(16, bytes(16), 0xC0)), "accept"),
    Row("EXTENDED_COMMUNITIES of 0", "7.14", with_(attr(16, b"", 0xC0)), "withdraw", "EXTENDED_COMMUNITIES of 0"),
    Row("EXTENDED_COMMUNITIES of 12", "7.14", with_(attr(16, bytes(12), 0xC0)), "withdraw", "multiple of 8"),
    Row("IPv6 ones of 8", "7.15", with_(attr(25, bytes(8), 0xC0)), "withdraw", "IPV6_EXTENDED_COMMUNITIES of 8"),
    Row("LARGE_COMMUNITIES of 8", "8092 6", with_(attr(32, bytes(8), 0xC0)), "withdraw", "LARGE_COMMUNITIES of 8"),
    # What this RFC says of attributes that are not recognised here (7.13, 7.16)
    Row("Traffic Engineering", "7.13", with_(attr(24, b"x", 0x80)), "accept"),
    Row("ATTR_SET", "7.16", with_(attr(128, b"x", 0xC0)), "accept"),
    # Four-octet AS numbers (RFC 6793, 6)
    Row("AS4_PATH from such a peer", "6793 4.1", with_(attr(17, path(70000), 0xC0)), "discard", "AS4_PATH from"),
    Row(
        "AS4_PATH of 3",
        "6793 6",
        with_(attr(2, b"\x02\x01\x5b\xa0"), attr(17, bytes(3), 0xC0)),
        "discard",
        "AS4_PATH with",
        asn4=False,
    ),
    Row(
        "AS4_PATH empty",
        "6793 6",
        with_(attr(2, b"\x02\x01\x5b\xa0"), attr(17, b"", 0xC0)),
        "discard",
        "AS4_PATH of 0",
        asn4=False,
    ),
    Row(
        "AS4_PATH with AS 0",
        "7607 2",
        with_(attr(2, b"\x02\x01\x5b\xa0"), attr(17, path(0), 0xC0)),
        "discard",
        "AS4_PATH with AS 0",
        asn4=False,
    ),
    Row(
        "AS4_AGGREGATOR of 6",
        "6793 6",
        with_(attr(2, b"\x02\x01\x5b\xa0"), attr(18, bytes(6), 0xC0)),
        "discard",
        "AS4_AGGREGATOR of 6",
        asn4=False,
    ),
    # What is not recognised (RFC 4271, 6.3)
    Row("unrecognised well-known", "4271 6.3", with_(attr(99, b"x")), "reset", "attribute 99", (3, 2)),
    Row("type 0, well-known", "4271 6.3", with_(attr(0, b"x")), "reset", "attribute 0", (3, 2)),
    Row("type 0, optional", "4271 5", with_(attr(0, b"x", 0xC0)), "accept"),
    Row("type 255, optional and empty", "4271 5", with_(attr(255, b"", 0xC0)), "accept"),
    Row("unrecognised, not transitive", "4271 5", with_(attr(26, b"x", 0x80)), "accept"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rfc}: {row.name}")
def test_row(row: Row) -> None:
    decoder = Decoder([OWN], row.asn4)
    good = body(WELL if row.asn4 else ORIGIN + attr(2, b"\x02\x01\xfd\xe9") + NEXT_HOP, OTHER)
    assert list(decoder.decode(message(UPDATE, good))) == [Update([OTHER + b"\0"], [], WELL)]
    if row.outcome == "reset":
        with pytest.raises(SessionReset, match=row.says) as reset:
            list(decoder.decode(message(UPDATE, row.body)))
        assert (reset.value.code, reset.value.subcode) == row.error
        return
    (update,) = decoder.decode(message(UPDATE, row.body))
    assert isinstance(update, Update)
    told = sorted(update.announced + update.withdrawn)
    assert bool(update.treated_as_withdraw) == (row.outcome == "withdraw")
    assert bool(update.discarded) == (row.outcome == "discard" or row.name == "discard and withdraw")
    if row.outcome == "withdraw":
        assert row.says in update.treated_as_withdraw
        assert not update.announced
        assert told or "another family" in row.name
    else:
        assert row.says in "".join(update.discarded)
        assert not update.withdrawn
        list(items(update.wire))
        parsed(update.wire)
    assert TAKEN in told or not row.body.endswith(NLRI)


def test_every_attribute_that_is_discarded_is_gone() -> None:
    raw = WELL + attr(5, bytes(4)) + attr(9, PEER, 0x80) + attr(10, PEER, 0x80) + attr(6, b"x") + attr(7, PEER, 0xC0)
    (update,) = Decoder([OWN], True).decode(message(UPDATE, body(raw)))
    assert isinstance(update, Update)
    assert len(update.discarded) == 5
    assert update.wire == WELL


def test_the_data_of_a_notification_is_the_attribute() -> None:
    with pytest.raises(SessionReset) as reset:
        list(Decoder([OWN], True).decode(message(UPDATE, with_(attr(99, b"x")))))
    assert reset.value.data == attr(99, b"x")


@pytest.mark.parametrize("marker", [bytes(4), body(mp_unreach(b""), b"")], ids=["empty", "MP_UNREACH_NLRI"])
def test_end_of_rib(marker: bytes) -> None:
    (update,) = Decoder([OWN], True).decode(message(UPDATE, marker))
    assert update == Update([], [], b"", end_of_rib=True)


@pytest.mark.parametrize(
    "other",
    [body(mp_unreach(b"", afi=2), b""), body(mp_unreach(), b""), body(b"", b"", OTHER), body(WELL, b"")],
    ids=["another family's", "withdraws", "withdraws as of old", "attributes"],
)
def test_no_end_of_rib(other: bytes) -> None:
    (update,) = Decoder([OWN], True).decode(message(UPDATE, other))
    assert isinstance(update, Update)
    assert not update.end_of_rib


def test_route_refresh() -> None:
    octets = message(ROUTE_REFRESH, b"\0\x01\x02\x01") + message(ROUTE_REFRESH, b"\0\x02\0\x01")
    assert list(Decoder([OWN], True).decode(octets)) == [Refresh(2)]
    with pytest.raises(SessionReset, match="of 24 octets") as reset:
        list(Decoder([OWN], True).decode(message(ROUTE_REFRESH, bytes(5))))
    assert (reset.value.code, reset.value.subcode, len(reset.value.data)) == (7, 1, 24)
