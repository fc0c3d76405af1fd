"""The decoder of VICI's messages tells what the library's does, and nothing of what is cut short."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vici.protocol import FiniteStream, Message

from hubgw.drivers.strongswan.message import MalformedError, beginning, decode

NAMES = st.text(st.characters(codec="utf-8"), max_size=60)
VALUES = st.one_of(st.binary(max_size=300), st.lists(st.binary(max_size=40), max_size=4))
MESSAGES = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(VALUES, inner), max_size=4),
    max_leaves=12,
)


@given(MESSAGES)
def test_it_tells_what_the_library_does(message: dict[str, Any]) -> None:
    octets = Message.serialize(message)
    assert decode(octets) == Message.deserialize(FiniteStream(octets)) == message


SA = bytes(Message.serialize({"up": "yes", "hgt1": {"uniqueid": "1", "remote-vips": ["10.9.0.1"], "child-sas": {}}}))
WHOLE = {0: {}, len(Message.serialize({"up": "yes"})): {"up": b"yes"}}
"""What a message is that ends between elements, outside every section."""


@pytest.mark.parametrize("length", range(len(SA)))
def test_a_message_that_is_cut_short_is_none(length: int) -> None:
    if length in WHOLE:
        assert decode(SA[:length]) == WHOLE[length]
    else:
        with pytest.raises(MalformedError):
            decode(SA[:length])


def test_a_message_is_read_up_to_a_value() -> None:
    assert beginning(SA, "uniqueid") == {"up": b"yes", "hgt1": {"uniqueid": b"1"}}
    assert beginning(SA, "nothing") == decode(SA)
    with pytest.raises(MalformedError):
        beginning(SA[: SA.index(b"uniqueid") + 10], "uniqueid")


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\x02", "octet 0: ends within an element, or a section that has not begun"),
        (b"\x07\x00", "octet 0: begins nothing, got 7"),
        (b"\x00\x00", "octet 0: begins nothing, got 0"),
        (b"\x03\x01\xff\x00\x00", "octet 0: has a name that is no UTF-8, got b'\\x03\\x01\\xff'"),
        (b"\x04\x01a\x03\x01", "octet 3: is no item of a list, and not its end, got 3"),
    ],
)
def test_what_is_no_message_is_told(octets: bytes, why: str) -> None:
    with pytest.raises(MalformedError) as raised:
        decode(octets)
    assert str(raised.value).startswith(why)
