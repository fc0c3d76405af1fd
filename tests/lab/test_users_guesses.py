"""Logins that hold charon's threads, many at once: a wrong password does for two seconds, a silent RADIUS server for
more. Who is honest still gets in, and nobody else loses a packet."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
import vici

from hubgw.agent.refusals import SILENCE
from hubgw.cli.client import Client as Agent
from tests.certificates import Pair
from tests.lab.charon import Charon
from tests.lab.crowd import AT_ONCE, Crowd, crowd
from tests.lab.probes import traffic
from tests.lab.test_users_eap import by_password, passwords
from tests.lab.topology import Lab
from tests.lab.users import Client, client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

HONEST = 30.0
"""Seconds within which an honest user is in, where the processor is emulated: ten is usual, guessers or not."""

ALICE, BOB, GUESS = "example-password-1", "example-password-2", "example-guess"
_SILENT = "203.0.113.9"
_RADIUS = f"""\
  radiusServers: [{{radiusServerAddress: {_SILENT}, radiusServerScore: 1, radiusServerSecret: example-secret-one}}]
"""
_BUSY = 10
"""Jobs that come faster than threads wake up."""

_GATHERED = 24.0  # seconds; charon waits for 30 for a client that has begun


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def clients(running_lab: Lab) -> Iterator[list[Client]]:
    made = [client(running_lab, number) for number in (59, 60)]
    yield made
    for one in made:
        one.node.destroy()


@pytest.fixture(scope="module")
def guessers(running_lab: Lab) -> Iterator[Crowd]:
    with crowd(running_lab, 61) as made:
        yield made


@pytest.fixture(autouse=True)
def logged_out(clients: list[Client]) -> Iterator[None]:
    yield
    for one in clients:
        one.logout(force=True)


def test_bad_passwords_at_once(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd) -> None:
    (one, newcomer), spare = clients, user(root, "spare")
    with passwords(lab, root, alice=ALICE, bob=BOB) as authority:
        assert by_password(one, authority, spare, "alice", ALICE)
        guessers.load(authority, "alice", GUESS)
        since = time.time()
        with nobody_else_notices(lab, one), ThreadPoolExecutor(1) as beside:
            with guessers.held(message=3):
                flood = beside.submit(guessers.log_in, AT_ONCE)
                _gathered(lab, "EAP/REQ/MSCHAPV2 ]")
            with nothing_waits(lab.hub.charon):
                begun = time.monotonic()
                assert by_password(newcomer, authority, spare, "bob", BOB)
                took = time.monotonic() - begun
            assert flood.result() == 0
        print(f"the honest one was in after {took:.1f} s")
        assert took < HONEST
        _all_refused(lab, since, AT_ONCE, "wrong password, or no such user")
        _tells_no_password(lab)


@pytest.mark.slow
def test_a_thousand_bad_passwords(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd) -> None:
    (one, newcomer), spare = clients, user(root, "spare")
    with passwords(lab, root, alice=ALICE, bob=BOB) as authority:
        assert by_password(one, authority, spare, "alice", ALICE)
        guessers.load(authority, "alice", GUESS)
        since, judged = time.time(), lab.hub.charon.log.count("verification failed")
        with nobody_else_notices(lab, one), ThreadPoolExecutor(1) as beside:
            flood = beside.submit(guessers.log_in, 1_000)
            wait_for("many have tried", lambda: lab.hub.charon.log.count("verification failed") - judged > 100, 200)
            begun = time.monotonic()
            assert by_password(newcomer, authority, spare, "bob", BOB)
            took = time.monotonic() - begun
            assert not flood.done()
            assert flood.result() == 0
        print(f"the honest one was in after {took:.1f} s; {time.time() - since:.0f} s in all")
        assert took < 2 * HONEST, "the processor is theirs all the time"
        _tells_no_password(lab)


def test_a_silent_radius_server(lab: Lab, root: Pair, clients: list[Client], guessers: Crowd) -> None:
    one, newcomer = clients
    text = server(root).replace("[Certificate]", "[Certificate, Radius]").rstrip() + f"\n{_RADIUS}"
    lab.isp.ip(f"route add blackhole {_SILENT}")
    try:
        with gateway_of_users(lab, text):
            authority = lab.hub.run("user", "ca").stdout
            assert one.login(authority, user(root, "alice"))
            guessers.load(authority, "carol", GUESS)
            since = time.time()
            with nobody_else_notices(lab, one), ThreadPoolExecutor(1) as beside:
                with guessers.held(message=2):
                    flood = beside.submit(guessers.log_in, AT_ONCE)
                    _gathered(lab, "EAP/REQ/ID ]")
                with nothing_waits(lab.hub.charon):
                    begun = time.monotonic()
                    assert newcomer.login(authority, user(root, "newcomer"))
                    took = time.monotonic() - begun
                assert flood.result() == 0
            print(f"the honest one was in after {took:.1f} s")
            assert took < HONEST
            _all_refused(lab, since, AT_ONCE, "no RADIUS server answers")
    finally:
        lab.isp.ip(f"route del blackhole {_SILENT}")


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
def nothing_waits(charon: Charon) -> Iterator[None]:
    """Fails where jobs of charon's wait for a thread."""
    ended, seen = Event(), []

    def look() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(charon.vici))
            session = vici.Session(sock)
            while not ended.wait(0.1):
                stats = session.stats()
                seen.append((int(stats["workers"]["active"]["low"]), sum(map(int, stats["queues"].values()))))

    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(look)
        try:
            yield
        finally:
            ended.set()
        looking.result()
    held, waited = (max(counts) for counts in zip(*seen, strict=True))
    print(f"logins held {held} threads at most, and {waited} jobs waited")
    assert waited <= _BUSY


def _gathered(lab: Lab, asked: str) -> None:
    """Waits until charon has asked all of the crowd for the same thing, or those who came first would be given up."""
    begun, before = time.monotonic(), lab.hub.charon.log.count(asked)

    def gathered() -> bool:
        return lab.hub.charon.log.count(asked) - before >= AT_ONCE or time.monotonic() - begun > _GATHERED

    wait_for("all are there", gathered, _GATHERED + 10)
    print(f"{lab.hub.charon.log.count(asked) - before} at once, after {time.monotonic() - begun:.1f} s")


def _all_refused(lab: Lab, since: float, count: int, reason: str) -> None:
    """Fails where refusals are not counted, or so many told that they hide everything else."""

    def told() -> list[str]:
        events = Agent(str(lab.hub.socket)).get("/hubgw/events", limit="2000")["events"]
        return [each["text"] for each in events if each["event"] == "user.refused" and each["time"] >= since]

    def counted() -> int:
        more = [int(found) for text in told() for found in re.findall(r"\bmore=(\d+)", text)]
        return sum("client=" in text for text in told()) + sum(more)

    wait_for(f"{count} refusals are counted", lambda: counted() >= count, SILENCE + 10)
    few = 20 + (time.time() - since) / 5 + 10
    assert any(reason in text for text in told()) and len(told()) < few, told()


def _tells_no_password(lab: Lab) -> None:
    logs = lab.hub.charon.log + lab.hub.agent_log
    assert not [word for word in (ALICE, BOB, GUESS) if word in logs]
