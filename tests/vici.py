"""What charon sends over VICI, for drivers that read it as it comes."""

import struct
from collections.abc import Mapping

from vici.protocol import Message, Packet


def packet(event: str, message: Mapping[str, object]) -> bytes:
    """Returns an event as VICI has it, without its length."""
    head = struct.pack("!BB", Packet.EVENT, len(event)) + event.encode()
    return head + bytes(Message.serialize(message))


def framed(*packets: bytes) -> bytes:
    """Returns packets as they come out of the socket."""
    return b"".join(struct.pack("!I", len(one)) + one for one in packets)
