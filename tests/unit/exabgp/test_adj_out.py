"""Adj-RIB-Out: whatever happens, each peer ends with what it shall have; and what is alike is built once."""

from collections.abc import Iterable
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from hubgw.drivers.exabgp.adj_out import AdjRibOut, Receiver, Variant
from hubgw.drivers.exabgp.attributes import Code, canonical, exported, items, parsed
from hubgw.drivers.exabgp.codec import Decoder, Update
from hubgw.plan.bgp import Nlri

A, B, C, D = NLRIS = [bytes((24, 203, 0, 113 + number, 0)) for number in range(4)]
ONE, TWO = (exported(parsed(exported(None, asn) or b""), 65515) or b"" for asn in (65001, 70001))
SITES = ("/s/a", "/s/b", "/s/c")
NOBODY: frozenset[str] = frozenset()
LOCAL = IPv4Address("10.1.0.4")


def receiver(number: int, asn4: bool = True) -> Receiver:
    return Receiver(bytes((4, 10, 200, 0, number)), SITES[number % 3], Variant(LOCAL, asn4))


class Peer:
    """What a peer makes of the messages that reach it."""

    def __init__(self, as_: Receiver) -> None:
        self.as_ = as_
        self.table: dict[Nlri, bytes] = {}
        self._decoder = Decoder([], as_.variant.asn4)

    def take(self, messages: Iterable[bytes]) -> None:
        for said in self._decoder.decode(b"".join(messages)):
            assert isinstance(said, Update)
            assert not said.treated_as_withdraw
            for nlri in said.withdrawn:
                self.table.pop(nlri, None)
            if said.announced:
                self.table |= dict.fromkeys(said.announced, without_next_hop(said.wire))


def without_next_hop(wire: bytes) -> bytes:
    values = {code: value for _, code, value in items(wire)}
    assert values[Code.NEXT_HOP] == LOCAL.packed
    return canonical(one for one in items(wire) if one[1] != Code.NEXT_HOP)


def send_changes(out: AdjRibOut, peers: list[Peer]) -> int:
    count = 0
    for to, messages in out.changes([peer.as_ for peer in peers]):
        count += 1
        assert to
        assert messages
        for peer in peers:
            if peer.as_.packed in to:
                peer.take(messages)
    return count


STEPS = st.tuples(
    st.sampled_from(("advertise", "advertise", "withdraw", "begin", "complete", "join", "leave", "send")),
    st.lists(st.sampled_from(NLRIS), min_size=1, max_size=4),
    st.sampled_from((ONE, TWO)),
    st.sets(st.sampled_from(SITES)).map(frozenset),
)


@given(st.lists(STEPS, max_size=40))
def test_each_peer_ends_with_what_it_shall_have(steps: list[tuple[str, list[Nlri], bytes, frozenset[str]]]) -> None:
    out = AdjRibOut()
    wanted: dict[Nlri, tuple[bytes, frozenset[str]]] = {}
    unconfirmed: set[Nlri] | None = None
    peers: list[Peer] = []
    for number, (step, nlris, wire, excluded) in enumerate(steps):
        match step:
            case "advertise":
                out.advertise(nlris, wire, excluded)
                wanted |= dict.fromkeys(nlris, (wire, excluded))
                unconfirmed = unconfirmed and unconfirmed - set(nlris)
            case "withdraw":
                out.withdraw(nlris)
                wanted = {nlri: entry for nlri, entry in wanted.items() if nlri not in nlris}
            case "begin":
                out.begin()
                unconfirmed = set(wanted)
            case "complete":
                out.withdraw(out.unconfirmed())
                wanted = {nlri: entry for nlri, entry in wanted.items() if nlri not in (unconfirmed or ())}
                unconfirmed = None
            case "join":
                send_changes(out, peers)
                peer = Peer(receiver(number, asn4=wire == ONE))
                peer.take(out.table(peer.as_))
                peers.append(peer)
            case "leave" if peers:
                peers.pop(0)
            case _:
                send_changes(out, peers)
    send_changes(out, peers)
    for peer in peers:
        expected = {nlri: wire for nlri, (wire, excluded) in wanted.items() if peer.as_.site not in excluded}
        assert peer.table == expected
        assert out.count(peer.as_.site) == len(expected)
        assert set(out.excluded(peer.as_.site)) == wanted.keys() - expected.keys()
    assert send_changes(out, peers) == 0


def test_a_hundred_peers_share_the_octets() -> None:
    out = AdjRibOut()
    peers = [receiver(number) for number in range(100)]
    for site in SITES:
        out.advertise([bytes((24, 10, SITES.index(site), number, 0)) for number in range(100)], ONE, frozenset((site,)))
    sendings = list(out.changes(peers))
    assert len(sendings) == 3
    assert sum(len(sending.messages) for sending in sendings) == 3
    built = {id(message) for sending in sendings for message in sending.messages}
    assert {id(message) for peer in peers for message in out.table(peer)} == built


def test_what_is_advertised_anew_and_the_same_is_not_sent() -> None:
    out = AdjRibOut()
    peer = Peer(receiver(0))
    out.advertise([A, B, C], ONE, NOBODY)
    assert send_changes(out, [peer]) == 1
    out.begin()
    out.advertise([A, B], ONE, NOBODY)
    assert send_changes(out, [peer]) == 0
    out.withdraw(out.unconfirmed())
    assert send_changes(out, [peer]) == 1
    assert peer.table == {A: ONE, B: ONE}
    out.withdraw([A])
    out.advertise([A], ONE, NOBODY)
    assert send_changes(out, [peer]) == 0


def test_what_is_not_known_is_withdrawn_from_nobody() -> None:
    out = AdjRibOut()
    out.withdraw([D])
    out.advertise([A], ONE, NOBODY)
    out.withdraw([A])
    assert send_changes(out, [Peer(receiver(0))]) == 0
