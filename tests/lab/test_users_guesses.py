"""Logins that hold charon's threads, many at once: a wrong password does for two seconds, a RADIUS server for more that
is silent, or has another secret. Who is honest still gets in, and nobody else loses a packet."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import pytest

from hubgw.agent.refusals import SILENCE
from tests.certificates import Pair
from tests.lab.charon import Charon
from tests.lab.crowd import ADDRESSES, MOST, Crowd, crowd
from tests.lab.probes import traffic
from tests.lab.radius import Radius
from tests.lab.test_users_eap import by_password, passwords
from tests.lab.topology import Lab
from tests.lab.users import Client, asks_radius, gateway_of_users, root_of_users, user
from tests.lab.waiting import wait_for

AT_ONCE = 60

HONEST = 30.0
"""Seconds within which an honest user is in, where the processor is emulated: ten is usual, guessers or not."""

ALICE, BOB, GUESS = "example-password-1", "example-password-2", "example-guess"
CAROL = "example-password-3"
SECRET, OTHER = "example-secret-one", "example-secret-two"
_SILENT, _THERE = "203.0.113.9", "198.51.100.1"
_LOGINS = 96
"""Threads that logins may hold (packaging/charon.conf): of more at once some wait, and nothing else does."""

_BUSY = 10
"""Jobs that come faster than threads wake up."""

_GATHERED = 24.0  # seconds; charon waits for 30 for a client that has begun
_LATE = "the client began and did not go on"
"""What is told of whom a processor that is busy with more than this has not come to in these 30."""


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def guessers(running_lab: Lab) -> Iterator[Crowd]:
    with crowd(running_lab, 61) as made:
        yield made


def test_bad_passwords_at_once(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd) -> None:
    (one, newcomer), spare = clients, user(root, "spare")
    with passwords(lab, root, alice=ALICE, bob=BOB) as authority:
        assert by_password(one, authority, spare, "alice", ALICE)
        guessers.load(authority, "alice", GUESS)
        held = Held(3, "EAP/REQ/MSCHAPV2 ]", AT_ONCE, "wrong password, or no such user")
        the_honest_one_gets_in(lab, one, guessers, held, lambda: by_password(newcomer, authority, spare, "bob", BOB))
        _tells_none_of(lab, ALICE, BOB, GUESS)


@pytest.mark.slow
def test_a_thousand_bad_passwords(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd) -> None:
    (one, newcomer), spare = clients, user(root, "spare")
    with passwords(lab, root, alice=ALICE, bob=BOB) as authority:
        assert by_password(one, authority, spare, "alice", ALICE)
        guessers.load(authority, "alice", GUESS)
        since, judged = time.time(), lab.hub.charon.log.count("verification failed")
        with nobody_else_notices(lab, one), ThreadPoolExecutor(1) as beside:
            flood = beside.submit(guessers.log_in, 1_000, AT_ONCE)
            wait_for("many have tried", lambda: lab.hub.charon.log.count("verification failed") - judged > 100, 200)
            begun = time.monotonic()
            assert by_password(newcomer, authority, spare, "bob", BOB)
            took = time.monotonic() - begun
            assert not flood.done()
            assert flood.result() == 0
        print(f"the honest one was in after {took:.1f} s; {time.time() - since:.0f} s in all")
        assert took < 2 * HONEST, "the processor is theirs all the time"
        _tells_none_of(lab, ALICE, BOB, GUESS)


@pytest.mark.parametrize("count", [AT_ONCE, pytest.param(MOST, marks=pytest.mark.slow)])
def test_a_silent_radius_server(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd, count: int) -> None:
    lab.isp.ip(f"route add blackhole {_SILENT}")
    try:
        with gateway_of_users(lab, asks_radius(root, _SILENT, SECRET)):
            nobody_of_radius_gets_in(lab, root, clients, guessers, count)
    finally:
        lab.isp.ip(f"route del blackhole {_SILENT}")


def test_a_wrong_radius_secret(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd) -> None:
    newcomer, spare = clients[1], user(root, "spare")
    radius = Radius(lab.isp, _THERE, {"carol": (CAROL, "")})
    radius.start(OTHER)
    try:
        with gateway_of_users(lab, asks_radius(root, _THERE, SECRET)):
            nobody_of_radius_gets_in(lab, root, clients, guessers, AT_ONCE)
            newcomer.logout()
            lab.hub.apply_text(asks_radius(root, _THERE, OTHER))
            authority = lab.hub.run("user", "ca").stdout
            assert by_password(newcomer, authority, spare, "carol", CAROL), "it was the secret alone"
            _tells_none_of(lab, SECRET, OTHER, CAROL)
    finally:
        radius.end()


def nobody_of_radius_gets_in(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd, count: int) -> None:
    """Fails where one of so many logins is taken, or is not refused in words, or anybody else is worse off."""
    (one, newcomer), authority = clients, lab.hub.run("user", "ca").stdout
    assert one.login(authority, user(root, "alice"))
    guessers.load(authority, "carol", CAROL)
    held, pair = Held(2, "EAP/REQ/ID ]", count, "no RADIUS server answers"), user(root, "newcomer")
    the_honest_one_gets_in(lab, one, guessers, held, lambda: newcomer.login(authority, pair))


@dataclass(frozen=True, slots=True)
class Held:
    """So many logins, held back at a message of theirs until charon has `asked` all of them for the same thing; and
    the words in which each is refused."""

    message: int
    asked: str
    count: int
    refused: str


def the_honest_one_gets_in(lab: Lab, one: Client, guessers: Crowd, held: Held, login: Callable[[], bool]) -> None:
    """Lets all guess at once, and fails where an honest login beside them does not succeed in time, where one of
    theirs does, or is not refused in words, or anybody else is worse off."""
    since = time.time()
    with nobody_else_notices(lab, one), ThreadPoolExecutor(1) as beside:
        with guessers.held(held.message):
            flood = beside.submit(guessers.log_in, held.count, held.count)
            _gathered(lab, held.asked, held.count)
        with nothing_waits(lab.hub.charon, held.count):
            begun = time.monotonic()
            assert login()
            took = time.monotonic() - begun
        assert flood.result() == 0
    print(f"the honest one was in after {took:.1f} s")
    assert took < HONEST
    _all_refused(lab, since, held.count, held.refused)


@contextmanager
def nobody_else_notices(lab: Lab, one: Client) -> Iterator[None]:
    """Fails where the block costs a user who is in, or a branch, a packet; or a branch its tunnel."""
    branch = lab.branches["br2"]

    def stands() -> set[str]:
        return branch.charon.ike_spis("i0") | branch.charon.ike_spis("i1")

    before = stands()
    with (
        traffic(lab.vnets["vnet1"], "10.50.0.4", one.node, one.virtual, rate=20) as of_user,
        traffic(lab.vnets["vnet2"], "10.60.5.4", branch.node, branch.lan, rate=20, marker="hubgwbr2") as of_branch,
    ):
        yield
    assert (of_user.lost, of_branch.lost) == (0, 0), f"of the user {of_user}, of the branch {of_branch}"
    assert len(before) == 2 and stands() == before
    assert set(lab.hub.tunnels().values()) == {"Connected"}


@contextmanager
def nothing_waits(charon: Charon, count: int) -> Iterator[None]:
    """Fails where jobs of charon's wait for a thread while so many log in, of logins too where each has a thread."""
    ended, seen = Event(), []
    judged = ("critical", "high", "medium", *(["low"] if count <= _LOGINS else []))

    def look() -> None:
        with charon.session() as session:
            while not ended.wait(0.1):
                stats = session.stats()
                waiting = {kind: int(jobs) for kind, jobs in stats["queues"].items()}
                judged_waiting = sum(waiting[kind] for kind in judged)
                seen.append((int(stats["workers"]["active"]["low"]), waiting["low"], judged_waiting))

    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(look)
        try:
            yield
        finally:
            ended.set()
        looking.result()
    held, logins, waited = (max(counts) for counts in zip(*seen, strict=True))
    print(f"logins held {held} threads at most, and {logins} jobs of theirs waited; {waited} of those that must not")
    assert waited <= _BUSY


