"""Terms that change under SAs: another SA beside the old one, and then its end; or, refused, the old one goes on."""

import time
from dataclasses import replace
from pathlib import Path

from hubgw.agent.dialler import Dialler
from hubgw.agent.renewal import BEGINS, BURST, LONGEST_DELAY, SETTLED, Renewal
from hubgw.drivers.strongswan.codec import ChildSa, IkeSa
from hubgw.plan.numbers import IF_IDS
from hubgw.plan.types import TunnelOf
from tests.fakes.drivers import FakeStrongswan, child_sa, ike_sa
from tests.unit.agent.rig import Rig, run

AGO = 50.0
WHOLE = TunnelOf("hgt1", IF_IDS[1], "connection", "site", "link1", 0, "198.51.100.10", "192.0.2.2")
PAIRED = replace(WHOLE, selectors=(("10.50.0.0/24", "10.1.0.0/24"), ("10.60.0.0/16", "10.1.0.0/24")))
OLD = child_sa("hgt1", uniqueid=1, installed=100)
NEW = child_sa("hgt1", uniqueid=2, installed=SETTLED)


class Bench:
    """A renewal of one tunnel's terms, which changed some time ago."""

    def __init__(self, path: Path) -> None:
        self.rig = Rig(path)
        self.charon: FakeStrongswan = self.rig.machine.strongswan
        dialler = Dialler(self.rig.reconciler, self.rig.machine.drivers.strongswan, self.rig.journal)
        self.renewal = Renewal(self.rig.machine.drivers.strongswan, self.rig.journal, dialler._initiate)
        self.now = 1_000.0
        self.charon.changed = {"hgt1": self.now - AGO}

    async def round(self, *sas: IkeSa, initiates: bool = True, tunnel: TunnelOf = WHOLE) -> None:
        tunnels = [replace(tunnel, initiates=initiates), replace(WHOLE, name="hgt2")]
        await self.renewal.round(tunnels, sas, self.now)


def _ike(*children: ChildSa, uniqueid: int = 5) -> IkeSa:
    return ike_sa("hgt1", uniqueid=uniqueid, children=children)


def test_another_is_started_once_and_later_again_where_the_branch_refuses(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        await bench.round(_ike(OLD), ike_sa("hgt2", uniqueid=6, children=(child_sa("hgt2", uniqueid=3),)))
        await bench.round(_ike(OLD))
        assert bench.charon.initiated == [("hgt1", "hgt1")]
        bench.now += 2 * LONGEST_DELAY
        await bench.round(_ike(replace(OLD, installed=5_000)), _ike(uniqueid=7))
        assert bench.charon.initiated == 2 * [("hgt1", "hgt1")]
        assert (bench.charon.terminated, bench.charon.terminated_children) == ([7], []), "what is left of an attempt"
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


def test_what_the_branch_has_refused_of_several_is_asked_for_again(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        one, other = PAIRED.children
        old = [replace(OLD, name=name, uniqueid=number) for number, name in enumerate((one, other), start=1)]
        new = replace(NEW, name=one, uniqueid=9)
        await bench.round(_ike(*old, new), tunnel=PAIRED)
        assert bench.charon.initiated == [("hgt1", other)]
        assert bench.charon.terminated_children == []

    run(case())


def test_what_an_old_one_is_rekeyed_to_is_old(tmp_path: Path) -> None:
    async def case() -> None:
        bench = Bench(tmp_path)
        rekeyed = replace(NEW, uniqueid=7)
        await bench.round(_ike(replace(OLD, state="REKEYED"), rekeyed))
        await bench.round(_ike(rekeyed))
        assert bench.charon.initiated == [("hgt1", "hgt1")] and bench.renewal.begun("hgt1")
        again = replace(NEW, uniqueid=8)
        await bench.round(_ike(replace(rekeyed, state="DELETED"), again))
        await bench.round(_ike(again))
        assert bench.renewal.begun("hgt1")
        await bench.round(_ike(again), _ike(replace(NEW, uniqueid=9), uniqueid=6))
        assert bench.charon.terminated == [5]

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
        bench.charon.changed = {"hgt1": bench.now - BEGINS + 1}
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
        names = [f"hgt{number}" for number in range(1, 2 * BURST)]
        bench.charon.changed = dict.fromkeys(names, bench.now - AGO)
        tunnels = [replace(WHOLE, name=name) for name in names]
        sas = [ike_sa(name, uniqueid=7, children=(child_sa(name),)) for name in names]
        await bench.renewal.round(tunnels, sas, bench.now)
        assert len(bench.charon.initiated) == BURST

    run(case())


def test_neither_of_both_is_taken_for_a_duplicate_and_a_refusal_stays_told(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await Rig(tmp_path).connected()
        dialler = Dialler(rig.reconciler, rig.machine.drivers.strongswan, rig.journal)
        rig.machine.strongswan.changed = {"hgt1": time.monotonic() - 1}
        rig.machine.strongswan.ike.append(_ike(uniqueid=40))
        rig.reconciler.state.last_errors["hgt1"] = "no algorithms in common"
        await dialler.round()
        await rig.reconciler.follow()
        assert rig.machine.strongswan.terminated == []
        assert rig.reconciler.state.last_errors == {"hgt1": "no algorithms in common"}
        rig.machine.strongswan.changed.clear()
        await dialler.round()
        await rig.reconciler.follow()
        assert len(rig.machine.strongswan.terminated) == 1
        assert rig.reconciler.state.last_errors == {}

    run(case())
