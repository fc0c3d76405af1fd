"""Stateless NAT at tunnels: operations -> traffic control requests, and the kernel's dumps back.

Each translation is a matchall filter of its own with one action `nat`, at the ingress or egress hook of its tunnel's
clsact; the action ends in "continue", so that the next filter sees the packet too. The kernel chooses a filter's
preference; a deletion repeats what it dumped. pyroute2 has no action `nat`, so the messages are packed here.
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from ipaddress import IPv4Network
from typing import Final

from hubgw.drivers.netlink import uapi
from hubgw.drivers.netlink.decode import Link
from hubgw.drivers.netlink.encode import Index, UnencodableError
from hubgw.drivers.netlink.kernel import ABSENT, PRESENT, Kernel
from hubgw.drivers.netlink.wire import CREATE, EXCL, HEADER, attribute, attributes, message
from hubgw.names import TUNNEL_PREFIX, is_ours
from hubgw.plan.diff import target
from hubgw.plan.kernel import Classifier, Key, Translation, Way
from hubgw.plan.types import Delete, Object, Op, OpError

_HEADER: Final = struct.Struct("=BxxxiIII")  # tcmsg: family, ifindex, handle, parent, info
_END: Final = HEADER.size + _HEADER.size
_CLSACT_HANDLE: Final = 0xFFFF0000
_NAT: Final = struct.Struct("=IIiii4s4s4sI")  # tc_nat: index, capabilities, action, counts, old, new, mask, flags
_IPV4: Final = socket.htons(0x0800)
_HOOKS: Final[Mapping[Way, int]] = {"in": uapi.TC_H_MIN_INGRESS, "out": uapi.TC_H_MIN_EGRESS}


async def observe(kernel: Kernel, links: Mapping[int, Link]) -> list[Object]:
    """Returns the clsact of our tunnels and the translations at them; `links` is by ifindex."""
    found: list[Object] = []
    for ifindex in await _classified(kernel):
        name = links[ifindex].name if ifindex in links else ""
        if name.startswith(TUNNEL_PREFIX) and is_ours(name):
            found.append(Classifier(name))
            found += [translation for translation, _ in await _filters(kernel, name, ifindex)]
    return found


async def apply(kernel: Kernel, ops: Sequence[Op]) -> list[OpError]:
    """Carries out operations of one class and kind."""
    await kernel.know(ops)
    index = kernel.index
    if not isinstance(ops[0], Delete):
        return await kernel.send(ops, lambda op: [_creation(target(op), index)], PRESENT)
    deletions: dict[Key, list[bytes]] = {}
    classified = set(await _classified(kernel))
    for name in {_interface(target(op)) for op in ops}:
        ifindex = index.get(name, 0)
        if ifindex in classified:
            deletions[Classifier(name).key] = [classifier(uapi.RTM_DELQDISC, 0, ifindex)]
            for translation, deletion in await _filters(kernel, name, ifindex):
                deletions.setdefault(translation.key, []).append(deletion)
    return await kernel.send(ops, lambda op: deletions.get(target(op).key, []), ABSENT)


@cache
def dump_classifiers() -> bytes:
    return message(uapi.RTM_GETQDISC, 0, _HEADER.pack(socket.AF_UNSPEC, 0, 0, 0, 0))


def dump_filters(ifindex: int, way: Way) -> bytes:
    """The kernel dumps the filters of one hook of one interface."""
    return message(uapi.RTM_GETTFILTER, 0, _HEADER.pack(socket.AF_UNSPEC, ifindex, 0, _HOOKS[way], 0))


def classifier(kind: int, flags: int, ifindex: int) -> bytes:
    """Returns the message that makes a clsact, or deletes it."""
    header = _HEADER.pack(socket.AF_UNSPEC, ifindex, _CLSACT_HANDLE, uapi.TC_H_CLSACT, 0)
    return message(kind, flags, header, attribute(uapi.TCA_KIND, b"clsact\0"))


def new_filter(translation: Translation, ifindex: int) -> bytes:
    """Returns the message that makes a translation; without a preference the kernel takes one that is free."""
    flags = uapi.TCA_NAT_FLAG_EGRESS if translation.end == "source" else 0
    old, new = translation.old, translation.new
    addresses = (old.network_address.packed, new.network_address.packed, old.netmask.packed)
    parms = attribute(uapi.TCA_NAT_PARMS, _NAT.pack(0, 0, uapi.TC_ACT_UNSPEC, 0, 0, *addresses, flags))
    action = attribute(uapi.TCA_ACT_KIND, b"nat\0") + attribute(uapi.TCA_ACT_OPTIONS, parms)
    options = attribute(uapi.TCA_OPTIONS, attribute(uapi.TCA_MATCHALL_ACT, attribute(1, action)))
    header = _HEADER.pack(socket.AF_UNSPEC, ifindex, 0, _HOOKS[translation.way], _IPV4)
    return message(uapi.RTM_NEWTFILTER, CREATE | EXCL, header, attribute(uapi.TCA_KIND, b"matchall\0"), options)


def filters(messages: Iterable[bytes], interface: str, way: Way) -> Iterator[tuple[Translation, bytes]]:
    """Yields each translation of a dump, with the message that deletes it; what is no translation is not ours."""
    for dumped in messages:
        values = attributes(dumped, _END)
        options = attributes(values.get(uapi.TCA_OPTIONS, b""))
        actions = list(attributes(options.get(uapi.TCA_MATCHALL_ACT, b"")).values())
        if _kind(values) != b"matchall" or len(actions) != 1:
            continue
        action = attributes(actions[0])
        parms = attributes(action.get(uapi.TCA_ACT_OPTIONS, b"")).get(uapi.TCA_NAT_PARMS, b"")
        if action.get(uapi.TCA_ACT_KIND, b"").rstrip(b"\0") != b"nat" or len(parms) < _NAT.size:
            continue
        _, _, ends, _, _, old, new, mask, flags = _NAT.unpack_from(parms)
        length = int.from_bytes(mask, "big").bit_count()
        if ends != uapi.TC_ACT_UNSPEC:
            continue
        translation = Translation(
            interface,
            way,
            "source" if flags & uapi.TCA_NAT_FLAG_EGRESS else "destination",
            IPv4Network((old, length), strict=False),
            IPv4Network((new, length), strict=False),
        )
        header = dumped[HEADER.size : _END]
        yield translation, message(uapi.RTM_DELTFILTER, 0, header, attribute(uapi.TCA_KIND, b"matchall\0"))


def is_of_our_kinds(event: bytes) -> bool:
    """Tells whether an event is about a clsact, or about a filter of the kind that translations are."""
    return _kind(attributes(event, _END)) in {b"clsact", b"matchall"}


async def _classified(kernel: Kernel) -> list[int]:
    """Returns the ifindex of each interface that has a clsact."""
    found = []
    for dumped in await kernel.client.dump(dump_classifiers()):
        _, ifindex, _, parent, _ = _HEADER.unpack_from(dumped, HEADER.size)
        if parent == uapi.TC_H_CLSACT and _kind(attributes(dumped, _END)) == b"clsact":
            found.append(ifindex)
    return found


async def _filters(kernel: Kernel, interface: str, ifindex: int) -> list[tuple[Translation, bytes]]:
    found: list[tuple[Translation, bytes]] = []
    for way in _HOOKS:
        found += filters(await kernel.client.dump(dump_filters(ifindex, way)), interface, way)
    return found


def _creation(obj: Object, index: Index) -> bytes:
    interface = _interface(obj)
    if interface not in index:
        raise UnencodableError(f"{interface}: no such interface")
    if isinstance(obj, Translation):
        return new_filter(obj, index[interface])
    return classifier(uapi.RTM_NEWQDISC, CREATE | EXCL, index[interface])


def _interface(obj: Object) -> str:
    if not isinstance(obj, Classifier | Translation):
        raise TypeError(f"not of traffic control: {obj}")
    return obj.interface


def _kind(values: Mapping[int, bytes]) -> bytes:
    return values.get(uapi.TCA_KIND, b"").rstrip(b"\0")
