"""What passes as canonical without a parse: the parser gives just that back."""

from ipaddress import IPv4Address

from hypothesis import example, given
from hypothesis import strategies as st

from hubgw.drivers.exabgp.attributes import FLAGS, attribute
from hubgw.drivers.exabgp.received import AttributeParser, Block

OWN = IPv4Address("10.0.0.1")
ORIGIN, PATH, HOP = (bytes.fromhex(text) for text in ("40010100", "40020a02020000fde80000fde9", "4003040a000002"))
COMMUNITIES = bytes.fromhex("c00804fde80001")
MED = bytes.fromhex("80040400000005")

known = st.sampled_from([ORIGIN, PATH, HOP, MED, COMMUNITIES, bytes.fromhex("4003040a000001"), bytes.fromhex("400200")])
odd = st.builds(
    attribute,
    st.sampled_from([0x40, 0x80, 0xC0, 0xE0]),
    st.sampled_from([*FLAGS, 99]),
    st.binary(max_size=12),
)


@given(st.lists(known | odd, max_size=7), st.booleans(), st.binary(max_size=2), st.booleans())
@example([ORIGIN, PATH, HOP], False, b"", True)
def test_it_is_what_the_parser_gives_back(parts: list[bytes], ordered: bool, rest: bytes, asn4: bool) -> None:
    raw = b"".join(sorted(parts, key=lambda one: bytes(one)[1]) if ordered else parts) + rest
    parser = AttributeParser([OWN], asn4)
    if parser.usual(raw):
        assert parser.parse(raw, True) == Block(raw)


def test_what_nearly_all_send_is_usual() -> None:
    parser = AttributeParser([OWN], True)
    assert parser.usual(ORIGIN + PATH + HOP)
    assert parser.usual(ORIGIN + PATH + HOP + MED + COMMUNITIES)
    assert not parser.usual(ORIGIN + PATH + HOP + COMMUNITIES + MED)
    assert not parser.usual(ORIGIN + HOP)
    assert not parser.usual(ORIGIN + PATH + HOP[:-1])
    assert not AttributeParser([OWN], False).usual(ORIGIN + PATH + HOP)
