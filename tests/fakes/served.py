"""A service behind a real Unix socket, in a thread with a loop of its own: blocking clients are tested against it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hubgw.agent.http import serve
from hubgw.agent.service import Service


@contextmanager
def served(service: Service, path: Path, group: int | None = None) -> Iterator[Path]:
    """Answers for the service at `path` until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(serve(service, path, group), loop).result(10)
        try:
            yield path
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
