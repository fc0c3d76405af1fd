"""Learned routes in bulk: the same octets as message by message, and whatever the kernel shows, read back."""

import asyncio
import errno
import socket
import struct

import pytest

from hubgw.drivers.netlink import learned, uapi, wire
from hubgw.drivers.netlink.client import NETLINK_ROUTE, Client
from hubgw.drivers.netlink.template import LinkMessage, Template
from hubgw.plan.kernel import Tiers
from hubgw.plan.numbers import LEARNED_METRIC, LEARNED_PROTOCOL, TABLES

TABLE = TABLES[1]
IPV4 = [bytes.fromhex(text) for text in ("180a010000", "200a010203", "0000000000", "0f0a020000")]
IPV6 = [bytes((64,)) + bytes.fromhex("20010db8000000010000000000000000"), bytes((0,)) + bytes(16)]


@pytest.mark.parametrize("group", [None, 200_000_007])
@pytest.mark.parametrize(("family", "prefixes"), [(socket.AF_INET, IPV4), (socket.AF_INET6, IPV6)])
def test_messages_are_what_the_template_packs(
    group: int | None, family: socket.AddressFamily, prefixes: list[bytes]
) -> None:
    size, messages = learned._messages(TABLE, group, family, prefixes)
    template = learned._gone(family) if group is None else learned._replaced(family)
    values = [(one[0], TABLE, one[1:], LEARNED_METRIC) for one in prefixes]
    packed = [template.pack(*of) if group is None else template.pack(*of, group) for of in values]
    assert {len(one) for one in packed} == {size}
    assert messages == b"".join(packed)


def shown(prefix: bytes, group: int = 200_000_007, table: int = TABLE, metric: int = LEARNED_METRIC) -> bytes:
    family = socket.AF_INET if len(prefix) == 5 else socket.AF_INET6
    header = struct.pack("=BBBBBBBBI", family, prefix[0], 0, 0, 252, LEARNED_PROTOCOL, 0, 1, 0)
    destination = struct.pack("=HH", 3 + len(prefix), uapi.RTA_DST) + prefix[1:] if prefix[0] else b""
    numbers = ((uapi.RTA_PRIORITY, metric), (uapi.RTA_NH_ID, group))
    return wire.message(
        uapi.RTM_NEWROUTE, 0, header, wire.u32(uapi.RTA_TABLE, table), destination, *(wire.u32(*one) for one in numbers)
    )


def test_a_dump_is_read_whatever_comes_between() -> None:
    names = {200_000_007: ((1,),), 200_000_008: ((2,),)}
    found: dict[int, dict[bytes, Tiers]] = {}
    learned._read([shown(prefix) for prefix in IPV4 + IPV6], names, found)
    assert found == {TABLE: dict.fromkeys(IPV4 + IPV6, ((1,),))}
    others = [shown(IPV4[0], 200_000_008), shown(IPV4[1], 5), shown(IPV4[3], metric=7), shown(IPV4[1], table=254)]
    found.clear()
    learned._read([*others, shown(IPV4[2]), *others], names, found)
    assert found == {TABLE: {IPV4[0]: ((2,),), IPV4[1]: (), IPV4[3]: (), IPV4[2]: ((1,),)}}


def test_each_refusal_finds_its_message_over_several_batches() -> None:
    links = [Template(LinkMessage, uapi.RTM_GETLINK, 0, [("IFLA_IFNAME", name)]).pack() for name in ("lo", "xx")]
    client = Client(NETLINK_ROUTE)
    answers = asyncio.run(client.request_alike(b"".join(links * 1100), len(links[0])))
    assert asyncio.run(client.request_alike(b"", 64)) == {}
    client.close()
    assert sorted(answers) == list(range(1, 2200, 2))
    assert {answer.errno for answer in answers.values()} == {errno.ENODEV}
