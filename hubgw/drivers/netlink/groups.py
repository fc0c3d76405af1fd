"""Nexthop groups: tiers <-> the numbers of the kernel, and which members serve now."""

from collections.abc import Mapping, Sequence

from hubgw.drivers.netlink import decode, encode
from hubgw.drivers.netlink.client import words
from hubgw.drivers.netlink.kernel import ABSENT, NONE, PRESENT, Kernel
from hubgw.drivers.netlink.ledger import Ledger
from hubgw.plan.diff import target
from hubgw.plan.kernel import Group
from hubgw.plan.numbers import GROUPS
from hubgw.plan.types import Op, OpError, Update


def named(ledger: Ledger, members: Mapping[int, Sequence[int]]) -> list[Group]:
    """Names the kernel's groups, from the ledger or else by their members, which is right while all tunnels are up.

    One that can be named by neither is returned under its own number, so that another is made and this one deleted.
    """
    groups, adopted = [], False
    for number, ids in members.items():
        active = tuple(id_ for id_ in ids if id_ != GROUPS[0])
        if number not in ledger.names:
            ledger.adopt((active,) if active and (active,) not in ledger else ((number,),), number)
            adopted = True
        groups.append(Group(ledger.names[number], active))
    if adopted:
        ledger.save()
    return groups


async def make(kernel: Kernel, ledger: Ledger, ops: Sequence[Op]) -> list[OpError]:
    """Creates groups and gives groups other members."""
    wanted = [_group(op).tiers for op in ops]
    if new := [tiers for tiers in wanted if tiers not in ledger]:
        for tiers in new:
            ledger.allocate(tiers)
        # Before the kernel has them: a number in the ledger too much costs nothing, one too few a group.
        ledger.save()
    (refused,) = await kernel.client.request([encode.blackhole()])
    errors: list[OpError] = []
    if refused is not None and refused.errno not in PRESENT:
        errors = [OpError(op, f"blackhole nexthop: {words(refused)}") for op in ops if not _group(op).active]
        ops = [op for op in ops if _group(op).active]
    return errors + await kernel.send(ops, lambda op: [_replacement(ledger, op, create=True)], NONE)


async def set_active(kernel: Kernel, ledger: Ledger, groups: Sequence[Group]) -> list[OpError]:
    """Gives groups that are there other members. One that is not is left to the pass that makes it."""
    ops = [Update(group, group) for group in groups if group.tiers in ledger]
    return await kernel.send(ops, lambda op: [_replacement(ledger, op, create=False)], ABSENT)


async def delete(kernel: Kernel, ledger: Ledger, ops: Sequence[Op]) -> list[OpError]:
    """Deletes groups, and with the last of them the blackhole nexthop."""
    known = [op for op in ops if _group(op).tiers in ledger]
    errors = await kernel.send(known, lambda op: [encode.delete_nexthop(ledger[_group(op).tiers])], ABSENT)
    _, members = decode.our_nexthops(await kernel.client.dump(encode.dump_nexthops()), {})
    # What the kernel flushed with its last member is not among the operations.
    ledger.keep(members)
    ledger.save()
    if not members:
        errors += await kernel.send(ops[:1], lambda _: [encode.delete_nexthop(GROUPS[0])], ABSENT)
    return errors


def _replacement(ledger: Ledger, op: Op, *, create: bool) -> bytes:
    group = _group(op)
    return encode.new_group(ledger[group.tiers], group.active, create=create)


def _group(op: Op) -> Group:
    obj = target(op)
    if not isinstance(obj, Group):
        raise TypeError(f"not a group: {obj}")
    return obj
