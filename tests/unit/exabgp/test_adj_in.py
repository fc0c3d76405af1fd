"""Adj-RIB-In: what the agent hears of is what changed; it adds up to what is held."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hubgw.drivers.exabgp.adj_in import AdjRibIn
from hubgw.drivers.exabgp.events import Decoder, Flushed, Learned, Withdrawn
from hubgw.drivers.exabgp.feed import Feed
from hubgw.drivers.exabgp.outgoing import Outgoing
from hubgw.plan.bgp import Nlri

A, B, C = (bytes((24, 203, 0, 113 + number, 0)) for number in range(3))


def test_only_what_changed_is_told() -> None:
    rib = AdjRibIn()
    assert rib.announce([A, B], b"1") == [A, B]
    assert rib.announce([A, B, C], b"1") == [C]
    assert rib.announce([B, C], b"2") == [B, C]
    assert rib.withdraw([A, A]) == [A]
    assert rib.withdraw([A]) == []
    assert dict(rib.grouped()) == {b"2": [B, C]}


def test_what_is_stale_is_told_once_more_and_swept_else() -> None:
    rib = AdjRibIn()
    rib.announce([A, B, C], b"1")
    rib.mark_stale()
    assert (len(rib), rib.stale, rib.fresh) == (3, 3, 0)
    assert rib.announce([A], b"1") == [A]
    assert rib.announce([A], b"1") == []
    assert rib.withdraw([B]) == [B]
    assert (len(rib), rib.stale, rib.fresh) == (2, 1, 1)
    assert rib.sweep() == [C]
    assert rib.sweep() == []
    assert (len(rib), rib.stale) == (1, 0)


def test_all_goes_at_once() -> None:
    rib = AdjRibIn()
    rib.announce([A, B], b"1")
    rib.mark_stale()
    rib.flush()
    assert (len(rib), rib.stale, list(rib.grouped())) == (0, 0, [])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("announce", "withdraw", "mark_stale", "sweep")),
            st.lists(st.sampled_from((A, B, C)), max_size=3),
            st.sampled_from((b"1", b"2")),
        )
    )
)
def test_what_was_told_adds_up_to_what_is_held(steps: list[tuple[str, list[Nlri], bytes]]) -> None:
    rib = AdjRibIn()
    told: dict[Nlri, bytes] = {}
    for step, nlris, wire in steps:
        match step:
            case "announce":
                told |= dict.fromkeys(rib.announce(nlris, wire), wire)
            case "withdraw":
                for nlri in rib.withdraw(nlris):
                    del told[nlri]
            case "mark_stale":
                rib.mark_stale()
            case "sweep":
                for nlri in rib.sweep():
                    del told[nlri]
        assert told == {nlri: wire for wire, group in rib.grouped() for nlri in group}
        assert rib.fresh + rib.stale == len(rib)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("announce", "announce", "withdraw", "began", "complete", "tell", "flush")),
            st.lists(st.sampled_from((A, B, C)), min_size=1, max_size=3),
            st.sampled_from((b"1", b"2")),
        )
    )
)
def test_what_comes_together_and_is_told_in_another_order_comes_to_the_same(steps: list[Any]) -> None:
    outgoing = Outgoing()
    outgoing.agent_listens = True
    feed = Feed(bytes((4, 10, 200, 0, 1)), outgoing)
    for step, nlris, wire in steps:
        match step:
            case "announce":
                assert feed.announce(nlris, wire, 0)
            case "withdraw":
                feed.withdraw(nlris)
            case _:
                getattr(feed, step)()
    feed.tell()
    table: dict[Nlri, bytes] = {}
    for event in Decoder("hgv1-0").feed(b"".join(outgoing.agent)):
        match event:
            case Learned(_, routes):
                for wire, nlris in routes:
                    table |= dict.fromkeys(nlris, wire)
            case Withdrawn(_, nlris):
                for nlri in nlris:
                    table.pop(nlri)
            case Flushed():
                table.clear()
    assert table == {nlri: wire for wire, group in feed.rib.grouped() for nlri in group}
