"""What is sent is what is received; whatever is received ends in one of the ways that there are."""

from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubgw.drivers.exabgp import codec
from hubgw.drivers.exabgp.as_path import merged, packed
from hubgw.drivers.exabgp.attributes import OPTIONAL, PARTIAL, TRANSITIVE, Code, canonical, exported, items, parsed
from hubgw.drivers.exabgp.codec import Decoder, Refresh, Update
from hubgw.drivers.exabgp.errors import SessionReset
from hubgw.drivers.exabgp.message import LONGEST, UPDATE, message
from hubgw.drivers.exabgp.updates import END_OF_RIB, announcements, withdrawals
from hubgw.plan.bgp import AS_SEQUENCE, AS_SET, Nlri, Segment, nlri

OWN = IPv4Address("10.1.0.4")
PEER = IPv4Address("10.200.0.1")

ASNS = st.integers(1, 65535) | st.integers(65536, 2**32 - 1)
NLRIS = st.builds(
    lambda bits, address: nlri(IPv4Network((address >> (32 - bits) << (32 - bits), bits))),
    st.integers(0, 32),
    st.integers(0, 2**32 - 1),
)
SEGMENTS: st.SearchStrategy[Segment] = st.tuples(
    st.sampled_from((AS_SET, AS_SEQUENCE)), st.lists(ASNS, min_size=1, max_size=30).map(tuple)
)
PATHS = st.lists(SEGMENTS, max_size=3).map(tuple)


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    """Canonical attributes, with NEXT_HOP."""
    attributes = [
        (TRANSITIVE, int(Code.ORIGIN), bytes((draw(st.integers(0, 2)),))),
        (TRANSITIVE, int(Code.AS_PATH), packed(draw(PATHS), 4)),
        (TRANSITIVE, int(Code.NEXT_HOP), PEER.packed),
    ]
    both = OPTIONAL | TRANSITIVE
    for flags, code, size in (
        (OPTIONAL, Code.MULTI_EXIT_DISC, 4),
        (both, Code.COMMUNITIES, 4),
        (both, Code.EXTENDED_COMMUNITIES, 8),
        (both, Code.LARGE_COMMUNITIES, 12),
        (both, 200, 1),
    ):
        count = draw(st.integers(0, 1 if code == Code.MULTI_EXIT_DISC else 30))
        if count:
            value = draw(st.binary(min_size=count * size, max_size=count * size))
            attributes.append((flags, int(code), value))
    if draw(st.booleans()):
        aggregator = draw(ASNS).to_bytes(4, "big") + OWN.packed
        attributes.append((both, int(Code.AGGREGATOR), aggregator))
    return canonical(attributes)


def decoded(octets: bytes, asn4: bool = True) -> tuple[dict[Nlri, bytes], list[str]]:
    """What a table holds after these messages, and what else they said."""
    table: dict[Nlri, bytes] = {}
    other: list[str] = []
    try:
        for said in Decoder([OWN], asn4).decode(octets):
            if isinstance(said, Refresh):
                other.append(f"refresh {said.subtype}")
                continue
            for one in said.withdrawn:
                table.pop(one, None)
            table |= dict.fromkeys(said.announced, said.wire)
            other += said.discarded + (said.treated_as_withdraw,) * bool(said.treated_as_withdraw)
    except SessionReset as reset:
        other.append(reset.reason)
    return table, other


@given(wires(), st.lists(NLRIS, min_size=1, unique=True), st.booleans())
def test_what_is_announced_is_learned(wire: bytes, nlris: list[Nlri], asn4: bool) -> None:
    table, other = decoded(b"".join(announcements(wire, nlris, PEER, asn4)), asn4)
    assert not other
    if asn4:
        assert table == dict.fromkeys(nlris, wire)
        return
    # Segments may be cut differently where AS4_PATH was merged; nothing else differs.
    assert table.keys() == set(nlris)
    learned, sent = parsed(table[nlris[0]]), parsed(wire)
    assert learned.path_length == sent.path_length
    assert [one for one in items(learned.wire) if one[1] != Code.AS_PATH] == [
        one for one in items(wire) if one[1] != Code.AS_PATH
    ]
    assert flat(learned.as_path) == flat(sent.as_path)


def flat(path: tuple[Segment, ...]) -> list[object]:
    return [part for kind, asns in path for part in (asns if kind == AS_SEQUENCE else (frozenset(asns),))]


