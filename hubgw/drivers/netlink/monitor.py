"""Netlink events -> "something of ours may have changed", for the agent to observe. It reads no state itself.

What this process writes is left out where the kernel says who wrote it: of routes, nexthops and addresses by the
requester's port id, in a filter on the socket; of an nftables transaction the process. Of interfaces it does not say.
"""

import asyncio
import ctypes
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from hubgw import names
from hubgw.drivers.netlink import decode, nat, uapi, wire
from hubgw.drivers.netlink.client import NETLINK_NETFILTER, NETLINK_ROUTE, open_events
from hubgw.plan.numbers import LEARNED_PROTOCOL, PROTOCOL, SESSIONS, TABLES

_LINK, _TC, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_ROUTE, _IPV6_RULE, _NEXTHOP = 1, 4, 5, 7, 8, 11, 19, 32
_NFTABLES: Final = 7
_NFT_SUBSYSTEM: Final = 10
_NFT_MSG_NEWGEN: Final = 15
_NFTA_TABLE: Final = 1  # of every nftables message but NEWGEN
_NFTA_GEN_PROC_PID: Final = 2
_IFA_LABEL: Final = 3
_SO_ATTACH_FILTER: Final = 26
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _JUMP_EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06
_INSTRUCTION: Final = struct.Struct("=HBBI")
_DATAGRAM: Final = 64 << 10


class Event(NamedTuple):
    """What may have changed: ``link``, ``address``, ``route``, ``nexthop``, ``rule``, ``classifier``, ``nftables``;
    which; how.

    ``resync`` says that the kernel dropped events: anything may have changed.
    """

    kind: str
    subject: str = ""  # an interface's name, a table's number or name, a nexthop's id
    gone: bool = False


