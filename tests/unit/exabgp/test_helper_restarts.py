"""ExaBGP, this process or the agent ends and comes again: who is told what, and what heals by itself."""

import pytest

from hubgw.drivers.exabgp.events import ADVERTISED, withdraw
from hubgw.drivers.exabgp.frames import FrameError, Kind
from hubgw.drivers.exabgp.recent import KEPT
from hubgw.drivers.exabgp.updates import END_OF_RIB, route_refresh
from tests.unit.exabgp.exchanged import (
    EPOCH,
    GRACEFUL,
    ONE,
    SPEAKER,
    TWO,
    Exchanged,
    announced,
    negotiated,
    neighbor,
    nlris,
)

BEGIN = 'BEGIN {"format":2,"speaker":"hgv1-0","incarnation":"first"}'
HERE = 'SPEAKER {"connected":true,"digest":"d"}'
AWAY = 'SPEAKER {"connected":false,"digest":""}'


@pytest.fixture
def there() -> Exchanged:
    exchanged = Exchanged()
    exchanged.hello()
    exchanged.agent()
    exchanged.advertised()
    return exchanged


def test_an_agent_that_comes_is_told_all(there: Exchanged) -> None:
    there.up()
    there.received(announced(nlris(3)) + announced(nlris(2, 10), 65009) + END_OF_RIB)
    there.up(TWO)
    there.received(announced(nlris(1)), TWO)
    there.pass_(1)
    there.exchange.agent_lost()
    there.received(announced(nlris(1, 20)))
    assert there.agent() == [
        BEGIN,
        HERE,
        f"LEARNED {ONE} 4",
        f"LEARNED {ONE} 2",
        f"END_OF_RIB {ONE}",
        f"LEARNED {TWO} 1",
    ]
    assert there.shown[ONE]["learned"] == 6
    there.received(END_OF_RIB, TWO)
    assert there.to_agent() == [f"END_OF_RIB {TWO}"]


def test_an_agent_that_comes_hears_of_stale_routes_but_not_that_they_are_all(there: Exchanged) -> None:
    there.up(graceful_restart=GRACEFUL)
    there.received(announced(nlris(3)) + END_OF_RIB)
    there.down()
    assert there.agent() == [BEGIN, HERE, f"LEARNED {ONE} 3"]
    there.pass_(130)
    assert there.to_agent() == [f"FLUSHED {ONE}", f"FLUSHED {TWO}"]
    assert there.agent() == [BEGIN, HERE, f"FLUSHED {ONE}", f"FLUSHED {TWO}"]


def test_exabgp_ends_and_comes_again(there: Exchanged) -> None:
    there.up(graceful_restart=GRACEFUL)
    there.received(announced(nlris(3)) + END_OF_RIB)
    there.to_agent()
    there.exchange.adapter_lost()
    assert there.to_agent(peers=True) == [f"{ONE} idle", AWAY]
    assert there.shown[ONE]["reason"] == "ExaBGP is away"
    there.pass_(10)
    there.hello(digest="e")
    assert there.to_agent() == ['SPEAKER {"connected":true,"digest":"e"}']
    there.to_adapter()
    # The peer did not restart, so that its F bit says nothing.
    there.up(graceful_restart=GRACEFUL | {"forwarding": False})
    assert there.to_agent() == []
    assert there.to_adapter() == [f"{ONE} EoR"]
    there.received(announced(nlris(2)) + END_OF_RIB)
    assert there.to_agent() == [f"LEARNED {ONE} 2", f"WITHDRAWN {ONE} 1", f"END_OF_RIB {ONE}"]


def test_exabgp_ends_and_a_peer_does_not_come_again(there: Exchanged) -> None:
    there.up()
    there.received(announced(nlris(3)) + END_OF_RIB)
    there.exchange.adapter_lost()
    there.hello()
    there.down(reason="could not connect: No route to host")
    there.to_agent()
    there.pass_(119)
    assert f"FLUSHED {ONE}" not in there.to_agent()
    there.pass_(1)
    assert f"FLUSHED {ONE}" in there.to_agent()