@given(st.lists(NLRIS, min_size=1, unique=True))
def test_what_is_withdrawn_goes(nlris: list[Nlri]) -> None:
    there = b"".join(announcements(exported(None, 65001) or b"", nlris, PEER, True))
    assert decoded(there + b"".join(withdrawals(nlris))) == ({}, [])


def test_as_few_messages_as_fit() -> None:
    nlris = [nlri(IPv4Network((0x14000000 + (number << 8), 24))) for number in range(3000)]
    wire = exported(None, 65001) or b""
    for messages, header in ((announcements(wire, nlris, PEER, True), 23 + 20), (withdrawals(nlris), 23)):
        assert all(len(one) <= LONGEST for one in messages)
        assert len(messages) == -(-3000 * 4 // ((LONGEST - header) // 4 * 4))


def test_attributes_that_no_message_has_room_for_withdraw() -> None:
    wire = canonical([*items(exported(None, 65001) or b""), (OPTIONAL | TRANSITIVE, 200, bytes(4050))])
    one = [nlri(IPv4Network("203.0.113.0/24"))]
    assert announcements(wire, one, PEER, True) == withdrawals(one)


@given(st.lists(st.binary(max_size=60).map(lambda body: message(UPDATE, body)), max_size=4))
@example([END_OF_RIB])
def test_any_octets_end_in_one_of_the_ways(messages: list[bytes]) -> None:
    decoded(b"".join(messages))
    decoded(b"".join(messages)[:-1])


@given(wires(), st.lists(NLRIS, min_size=1, max_size=3), st.data())
def test_any_damage_ends_in_one_of_the_ways(wire: bytes, nlris: list[Nlri], data: st.DataObject) -> None:
    octets = bytearray(announcements(wire, nlris, PEER, True)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(19, len(octets) - 1))] = data.draw(st.integers(0, 255))
    table, _ = decoded(bytes(octets))
    for kept in table.values():
        codes = [code for _, code, _ in items(kept)]
        assert all(before < after for before, after in pairwise(codes))
        assert {Code.ORIGIN, Code.AS_PATH, Code.NEXT_HOP} <= set(codes)
        assert b"".join(announcements(kept, [*table], PEER, True))
        parsed(kept)


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(NLRIS, min_size=1, max_size=3)), max_size=12))
def test_together_is_as_one_by_one(parts: list[tuple[int, list[Nlri]]]) -> None:
    messages = [
        b"".join(announcements(exported(None, kind) or b"", nlris, PEER, True)) if kind else withdrawals(nlris)[0]
        for kind, nlris in parts
    ]
    alone: dict[Nlri, bytes] = {}
    for (kind, nlris), octets in zip(parts, messages, strict=True):
        for one in nlris:
            alone.pop(one, None)
        if kind:
            alone |= decoded(octets)[0]
    assert decoded(b"".join(messages)) == (alone, [])


def test_updates_of_equal_attributes_come_as_one() -> None:
    one, two = (exported(None, asn) or b"" for asn in (65001, 65002))
    prefixes = [nlri(IPv4Network((0x14000000 + (number << 8), 24))) for number in range(6)]
    wires_ = [one, one, one, two, two, one]
    octets = [announcements(wire, [each], PEER, True)[0] for wire, each in zip(wires_, prefixes, strict=True)]
    decoder = Decoder([OWN], True)
    list(decoder.decode(b"".join(octets)))
    again = [said for said in decoder.decode(b"".join(octets)) if isinstance(said, Update)]
    assert [(said.announced, said.messages) for said in again] == [
        (prefixes[:3], 3),
        (prefixes[3:5], 2),
        (prefixes[5:], 1),
    ]


def test_what_is_remembered_of_attributes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_CACHED", 8)
    decoder = Decoder([OWN], True)
    one = nlri(IPv4Network("203.0.113.0/24"))
    for asn in range(1, 30):
        (said,) = decoder.decode(announcements(exported(None, asn) or b"", [one], PEER, True)[0])
        assert isinstance(said, Update)
        assert parsed(said.wire).first_as == asn
    assert len(decoder._plain) <= 8


@pytest.mark.parametrize("octets", ["190a0100ff", "0aff"])
def test_host_bits_are_zeroed(octets: str) -> None:
    block = canonical([*items(exported(None, 65001) or b""), (TRANSITIVE, 3, PEER.packed)])
    field = bytes.fromhex(octets)
    table, _ = decoded(message(UPDATE, bytes(2) + len(block).to_bytes(2, "big") + block + field))
    expected = {"190a0100ff": "10.1.0.128/25", "0aff": None}[octets]
    if expected:
        assert table.keys() == {nlri(IPv4Network(expected))}
    else:
        assert not table  # a /10 has two octets: this one is beyond the end


