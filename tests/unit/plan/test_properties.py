"""For any old and new configuration: what the plan's operations do to a machine with the kernel's constraints."""

import asyncio
from collections.abc import Iterable, Sequence, Set

from hypothesis import given, note
from hypothesis import strategies as st

from hubgw.plan.activate import activate
from hubgw.plan.diff import diff, driver_of, runs, target
from hubgw.plan.kernel import Element, Key, Route, Rule, Sysctl, Tunnel, Tunnels
from hubgw.plan.numbers import SESSIONS
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Plan
from hubgw.plan.words import describe
from tests.fakes.drivers import Machine
from tests.unit.compile.worlds import INTERFACES, World, plan_of, worlds


def carry_out(machine: Machine, ops: Sequence[Op]) -> list[OpError]:
    async def all_of_them() -> list[OpError]:
        errors = []
        for name, run in runs(ops):
            errors += await getattr(machine, name).apply(run)
        return errors

    return asyncio.run(all_of_them())


def some_of(draw: st.DrawFn, plan: Plan) -> Set[int]:
    numbers = [tunnel.nexthop for tunnel in plan.tunnels]
    return draw(st.sets(st.sampled_from(numbers))) if numbers else set()


@st.composite
def changes(draw: st.DrawFn) -> tuple[list[Object], list[Object]]:
    """Draws what was wanted before, and what is wanted now, each with some of its tunnels up."""
    old, numbers = plan_of(draw(worlds()).inventory())
    new, _ = plan_of(draw(worlds()).inventory(), numbers)
    return activate(old, some_of(draw, old)), activate(new, some_of(draw, new))


def machine_with(objects: Iterable[Object]) -> Machine:
    machine = Machine(INTERFACES)
    assert carry_out(machine, diff(objects, ())) == []
    return machine


@given(worlds())
def test_a_first_apply_is_refused_nothing_and_leaves_nothing_to_do(world: World) -> None:
    plan, _ = plan_of(world.inventory())
    wanted = activate(plan, {tunnel.nexthop for tunnel in plan.tunnels})
    machine = machine_with(wanted)
    assert diff(wanted, machine.seen.values()) == []


@given(changes())
def test_any_change_is_refused_nothing_and_leaves_nothing_to_do(change: tuple[list[Object], list[Object]]) -> None:
    old, new = change
    machine = machine_with(old)
    ops = diff(new, machine.seen.values())
    note("\n".join(map(describe, ops)))
    refused = carry_out(machine, ops)
    assert [f"{describe(error.op)}: {error.reason}" for error in refused] == []
    assert [describe(op) for op in diff(new, machine.seen.values())] == []


@given(changes())
def test_no_route_that_stays_is_gone_for_a_moment(change: tuple[list[Object], list[Object]]) -> None:
    old, new = change
    machine = machine_with(old)
    # A tunnel that moves to another VRF, or a port, takes its routes along.
    moved = any(
        getattr(was, "vrf", "") != getattr(will, "vrf", "")
        for was in old
        for will in new
        if was.key == will.key and isinstance(was, Tunnel)
    )
    stay = routes(old) & routes(new) if not moved else set()
    for op in diff(new, machine.seen.values()):
        carry_out(machine, [op])
        assert stay <= routes(machine.seen.values()), op


def routes(objects: Iterable[Object]) -> set[Key]:
    """Routes through tunnels and of last resort; those over a port go with it where it is made anew."""
    return {obj.key for obj in objects if isinstance(obj, Route) and (isinstance(obj.via, Tunnels) or obj.metric)}


@given(changes())
def test_a_machine_is_emptied_without_a_refusal(change: tuple[list[Object], list[Object]]) -> None:
    machine = machine_with(change[0])
    assert carry_out(machine, diff((), machine.seen.values())) == []
    assert {type(obj) for obj in machine.seen.values()} <= {Sysctl}


