"""Any steps in a small world in which paths contend; what follows from them by the reference; and the check."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, ip_network
from random import Random
from typing import Any, TypeVar

from hubgw.plan.bgp import Attributes, Nlri, PeerKey, PeerOf, Preference, RouteTable, Segment, StaticRoute, nlri
from hubgw.rib.types import Delta, Out
from tests.unit.rib.reference import State, recompute

_T = TypeVar("_T")

HUB = 65515
TABLES = (10_000_001, 10_000_002)
SITES = ("site-a", "site-b", "site-c", "site-d")
SPEAKERS = ("hgv1-0", "hgv1-1")
KEYS = [(speaker, f"172.16.{number}.1", site) for number, site in enumerate(SITES) for speaker in SPEAKERS]
ASNS = (65001, 65002, 4200000001)

CONTENDED = [nlri(ip_network(text)) for text in ("10.2.0.0/16", "192.0.2.0/24", "198.51.100.0/25", "0.0.0.0/0")]
OTHERS = [
    nlri(ip_network(text))
    for text in (
        "10.0.0.0/8",
        "10.0.255.255/32",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.1.255.255/32",
        "10.3.0.0/23",
        "10.3.0.0/24",
        "10.3.1.0/24",
        "0.0.0.0/1",
        "0.1.0.0/16",
        "1.0.0.0/8",
        "126.0.0.0/7",
        "127.0.0.1/32",
        "169.254.0.0/15",
        "169.254.21.5/32",
        "192.0.0.0/2",
        "223.255.255.0/24",
        "224.0.0.0/4",
        "240.0.0.0/8",
        "255.255.255.255/32",
        "2001:db8::/32",
    )
]
OWN = [IPv4Network(text) for text in ("10.1.0.0/16", "10.1.2.0/24", "10.3.0.0/24", "10.3.1.0/24")]
STATIC = [IPv4Network(text) for text in ("10.2.0.0/16", "192.0.2.0/24", "10.1.0.0/16", "0.0.0.0/0")]

INTERNAL = [IPv4Network(text) for text in ("10.2.0.0/16", "198.51.100.0/24", "126.0.0.0/7", "10.3.0.0/24")]


@dataclass(frozen=True)
class Step:
    """A call of the Rib: the name of the method, and its arguments."""

    method: str
    arguments: tuple[Any, ...]


Configuration = tuple[tuple[RouteTable, ...], tuple[PeerOf, ...]]


def one_in(random: Random, count: int) -> bool:
    return random.randrange(count) == 0


def some_of(random: Random, elements: Sequence[_T]) -> tuple[_T, ...]:
    return tuple(random.sample(elements, random.randint(0, len(elements))))


def attributes(path: tuple[Segment, ...], communities: tuple[int, ...] = ()) -> Attributes:
    return Attributes(repr((path, communities)).encode(), path, communities)


def any_attributes(random: Random, asn: int) -> Attributes:
    """Any attributes of a peer of this AS: nearly always acceptable."""
    path: tuple[Segment, ...] = ((2, (asn, *random.choices((*ASNS, 65009), k=random.randint(0, 2)))),)
    if one_in(random, 4):
        odd = random.choice((HUB, 0, 23456, 65535, 4294967295, 65000, 12076, 64500))
        path = random.choice(
            (
                (),
                ((2, ()),),
                ((1, (asn,)),),
                ((2, (65009, asn)),),
                ((2, (asn, odd)),),
                ((2, (asn, odd)),),
                ((2, (asn, odd)),),
                ((2, (asn,)), (1, (odd, 65009))),
                ((2, (asn,)), (1, (65009, 65010))),
                ((2, (asn,)), (2, (65009,)), (1, (65002, 65010))),
                ((2, (asn,) * 64),),
                ((2, (asn,) * 65),),
                ((2, (asn,)), (1, tuple(range(1000, 1063)))),
                ((2, (asn,)), (1, tuple(range(1000, 1064)))),
            )
        )
    communities: tuple[int, ...] = ()
    if one_in(random, 6):
        communities = random.choice(((65001 << 16,), (5, 0xFFFFFF01), (0xFFFFFF02,), (0xFFFFFF03,), (0xFFFFFF04,)))
    return attributes(path, communities)


def any_configuration(random: Random) -> Configuration:
    preferences: tuple[Preference, ...] = ("ExpressRoute", "VpnGateway", "ASPath")
    tables = tuple(
        RouteTable(
            table=number,
            vrf=f"hgv{number % 10}",
            asn=HUB,
            preference=random.choice(preferences),
            branch_to_branch=not one_in(random, 4),
            own=some_of(random, OWN),
            statics=tuple(
                StaticRoute(random.choice(STATIC), random.choice((*SITES, "")))
                for _ in range(random.choice((0, 0, 1, 2)))
            ),
        )
        for number in TABLES[: random.choice((1, 1, 2))]
    )
    asn_of = {site: random.choice(ASNS) for site in SITES}
    open_to = {site: one_in(random, 2) for site in SITES}
    # A tunnel is in one table only, as its interface is in one VRF.
    table_of = {site: TABLES[one_in(random, 6)] for site in SITES}
    peers = tuple(
        PeerOf(
            speaker=speaker,
            address=IPv4Address(address),
            local_address=IPv4Address("10.0.0.4"),
            asn=asn_of[site],
            table=table_of[site],
            nexthops=some_of(random, nexthops_of(site)),
            site=site,
            connection=f"connection of {site}",
            link="",
            instance=SPEAKERS.index(speaker),
            internet_security=open_to[site],
            internal=some_of(random, INTERNAL) if one_in(random, 4) else (),
            weights=tuple(random.choice((0, 0, 10)) for _ in range(random.choice((0, 0, 3)))),
        )
        for speaker, address, site in KEYS
        if not one_in(random, 8)
    )
    return tables, peers


def altered(random: Random, configuration: Configuration) -> Configuration:
    """The same but for one site: it goes, or has other tunnels, or NAT hides something else of it, or it gets default
    routes now or no longer."""
    tables, peers = configuration
    site = random.choice(SITES)
    others = [peer for peer in peers if peer.site != site]
    its = [peer for peer in peers if peer.site == site]
    match random.choice("gtno"):
        case "g":
            its = []
        case "t":
            its = [replace(peer, nexthops=some_of(random, nexthops_of(site))) for peer in its]
        case "n":
            its = [replace(peer, internal=some_of(random, INTERNAL)) for peer in its]
        case _:
            its = [replace(peer, internet_security=not peer.internet_security) for peer in its]
    return tables, (*others, *its)


def nexthops_of(site: str) -> range:
    # The first in order of keys has the last ids.
    first = 100_000_041 - 10 * SITES.index(site)
    return range(first, first + 5)


NEXTHOPS = [nexthop for site in SITES for nexthop in nexthops_of(site)]


def steps(random: Random) -> list[Step]:
    """Any steps, of which the first configure. Most tunnels are up, so that there is something to choose from."""
    configuration = any_configuration(random)
    past = [configuration]
    sequence = [Step("configure", configuration), Step("set_up", (frozenset(NEXTHOPS),))]
    for kind in random.choices("LWCUFBER", (16, 3, 3, 2, 1, 1, 1, 2), k=random.randint(5, 40)):
        peer = random.choice(KEYS)[:2]
        match kind:
            case "L":
                sequence += _learn(random, configuration, peer)
            case "W":
                sequence.append(Step("withdraw", (peer, _prefixes(random))))
            case "C":
                configuration = random.choice(
                    (any_configuration(random), altered(random, configuration), random.choice(past))
                )
                past.append(configuration)
                sequence.append(Step("configure", configuration))
            case "U":
                down = random.sample(NEXTHOPS, random.randint(0, 10))
                sequence.append(Step("set_up", (frozenset(NEXTHOPS).difference(down),)))
            case "F":
                sequence.append(Step("flush", (peer,)))
            case "B":
                sequence.append(Step("begin", (peer[0],)))
            case "E":
                sequence.append(Step("end_of_rib", (peer,)))
            case _:
                sequence += _replay(random, configuration, peer[0])
    return sequence


def _prefixes(random: Random) -> list[Nlri]:
    return [random.choice(random.choice((CONTENDED, CONTENDED, OTHERS))) for _ in range(random.randint(1, 4))]


def _learn(random: Random, configuration: Configuration, peer: PeerKey) -> list[Step]:
    asn = next((known.asn for known in configuration[1] if known.key == peer), ASNS[0])
    return [Step("learn", (peer, any_attributes(random, asn), _prefixes(random)))]


def _replay(random: Random, configuration: Configuration, speaker: str) -> list[Step]:
    """A speaker's peers tell anew what they have, or not all of it; the configuration may change meanwhile."""
    sequence = [Step("begin", (speaker,))]
    keys = [key for key in ((name, address) for name, address, _ in KEYS) if key[0] == speaker or one_in(random, 4)]
    for key in keys:
        sequence += _learn(random, configuration, key)
    if one_in(random, 3):
        tables, peers = configuration
        sequence.append(Step("configure", (tables, tuple(replace(peer, link="other") for peer in peers))))
    return sequence + [Step("end_of_rib", (key,)) for key in keys]


