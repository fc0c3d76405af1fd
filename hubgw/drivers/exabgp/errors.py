"""What an erroneous UPDATE leads to: the words of RFC 4271, 6.3 and RFC 7606 that the codec's parts share. No I/O."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MESSAGE_HEADER_ERROR: Final = 1
UPDATE_ERROR: Final = 3
ROUTE_REFRESH_ERROR: Final = 7  # RFC 7313

BAD_MESSAGE_LENGTH: Final = 2
INVALID_REFRESH_LENGTH: Final = 1


class Subcode(IntEnum):
    """Subcodes of an UPDATE Message Error."""

    MALFORMED_ATTRIBUTE_LIST = 1
    UNRECOGNIZED_WELL_KNOWN = 2
    ATTRIBUTE_FLAGS = 4
    ATTRIBUTE_LENGTH = 5
    INVALID_ORIGIN = 6
    INVALID_NEXT_HOP = 8
    OPTIONAL_ATTRIBUTE = 9
    INVALID_NETWORK_FIELD = 10
    MALFORMED_AS_PATH = 11


class SessionReset(Exception):  # noqa: N818 - what it does to the session
    """The session cannot go on: the NOTIFICATION to send, and why in words."""

    def __init__(self, code: int, subcode: int, data: bytes, reason: str) -> None:
        super().__init__(reason)
        self.code, self.subcode, self.data, self.reason = code, subcode, data, reason


@dataclass(frozen=True, slots=True)
class Fault:
    """Why prefixes are treated as withdrawn, and the NOTIFICATION's subcode and data where there are none."""

    subcode: Subcode
    reason: str
    data: bytes = b""
