"""Routing rules: what is written is what pyroute2's decoder reads, and what no plan could have made is told apart."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.fibmsg import fibmsg

from hubgw.drivers.netlink import rules, uapi, wire
from hubgw.plan.kernel import Rule
from hubgw.plan.numbers import NO_DEFAULT_MARK, PROTOCOL, SESSIONS

PINNED = Rule(910, source=IPv4Address("10.100.0.12"), uid=SESSIONS[2], table=SESSIONS[2])
WITHOUT_DEFAULT = Rule(900, fwmark=NO_DEFAULT_MARK, l3mdev=True, suppress_prefixlength=0)
NOWHERE = Rule(901, fwmark=NO_DEFAULT_MARK)


def dumped(rule: Rule, *more: bytes, **fields: int) -> bytes:
    """A rule as the kernel dumps it, which is as it was made, and what is suppressed always."""
    message = bytearray(rules.new(rule) + b"".join(more))
    if rule.suppress_prefixlength is None:
        message += wire.u32(uapi.FRA_SUPPRESS_PREFIXLEN, 0xFFFFFFFF)
    offsets = {"dst_len": 17, "src_len": 18, "tos": 19, "action": 23, "flags": 24}
    for name, value in fields.items():
        message[offsets[name]] = value
    return bytes(message)


@given(
    st.builds(
        Rule,
        st.integers(900, 999),
        source=st.none() | st.ip_addresses(v=4),
        uid=st.none() | st.sampled_from(SESSIONS[:9]),
        fwmark=st.sampled_from([0, NO_DEFAULT_MARK]),
        table=st.sampled_from([0, SESSIONS[4]]),
        suppress_prefixlength=st.none() | st.integers(0, 32),
    )
    | st.just(WITHOUT_DEFAULT)
)
def test_a_rule_is_read_as_it_was_made(rule: Rule) -> None:
    message = dumped(rule)
    assert rules.ours([message]) == [rule]
    seen: Any = fibmsg(message)
    seen.decode()
    assert seen.get_attr("FRA_PRIORITY") == rule.priority
    assert seen.get_attr("FRA_PROTOCOL") == PROTOCOL
    assert seen.get_attr("FRA_SRC") == (str(rule.source) if rule.source else None)
    assert seen.get_attr("FRA_UID_RANGE") == (f"{rule.uid}:{rule.uid}" if rule.uid else None)
    assert seen.get_attr("FRA_TABLE") == rule.table
    assert seen["action"] == (uapi.FR_ACT_TO_TBL if rule.table or rule.l3mdev else uapi.FR_ACT_UNREACHABLE)


@pytest.mark.parametrize(
    "message",
    [
        dumped(PINNED, wire.u32(1, 0), dst_len=8),
        dumped(PINNED, struct.pack("=HH4s", 8, 3, b"lo\0\0")),
        dumped(PINNED, src_len=24),
        dumped(PINNED, tos=4),
        dumped(PINNED, flags=2),
        dumped(PINNED, action=6),
        dumped(PINNED, struct.pack("=HHII", 12, uapi.FRA_UID_RANGE, SESSIONS[2], SESSIONS[3])),
        dumped(NOWHERE, wire.u32(uapi.FRA_FWMASK, 0xFF)),
    ],
)
def test_what_no_plan_could_have_made_differs_under_its_key(message: bytes) -> None:
    (rule,) = rules.ours([message])
    assert rule.suppress_prefixlength == rules.ODD
    assert replace(rule, suppress_prefixlength=None) in {PINNED, NOWHERE}


def test_a_key_that_is_there_twice_differs() -> None:
    assert rules.ours([dumped(PINNED), dumped(PINNED)]) == [replace(PINNED, suppress_prefixlength=rules.ODD)]


def test_rules_of_others_are_not_ours() -> None:
    others = dumped(PINNED).replace(struct.pack("=HHB", 5, uapi.FRA_PROTOCOL, PROTOCOL), b"\5\0\x15\0\4")
    assert rules.ours([others]) == []


def test_a_deletion_repeats_what_was_dumped() -> None:
    message = dumped(PINNED, wire.u32(11, 7))
    deletion = rules.deletion(message)
    assert deletion[16:] == message[16:]
    assert wire.HEADER.unpack_from(deletion) == (len(message), uapi.RTM_DELRULE, wire.REQUEST, 0, 0)