def expectations(sequence: Sequence[Step]) -> list[State]:
    """Returns the state after each step, by the reference."""
    tables: Sequence[RouteTable] = ()
    peers: Sequence[PeerOf] = ()
    up: frozenset[int] = frozenset()
    paths: dict[PeerKey, dict[Nlri, Attributes]] = {}
    unconfirmed: dict[PeerKey, set[Nlri]] = {}
    states = []
    for step in sequence:
        match step.method, step.arguments:
            case "configure", (tables, peers):
                present = {peer.key for peer in peers if peer.table in {table.table for table in tables}}
                paths = {key: paths.get(key, {}) for key in present}
                unconfirmed = {key: unconfirmed.get(key, set()) for key in present}
            case "set_up", (up,):
                pass
            case "begin", (speaker,):
                unconfirmed = {
                    key: set(paths[key]) if key[0] == speaker else prefixes for key, prefixes in unconfirmed.items()
                }
            case _, (key, *_) if key not in paths:
                pass
            case "learn", (key, learned, prefixes):
                paths[key].update((prefix, learned) for prefix in prefixes)
                unconfirmed[key] -= set(prefixes)
            case "withdraw", (key, prefixes):
                for prefix in prefixes:
                    paths[key].pop(prefix, None)
                unconfirmed[key] -= set(prefixes)
            case "end_of_rib", (key,):
                paths[key] = {prefix: path for prefix, path in paths[key].items() if prefix not in unconfirmed[key]}
                unconfirmed[key] = set()
            case "flush", (key,):
                paths[key], unconfirmed[key] = {}, set()
            case _:
                raise AssertionError(step)
        states.append(recompute(tables, peers, up, paths))
    return states


