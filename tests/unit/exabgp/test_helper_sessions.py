"""Sessions that come, go, restart, flap and announce too much: what agent and ExaBGP are told, by the test's clock."""

from typing import Any

import pytest

from hubgw.drivers.exabgp.updates import END_OF_RIB, route_refresh, withdrawals
from tests.unit.exabgp.exchanged import EPOCH, GRACEFUL, ONE, TWO, Exchanged, announced, neighbor, nlris

MALFORMED = b"\xff" * 16 + b"\0\x17\x02" + b"\0\x09\0\0"


@pytest.fixture
def there() -> Exchanged:
    """Agent and ExaBGP are there, no peer is."""
    exchanged = Exchanged()
    exchanged.hello()
    exchanged.agent()
    exchanged.advertised()
    return exchanged


def learned(there: Exchanged, count: int = 3, peer: str = ONE, **changed: Any) -> None:
    """A session of some age, all of whose routes are known."""
    there.up(peer, **changed)
    there.received(announced(nlris(count)) + END_OF_RIB, peer)
    there.pass_(121)
    there.to_agent()
    there.to_adapter()


def test_a_session_comes_up(there: Exchanged) -> None:
    there.up()
    there.received(announced(nlris(2)) + announced(nlris(2, 5)) + withdrawals(nlris(1))[0])
    there.received(END_OF_RIB + announced(nlris(2, 5)) + END_OF_RIB)
    assert there.to_agent(peers=True) == [
        f"{ONE} connected",
        f"{ONE} established",
        f"LEARNED {ONE} 4",
        f"WITHDRAWN {ONE} 1",
        f"END_OF_RIB {ONE}",
    ]
    there.pass_(1)
    there.to_agent()
    shown = there.shown[ONE]
    assert (shown["since"], shown["learned"], shown["updates_in"], shown["stale"]) == (EPOCH + 1000, 3, 6, 0)
    assert shown["negotiated"]["router_id"] == "192.0.2.1"


def test_what_comes_together_is_told_by_its_attributes(there: Exchanged) -> None:
    there.up()
    there.to_agent()
    there.received(b"".join(announced([one], 65001 + number % 3) for number, one in enumerate(nlris(9))))
    assert there.to_agent() == 3 * [f"LEARNED {ONE} 3"]


def test_counters_are_told_once_a_second_and_only_where_they_changed(there: Exchanged) -> None:
    there.up()
    there.to_agent()
    for count in range(1, 5):
        there.received(announced(nlris(count)))
    assert there.to_agent(peers=True) == 4 * [f"LEARNED {ONE} 1"]
    there.pass_(1)
    assert there.to_agent(peers=True) == [f"{ONE} established"]
    there.pass_(3)
    assert there.to_agent(peers=True) == []


def test_a_peer_without_graceful_restart_that_is_lost_is_flushed(there: Exchanged) -> None:
    learned(there)
    there.down()
    assert there.to_agent() == [f"FLUSHED {ONE}"]
    assert there.to_adapter() == []
    assert (there.shown[ONE]["state"], there.shown[ONE]["reason"]) == ("idle", "the TCP connection was lost")


def test_a_peer_that_only_helps_others_to_restart_is_flushed(there: Exchanged) -> None:
    learned(there, graceful_restart=GRACEFUL | {"ipv4_unicast": False})
    there.down()
    assert there.to_agent() == [f"FLUSHED {ONE}"]


def test_a_peer_that_never_says_end_of_rib_has_told_all_after_a_while(there: Exchanged) -> None:
    there.up()
    there.received(announced(nlris(2)))
    there.to_agent()
    there.pass_(59)
    assert there.to_agent() == []
    there.pass_(1)
    assert there.to_agent() == [f"END_OF_RIB {ONE}"]


def test_routes_outlive_a_graceful_restart(there: Exchanged) -> None:
    learned(there, 3, graceful_restart=GRACEFUL)
    there.down()
    there.pass_(89)
    assert there.to_agent() == []
    assert there.shown[ONE]["stale"] == 3
    there.up(graceful_restart=GRACEFUL)
    there.received(announced(nlris(2)))
    assert there.to_agent() == [f"LEARNED {ONE} 2"]
    there.received(END_OF_RIB)
    assert there.to_agent() == [f"WITHDRAWN {ONE} 1", f"END_OF_RIB {ONE}"]


def test_a_graceful_peer_that_does_not_come_back_in_time_is_flushed(there: Exchanged) -> None:
    learned(there, graceful_restart=GRACEFUL)
    there.down()
    there.down(reason="could not connect: Connection refused")
    there.pass_(90)
    assert there.to_agent() == [f"FLUSHED {ONE}"]
    there.pass_(500)
    assert there.to_agent() == []


