"""The contract of the strongSwan driver for users: connections by public key and by EAP, pools, passwords."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.names import Secret
from hubgw.pki.authority import issue, new_authority, new_key, request
from hubgw.pki.reading import read_certificates
from hubgw.plan.diff import diff
from hubgw.plan.ipsec import IkeCertificate, IkeKey, IkePool, IkeRadius, IkeServer, IkeUser
from hubgw.plan.types import Create, Delete, Object, Update
from tests.contract.test_strongswan import Daemon, apply, daemon, observed, reach, run, session
from tests.fakes.charon import FakeCharon

__all__ = ["daemon"]

PASSWORD = "the-password-that-no-message-shows"
ALICE = IkeUser("hgu-0a1b2c", "alice@example.com", Secret(PASSWORD))
POOL = IkePool("hgt1-pool0", "10.99.0.0/25", ("10.50.0.53",))


def gateway() -> list[Object]:
    authority, key = new_authority("test", time.time()), new_key()
    own = issue(authority, request(key, "p1"), "p1", ["198.51.100.10"], now=time.time(), days=10)
    (mine,), (root,) = read_certificates(own), read_certificates(authority.certificate)
    by_key = IkeServer(
        name="hgt1",
        if_id=100_000_001,
        local_address="198.51.100.10",
        local_id="198.51.100.10",
        certificate=mine.digest,
        authorities=(root.digest,),
        pools=(POOL.name,),
        reached=("10.50.0.0/24",),
        proposals=("aes256gcm16-prfsha384-ecp384",),
        esp_proposals=("aes256gcm16",),
        dpd_delay=10,
        child_life_time=28_800,
    )
    return [
        IkeKey(mine.key_id, key),
        IkeCertificate(mine.digest, mine.subject, mine.der),
        IkeCertificate(root.digest, root.subject, root.der),
        POOL,
        by_key,
        replace(by_key, name="hgt1-eap", eap="mschapv2", authorities=()),
    ]


def test_what_answers_users_is_seen_and_the_next_pass_does_nothing(daemon: Daemon) -> None:
    wanted = [*gateway(), ALICE]
    assert {op.new for op in reach(daemon, wanted) if isinstance(op, Create)} == set(wanted)
    assert reach(daemon, wanted) == []
    assert not any(PASSWORD in text.read_text() for text in daemon.path.parent.glob("ledger*"))


def test_another_password_is_another_object_and_one_that_is_gone_is_unloaded(daemon: Daemon) -> None:
    start = gateway()
    other = replace(ALICE, id="hgu-0d0e0f", secret=Secret("another-password"))
    reach(daemon, [*start, ALICE])
    assert reach(daemon, [*start, other]) == [Create(other), Delete(ALICE)]
    assert reach(daemon, start) == [Delete(other)]
    assert session(daemon.path).get_shared()["keys"] == []


def test_another_way_to_prove_who_one_is_keeps_the_name(daemon: Daemon) -> None:
    *rest, eap = gateway()
    assert isinstance(eap, IkeServer)
    reach(daemon, [*rest, eap, ALICE])
    root = next(one.authorities for one in rest if isinstance(one, IkeServer))
    tls = replace(eap, eap="tls", authorities=root)
    assert reach(daemon, [*rest, tls]) == [Update(eap, tls), Delete(ALICE)]
    assert reach(daemon, rest) == [Delete(tls)]
    assert eap.name not in {str(obj.key[1]) for obj in observed(daemon, rest)}


def test_radius_servers_are_in_charons_settings(daemon: Daemon) -> None:
    first = IkeRadius("192.0.2.1", 30, "0a1b", Secret("the-secret-that-no-message-shows"))
    other = replace(first, digest="0c0d", secret=Secret("another-secret"))
    settings = daemon.path.with_name("charon.d") / "radius.conf"
    start = gateway()
    assert Create(first) in reach(daemon, [*start, first])
    assert reach(daemon, [*start, first]) == []
    assert reach(daemon, [*start, other]) == [Update(first, other)]
    # Whoever changes or removes the file has it written again.
    settings.unlink()
    assert reach(daemon, [*start, other]) == [Create(other)]
    assert reach(daemon, start) == [Delete(other)]
    assert "192.0.2.1" not in settings.read_text()


def test_a_group_of_radius_is_loaded_before_the_rest(daemon: Daemon) -> None:
    *start, eap = gateway()
    assert isinstance(eap, IkeServer)
    rest = replace(eap, eap="radius")
    group = replace(rest, name="hgt1-eap-0a1b2c3d", groups=("finance",))
    reach(daemon, [*start, rest])
    assert reach(daemon, [*start, rest, group]) == [Create(group)]
    names = [name for message in session(daemon.path).list_conns() for name in message]
    assert names.index(group.name) < names.index(rest.name)


def test_what_bars_is_loaded_before_what_it_bars_from_and_goes_without_a_trace(daemon: Daemon) -> None:
    start = gateway()
    root = new_authority("users", time.time())
    (alice,) = read_certificates(
        issue(root, request(new_key(), "alice"), "alice", ["alice@example.com"], now=time.time(), days=10)
    )
    certificate = IkeCertificate(alice.digest, alice.subject, alice.der)
    (by_key, *_) = (one for one in start if isinstance(one, IkeServer))
    nothing: tuple[str, ...] = ()
    barring = replace(
        by_key, name="hgt1-barred", authorities=nothing, pools=nothing, reached=nothing, barred=(alice.digest,)
    )
    reach(daemon, start)
    assert not run(daemon, bars(certificate.digest, barring), start)
    wanted = [*start, certificate, barring]
    assert reach(daemon, wanted) == [Create(certificate), Create(barring)]
    assert reach(daemon, wanted) == []
    names = [name for message in session(daemon.path).list_conns() for name in message]
    assert names.index(barring.name) < names.index(by_key.name)
    assert run(daemon, bars(certificate.digest, barring), wanted)
    assert not run(daemon, bars(certificate.digest, barring, by_key), wanted)
    assert not run(daemon, bars(alice.thumbprint, barring), wanted)
    shown = run(daemon, lambda driver: driver.remembered(), wanted)
    assert alice.thumbprint in {one.thumbprint for one in shown.certificates}
    assert reach(daemon, start) == [Delete(barring), Delete(certificate)]
    shown = run(daemon, lambda driver: driver.remembered(), start)
    assert alice.thumbprint not in {one.thumbprint for one in shown.certificates} and len(shown.certificates) == 2


def bars(digest: str, *servers: IkeServer) -> Callable[[StrongswanDriver], Coroutine[Any, Any, bool]]:
    async def told(driver: StrongswanDriver) -> bool:
        await driver.observe()
        return driver.bars([one.name for one in servers], digest)

    return told


def test_what_a_lost_ledger_does_not_know_is_loaded_again(daemon: Daemon) -> None:
    start = gateway()
    reach(daemon, start)
    ledger = daemon.path.with_name("ledger.json")
    ledger.write_text(ledger.read_text().replace('"dpd_delay"', '"dpd_every"'))  # as another version wrote it
    other = [replace(one, reached=("10.0.0.0/8",)) if isinstance(one, IkeServer) else one for one in start]
    servers = [one for one in other if isinstance(one, IkeServer)]
    assert sorted(map(str, reach(daemon, other))) == sorted(str(Create(one)) for one in servers)
    assert reach(daemon, other) == []


def test_a_pool_that_is_in_use_goes_later(daemon: Daemon) -> None:
    if not isinstance(daemon, FakeCharon):
        pytest.skip("nobody logs in here")
    start = gateway()
    reach(daemon, start)
    rest: list[Object] = [one for one in start if not isinstance(one, IkePool | IkeServer)]
    daemon.fail_next["unload-pool"] = f"pool '{POOL.name}' has 1 online leases, unable to unload"
    assert apply(daemon, list(diff(rest, observed(daemon, rest))), rest) == []
    assert observed(daemon, rest) == {*observed(daemon, rest), POOL}, "it is still there"
    assert reach(daemon, rest) == [Delete(POOL)]
    assert POOL.name not in daemon.pools
