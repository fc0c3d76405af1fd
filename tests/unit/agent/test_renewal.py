"""Terms that change under SAs: another SA beside the old one, and then its end; or, refused, the old one goes on."""

import time
from dataclasses import replace
from pathlib import Path

from hubgw.agent.dialler import Dialler
from hubgw.agent.renewal import BEGINS, BURST, LONGEST_DELAY, SETTLED, Renewal
from hubgw.drivers.strongswan.codec import ChildSa, IkeSa
from tests.fakes.drivers import FakeStrongswan, child_sa, ike_sa
from tests.unit.agent.rig import Rig, run

AGO = 50.0
OLD = child_sa("hgt1", uniqueid=1, installed=100)
NEW = child_sa("hgt1", uniqueid=2, installed=SETTLED)


class Bench:
    """A renewal of one tunnel's terms, which changed some time ago."""

    def __init__(self, path: Path) -> None:
        self.rig = Rig(path)
        self.charon: FakeStrongswan = self.rig.machine.strongswan
        self.renewal = Renewal(self.rig.machine.drivers.strongswan, self.rig.journal)
        self.charon.changed = {"hgt1": time.time() - AGO}
        self.now = 1_000.0

    async def round(self, *sas: IkeSa, initiates: bool = True) -> None:
        await self.rig.apply()
        assert self.rig.reconciler.state.desired is not None
        first, *others = self.rig.reconciler.state.desired.plan.tunnels
        tunnels = [replace(first, initiates=initiates), *others]
        await self.renewal.round(tunnels, sas, self.now, time.time())


def _ike(*children: ChildSa, uniqueid: int = 5) -> IkeSa:
    return ike_sa("hgt1", uniqueid=uniqueid, children=children)


def test_another_is_started_once_and_later_again_where_the_branch_refuses(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        await bench.round(_ike(OLD), ike_sa("hgt2", uniqueid=6, children=(child_sa("hgt2", uniqueid=3),)))
        await bench.round(_ike(OLD))
        assert bench.charon.initiated == [("hgt1", "hgt1")]
        bench.now += 2 * LONGEST_DELAY
        await bench.round(_ike(OLD), _ike(uniqueid=7))
        assert bench.charon.initiated == 2 * [("hgt1", "hgt1")]
        assert bench.charon.terminated == bench.charon.terminated_children == []
        assert bench.renewal.begun("hgt1") and not bench.renewal.begun("hgt2")

    run(case())


def test_the_old_one_ends_when_the_new_one_has_settled(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        await bench.round(_ike(OLD), _ike(replace(NEW, installed=SETTLED - 1), uniqueid=6))
        assert bench.charon.terminated == []
        await bench.round(_ike(OLD), _ike(NEW, uniqueid=6), _ike(uniqueid=7))
        assert (bench.charon.terminated, bench.charon.initiated) == ([5, 7], [])
        await bench.round(_ike(NEW, uniqueid=6))
        assert not bench.renewal.begun("hgt1")

    run(case())


def test_of_one_ike_sa_with_both_the_old_child_ends(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        await bench.round(_ike(OLD, NEW))
        assert (bench.charon.terminated, bench.charon.terminated_children) == ([], [OLD.uniqueid])

    run(case())


def test_each_child_of_several_needs_its_successor(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        other = replace(OLD, name="hgt1-1", uniqueid=9)
        await bench.round(_ike(OLD, other, NEW))
        assert bench.charon.terminated_children == []
        await bench.round(_ike(OLD, other, NEW, replace(NEW, name="hgt1-1", uniqueid=10)))
        assert bench.charon.terminated_children == [OLD.uniqueid, other.uniqueid]

    run(case())


def test_what_the_branch_alone_starts_waits_for_it(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        await bench.round(_ike(OLD), initiates=False)
        assert bench.charon.initiated == [] and bench.renewal.begun("hgt1")
        await bench.round(_ike(OLD), _ike(NEW, uniqueid=6), initiates=False)
        assert bench.charon.terminated == [5]

    run(case())


def test_nothing_is_started_in_the_second_of_the_change(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        bench.charon.changed = {"hgt1": time.time() - BEGINS + 1}
        await bench.round(_ike(OLD))
        assert bench.charon.initiated == [] and bench.renewal.begun("hgt1")

    run(case())


def test_a_tunnel_that_is_down_has_nothing_to_renew(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        await bench.round(replace(_ike(), state="CONNECTING"))
        assert bench.renewal.begun("hgt1")
        await bench.round()
        assert not bench.renewal.begun("hgt1")

    run(case())


def test_a_default_that_changes_for_all_is_renewed_in_bursts(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        await bench.rig.apply()
        assert bench.rig.reconciler.state.desired is not None
        first, *_ = bench.rig.reconciler.state.desired.plan.tunnels
        names = [f"hgt{number}" for number in range(1, 2 * BURST)]
        bench.charon.changed = dict.fromkeys(names, time.time() - AGO)
        tunnels = [replace(first, name=name) for name in names]
        sas = [ike_sa(name, uniqueid=7, children=(child_sa(name),)) for name in names]
        await bench.renewal.round(tunnels, sas, bench.now, time.time())
        assert len(bench.charon.initiated) == BURST

    run(case())


def test_neither_of_both_is_taken_for_a_duplicate_and_a_refusal_stays_told(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        rig.machine.strongswan.changed = {"hgt1": time.time() - 1}
        rig.machine.strongswan.ike.append(_ike(uniqueid=40))
        rig.reconciler.state.last_errors["hgt1"] = "no algorithms in common"
        await dialler.round(moved=True)
        await rig.reconciler.follow()
        assert rig.machine.strongswan.terminated == []
        assert rig.reconciler.state.last_errors == {"hgt1": "no algorithms in common"}
        rig.machine.strongswan.changed.clear()
        await dialler.round(moved=True)
        await rig.reconciler.follow()
        assert len(rig.machine.strongswan.terminated) == 1
        assert rig.reconciler.state.last_errors == {}

    run(case())
