"""Row c: load, validate, compile and plan of a file, each timed. It touches no kernel, so it runs anywhere."""

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Final, TypeVar

from bench import sites
from bench.table import Row
from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.plan import compile_plan
from hubgw.plan.activate import activate
from hubgw.plan.diff import diff
from hubgw.plan.words import describe
from hubgw.resources.inventory import Inventory
from hubgw.resources.load import load
from hubgw.resources.validate import validate

T = TypeVar("T")

STAGES: Final = ("load", "validate", "compile", "plan")
GOAL: Final = 2.3


def rows(count: int, rounds: int) -> list[Row]:
    """Compares a file of twice as many sites with one of `count`; the first row is their sum, and has the goal."""
    # Alternating, so that what else the machine does meets both.
    small, large = [], []
    for _ in range(rounds):
        small.append(stages(count))
        large.append(stages(2 * count))
    of = {name: (median(one[name] for one in large), median(one[name] for one in small)) for name in STAGES}
    ours, anchor = (median(sum(one.values()) for one in times) for times in (large, small))
    work = f"load, validate, compile, plan: {2 * count} sites against {count}"
    parts = [Row(f"c.{name}", f"  of it: {name}", *pair) for name, pair in of.items()]
    return [Row("c", work, ours, anchor, GOAL), *parts]


def stages(count: int) -> dict[str, float]:
    """Returns the seconds of each stage of a first plan of `count` sites.

    Raises:
        ValueError: the file that was made has a problem.
    """
    text = sites.hub(count).encode()
    seconds = {}
    seconds["load"], loaded = timed(lambda: load([("bench.yaml", text)]))
    seconds["validate"], problems = timed(lambda: validate(loaded.resources, loaded.where))
    if found := (*loaded.problems, *problems):
        raise ValueError(f"{len(found)} problems, the first: {found[0]}")
    inventory = Inventory.of(loaded.resources)
    numbers = numbered(owners(inventory), {})
    seconds["compile"], plan = timed(lambda: compile_plan(inventory, inventory.nodes[0], numbers, "", bytes(32)))
    seconds["plan"], _ = timed(lambda: [describe(op) for op in diff(activate(plan, set()), ())])
    return seconds


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Returns the seconds that it took, and its result. What was left to collect is collected before."""
    gc.collect()
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result
