"""XFRM dumps -> the kernel's SAs, and the requests that delete what charon left behind. No I/O, and no keys.

A dump of states carries their keys: nothing of a message is kept but the fields below.
"""

import socket
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from hubgw.drivers.netlink.wire import attributes, message, u32

XFRM_MSG_DELSA: Final = 0x11
XFRM_MSG_GETSA: Final = 0x12
XFRM_MSG_DELPOLICY: Final = 0x14
XFRM_MSG_GETPOLICY: Final = 0x15

_XFRMA_ENCAP: Final = 4
_XFRMA_IF_ID: Final = 31
_XFRMA_SA_DIR: Final = 33
_DIRECTIONS: Final = {1: "in", 2: "out"}

# xfrm_usersa_info: selector 56, id {daddr, spi, proto}, saddr, limits 64, {bytes, packets, add, use}, stats {too old,
# replayed, integrity failed}, seq, reqid, family; 224 bytes in all.
_STATE: Final = struct.Struct("=16x56x16sIBxxx16s64xQQQQIII4xIH")
_STATE_END: Final = 16 + 224
_STATE_ID: Final = struct.Struct("=16sIHBx")
# xfrm_userpolicy_info: selector 56, limits 64, counters 32, priority, index, direction; 168 bytes in all.
_POLICY: Final = struct.Struct("=16x56s64x32xIIB")
_POLICY_END: Final = 16 + 168
_POLICY_ID: Final = struct.Struct("=56sIBxxx")


@dataclass(frozen=True, slots=True)
class KernelSa:
    """One IPsec SA of the kernel, one direction of a child SA. Times are seconds since the epoch, 0 for never."""

    if_id: int
    spi: int
    src: IPv4Address | IPv6Address
    dst: IPv4Address | IPv6Address
    proto: int  # 50 is ESP
    encap: bool  # ESP in UDP
    bytes: int
    packets: int
    add_time: int
    use_time: int
    replayed: int  # packets that came twice, or too late for the replay window
    integrity_failed: int  # packets with a wrong checksum: changed on the way, or made up
    direction: str  # "in", "out", or "" where its maker did not say (kernels before 6.10, strongSwan 6.0)


def dump_states() -> bytes:
    return message(XFRM_MSG_GETSA, 0, b"")


def dump_policies() -> bytes:
    return message(XFRM_MSG_GETPOLICY, 0, b"")


def states(messages: Iterable[bytes]) -> list[KernelSa]:
    found = []
    for sa in messages:
        daddr, spi, proto, saddr, *counters, _, family = _STATE.unpack_from(sa)
        bytes_, packets, add_time, use_time, too_old, replayed, integrity_failed = counters
        values = attributes(sa, _STATE_END)
        found.append(
            KernelSa(
                if_id=_if_id(values),
                spi=socket.ntohl(spi),
                src=_address(saddr, family),
                dst=_address(daddr, family),
                proto=proto,
                encap=_XFRMA_ENCAP in values,
                bytes=bytes_,
                packets=packets,
                add_time=add_time,
                use_time=use_time,
                replayed=too_old + replayed,
                integrity_failed=integrity_failed,
                direction=_DIRECTIONS.get(values.get(_XFRMA_SA_DIR, b"\0")[0], ""),
            )
        )
    return found


def delete_state(sa: KernelSa) -> bytes:
    family = socket.AF_INET if sa.dst.version == 4 else socket.AF_INET6
    packed = sa.dst.packed.ljust(16, b"\0")
    return message(XFRM_MSG_DELSA, 0, _STATE_ID.pack(packed, socket.htonl(sa.spi), family, sa.proto))


def policy_deletions(messages: Iterable[bytes], if_ids: Collection[int]) -> list[bytes]:
    """Returns a deletion for each dumped policy of these interfaces."""
    deletions = []
    for policy in messages:
        selector, _, index, direction = _POLICY.unpack_from(policy)
        if_id = _if_id(attributes(policy, _POLICY_END))
        if if_id in if_ids:
            identity = _POLICY_ID.pack(selector, index, direction)
            deletions.append(message(XFRM_MSG_DELPOLICY, 0, identity, u32(_XFRMA_IF_ID, if_id)))
    return deletions


def _if_id(values: dict[int, bytes]) -> int:
    return int(struct.unpack("=I", values.get(_XFRMA_IF_ID, bytes(4)))[0])


def _address(packed: bytes, family: int) -> IPv4Address | IPv6Address:
    return ip_address(packed[:4] if family == socket.AF_INET else packed)
