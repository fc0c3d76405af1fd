"""Operations on VRFs, tunnels and ports -> interfaces made, changed, deleted or given back."""

from collections.abc import Sequence

from hubgw import names
from hubgw.drivers.netlink import encode, sysctl, uapi
from hubgw.drivers.netlink.kernel import ABSENT, NONE, PRESENT, Kernel
from hubgw.plan.diff import target
from hubgw.plan.kernel import Port, Tunnel, Vrf
from hubgw.plan.types import Create, Object, Op, OpError, Update


async def make(kernel: Kernel, ops: Sequence[Op]) -> list[OpError]:
    """Creates and updates interfaces, by making them anew where the kernel cannot change what differs.

    The nexthops and routes of one made anew are gone with the old; the next diff brings them back.
    """
    errors = await delete(kernel, [op for op in ops if _is_another_device(op)])
    await kernel.know(ops)
    made = [op for op in ops if isinstance(op, Create) or _is_another_device(op)]
    errors += await kernel.send(made, lambda op: encode.create_link(_link(target(op)), kernel.index), PRESENT)
    failed = {id(error.op) for error in errors}
    rest = [op for op in ops if id(op) not in failed]
    if any(_ports(op) for op in rest):
        await kernel.links()
    errors += await kernel.send(rest, _released_ports, ABSENT)
    return errors + await kernel.send(rest, lambda op: encode.configure_link(_link(target(op)), kernel.index), NONE)


async def delete(kernel: Kernel, ops: Sequence[Op]) -> list[OpError]:
    """Deletes our interfaces, several of them by one message, and takes those of others out of their VRF."""
    ours = [op for op in ops if names.is_ours(_old_name(op))]
    others = [op for op in ops if not names.is_ours(_old_name(op))]
    for op in ours:
        kernel.index.pop(_old_name(op), None)
    errors = await kernel.send(others, lambda op: [_released(_old_name(op))], ABSENT)
    # An interface of others in that link group would be deleted with ours.
    if len(ours) > 1 and not any(link.group == uapi.DOOMED for link in (await kernel.links()).values()):
        errors += await kernel.send(ours, lambda op: [encode.doom_link(_old_name(op))], ABSENT)
        return errors + await kernel.send(ours[:1], lambda _: [encode.delete_doomed()], ABSENT)
    return errors + await kernel.send(ours, lambda op: [encode.delete_link(_old_name(op))], ABSENT)


def _is_another_device(op: Op) -> bool:
    if not isinstance(op, Update):
        return False
    match op.old, op.new:
        case Vrf() as old, Vrf() as new:
            return old.table != new.table
        case Tunnel() as old, Tunnel() as new:
            return old.if_id != new.if_id
        case Port() as old, Port() as new:
            return (old.kind, old.parent, old.vlan_id) != (new.kind, new.parent, new.vlan_id)
    return False


def _link(obj: Object) -> Vrf | Tunnel | Port:
    if not isinstance(obj, Vrf | Tunnel | Port):
        raise TypeError(f"not an interface: {obj}")
    return obj


def _old_name(op: Op) -> str:
    return _link(target(op) if isinstance(op, Create) else op.old).name


def _ports(op: Op) -> set[str]:
    obj = target(op)
    return set(obj.ports) if isinstance(obj, Port) else set()


def _released_ports(op: Op) -> list[bytes]:
    """Gives back what an updated bridge no longer holds."""
    if not isinstance(op, Update) or not isinstance(op.old, Port):
        return []
    return [_released(name) for name in op.old.ports if name not in _ports(op)]


def _released(name: str) -> bytes:
    return encode.release_link(name, sysctl.interface_default("forwarding"), sysctl.interface_default("rp_filter"))