def _gathered(lab: Lab, asked: str, count: int) -> None:
    """Waits until charon has asked all of the crowd for the same thing, or those who came first would be given up."""
    begun, before = time.monotonic(), lab.hub.charon.log.count(asked)

    def gathered() -> bool:
        return lab.hub.charon.log.count(asked) - before >= count or time.monotonic() - begun > _GATHERED

    wait_for("all are there", gathered, _GATHERED + 10)
    print(f"{lab.hub.charon.log.count(asked) - before} at once, after {time.monotonic() - begun:.1f} s")


def _all_refused(lab: Lab, since: float, count: int, reason: str) -> None:
    """Fails where refusals are not counted, or so many told that they hide everything else."""

    def told() -> list[str]:
        return lab.hub.events("user.refused", since=since)

    def counted() -> int:
        more = [int(found) for text in told() for found in re.findall(r"\bmore=(\d+)", text)]
        return len(of_crowd()) + sum(more)

    def of_crowd() -> list[str]:
        return [text for text in told() if any(f"client={address} " in text for address in ADDRESSES)]

    wait_for(f"{count} refusals are counted", lambda: counted() >= count, SILENCE + 10)
    few = 20 + (time.time() - since) / 5 + 10
    assert any(reason in text for text in of_crowd()) and len(told()) < few, told()
    assert all(reason in text or _LATE in text for text in of_crowd()), told()


def _tells_none_of(lab: Lab, *secrets: str) -> None:
    told = lab.hub.charon.log + lab.hub.agent_log + lab.hub.run("events", "--limit", "2000").stdout
    assert not [secret for secret in secrets if secret in told]
