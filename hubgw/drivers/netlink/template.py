"""pyroute2's rtnetlink messages -> templates: a message that pyroute2 encodes once, and the places that change in it.

pyroute2 encodes 4,000 interfaces or 9,000 routes a second, and 1,000 sites with 10,000 routes are 19,000 messages but a
few shapes; so of each message after the first of its shape only the values are packed. The shapes are in `shapes`.
"""

# mypy: disallow-subclassing-any=False

import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyroute2.netlink import NLA_F_NESTED, NLM_F_REQUEST, nla, nlmsg
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfbase
from pyroute2.netlink.rtnl.rtmsg import rtmsg_base

from hubgw.drivers.netlink import wire

Place = str | tuple[str, ...]
"""A field of the message's own header (``dst_len``), an attribute (``RTA_DST``) or the path to a nested one."""

AddressMessage: Final = ifaddrmsg
RuleMessage: Final = fibmsg


class LinkMessage(ifinfbase, nlmsg):
    """ifinfomsg with the per-family settings as the kernel takes them: pyroute2 has what the kernel shows of them.

    The bases are those of pyroute2's own class, since a class below one that was in use keeps that one's attributes.
    """

    # The kernel counts the zero that ends a text into the 255 bytes that an alias may have.
    nla_map = tuple((name, "string" if name == "IFLA_IFALIAS" else type_) for name, type_ in ifinfbase.nla_map)

    class af_spec(nla):  # noqa: N801 - pyroute2's map of attributes names it
        nla_flags = NLA_F_NESTED
        nla_map = ((socket.AF_INET, "AF_INET", "Inet"), (socket.AF_INET6, "AF_INET6", "Inet6"))

        class Inet(nla):
            nla_flags = NLA_F_NESTED
            nla_map = ((1, "IFLA_INET_CONF", "Conf"),)

            class Conf(nla):
                nla_flags = NLA_F_NESTED
                nla_map = (
                    (1, "IPV4_DEVCONF_FORWARDING", "uint32"),
                    (8, "IPV4_DEVCONF_RP_FILTER", "uint32"),
                    (20, "IPV4_DEVCONF_PROMOTE_SECONDARIES", "uint32"),
                )

        class Inet6(nla):
            nla_flags = NLA_F_NESTED
            nla_map = ((8, "IFLA_INET6_ADDR_GEN_MODE", "uint8"),)


class RouteMessage(rtmsg_base, nlmsg):
    """rtmsg with the nexthop object, which pyroute2 does not know. Bases as for a link."""

    nla_map = (*((number, *entry) for number, entry in enumerate(rtmsg_base.nla_map)), (30, "RTA_NH_ID", "uint32"))


class NexthopMessage(nlmsg):
    """nhmsg, which pyroute2 does not know."""

    fields = (("family", "B"), ("scope", "B"), ("protocol", "B"), ("resvd", "B"), ("flags", "I"))
    nla_map = (
        ("NHA_UNSPEC", "none"),
        ("NHA_ID", "uint32"),
        ("NHA_GROUP", "cdata"),  # of struct nexthop_grp, 8 bytes a member
        ("NHA_GROUP_TYPE", "uint16"),
        ("NHA_BLACKHOLE", "flag"),
        ("NHA_OIF", "uint32"),
    )


class Template:
    """An encoded message, and where in it the values are that differ between the messages of its shape."""

    def __init__(
        self,
        class_: type[Any],
        kind: int,
        flags: int,
        attributes: Sequence[tuple[str, object]],
        places: Sequence[Place] = (),
        *,
        fields: Mapping[str, int] | None = None,
    ) -> None:
        """Encodes a message. `attributes` and `fields` are as pyroute2 takes them, `places` in the message's order.

        The value at a place only gives the length of what `pack` will put there.

        Raises:
            ValueError: a place is not in the message, or not in order.
        """
        message = class_()
        message["header"].update(type=kind, flags=NLM_F_REQUEST | flags)
        message.update(fields or {})
        message["attrs"] = list(attributes)
        message.encode()
        encoded, end, layout = bytes(message.data), 0, "="
        self._row: list[Any] = []
        for place in places:
            offset, format_ = _located(message, place)
            if offset < end:
                raise ValueError(f"{class_.__name__} {place}: named after a place that comes later")
            layout += f"{offset - end}s{format_}"
            self._row += (encoded[end:offset], None)
            end = offset + struct.calcsize(f"={format_}")
        self._row.append(encoded[end:])
        self._pack = struct.Struct(f"{layout}{len(encoded) - end}s").pack

    def pack(self, *values: int | bytes) -> bytes:
        """Returns a message with these values at the places; its sequence number is 0, which the client sets.

        Bytes are as long as those that were encoded there, or shorter and filled up with zeroes.
        """
        row = self._row.copy()
        row[1::2] = values
        return self._pack(*row)


def extended(message: bytes, attribute: bytes) -> bytes:
    """Returns a message with an encoded attribute at its end."""
    body = message[4:] + attribute
    return struct.pack("=I", 4 + len(body)) + body


def _located(message: Any, place: Place) -> tuple[int, str]:
    """Returns where in an encoded message the value at a place begins, and its struct format."""
    offset = wire.HEADER.size
    for name, format_ in message.fields:
        if name == place:
            return offset, format_
        offset += struct.calcsize(f"={format_}")
    found = message
    for step in (place,) if isinstance(place, str) else place:
        slots = [slot for slot in found["attrs"] if slot[0] == step]
        if len(slots) != 1:
            raise ValueError(f"{type(message).__name__} {place}: {len(slots)} times in the message")
        found = slots[0].nla
    format_ = found.fields[0][1]
    return found.offset + 4, f"{found.length - 4}s" if format_ == "s" else format_
