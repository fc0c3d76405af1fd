"""A message of VICI, or its beginning -> nested dictionaries whose leaves are bytes, or lists of those. No I/O.

The library's own decoder takes more than twice as long, and what charon tells of SAs is much of what the agent reads.
"""

from typing import Any, Final

# What an element begins with (strongSwan, src/libcharon/plugins/vici/README.md).
_SECTION_START: Final = 1
_SECTION_END: Final = 2
_KEY_VALUE: Final = 3
_LIST_START: Final = 4
_LIST_ITEM: Final = 5
_LIST_END: Final = 6


class MalformedError(ValueError):
    """It is no message of VICI."""


def decode(octets: bytes) -> dict[str, Any]:
    """Returns the message. Raises MalformedError."""
    message: dict[str, Any] = {}
    section, around = message, list[dict[str, Any]]()
    at, end = 0, len(octets)
    try:
        while at < end:
            element = octets[at]
            if element == _SECTION_END:
                section = around.pop()
                at += 1
                continue
            # Length of the name in an octet, the name; of a value the length in two.
            after = at + 2 + octets[at + 1]
            name = octets[at + 2 : after].decode()
            if element == _KEY_VALUE:
                at = after + 2 + (octets[after] << 8 | octets[after + 1])
                section[name] = octets[after + 2 : at]
            elif element == _SECTION_START:
                around.append(section)
                section[name] = inner = dict[str, Any]()
                section, at = inner, after
            elif element == _LIST_START:
                section[name] = items = list[bytes]()
                at = after
                while octets[at] == _LIST_ITEM:
                    after = at + 3 + (octets[at + 1] << 8 | octets[at + 2])
                    items.append(octets[at + 3 : after])
                    at = after
                if octets[at] != _LIST_END:
                    raise MalformedError(f"octet {at}: is no item of a list, and not its end, got {octets[at]}")
                at += 1
            else:
                raise MalformedError(f"octet {at}: begins nothing, got {element}")
    except IndexError as error:
        raise MalformedError(f"octet {at}: ends within an element, or a section that has not begun") from error
    except UnicodeDecodeError as error:
        raise MalformedError(f"octet {at}: has a name that is no UTF-8, got {octets[at:after]!r}") from error
    if around or at > end:
        raise MalformedError(f"octet {end}: the message ends within a section or a value")
    return message


def beginning(octets: bytes, last: str) -> dict[str, Any]:
    """Returns the message up to the first value of that name, which is in a section that lies in no other; all of it
    where there is none. Raises MalformedError."""
    name = last.encode()
    at = octets.find(bytes((_KEY_VALUE, len(name))) + name)
    if at < 0:
        return decode(octets)
    after = at + 2 + len(name)
    end = after + 2 + int.from_bytes(octets[after : after + 2], "big")
    if end > len(octets):
        raise MalformedError(f"octet {after}: the message ends within a value")
    return decode(octets[:end] + bytes((_SECTION_END,)))
