"""What the reader hears reaches the loop in order, and a flood costs it no more than it has room for."""

import asyncio
import threading

import pytest

from hubgw.drivers.strongswan.inbox import MOST_WAITING, Inbox, Missed


def test_what_nobody_takes_is_counted_and_wakes_the_loop_once() -> None:
    async def case() -> None:
        loop = asyncio.get_running_loop()
        inbox: Inbox[int] = Inbox(loop)
        wakes = 0
        real = loop.call_soon_threadsafe

        def counted(*words: object) -> object:
            nonlocal wakes
            wakes += 1
            return real(*words)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]
        for number in range(MOST_WAITING + 500):
            inbox.put([number])
        assert wakes == 1
        assert await inbox.take() == [*range(MOST_WAITING), Missed(500)]
        inbox.put([7])
        assert await inbox.take() == [7]

    asyncio.run(case())


def test_the_end_is_told_after_the_last() -> None:
    async def case() -> None:
        inbox: Inbox[int] = Inbox(asyncio.get_running_loop())

        def read() -> None:
            for number in range(100):
                inbox.put([number])
            inbox.end(EOFError("gone"))

        reader = threading.Thread(target=read)
        reader.start()
        taken: list[int | Missed] = []
        with pytest.raises(EOFError):
            while True:
                taken += await inbox.take()
        reader.join()
        assert taken == list(range(100))

    asyncio.run(case())
