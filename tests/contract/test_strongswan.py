"""The contract of the strongSwan driver: on a fake everywhere, on charon in a network namespace where root runs it."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
import vici

from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.names import Secret
from hubgw.pki.authority import Authority, issue, new_authority, new_key, request, revocation_list
from hubgw.pki.reading import read_certificates, read_revocation_lists
from hubgw.plan.diff import diff
from hubgw.plan.ipsec import IkeCertificate, IkeConnection, IkeKey, IkeSecret
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Update
from tests.fakes.charon import FakeCharon

T = TypeVar("T")
NETNS = f"hgsst{os.getpid()}"
REAL = os.geteuid() == 0 and shutil.which("charon-systemd") is not None
DEADLINE = 30.0

CONNECTION = IkeConnection(
    name="hgt1",
    if_id=100_000_001,
    local_address="198.51.100.10",
    remote_address="192.0.2.2",
    local_id="198.51.100.10",
    remote_id="br1.example",
    proposals=("aes256gcm16-prfsha384-ecp384",),
    esp_proposals=("aes256gcm16-ecp384",),
    dpd_delay=10,
    rekey_time=14400,
    child_rekey_time=3300,
    child_life_time=3600,
)
KEY = "the-key-that-no-message-shows"
SECRET = IkeSecret("hgt1-0a1b2c", ("198.51.100.10", "br1.example"), Secret(KEY))
WANTED: list[Object] = [SECRET, CONNECTION]


def by_certificate(authority: Authority | None = None) -> list[Object]:
    """A connection by certificate, with all that it refers to."""
    authority = authority or new_authority("test", time.time())
    key = new_key()
    own = issue(authority, request(key, "gw1"), "gw1", ["198.51.100.10"], now=time.time(), days=10)
    (mine,), (root,) = read_certificates(own), read_certificates(authority.certificate)
    return [
        IkeKey(mine.key_id, key),
        IkeCertificate(mine.digest, mine.subject, mine.der),
        IkeCertificate(root.digest, root.subject, root.der),
        listed(authority, 1, "1a"),
        replace(CONNECTION, name="hgt2", certificate=mine.digest, authorities=(root.digest,)),
    ]


def listed(authority: Authority, number: int, *serials: str) -> IkeCertificate:
    """A revocation list of an authority."""
    text = revocation_list(authority, [(serial, time.time()) for serial in serials], number, time.time())
    (crl,) = read_revocation_lists(text)
    return IkeCertificate(crl.digest, crl.issuer, crl.der, revokes=True)


class Daemon(Protocol):
    path: Path

    def start(self) -> None: ...
    def kill(self) -> None: ...


class Charon:
    def __init__(self, path: Path) -> None:
        self.path = path
        conf = path.with_name("strongswan.conf")
        conf.write_text(
            "charon-systemd {\n install_routes = no\n plugins {\n include /etc/strongswan.d/charon/*.conf\n"
            f" vici {{\n socket = unix://{path}\n }}\n }}\n}}\n"
        )
        self._environment = {**os.environ, "STRONGSWAN_CONF": str(conf)}
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", NETNS, "charon-systemd"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: answers(self.path), "charon answers")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.path.unlink(missing_ok=True)


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    pause = socket.socketpair()
    pause[0].settimeout(0.05)
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what}"
        with pytest.raises(TimeoutError):
            pause[0].recv(1)


def session(path: Path) -> vici.Session:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return vici.Session(sock)


def answers(path: Path) -> bool:
    try:
        return bool(session(path).version())
    except OSError:
        return False


@pytest.fixture(params=["fake", pytest.param("charon", marks=pytest.mark.skipif(not REAL, reason="root and charon"))])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    path = tmp_path / "vici"
    if request.param == "fake":
        fake = FakeCharon(path)
        yield fake
        fake.kill()
        return
    subprocess.run(["ip", "netns", "add", NETNS], check=True)
    try:
        charon = Charon(path)
        yield charon
        charon.kill()
    finally:
        subprocess.run(["ip", "netns", "del", NETNS], check=True)


def run(
    daemon: Daemon, work: Callable[[StrongswanDriver], Coroutine[Any, Any, T]], wanted: Sequence[Object] = tuple(WANTED)
) -> T:
    """Gives the work a driver that just started: all that it remembers is in the ledger."""

    async def with_driver() -> T:
        driver = StrongswanDriver(str(daemon.path), daemon.path.with_name("ledger.json"))
        driver.expect(wanted)
        try:
            return await work(driver)
        finally:
            await driver.close()

    return asyncio.run(with_driver())


def apply(daemon: Daemon, ops: Sequence[Op], wanted: Sequence[Object] = tuple(WANTED)) -> list[OpError]:
    async def work(driver: StrongswanDriver) -> list[OpError]:
        await driver.observe()
        return await driver.apply(ops)

    return run(daemon, work, wanted)


def observed(daemon: Daemon, wanted: Sequence[Object] = tuple(WANTED)) -> set[Object]:
    return set(run(daemon, lambda driver: driver.observe(), wanted))


def reach(daemon: Daemon, wanted: list[Object]) -> list[Op]:
    """One pass: returns what it did, after checking that nothing is left to do."""
    ops = list(diff(wanted, observed(daemon, wanted)))
    assert apply(daemon, ops, wanted) == []
    assert not diff(wanted, observed(daemon, wanted))
    return ops


def test_what_was_loaded_is_seen_and_the_next_pass_does_nothing(daemon: Daemon) -> None:
    assert len(reach(daemon, WANTED)) == 2
    assert reach(daemon, WANTED) == []


def test_a_pass_with_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    fake = FakeCharon(tmp_path / "vici")
    reach(fake, WANTED)
    fake.requests.clear()
    observed(fake)
    assert fake.writes == 0
    assert set(fake.requests) == {"stats", "get-conns", "get-shared"}
    fake.kill()


def test_a_lost_ledger_is_made_anew_without_a_write(daemon: Daemon) -> None:
    reach(daemon, WANTED)
    daemon.path.with_name("ledger.json").unlink()
    if isinstance(daemon, FakeCharon):
        daemon.requests.clear()
    assert reach(daemon, WANTED) == []
    if isinstance(daemon, FakeCharon):
        assert daemon.writes == 0


def test_update_and_delete(daemon: Daemon) -> None:
    reach(daemon, WANTED)
    reach(daemon, [SECRET, replace(CONNECTION, dpd_delay=20)])
    reach(daemon, [])
    assert observed(daemon) == set()


def changed(daemon: Daemon) -> set[str]:
    """What the next agent finds of the ledger."""

    async def work(driver: StrongswanDriver) -> set[str]:
        return set(driver.changed)

    return run(daemon, work)


def test_whose_terms_changed_is_known_until_it_has_settled(daemon: Daemon) -> None:
    reach(daemon, WANTED)
    reach(daemon, [SECRET, replace(CONNECTION, remote_id="br2.example", dpd_delay=20)])
    assert changed(daemon) == set(), "its SAs have ended"
    reach(daemon, [SECRET, replace(CONNECTION, remote_id="br2.example", mobike=True)])
    assert changed(daemon) == {"hgt1"}
    run(daemon, lambda driver: driver.settled("hgt1"))
    assert changed(daemon) == set()
    reach(daemon, WANTED)
    reach(daemon, [SECRET, replace(CONNECTION, esp_proposals=("aes256-sha256",))])
    assert changed(daemon) == {"hgt1"}
    reach(daemon, [])
    assert changed(daemon) == set()


BASED = replace(CONNECTION, selectors=(("10.50.0.0/24", "10.1.0.0/24"), ("10.60.0.0/16", "10.1.0.0/24")))


def test_a_child_for_each_pair_of_traffic_selectors(daemon: Daemon) -> None:
    reach(daemon, [SECRET, BASED])
    daemon.path.with_name("ledger.json").unlink()
    assert reach(daemon, [SECRET, BASED]) == []
    reach(daemon, [SECRET, replace(BASED, selectors=BASED.selectors[1:])])
    reach(daemon, WANTED)
    daemon.path.with_name("ledger.json").unlink()
    assert [type(op) for op in reach(daemon, [SECRET, BASED])] == [Update]


@pytest.mark.parametrize(
    ("listed", "hybrid"), [(("ECP_384",), False), (("ECP_384", "ML_KEM_768"), True)], ids=["without", "with ML-KEM"]
)
def test_a_second_key_exchange_is_offered_where_charon_has_it(
    tmp_path: Path, listed: tuple[str, ...], hybrid: bool
) -> None:
    fake = FakeCharon(tmp_path / "vici")
    fake.key_exchanges = list(listed)
    wanted = replace(CONNECTION, proposals=("aes256gcm16-prfsha384-ecp384-ke1_mlkem768", *CONNECTION.proposals))
    reach(fake, [SECRET, wanted])
    loaded = [one.decode() for one in fake.connections["hgt1"]["proposals"]]
    assert loaded == list(wanted.proposals if hybrid else CONNECTION.proposals)
    assert reach(fake, [SECRET, wanted]) == []
    fake.kill()


def test_deleting_the_absent_succeeds(daemon: Daemon) -> None:
    assert apply(daemon, [Delete(CONNECTION), Delete(SECRET)]) == []


def test_a_connection_of_the_operator_is_not_seen(daemon: Daemon) -> None:
    foreign = {"version": "2", "local_addrs": ["198.51.100.10"], "remote_addrs": ["192.0.2.9"]}
    ends = {"local": {"auth": "psk", "id": "a"}, "remote": {"auth": "psk", "id": "b"}, "children": {}}
    timers = {"dpd_delay": "10s", "rekey_time": "3600s"}
    session(daemon.path).load_conn({"theirs": {**foreign, **ends, **timers}})
    reach(daemon, WANTED)
    reach(daemon, [])
    assert session(daemon.path).get_conns()["conns"] == [b"theirs"]


def test_keys_and_certificates_come_and_go_and_what_else_is_wanted_stays(daemon: Daemon) -> None:
    wanted = by_certificate()
    assert len(reach(daemon, [*WANTED, *wanted])) == 2 + len(wanted)
    assert reach(daemon, [*WANTED, *wanted]) == []
    assert "PRIVATE" not in daemon.path.with_name("ledger.json").read_text()
    session(daemon.path).clear_creds()
    assert {type(op.new) for op in reach(daemon, [*WANTED, *wanted]) if isinstance(op, Create)} >= {IkeKey, IkeSecret}
    reach(daemon, WANTED)
    assert session(daemon.path).get_keys()["keys"] == []
    assert list(session(daemon.path).list_certs()) == []
    assert session(daemon.path).get_shared()["keys"] == [SECRET.id.encode()]


def held_lists(daemon: Daemon) -> set[bytes]:
    return {one["data"] for one in session(daemon.path).list_certs() if one["type"] == b"X509_CRL"}


def test_a_list_is_replaced_by_the_newer_and_nothing_is_cleared(daemon: Daemon) -> None:
    authority = new_authority("test", time.time())
    rest = [*WANTED, *(one for one in by_certificate(authority) if not getattr(one, "revokes", False))]
    first, second = listed(authority, 1, "1a"), listed(authority, 2, "1a", "1b")
    reach(daemon, [*rest, first])
    (theirs,) = read_certificates(new_authority("theirs", time.time()).certificate)
    session(daemon.path).load_cert({"type": "X509", "data": theirs.der})  # which a clear would take
    assert [type(op) for op in reach(daemon, [*rest, second])] == [Create, Delete]
    assert held_lists(daemon) == {second.der}
    # charon drops an older one, and has what that says.
    reach(daemon, [*rest, first])
    assert held_lists(daemon) == {second.der}
    assert reach(daemon, [*rest, first]) == [] == reach(daemon, [*rest, first, second])
    assert theirs.der in {one["data"] for one in session(daemon.path).list_certs()}
    if isinstance(daemon, FakeCharon):
        assert daemon.requests["clear-creds"] == 0
    reach(daemon, rest)
    assert held_lists(daemon) == set(), "what has no successor goes"


def test_what_a_list_has_newly_is_known_until_sas_were_held_against_it(daemon: Daemon) -> None:
    authority = new_authority("test", time.time())
    rest = [*WANTED, *(one for one in by_certificate(authority) if not getattr(one, "revokes", False))]
    first, second, third = (listed(authority, number, *("1a", "1b")[:number]) for number in (1, 2, 3))
    # A charon that has just started has made no SA yet that the first could be held against.
    for wanted, serials in ((first, None), (second, {"1b"}), (third, None)):
        reach(daemon, [*rest, wanted])

        async def newly(driver: StrongswanDriver) -> dict[str, set[str]]:
            await driver.observe()
            found = {digest: set(one.serials) for digest, one in driver.fresh.items()}
            driver.judged(0.0)
            assert set(driver.fresh) == set(found)
            driver.judged(time.time() + 1)
            return found

        assert run(daemon, newly, [*rest, wanted]) == ({wanted.digest: serials} if serials else {})
        assert run(daemon, newly, [*rest, wanted]) == {}


def test_charon_forgets_peers_and_keeps_what_it_was_given(daemon: Daemon) -> None:
    wanted = [*WANTED, *by_certificate()]
    reach(daemon, wanted)
    run(daemon, lambda driver: driver.forget_peers())
    assert reach(daemon, wanted) == []


def test_charon_says_why_and_the_rest_is_loaded(daemon: Daemon) -> None:
    bad = replace(CONNECTION, name="hgt2", proposals=("nonsense",))
    if isinstance(daemon, FakeCharon):
        daemon.fail_next["load-conn"] = "invalid value for: proposals, config discarded"
    errors = apply(daemon, [Create(bad), Create(SECRET), Create(CONNECTION)])
    assert [error.op for error in errors] == [Create(bad)]
    assert "proposals" in errors[0].reason
    assert KEY not in repr(errors)
    assert observed(daemon) == set(WANTED)


def test_a_new_charon_has_nothing_and_is_filled_again(daemon: Daemon) -> None:
    async def lost(driver: StrongswanDriver) -> None:
        await driver.observe()
        daemon.kill()
        with pytest.raises(DriverError):
            await driver.observe()
        daemon.start()
        assert await driver.observe() == []

    reach(daemon, WANTED)
    run(daemon, lost)
    assert len(reach(daemon, WANTED)) == 2


def test_no_socket_is_an_error_with_a_hint(tmp_path: Path) -> None:
    async def work() -> None:
        driver = StrongswanDriver(str(tmp_path / "nobody"), tmp_path / "ledger.json")
        with pytest.raises(DriverError, match="is strongSwan running"):
            await driver.observe()
        await driver.close()

    asyncio.run(work())
