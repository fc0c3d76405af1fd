"""Routing rules: operations -> rtnetlink requests, and the kernel's dump back.

The kernel changes no rule, and takes a second one with the same selectors: what has a rule's key goes before it is
made. A deletion repeats the rule as it was dumped, so that it takes the one that is meant, whoever made it.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address
from typing import Final

from hubgw.drivers.netlink import uapi
from hubgw.drivers.netlink.decode import number_of
from hubgw.drivers.netlink.kernel import ABSENT, NONE, Kernel
from hubgw.drivers.netlink.template import RuleMessage, Template
from hubgw.drivers.netlink.wire import CREATE, EXCL, HEADER, REQUEST, attributes
from hubgw.plan.diff import target
from hubgw.plan.kernel import Key, Rule
from hubgw.plan.numbers import PROTOCOL
from hubgw.plan.types import Op, OpError

ODD: Final = -1
"""The `suppress_prefixlength` of a rule that no plan could have made, or of which there are two."""

_HEADER: Final = struct.Struct("=16x4B3xBI")  # family, lengths of destination and source, tos, action, flags
_RANGE: Final = struct.Struct("=II")
_ALL_BITS: Final = 0xFFFFFFFF
_KNOWN: Final = frozenset(
    {
        uapi.FRA_SRC,
        uapi.FRA_PRIORITY,
        uapi.FRA_FWMARK,
        uapi.FRA_SUPPRESS_PREFIXLEN,
        uapi.FRA_TABLE,
        uapi.FRA_FWMASK,
        uapi.FRA_L3MDEV,
        uapi.FRA_UID_RANGE,
        uapi.FRA_PROTOCOL,
    }
)


async def observe(kernel: Kernel) -> list[Rule]:
    """Returns our rules, each key once."""
    return ours(await kernel.client.dump(dump()))


async def make(kernel: Kernel, ops: Sequence[Op]) -> list[OpError]:
    """Creates and updates rules."""
    errors = await delete(kernel, ops)
    return errors + await kernel.send(ops, lambda op: [new(_rule(op))], NONE)


async def delete(kernel: Kernel, ops: Sequence[Op]) -> list[OpError]:
    """Deletes all rules of ours with the keys of these."""
    seen: dict[Key, list[bytes]] = {}
    for message in await kernel.client.dump(dump()):
        if _is_ours(message):
            seen.setdefault(read(message).key, []).append(deletion(message))
    return await kernel.send(ops, lambda op: seen.get(_rule(op).key, []), ABSENT)


@cache
def dump() -> bytes:
    return Template(RuleMessage, uapi.RTM_GETRULE, 0, [], fields={"family": socket.AF_INET}).pack()


def new(rule: Rule) -> bytes:
    """Returns the message that makes a rule."""
    fields = {"family": socket.AF_INET, "action": _action(rule)}
    values: list[tuple[str, object]] = [("FRA_PRIORITY", rule.priority), ("FRA_PROTOCOL", PROTOCOL)]
    values.append(("FRA_TABLE", rule.table))
    if rule.source is not None:
        fields["src_len"] = rule.source.max_prefixlen
        values.append(("FRA_SRC", str(rule.source)))
    if rule.uid is not None:
        values.append(("FRA_UID_RANGE", f"{rule.uid}:{rule.uid}"))
    if rule.fwmark:
        values += [("FRA_FWMARK", rule.fwmark), ("FRA_FWMASK", _ALL_BITS)]
    if rule.l3mdev:
        values.append(("FRA_L3MDEV", 1))
    if rule.suppress_prefixlength is not None:
        values.append(("FRA_SUPPRESS_PREFIXLEN", rule.suppress_prefixlength))
    return Template(RuleMessage, uapi.RTM_NEWRULE, CREATE | EXCL, values, fields=fields).pack()


def deletion(dumped: bytes) -> bytes:
    """Returns the message that deletes a rule as it was dumped."""
    return HEADER.pack(len(dumped), uapi.RTM_DELRULE, REQUEST, 0, 0) + dumped[HEADER.size :]


def ours(messages: Iterable[bytes]) -> list[Rule]:
    """Returns the rules of our protocol in a dump, each key once."""
    found: dict[Key, Rule] = {}
    for message in filter(_is_ours, messages):
        rule = read(message)
        found[rule.key] = replace(rule, suppress_prefixlength=ODD) if rule.key in found else rule
    return list(found.values())


def read(message: bytes) -> Rule:
    """Reads a rule of a dump."""
    _, to_length, source_length, tos, action, flags = _HEADER.unpack_from(message)
    values = attributes(message, 28)
    first, last = _RANGE.unpack(values.get(uapi.FRA_UID_RANGE, bytes(8)))
    mark = number_of(values, uapi.FRA_FWMARK)
    suppress = number_of(values, uapi.FRA_SUPPRESS_PREFIXLEN)
    rule = Rule(
        number_of(values, uapi.FRA_PRIORITY),
        source=IPv4Address(values[uapi.FRA_SRC]) if uapi.FRA_SRC in values else None,
        uid=first if uapi.FRA_UID_RANGE in values else None,
        fwmark=mark,
        table=number_of(values, uapi.FRA_TABLE),
        l3mdev=uapi.FRA_L3MDEV in values,
        suppress_prefixlength=None if suppress == _ALL_BITS else suppress,
    )
    plain = (
        values.keys() <= _KNOWN
        and not (to_length or tos or flags)
        and source_length == (rule.source.max_prefixlen if rule.source else 0)
        and first == last
        and number_of(values, uapi.FRA_FWMASK) == (_ALL_BITS if mark else 0)
        and action == _action(rule)
    )
    return rule if plain else replace(rule, suppress_prefixlength=ODD)


def _is_ours(message: bytes) -> bool:
    return attributes(message, 28).get(uapi.FRA_PROTOCOL) == bytes((PROTOCOL,))


def _action(rule: Rule) -> int:
    return uapi.FR_ACT_TO_TBL if rule.table or rule.l3mdev else uapi.FR_ACT_UNREACHABLE


def _rule(op: Op) -> Rule:
    obj = target(op)
    if not isinstance(obj, Rule):
        raise TypeError(f"not a rule: {obj}")
    return obj