@pytest.mark.parametrize("again", [None, GRACEFUL | {"forwarding": False}], ids=["without", "not forwarding"])
def test_a_peer_that_comes_back_without_its_forwarding_state_is_flushed(there: Exchanged, again: Any) -> None:
    learned(there, graceful_restart=GRACEFUL)
    there.down()
    there.up(graceful_restart=again)
    assert there.to_agent() == [f"FLUSHED {ONE}"]


def test_a_peer_that_says_no_end_of_rib_after_its_restart_is_swept(there: Exchanged) -> None:
    learned(there, 3, graceful_restart=GRACEFUL)
    there.down()
    there.up(graceful_restart=GRACEFUL)
    there.received(announced(nlris(1)))
    there.to_agent()
    there.pass_(179)
    assert there.to_agent() == []
    there.pass_(1)
    assert there.to_agent() == [f"WITHDRAWN {ONE} 2", f"END_OF_RIB {ONE}"]


def test_what_a_second_restart_finds_stale_goes(there: Exchanged) -> None:
    learned(there, 3, graceful_restart=GRACEFUL)
    there.down()
    there.up(graceful_restart=GRACEFUL)
    there.received(announced(nlris(1)))
    there.to_agent()
    there.down()
    assert there.to_agent() == [f"WITHDRAWN {ONE} 2"]
    assert (there.shown[ONE]["learned"], there.shown[ONE]["stale"]) == (1, 1)


@pytest.mark.parametrize(
    "notification",
    [{"code": 6, "subcode": 2}, {"code": 4, "subcode": 0, "sent": True}, {"code": 6, "subcode": 9}],
    ids=["shutdown", "hold timer", "hard reset"],
)
def test_a_notification_ends_the_routes(there: Exchanged, notification: dict[str, Any]) -> None:
    learned(there, graceful_restart=GRACEFUL)
    there.down(**notification)
    assert there.to_agent() == [f"FLUSHED {ONE}"]
    assert there.shown[ONE]["notification"]["code"] == notification["code"]