def check(rib_type: Callable[[], Any], sequence: Sequence[Step], states: Sequence[State]) -> None:
    """Holds a Rib, and what its deltas add up to, to the state after each step."""
    rib = rib_type()
    sums = Sums()
    for step, state in zip(sequence, states, strict=True):
        delta = getattr(rib, step.method)(*step.arguments)
        if delta is not None:
            sums.add(delta)
        for table in TABLES:
            assert dict(rib.fib(table)) == sums.fib.get(table, {}) == state.fib.get(table, {}), step
            assert dict(rib.out(table)) == sums.out.get(table, {}) == state.out.get(table, {}), step
        assert rib.exceptions() == sums.exceptions == state.exceptions, step
        learned = list(rib.learned())
        assert {(path.peer, path.prefix): path.refusal for path in learned} == state.refusals, step
        assert {(path.peer, path.prefix) for path in learned if path.best} == state.best, step


class Sums:
    """What deltas add up to. Where they are `exact`, each says only what was not so before."""

    def __init__(self, exact: bool = True) -> None:
        self.exact = exact
        self.fib: dict[int, dict[Nlri, tuple[int, ...]]] = {}
        self.out: dict[int, dict[Nlri, Out]] = {}
        self.exceptions: set[tuple[int, Nlri]] = set()

    def add(self, delta: Delta) -> None:
        for table, groups in delta.fib.items():
            self._apply(self.fib.setdefault(table, {}), groups)
        for table, routes in delta.out.items():
            self._apply(self.out.setdefault(table, {}), routes)
        assert not delta.admitted & delta.dismissed
        assert not self.exact or (not delta.admitted & self.exceptions and delta.dismissed <= self.exceptions)
        self.exceptions = (self.exceptions | delta.admitted) - delta.dismissed

    def _apply(self, into: dict[Nlri, Any], changes: Mapping[Nlri, Any]) -> None:
        assert changes
        for prefix, value in changes.items():
            assert not self.exact or into.get(prefix) != value
            if value is None:
                into.pop(prefix, None)
            else:
                into[prefix] = value
