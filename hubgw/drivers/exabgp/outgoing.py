"""Frames on their way to the adapter and to the agent, and the clock by which they leave. Pure state."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from hubgw.drivers.exabgp.frames import Kind, document, frame

CHUNK: Final = 256 * 1024  # octets of messages in one frame, so that the adapter can start on them


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` is what deadlines go by, `wall` (epoch seconds) what is shown."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


class Outgoing:
    """What is to be sent. Without an agent nothing is kept for it: it gets all anew when it is there."""

    def __init__(self) -> None:
        self.adapter: list[bytes] = []
        self.agent: list[bytes] = []
        self.agent_listens = False

    def to_agent(self, kind: Kind, *parts: bytes) -> None:
        if self.agent_listens:
            self.agent.append(frame(kind, *parts))

    def document(self, kind: Kind, content: Any) -> None:
        if self.agent_listens:
            self.agent.append(document(kind, content))

    def to_adapter(self, kind: Kind, *parts: bytes) -> None:
        self.adapter.append(frame(kind, *parts))

    def send(self, peers: list[bytes], messages: Iterable[bytes]) -> int:
        """Sends whole messages to each of some peers; returns how many messages."""
        head = struct.pack("!H", len(peers)) + b"".join(peers)
        chunk: list[bytes] = []
        count = size = 0
        for message in messages:
            chunk.append(message)
            count += 1
            size += len(message)
            if size >= CHUNK:
                self.to_adapter(Kind.SEND, head, *chunk)
                chunk, size = [], 0
        if chunk:
            self.to_adapter(Kind.SEND, head, *chunk)
        return count
