"""Rows a, b and d: a hub in a namespace of the lab's kernel, beside the plain tools in another one."""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import anchor, sites
from bench.stage import Tap, Worker, stage
from bench.table import Row
from tests.lab.charon import Charon
from tests.lab.vici_proxy import ViciProxy

FIRST_GOAL: Final = 2.0
NO_OP_GOAL: Final = 3.0
ONE_SITE_GOAL: Final = 1.0
FEW: Final = 10
"""Sites of the hub that says what a change of one site costs."""

NAME: Final = "bench"
_VICI_WRITES: Final = (
    "load-",
    "unload-",
    "clear-",
    "flush-",
    "initiate",
    "terminate",
    "rekey",
    "install",
    "uninstall",
    "redirect",
    "reload-",
    "reset-",
)
Times = Mapping[str, float]


@dataclass(slots=True)
class Bench:
    """How much, how often, and where profiles go."""

    count: int
    rounds: int
    out: Path
    files: Path
    firsts: list[dict[str, Any]] = field(default_factory=list)
    by_hand: list[Times] = field(default_factory=list)
    passes: list[dict[str, Any]] = field(default_factory=list)
    readers: list[Times] = field(default_factory=list)
    objects: Mapping[str, int] = field(default_factory=dict)

    @property
    def yaml(self) -> Path:
        return self.files / "sites.yaml"


def rows(count: int, rounds: int, out: Path, only: Sequence[str], *, profile: bool) -> list[Row]:
    """Measures what `only` names; leaves a profile of rows a and b where they miss their goal, or `profile` asks."""
    with tempfile.TemporaryDirectory(prefix="hubgw-bench-") as directory:
        bench = Bench(count, rounds, out, Path(directory))
        bench.yaml.write_text(sites.hub(count))
        found: list[Row] = []
        if {"a", "b"} & set(only):
            for number in range(rounds):
                _ours(bench)
                if "a" in only:
                    _anchor(bench, verify=number == 0)
            found += (_first_rows(bench) if "a" in only else []) + (_no_op_rows(bench) if "b" in only else [])
            _profile(bench, [row.row for row in found if profile or row.met is False])
        if "d" in only:
            found += _one_site_rows(bench)
        return found


def _ours(bench: Bench) -> None:
    with stage(NAME) as charon:
        worker = Worker(charon.node, charon.vici)
        bench.firsts.append(worker.do("apply", file=str(bench.yaml)))
        _say(f"first apply: {_times(bench.firsts[-1])}")
        bench.objects = worker.do("anchor", into=str(bench.files))["objects"]
        # The first after an apply is the agent's answer to the events of its own interfaces: a no-op as any other.
        for _ in range(3):
            bench.passes.append(worker.do("pass"))
            bench.readers.append({name: worker.time(argv) for name, argv in _readers(charon).items()})
        _say(f"no-op pass: {_times(bench.passes[-1])}; readers: {_times({'seconds': bench.readers[-1]})}")
        worker.end()
        for kept in ("groups.json", "store/store.db"):
            shutil.copy(charon.node.directory / kept, bench.files)


def _anchor(bench: Bench, *, verify: bool) -> None:
    with stage(NAME) as charon:
        worker = Worker(charon.node, charon.vici)
        bench.by_hand.append(
            {name: worker.time(argv) for name, argv in anchor.commands(bench.files, charon.vici).items()}
        )
        _say(f"by hand: {_times({'seconds': bench.by_hand[-1]})}")
        worker.end()
        if verify:
            _verify(bench, charon)


def _verify(bench: Bench, charon: Charon) -> None:
    """The agent finds nothing to change in what the plain tools made, but secrets: swanctl names them its own way."""
    store = charon.node.directory / "store"
    shutil.rmtree(store)
    store.mkdir(mode=0o700)
    shutil.copy(bench.files / "store.db", store)
    shutil.copy(bench.files / "groups.json", charon.node.directory)
    worker = Worker(charon.node, charon.vici)
    found = worker.do("difference")
    worker.end()
    if set(found["ops"]) - {"IkeSecret"}:
        raise RuntimeError(f"the anchor made something else: {found['ops']}: {found['examples']}")
    _say("the agent finds in the anchor's namespace what it would have made")


def _readers(charon: Charon) -> dict[str, tuple[str, ...]]:
    uri = ("--uri", f"unix://{charon.vici}")
    return {**anchor.READERS, **{name: (*argv, *uri) for name, argv in anchor.SWANCTL_READERS.items()}}


def _first_rows(bench: Bench) -> list[Row]:
    by_hand = median(sum(times.values()) for times in bench.by_hand)
    work = f"first apply of {bench.count} sites, {sum(bench.objects.values())} objects"
    pairs = [
        (one["seconds"]["pass"], sum(times.values())) for one, times in zip(bench.firsts, bench.by_hand, strict=True)
    ]
    return [
        Row(
            "a",
            f"{work}: the pass",
            median(one["seconds"]["pass"] for one in bench.firsts),
            by_hand,
            FIRST_GOAL,
            detail=f"ours: {_parts(bench.firsts, 'pass')}; anchor: {_medians(bench.by_hand)}; {_rounds(pairs)}; "
            f"{_processes(bench)}",
        ),
        Row(
            "a.file",
            "  from the file to the kernel and charon",
            median(one["total"] for one in bench.firsts),
            by_hand,
            detail=f"before the pass: {_before(bench.firsts):.3f} s load, validate, compile, diff in words; "
            f"{median(one['seconds']['commit'] for one in bench.firsts):.3f} s commit",
        ),
    ]