def test_exabgp_that_is_new_hears_who_is_held(there: Exchanged) -> None:
    there.up()
    there.down()
    there.to_adapter()
    there.exchange.adapter_lost()
    there.pass_(1)
    there.hello()
    assert there.to_adapter() == [f"CLOSE {ONE} 0/0 2 s"]
    there.said(Kind.HELLO, {"pid": 1, "digest": "d"})
    assert there.to_adapter() == []


def test_a_helper_that_is_new_asks_its_peers_for_all(there: Exchanged) -> None:
    there.session("up", negotiated=negotiated())
    assert there.to_adapter() == [f"{ONE} REFRESH", f"{ONE} BoRR", f"{ONE} EoRR", f"{ONE} EoR"]
    # End-of-RIB belongs to what was sent before we asked.
    there.received(announced(nlris(1)) + END_OF_RIB + route_refresh(1) + announced(nlris(3)))
    assert there.to_agent() == [f"LEARNED {ONE} 3"]
    there.received(route_refresh(2))
    assert there.to_agent() == [f"END_OF_RIB {ONE}"]


def test_a_helper_that_is_new_and_a_peer_that_marks_no_end(there: Exchanged) -> None:
    there.session("up", negotiated=negotiated(enhanced_refresh=False))
    assert there.to_adapter() == [f"{ONE} REFRESH", f"{ONE} EoR"]
    there.received(announced(nlris(3)))
    there.to_agent()
    there.pass_(59)
    assert there.to_agent() == []
    there.pass_(1)
    assert there.to_agent() == [f"END_OF_RIB {ONE}"]


def test_a_helper_that_is_new_and_a_peer_that_cannot_be_asked(there: Exchanged) -> None:
    there.session("up", negotiated=negotiated(route_refresh=False))
    assert there.to_adapter() == [f"CLOSE {ONE} 6/4 1 s"]
    there.down(sent=True, code=6, subcode=4)
    there.pass_(1)
    there.up(route_refresh=False)
    assert there.to_adapter() == [f"{ONE} EoR"]


def test_a_helper_that_is_new_asks_nobody_of_whom_it_missed_nothing(there: Exchanged) -> None:
    there.session("up", negotiated=negotiated(), complete=True)
    assert there.to_adapter() == [f"{ONE} BoRR", f"{ONE} EoRR", f"{ONE} EoR"]
    there.received(announced(nlris(3)) + END_OF_RIB)
    assert there.to_agent() == [f"LEARNED {ONE} 3", f"END_OF_RIB {ONE}"]


def test_a_helper_that_is_new_waits_for_peers_that_are_not_there() -> None:
    there = Exchanged()
    there.hello()
    assert there.agent() == [BEGIN, HERE]
    there.pass_(119)
    assert there.to_agent() == []
    there.pass_(1)
    assert there.to_agent() == [f"FLUSHED {ONE}", f"FLUSHED {TWO}"]


def test_a_session_that_is_older_than_the_helper_is_no_flap(there: Exchanged) -> None:
    there.session("up", negotiated=negotiated(), since=EPOCH + there.now - 500)
    there.to_adapter()
    there.down()
    assert there.to_adapter() == []
    there.agent()
    assert there.shown[ONE]["state"] == "idle"


def test_sessions_that_are_told_again_after_a_reload_go_on(there: Exchanged) -> None:
    there.up()
    there.to_agent()
    there.to_adapter()
    there.said(Kind.HELLO, {"pid": 1, "digest": "e", "refused": "line 7"})
    there.session("up", negotiated=negotiated())
    assert there.to_agent(peers=True) == ['SPEAKER {"connected":true,"digest":"e","refused":"line 7"}']
    assert there.to_adapter() == []


