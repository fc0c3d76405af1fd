"""What happens around the agent -> a pass soon; several things at once are one pass."""

import asyncio

SETTLES = 0.05
"""Seconds to wait for what belongs together: one command of an operator is many kernel events."""


class Triggers:
    """Asks for passes, and tells those who wait when theirs has ended."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._ended = asyncio.Condition()
        self._begun = 0
        self._finished = 0

    def fire(self) -> None:
        """Asks for a pass."""
        self._asked.set()

    async def wait(self, seconds: float) -> None:
        """Waits until a pass is asked for, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
                await asyncio.sleep(SETTLES)
        except TimeoutError:
            pass
        self._asked.clear()
        self._begun += 1

    async def ended(self) -> None:
        """Says that the pass that the last `wait` began has ended."""
        async with self._ended:
            self._finished = self._begun
            self._ended.notify_all()

    async def settle(self) -> None:
        """Asks for a pass and returns when one that began after this call has ended."""
        wanted = self._begun + 1
        self.fire()
        async with self._ended:
            await self._ended.wait_for(lambda: self._finished >= wanted)