def _no_op_rows(bench: Bench) -> list[Row]:
    ours = median(one["seconds"]["pass"] for one in bench.passes)
    narrow = median(one["ip route"] + one["list-conns"] for one in bench.readers)
    whole = median(sum(one.values()) for one in bench.readers)
    writes = max(one["writes"] for one in bench.passes)
    work = f"no-op pass over {bench.count} sites"
    pairs = [
        (one["seconds"]["pass"], times["ip route"] + times["list-conns"])
        for one, times in zip(bench.passes, bench.readers, strict=True)
    ]
    detail = f"{_parts(bench.passes, 'pass')}; {_rounds(pairs)}; {writes} writes by its own count"
    return [
        Row("b", f"{work} / ip route, list-conns", ours, narrow, NO_OP_GOAL, detail=detail),
        Row("b.same", "  / reading the same objects", ours, whole, detail=_medians(bench.readers)),
    ]


def _one_site_rows(bench: Bench) -> list[Row]:
    few, many = (_counted(bench, count) for count in (FEW, bench.count))
    found = []
    for row, work in (("b.writes", "no-op pass"), ("d", "a prefix added to a site"), ("d.site", "a site added")):
        ours, by_few = many[row], few[row]
        found.append(
            Row(
                row,
                f"{work} among {bench.count}, against {FEW}: writes",
                _writes(ours),
                _writes(by_few),
                ONE_SITE_GOAL,
                unit="messages",
                detail=f"{_counts(ours)}; {ours['seconds']:.3f} s the pass, {ours['total']:.3f} s in all",
            )
        )
    return found


def _counted(bench: Bench, count: int) -> dict[str, dict[str, Any]]:
    """Returns what a pass and two changes ask of the kernel and of charon, counted outside hubgw."""
    yaml, change, another = (bench.files / name for name in ("counted.yaml", "change.yaml", "another.yaml"))
    yaml.write_text(sites.hub(count))
    change.write_text(sites.site(count // 2, more=True))
    another.write_text(sites.site(count))
    with stage(NAME) as charon, ViciProxy(charon.node.directory / "proxy.vici", charon.vici) as proxy:
        counted = Tap(charon.node)
        worker = Worker(charon.node, proxy.path)
        worker.do("apply", file=str(yaml))
        worker.do("pass")
        found = {}
        for row, request in (
            ("b.writes", {"what": "pass"}),
            ("d", {"what": "apply", "file": str(change)}),
            ("d.site", {"what": "apply", "file": str(another)}),
        ):
            counted.counts()
            proxy.requests.clear()
            answer = worker.do(**request)
            found[row] = {
                "netlink": counted.counts(),
                "vici": Counter(proxy.requests),
                "seconds": answer["seconds"]["pass"],
                "total": answer.get("total", answer["seconds"]["pass"]),
            }
            _say(f"{row} at {count} sites: {_counts(found[row])}; {_times(answer)}")
        worker.end()
        counted.end()
    return found


def _writes(counted: Mapping[str, Any]) -> int:
    netlink: int = sum(number for name, number in counted["netlink"].items() if name != "read")
    vici: int = sum(number for name, number in counted["vici"].items() if name.startswith(_VICI_WRITES))
    return netlink + vici


def _counts(counted: Mapping[str, Any]) -> str:
    def told(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"

    return f"netlink: {told(counted['netlink'])}; VICI: {told(counted['vici'])}"


def _profile(bench: Bench, asked: Sequence[str]) -> None:
    """Does once more, slower, what these rows measure, and writes where the time goes."""
    wanted = {row: bench.out / f"bench-profile-{row}.txt" for row in ("a", "b") if row in asked}
    if not wanted:
        return
    with stage(NAME) as charon:
        worker = Worker(charon.node, charon.vici)
        worker.do("apply", file=str(bench.yaml), profile=str(wanted["a"]) if "a" in wanted else None)
        if "b" in wanted:
            worker.do("pass")
            worker.do("pass", profile=str(wanted["b"]))
        worker.end()


def _before(answers: Sequence[Mapping[str, Any]]) -> float:
    return median(float(one["total"] - one["seconds"]["pass"] - one["seconds"]["commit"]) for one in answers)


def _rounds(pairs: Sequence[tuple[float, float]]) -> str:
    """The ratios one by one: far apart, others were at work on the machine."""
    return f"each time: {', '.join(f'{ours / by_hand:.2f}x' for ours, by_hand in pairs)}"


def _processes(bench: Bench) -> str:
    return f"processes started: {max(one['processes'] for one in (*bench.firsts, *bench.passes))}"


def _parts(answers: Sequence[Mapping[str, Any]], but: str) -> str:
    return _medians([{name: took for name, took in one["seconds"].items() if name != but} for one in answers])


def _medians(times: Sequence[Times]) -> str:
    names = dict.fromkeys(name for one in times for name in one)
    return ", ".join(f"{name} {median(one.get(name, 0.0) for one in times):.3f}" for name in names)


def _times(answer: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {took:.2f}" for name, took in answer["seconds"].items())


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