def test_nothing_is_sent_to_who_keeps_what_it_has_before_all_was_advertised() -> None:
    there = Exchanged()
    there.hello()
    there.up(graceful_restart=GRACEFUL)
    there.session("up", TWO, negotiated=negotiated(), complete=True)
    there.agent()
    there.advertise(nlris(3))
    there.advertise(nlris(1, 9), excluded=[f"/s/{ONE}"])
    assert there.to_adapter() == []
    there.advertised()
    assert there.to_adapter() == [
        f"{ONE} +3",
        f"{ONE} EoR",
        f"{TWO} BoRR",
        f"{TWO} +3",
        f"{TWO} +1",
        f"{TWO} EoRR",
        f"{TWO} EoR",
    ]
    there.advertise(nlris(2, 20))
    assert there.to_adapter() == [f"{ONE},{TWO} +2"]
    there.pass_(1)
    there.to_agent()
    assert [there.shown[peer]["advertised"] for peer in (ONE, TWO)] == [5, 6]


def test_a_peer_that_keeps_nothing_is_told_at_once() -> None:
    there = Exchanged()
    there.hello()
    there.up()
    assert there.to_adapter() == [f"{ONE} EoR"]
    there.agent()
    there.advertise(nlris(3))
    assert there.to_adapter() == [f"{ONE} +3"]
    there.advertised()
    assert there.to_adapter() == []


def test_peers_that_came_up_do_not_wait_for_an_agent_for_ever() -> None:
    there = Exchanged()
    there.hello()
    there.up(graceful_restart=GRACEFUL)
    there.session("up", TWO, negotiated=negotiated(), complete=True)
    there.pass_(119)
    assert there.to_adapter() == []
    there.pass_(1)
    assert there.to_adapter() == [f"{ONE} EoR"]
    there.agent()
    there.advertise(nlris(1))
    there.advertised()
    assert there.to_adapter() == [f"{ONE} +1", f"{TWO} BoRR", f"{TWO} +1", f"{TWO} EoRR", f"{TWO} EoR"]


def test_an_agent_that_comes_again_changes_only_what_differs(there: Exchanged) -> None:
    there.up()
    there.advertise(nlris(3))
    there.to_adapter()
    there.exchange.agent_lost()
    there.agent()
    there.advertise(nlris(2))
    assert there.to_adapter() == []
    there.advertised()
    assert there.to_adapter() == [f"{ONE} -1"]


@pytest.mark.parametrize("enhanced", [True, False])
def test_a_helper_that_is_new_withdraws_what_went_meanwhile(enhanced: bool) -> None:
    there = Exchanged()
    there.hello()
    there.session("up", negotiated=negotiated(enhanced_refresh=enhanced), complete=True)
    there.agent()
    there.pass_(150)
    there.advertise(nlris(4))
    there.withdraw(nlris(3, 2))
    there.advertise(nlris(1, 3))
    assert there.to_adapter() == []
    there.advertised()
    # Only a refresh that has a marked end sweeps what it did not tell.
    told = [f"{ONE} BoRR", f"{ONE} +3", f"{ONE} EoRR"] if enhanced else [f"{ONE} -2", f"{ONE} +3"]
    assert there.to_adapter() == [*told, f"{ONE} EoR"]
    there.pass_(2 * KEPT)
    there.session("up", TWO, negotiated=negotiated(enhanced_refresh=False), complete=True)
    assert there.to_adapter() == [f"{TWO} +3", f"{TWO} EoR"]


def test_what_went_in_the_turn_that_told_all_is_withdrawn() -> None:
    there = Exchanged()
    there.hello()
    there.session("up", negotiated=negotiated(enhanced_refresh=False), complete=True)
    there.agent()
    there.pass_(150)
    there.hear(withdraw(nlris(1)) + ADVERTISED)
    there.exchange.tick()
    there.exchange.settle()
    assert there.to_adapter() == [f"{ONE} -1", f"{ONE} EoR"]


@pytest.mark.parametrize("new", [True, False])
def test_what_is_excluded_by_now_is_withdrawn(new: bool) -> None:
    """A prefix that is the site's own by now, or was learned while branches still heard branches."""
    there = Exchanged()
    there.hello()
    there.agent()
    if not new:
        there.advertised()
        there.up(enhanced_refresh=False)
        there.advertise(nlris(1))
        there.to_adapter()
        there.exchange.adapter_lost()
        there.hello()
    there.advertise(nlris(1), excluded=[f"/s/{ONE}"])
    there.session("up", negotiated=negotiated(enhanced_refresh=False), complete=True)
    there.advertised()
    assert there.to_adapter() == [f"{ONE} -1", f"{ONE} EoR"]


