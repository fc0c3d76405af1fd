"""Batches and answers, against the kernel of whatever machine runs the tests: reading links needs no privilege."""

import asyncio
import errno

from hubgw.drivers.netlink import decode, encode, uapi, wire
from hubgw.drivers.netlink.client import NETLINK_ROUTE, Client
from hubgw.drivers.netlink.template import LinkMessage, Template


def asked(name: str) -> bytes:
    return Template(LinkMessage, uapi.RTM_GETLINK, 0, [("IFLA_IFNAME", name)]).pack()


def test_each_answer_finds_its_message_over_several_batches() -> None:
    async def work(client: Client) -> list[wire.Refusal | None]:
        return await client.request([asked("lo"), asked("no-such-link")] * 1100)

    client = Client(NETLINK_ROUTE)
    answers = asyncio.run(work(client))
    client.close()
    assert len(answers) == 2200
    assert set(answers[::2]) == {None}
    assert {answer.errno for answer in answers[1::2] if answer} == {errno.ENODEV}
    assert None not in answers[1::2]


def test_requests_and_dumps_at_once() -> None:
    async def work(client: Client) -> None:
        asking = [client.request([asked("lo"), asked("no-such-link")]) for _ in range(20)]
        dumping = [client.dump(encode.dump_links()) for _ in range(20)]
        answers = await asyncio.gather(*asking)
        assert all(first is None and second is not None for first, second in answers)
        for messages in await asyncio.gather(*dumping):
            assert "lo" in {decode.link(message).name for message in messages}

    client = Client(NETLINK_ROUTE)
    asyncio.run(work(client))
    client.close()


def test_no_message_is_no_send() -> None:
    client = Client(NETLINK_ROUTE)
    assert asyncio.run(client.request([])) == []
    client.close()