class Monitor:
    """Listens in the network namespace and event loop of the caller, until `close`."""

    def __init__(self, own_port_ids: Sequence[int], table: str) -> None:
        """`own_port_ids` are the requesters whose writes are no news; `table` is our nftables table."""
        groups = (_LINK, _TC, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_ROUTE, _IPV6_RULE, _NEXTHOP)
        self._route = open_events(NETLINK_ROUTE, groups)
        _attach_filter(self._route, own_port_ids)
        self._netfilter = open_events(NETLINK_NETFILTER, (_NFTABLES,))
        self._table = table
        self._table_touched = False
        self._others: dict[int, tuple[bool, int]] = {}  # by ifindex: up, master
        self._pending: dict[Event, None] = {}
        self._arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._route, self._read, self._route)
        loop.add_reader(self._netfilter, self._read, self._netfilter)

    def close(self) -> None:
        for sock in (self._route, self._netfilter):
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    async def changes(self) -> list[Event]:
        """Waits for an event and returns all that have come since the last call, each once."""
        await self._arrived.wait()
        self._arrived.clear()
        events, self._pending = list(self._pending), {}
        return events

    def _read(self, sock: socket.socket) -> None:
        try:
            datagram = sock.recv(_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:
            # ENOBUFS: the kernel dropped events.
            self._add(Event("resync"))
            return
        for kind, _, _, message in wire.messages(datagram):
            event = self._route_event(kind, message) if sock is self._route else self._nftables_event(kind, message)
            if event is not None:
                self._add(event)

    def _add(self, event: Event) -> None:
        self._pending[event] = None
        self._arrived.set()

    def _route_event(self, kind: int, message: bytes) -> Event | None:
        match kind:
            case uapi.RTM_NEWLINK | uapi.RTM_DELLINK:
                return self._link_event(decode.link(message), kind == uapi.RTM_DELLINK)
            case uapi.RTM_NEWADDR | uapi.RTM_DELADDR:
                values = wire.attributes(message, 24)
                name = values.get(_IFA_LABEL, b"").rstrip(b"\0").decode(errors="replace")
                flags = int.from_bytes(values.get(uapi.IFA_FLAGS, b""), sys.byteorder)
                if names.is_ours(name) or flags & uapi.IFA_F_NOPREFIXROUTE:
                    return Event("address", name, kind == uapi.RTM_DELADDR)
            case uapi.RTM_NEWROUTE | uapi.RTM_DELROUTE:
                table = int.from_bytes(wire.attributes(message, 28).get(uapi.RTA_TABLE, b""), sys.byteorder)
                if table in TABLES or table in SESSIONS:
                    return Event("route", str(table), kind == uapi.RTM_DELROUTE)
            case uapi.RTM_NEWNEXTHOP | uapi.RTM_DELNEXTHOP if message[18] == PROTOCOL:
                number = int.from_bytes(wire.attributes(message, 24).get(uapi.NHA_ID, b""), sys.byteorder)
                return Event("nexthop", str(number), kind == uapi.RTM_DELNEXTHOP)
            case uapi.RTM_NEWRULE | uapi.RTM_DELRULE:
                return Event("rule", gone=kind == uapi.RTM_DELRULE)
            case uapi.RTM_NEWQDISC | uapi.RTM_DELQDISC | uapi.RTM_NEWTFILTER | uapi.RTM_DELTFILTER:
                # Whose interface it is the kernel says by number alone.
                if nat.is_of_our_kinds(message):
                    return Event("classifier", gone=kind in {uapi.RTM_DELQDISC, uapi.RTM_DELTFILTER})
        return None

    def _link_event(self, link: decode.Link, gone: bool) -> Event | None:
        """Leaves out an interface of others that neither went, nor came, nor changed its master."""
        if not names.is_ours(link.name):
            state = (link.up, link.master)
            if not gone and self._others.get(link.ifindex) == state:
                return None
            self._others[link.ifindex] = state
        if gone:
            self._others.pop(link.ifindex, None)
        return Event("link", link.name, gone)

    def _nftables_event(self, kind: int, message: bytes) -> Event | None:
        """Reports a transaction on our table when it is complete, unless a thread of this process made it."""
        values = wire.attributes(message, 20)
        if kind != _NFT_SUBSYSTEM << 8 | _NFT_MSG_NEWGEN:
            name = values.get(_NFTA_TABLE, b"").rstrip(b"\0")
            self._table_touched = self._table_touched or name == self._table.encode()
            return None
        touched, self._table_touched = self._table_touched, False
        thread = int.from_bytes(values.get(_NFTA_GEN_PROC_PID, b""), "big")
        return Event("nftables", self._table) if touched and not Path(f"/proc/self/task/{thread}").exists() else None


def _attach_filter(sock: socket.socket, own_port_ids: Sequence[int]) -> None:
    """Drops our own events, and routes of other protocols, before they are queued (classic BPF, big-endian)."""
    tail = [
        (_LOAD_HALF, 0, 0, 4),  # nlmsg_type
        (_JUMP_EQUAL, 1, 0, _big_endian(uapi.RTM_NEWROUTE, 2)),
        (_JUMP_EQUAL, 0, 3, _big_endian(uapi.RTM_DELROUTE, 2)),
        (_LOAD_BYTE, 0, 0, 16 + 5),  # rtm_protocol
        (_JUMP_EQUAL, 1, 0, PROTOCOL),
        (_JUMP_EQUAL, 0, 1, LEARNED_PROTOCOL),
        (_RETURN, 0, 0, 0xFFFFFFFF),
        (_RETURN, 0, 0, 0),
    ]
    head = [(_LOAD_WORD, 0, 0, 12)]  # nlmsg_pid
    for position, port_id in enumerate(own_port_ids):
        to_drop = len(own_port_ids) - position - 1 + len(tail) - 1
        head.append((_JUMP_EQUAL, to_drop, 0, _big_endian(port_id, 4)))
    program = b"".join(_INSTRUCTION.pack(*instruction) for instruction in head + tail)
    buffer = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(head + tail), ctypes.addressof(buffer))
    )


def _big_endian(value: int, size: int) -> int:
    return int.from_bytes(value.to_bytes(size, sys.byteorder), "big")