def test_what_the_adapter_was_told_before_it_was_found_gone_is_told_again(there: Exchanged) -> None:
    there.up(enhanced_refresh=False)
    there.advertise(nlris(2))
    there.to_adapter()
    there.pass_(200)
    there.withdraw(nlris(1))
    there.exchange.adapter_lost()
    there.hello()
    there.session("up", negotiated=negotiated(enhanced_refresh=False), complete=True)
    assert there.to_adapter() == [f"{ONE} -1", f"{ONE} +1", f"{ONE} EoR"]


def test_what_goes_while_the_adapter_cannot_be_told_is_withdrawn_when_it_can(there: Exchanged) -> None:
    session = negotiated(enhanced_refresh=False)
    there.up(enhanced_refresh=False)
    there.up(TWO, enhanced_refresh=False)
    there.advertise(nlris(4))
    there.to_adapter()
    there.exchange.adapter_lost()
    there.withdraw(nlris(1))
    there.exchange.agent_lost()
    there.agent()
    there.advertise(nlris(2, 2))
    there.advertised()
    there.hello()
    there.session("up", negotiated=session, complete=True)
    assert there.to_adapter() == [f"{ONE} -2", f"{ONE} +2", f"{ONE} EoR"]
    # One that comes up anew has nothing.
    there.up(TWO)
    assert there.to_adapter() == [f"{TWO} +2", f"{TWO} EoR"]


@pytest.mark.parametrize("enhanced", [True, False])
def test_a_peer_asks_for_all(there: Exchanged, enhanced: bool) -> None:
    there.up(enhanced_refresh=enhanced)
    there.advertise(nlris(3))
    there.pass_(20)
    there.to_adapter()
    there.received(route_refresh())
    expected = [f"{ONE} BoRR", f"{ONE} +3", f"{ONE} EoRR"] if enhanced else [f"{ONE} +3"]
    assert there.to_adapter() == expected
    there.received(3 * route_refresh())
    there.pass_(9)
    assert there.to_adapter() == []
    there.pass_(1)
    assert there.to_adapter() == expected


def test_a_changed_configuration(there: Exchanged) -> None:
    there.up()
    there.received(announced(nlris(3)) + END_OF_RIB)
    there.up(TWO)
    there.received(announced(nlris(3)) + END_OF_RIB, TWO)
    there.advertise(nlris(1), excluded=[f"/s/{ONE}"])
    there.advertise(nlris(1, 9), excluded=["/s/new"])
    there.to_adapter()
    there.to_agent()
    there.pass_(20)
    there.exchange.configure(SPEAKER, [neighbor(ONE, site="/s/new"), neighbor("10.200.0.3")])
    there.exchange.settle()
    assert there.to_adapter() == [f"{ONE} -1", f"{ONE} BoRR", f"{ONE} +1", f"{ONE} EoRR"]
    assert there.to_agent() == [f"FLUSHED {TWO}"]
    assert there.shown["10.200.0.3"]["state"] == "idle"
    there.down(TWO)
    assert there.to_agent() == []
    there.exchange.configure(SPEAKER, [neighbor(ONE, site="/s/new", maximum=2)])
    assert there.to_adapter() == [f"CLOSE {ONE} 6/1 300 s 00010100000002"]


def test_four_octet_numbers_go_as_each_peer_reads_them(there: Exchanged) -> None:
    there.up()
    there.up(TWO, asn4=False)
    there.to_adapter()
    there.advertise(nlris(2), asn=70000)
    assert sorted(there.to_adapter()) == [f"{ONE} +2", f"{TWO} +2"]


@pytest.mark.parametrize("kind", [Kind.BEGIN, Kind.LEARNED, Kind.CLOSE])
def test_frames_of_others(there: Exchanged, kind: Kind) -> None:
    with pytest.raises(FrameError, match=kind.name):
        there.exchange.adapter_said(kind, b"{}")
    with pytest.raises(FrameError, match=kind.name):
        there.exchange.agent_said(kind, b"{}")