@given(changes())
def test_it_is_closed_before_it_carries_and_open_to_ike_last(change: tuple[list[Object], list[Object]]) -> None:
    ops = diff(change[1], ())
    ranks = {op.new.key: index for index, op in enumerate(ops) if not isinstance(op, Delete)}
    links = [index for key, index in ranks.items() if key[0] in {"Tunnel", "Port"}]
    rules = [index for key, index in ranks.items() if key[0] in {"Ruleset", "Element", "Vrf"} and "ike_open" not in key]
    last_resort = [ranks[obj.key] for obj in change[1] if isinstance(obj, Route) and obj.metric]
    assert max([*rules, *last_resort]) < min(links, default=len(ops))
    opened = [index for key, index in ranks.items() if "ike_open" in key]
    connections = [index for key, index in ranks.items() if key[0] in {"IkeSecret", "IkeConnection"}]
    assert max([*rules, *last_resort, *links, *connections]) < min(opened)


@given(changes())
def test_a_session_comes_after_what_keeps_it_on_its_tunnels_and_goes_before(
    change: tuple[list[Object], list[Object]],
) -> None:
    made = [target(op) for op in diff(change[1], ())]
    speakers = [index for index, obj in enumerate(made) if isinstance(obj, Speaker | Neighbor)]
    tables = [index for index, obj in enumerate(made) if isinstance(obj, Route) and obj.table in SESSIONS]
    pinned = [index for index, obj in enumerate(made) if isinstance(obj, Rule) and obj.table]
    assert max(tables, default=0) < min(pinned, default=len(made))
    assert max(pinned, default=0) < min(speakers, default=len(made))
    gone = [target(op) for op in diff((), change[0])]
    speakers = [index for index, obj in enumerate(gone) if isinstance(obj, Speaker | Neighbor)]
    assert speakers == list(range(len(speakers)))
    tables = [index for index, obj in enumerate(gone) if isinstance(obj, Route) and obj.table in SESSIONS]
    pinned = [index for index, obj in enumerate(gone) if isinstance(obj, Rule) and obj.table]
    assert max(pinned, default=0) < min(tables, default=len(gone))


@given(changes())
def test_a_default_route_is_closed_before_it_is_there_and_as_long_as_it_is(
    change: tuple[list[Object], list[Object]],
) -> None:
    made = [target(op) for op in diff(change[1], ())]
    closes = [index for index, obj in enumerate(made) if _closes_default(obj)]
    defaults = [index for index, obj in enumerate(made) if _is_default(obj)]
    assert max(closes, default=0) < min(defaults, default=len(made))
    gone = [target(op) for op in diff((), change[0])]
    closes = [index for index, obj in enumerate(gone) if _closes_default(obj)]
    defaults = [index for index, obj in enumerate(gone) if _is_default(obj)]
    assert max(defaults, default=0) < min(closes, default=len(gone))


def _closes_default(obj: Object) -> bool:
    return (isinstance(obj, Element) and obj.set == "no_default") or (isinstance(obj, Rule) and not obj.table)


def _is_default(obj: Object) -> bool:
    return isinstance(obj, Route) and isinstance(obj.via, Tunnels) and obj.prefix.prefixlen == 0


@given(changes())
def test_runs_keep_the_order_and_every_operation(change: tuple[list[Object], list[Object]]) -> None:
    ops = diff(change[1], change[0])
    assert [op for _, run in runs(ops) for op in run] == ops
    assert all(driver_of(op) == name for name, run in runs(ops) for op in run)


def test_what_is_wanted_twice_is_wanted_once() -> None:
    obj = Element("ports", ("a",))
    assert diff([obj, obj], []) == [Create(obj)]
    assert diff([obj, obj], [obj]) == []


elements = st.builds(
    Element, st.sampled_from(["mss", "ports"]), st.tuples(st.sampled_from("abcd")), st.sampled_from("12")
)
sysctls = st.builds(Sysctl, st.sampled_from(["net/a", "net/b"]), st.sampled_from("01"))
sets = st.lists(elements | sysctls, unique_by=lambda obj: obj.key)


@given(sets, sets)
def test_a_diff_applied_leaves_no_diff(wanted: list[Object], seen: list[Object]) -> None:
    there = {obj.key: obj for obj in seen}
    for op in diff(wanted, seen):
        if isinstance(op, Delete):
            assert not isinstance(op.old, Sysctl)
            del there[op.old.key]
        else:
            there[op.new.key] = op.new
    assert diff(wanted, there.values()) == []
    assert {obj for obj in there.values() if not isinstance(obj, Sysctl)} == {
        obj for obj in wanted if not isinstance(obj, Sysctl)
    }
