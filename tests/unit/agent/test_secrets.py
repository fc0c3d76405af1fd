"""A password of a BGP session on its way from file to session: kept, and in nothing that anybody reads."""

import json
import logging
from pathlib import Path

import pytest

from hubgw.agent.logs import JsonFormatter, TextFormatter
from hubgw.agent.service import BgpRoutes, Refused
from hubgw.agent.statuses import to_json
from hubgw.plan.sessions import Neighbor
from hubgw.plan.words import describe
from tests.unit.agent.bgp import P, opening, says, settled, up, with_tunnels
from tests.unit.agent.rig import BGP, BRANCH1, SPEAKERS, Rig, run

PASSWORD = "example-key-of-the-session"
SETTINGS = BGP[BGP.index(b"type: settings") : BGP.index(b"---\ntype: nodes")]
LEFT_OUT = BGP.replace(f", bgpPassword: {PASSWORD}".encode(), b"")
CHANGED = BGP.replace(PASSWORD.encode(), PASSWORD.encode() + b"-2")
MOVED = LEFT_OUT.replace(b"{resource: vpnSites/branch1}", b"{resource: vpnSites/branch2}")


def neighbors(rig: Rig) -> dict[str, tuple[str, str]]:
    """Digest of the password and the password, as the driver was told, by the peer's address; the first instance's."""
    found = {}
    for obj in rig.machine.exabgp.expected:
        if isinstance(obj, Neighbor) and obj.speaker == SPEAKERS[0]:
            found[str(obj.address)] = obj.digest, obj.password.reveal() if obj.password else ""
    return found


def test_a_password_reaches_its_sessions_and_is_kept_when_it_is_left_out(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        before = neighbors(rig)
        assert (before["10.1.0.254"][1], before["10.2.0.254"]) == (PASSWORD, ("", ""))
        assert LEFT_OUT != BGP
        applied = await rig.apply(LEFT_OUT)
        assert (applied.generation, applied.changes, applied.plan) == (1, (), ())
        assert neighbors(rig) == before

    run(case())


def test_a_password_does_not_move_with_its_settings(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        applied = await rig.apply(MOVED)
        assert applied.changes == (
            "settings/of-branch1: bgpPassword: removed",
            "settings/of-branch1: resource: vpnSites/branch1 -> vpnSites/branch2",
        )
        assert neighbors(rig) == {"10.1.0.254": ("", ""), "10.2.0.254": ("", "")}
        # And does not come back with them either.
        await rig.apply(LEFT_OUT)
        assert neighbors(rig) == {"10.1.0.254": ("", ""), "10.2.0.254": ("", "")}

    run(case())


def test_a_password_that_changes_is_a_changed_session(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        applied = await rig.apply(BGP.replace(PASSWORD.encode(), b"another-key"))
        assert applied.changes == ("settings/of-branch1: bgpPassword: changed",)
        words = "BGP session with 10.1.0.254 (AS 65010) from 10.100.0.1{}: change, password"
        assert applied.plan == (words.format(2), words.format(3))
        assert neighbors(rig)["10.1.0.254"][1] == "another-key"

    run(case())


def test_a_restart_knows_the_password_again_and_changes_no_session(tmp_path: Path) -> None:
    async def case() -> None:
        rig = await with_tunnels(tmp_path)
        before = neighbors(rig)
        await rig.end()
        rig.machine.log.clear()
        again = Rig(tmp_path, rig.machine)
        assert await again.reconciler.reconcile()
        assert (neighbors(again), rig.machine.log) == (before, [])

    run(case())


@pytest.mark.parametrize(
    "broken",
    [
        # In each of them the password, or what holds it, is what the error is about.
        BGP.replace(PASSWORD.encode(), PASSWORD.encode() * 4),
        BGP.replace(PASSWORD.encode(), b'"' + PASSWORD.encode() + b' and more"'),
        BGP.replace(PASSWORD.encode(), b"[" + PASSWORD.encode() + b"]"),
        BGP.replace(b"bgpPassword", b"bgpPasword"),
        BGP.replace(b"resource: vpnSites/branch1,", b"resource: vpnConnections/gw1/branch1,"),
        BGP.replace(b"resource: vpnSites/branch1,", b""),
        BGP + b"---\n" + SETTINGS.replace(b"of-branch1", b"more"),
    ],
)
def test_no_error_shows_a_password(tmp_path: Path, broken: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def case() -> None:
        caplog.set_level(logging.DEBUG)
        rig = Rig(tmp_path)
        with pytest.raises(Refused) as refused:
            await rig.apply(broken)
        assert refused.value.problems
        assert PASSWORD not in repr((refused.value, refused.value.problems)) + caplog.text

    run(case())


def test_nothing_that_is_shown_or_logged_holds_a_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def case() -> None:
        caplog.set_level(logging.DEBUG)
        rig = await settled(tmp_path, says(BRANCH1[0], P))
        shown: list[object] = [await rig.apply(CHANGED, dry_run=True)]
        shown += [await rig.apply(content) for content in (CHANGED, MOVED, BGP)]
        await rig.tell(*opening(SPEAKERS[0]), up(BRANCH1[0]), says(BRANCH1[0], P))
        rig.machine.exabgp.fail_next(("Neighbor", SPEAKERS[0], _address(rig)), "ExaBGP: it keeps what it had")
        rig.machine.exabgp.objects.clear()
        assert not await rig.reconciler.reconcile()
        shown += [await rig.hub.status(), await rig.hub.resources(), await rig.hub.events(1_000)]
        shown += [await rig.hub.bgp_peers(""), *[await rig.hub.bgp_routes(which, "") for which in BgpRoutes]]
        shown += [await rig.hub.metrics(), await rig.delete("settings/of-branch1", dry_run=True)]
        desired = rig.reconciler.state.desired
        assert desired
        shown += [desired.plan, rig.reconciler.state, rig.machine.log, [describe(op) for op in rig.machine.log]]
        text = repr(shown) + json.dumps(to_json(shown[:-4]), default=repr) + caplog.text
        for record in caplog.records:
            text += JsonFormatter().format(record) + TextFormatter().format(record)
        assert PASSWORD not in text
        assert "bgpPassword: changed" in text and "it keeps what it had" in text
        # What the store has of it is for the sessions alone.
        assert PASSWORD in repr(desired.snapshot.resources)

    def _address(rig: Rig) -> object:
        return next(obj.address for obj in rig.machine.exabgp.expected if isinstance(obj, Neighbor))

    run(case())