def test_a_peer_that_flaps_is_held_for_longer_and_longer(there: Exchanged) -> None:
    for seconds in (2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
        there.up()
        there.pass_(5)
        there.down()
        assert there.to_adapter()[-1] == f"CLOSE {ONE} 0/0 {seconds} s"
        there.to_agent()
        assert (there.shown[ONE]["state"], there.shown[ONE]["held_until"]) == ("held", EPOCH + there.now + seconds)
        there.pass_(seconds)
        there.to_agent()
        assert (there.shown[ONE]["state"], there.shown[ONE]["held_until"]) == ("idle", 0)
    there.up()
    there.pass_(121)
    there.to_adapter()
    there.down()
    there.to_agent()
    assert there.to_adapter() == []
    assert (there.shown[ONE]["state"], there.shown[ONE]["flaps"]) == ("idle", 0)


def test_one_graceful_restart_is_not_held_back_and_the_next_is(there: Exchanged) -> None:
    for expected in ([], [f"CLOSE {ONE} 0/0 4 s"]):
        there.up(graceful_restart=GRACEFUL)
        there.to_adapter()
        there.down()
        assert there.to_adapter() == expected


def test_nothing_is_sent_to_a_peer_of_other_families(there: Exchanged) -> None:
    there.up(ipv4_unicast=False)
    there.advertise(nlris(1))
    assert there.to_adapter() == []


def test_who_speaks_another_family_is_told_nothing_though_it_asks(there: Exchanged) -> None:
    there.up(ipv4_unicast=False)
    there.advertise(nlris(3))
    there.advertised()
    there.received(route_refresh())
    assert there.to_adapter() == []


def test_what_we_end_is_no_flap(there: Exchanged) -> None:
    there.up()
    there.to_adapter()
    there.down(sent=True, code=6, subcode=6)
    assert there.to_adapter() == []


def test_attempts_that_fail_are_no_flaps(there: Exchanged) -> None:
    for _ in range(3):
        there.session("connected")
        there.down(reason="their NOTIFICATION: OPEN Message Error, Bad Peer AS", code=2, subcode=2)
    assert there.to_adapter() == []
    assert there.to_agent() == []
    assert (there.shown[ONE]["state"], there.shown[ONE]["notification"]["code"]) == ("idle", 2)
    assert (there.shown[ONE]["reason"], there.shown[ONE]["attempt"]) == (
        "",
        "their NOTIFICATION: OPEN Message Error, Bad Peer AS",
    )


def test_why_a_session_ended_stays_until_the_next_one(there: Exchanged) -> None:
    there.up()
    there.pass_(300)
    there.down(reason="hold timer expired", sent=True, code=4, subcode=0)
    there.down(reason="could not connect: Connection refused")
    there.session("connected")
    there.down(reason="could not connect: no answer within 5 s")
    there.to_agent()
    shown = there.shown[ONE]
    assert (shown["reason"], shown["attempt"]) == ("hold timer expired", "could not connect: no answer within 5 s")
    assert shown["notification"]["code"] == 4
    there.up()
    there.to_agent()
    assert (there.shown[ONE]["reason"], there.shown[ONE]["attempt"]) == ("", "")


def test_too_many_prefixes() -> None:
    there = Exchanged([neighbor(ONE, maximum=5), neighbor(TWO)])
    there.hello()
    there.agent()
    learned(there, 5, graceful_restart=GRACEFUL)
    learned(there, 9, TWO)
    for seconds in (300, 600, 1200, 2400, 3600, 3600):
        there.received(announced(nlris(1, 100)) + announced(nlris(9, 200)))
        assert there.to_adapter() == [f"CLOSE {ONE} 6/1 {seconds} s 00010100000005"]
        assert there.to_agent(peers=True) == [f"FLUSHED {ONE}", f"{ONE} held"]
        assert there.shown[ONE]["reason"] == "it announced more than 5 prefixes"
        there.received(announced(nlris(1)))
        there.down(reason="our NOTIFICATION: Cease", sent=True, code=6, subcode=1)
        assert there.to_agent() == []
        there.pass_(seconds)
        there.up(graceful_restart=GRACEFUL)
        there.received(announced(nlris(5)))
        there.to_agent()
        there.to_adapter()
    assert there.shown[ONE]["state"] == "established"
    assert there.shown[TWO]["learned"] == 9


def test_what_is_stale_does_not_count_as_too_many() -> None:
    there = Exchanged([neighbor(ONE, maximum=5)])
    there.hello()
    there.agent()
    learned(there, 5, graceful_restart=GRACEFUL)
    there.down()
    there.up(graceful_restart=GRACEFUL)
    there.received(announced(nlris(5, 100)) + END_OF_RIB)
    assert there.to_agent() == [f"LEARNED {ONE} 5", f"WITHDRAWN {ONE} 5", f"END_OF_RIB {ONE}"]


def test_a_malformed_message_resets_that_session_alone(there: Exchanged) -> None:
    learned(there, peer=TWO)
    learned(there)
    there.received(announced(nlris(1, 100)) + MALFORMED + announced(nlris(1, 200)))
    assert there.to_agent() == [f"FLUSHED {ONE}"]
    assert there.to_adapter() == [f"CLOSE {ONE} 3/1 2 s"]
    shown = there.shown[ONE]
    assert (shown["state"], shown["notification"]["code"], shown["learned"]) == ("held", 3, 0)
    assert shown["last_malformed"] == "Withdrawn Routes of 9 octets where 0 are left"
    assert there.shown[TWO]["state"] == "established"


def test_what_is_withdrawn_for_being_malformed_is_counted(there: Exchanged) -> None:
    learned(there)
    bad = announced(nlris(1)).replace(b"\x40\x01\x01\0", b"\x40\x01\x01\x09")
    unwanted = announced(nlris(1, 9)).replace(b"\x40\x01\x01\0", b"\x40\x05\x00\x40\x01\x01\0")
    length = len(unwanted)
    unwanted = unwanted[:16] + length.to_bytes(2, "big") + unwanted[18:22] + bytes((unwanted[22] + 3,)) + unwanted[23:]
    there.received(bad + unwanted)
    assert there.to_agent() == [f"WITHDRAWN {ONE} 1", f"LEARNED {ONE} 1"]
    there.pass_(1)
    there.to_agent()
    shown = there.shown[ONE]
    assert (shown["treated_as_withdraw"], shown["discarded"]) == (1, 1)
    assert shown["last_malformed"] == "LOCAL_PREF from an external peer"


def test_a_peer_that_tells_all_anew_of_its_own(there: Exchanged) -> None:
    learned(there, 3)
    there.received(route_refresh(1) + announced(nlris(2)) + route_refresh(2))
    assert there.to_agent() == [f"LEARNED {ONE} 2", f"WITHDRAWN {ONE} 1"]
    there.received(route_refresh(2))
    assert there.to_agent() == []
    there.received(2 * (route_refresh(1) + announced(nlris(1))) + announced(nlris(2)) + route_refresh(2))
    assert there.to_agent() == [f"LEARNED {ONE} 2"]