def test_what_leaves() -> None:
    both = OPTIONAL | TRANSITIVE
    wire = canonical(
        [
            (TRANSITIVE, 1, b"\x02"),
            (TRANSITIVE, 2, packed(((AS_SEQUENCE, (65001, 65002)),), 4)),
            (TRANSITIVE, 3, PEER.packed),
            (OPTIONAL, 4, bytes(4)),
            (TRANSITIVE, 6, b""),
            (both, 8, bytes.fromhex("fde90001")),
            (both, 16, bytes.fromhex("0002fde900000001" + "4002fde900000001")),
            (both, 32, bytes(12)),
            (both, 200, b"x"),
        ]
    )
    left = exported(parsed(wire), 65515)
    assert left is not None
    assert parsed(left).as_path == ((AS_SEQUENCE, (65515, 65001, 65002)),)
    assert list(items(left)) == [
        (TRANSITIVE, 1, b"\x02"),
        (TRANSITIVE, 2, packed(((AS_SEQUENCE, (65515, 65001, 65002)),), 4)),
        (TRANSITIVE, 6, b""),
        (both, 8, bytes.fromhex("fde90001")),
        (both, 16, bytes.fromhex("0002fde900000001")),
        (both, 32, bytes(12)),
        (both | PARTIAL, 200, b"x"),
    ]


@pytest.mark.parametrize("community", ["ffffff01", "ffffff02", "ffffff03"])
def test_what_must_not_leave(community: str) -> None:
    block = bytes.fromhex("fde90001" + community)
    wire = canonical([*items(exported(None, 65001) or b""), (OPTIONAL | TRANSITIVE, 8, block)])
    assert exported(parsed(wire), 65515) is None


def test_what_is_originated_here() -> None:
    assert exported(None, 65515) == bytes.fromhex("40010100" + "4002060201" + "0000ffeb")


def test_our_as_before_a_full_segment_and_before_a_set() -> None:
    full = (AS_SEQUENCE, tuple(range(1, 256)))
    for path in ((full,), ((AS_SET, (1, 2)),), ()):
        wire = canonical([(TRANSITIVE, 1, b"\0"), (TRANSITIVE, 2, packed(path, 4))])
        assert parsed(exported(parsed(wire), 65515) or b"").as_path == ((AS_SEQUENCE, (65515,)), *path)


@pytest.mark.parametrize(
    ("path", "path4", "expected"),
    [
        (((2, (1, 23456, 23456)),), ((2, (70000, 70001)),), ((2, (1, 70000, 70001)),)),
        (((2, (23456,)),), ((2, (70000, 70001)),), ((2, (23456,)),)),
        (((1, (5, 6)), (2, (23456,))), ((2, (70000,)),), ((1, (5, 6)), (2, (70000,)))),
        (((2, (1, 2)),), ((1, (70000, 3)),), ((2, (1,)), (1, (70000, 3)))),
    ],
    ids=["prepended", "longer: of no use", "a set in front", "a set behind"],
)
def test_as4_path(path: tuple[Segment, ...], path4: tuple[Segment, ...], expected: tuple[Segment, ...]) -> None:
    assert merged(path, path4) == expected


@pytest.mark.parametrize(
    ("aggregator", "expected"),
    [("5ba0", (70000, (70000,))), ("fde9", (65001, (23456,)))],
    ids=["AS_TRANS", "another: both of four octets are ignored"],
)
def test_as4_aggregator(aggregator: str, expected: tuple[int, tuple[int, ...]]) -> None:
    both = OPTIONAL | TRANSITIVE
    block = canonical(
        [
            (TRANSITIVE, 1, b"\0"),
            (TRANSITIVE, 2, bytes.fromhex("02015ba0")),
            (TRANSITIVE, 3, PEER.packed),
            (both, 7, bytes.fromhex(aggregator) + PEER.packed),
            (both, 17, packed(((AS_SEQUENCE, (70000,)),), 4)),
            (both, 18, (70000).to_bytes(4, "big") + PEER.packed),
        ]
    )
    octets = message(UPDATE, bytes(2) + len(block).to_bytes(2, "big") + block + b"\x18\xcb\0\x71")
    table, _ = decoded(octets, asn4=False)
    values = {code: value for _, code, value in items(*table.values())}
    assert (int.from_bytes(values[7][:4], "big"), parsed(*table.values()).as_path[0][1]) == expected
    assert values.keys() == {1, 2, 3, 7}
