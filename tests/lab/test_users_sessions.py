"""Sessions of users: what is told of them, what is shown against the kernel, who ends them, an agent that comes back.

The pool is so small that each instance has two addresses.
"""

import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.certificates import Pair, make
from tests.lab.probes import traffic
from tests.lab.reach import pings
from tests.lab.topology import WAN1, Lab
from tests.lab.users import Client, client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

_SPEAKS_NO_MORE = 60  # seconds: dead peer detection, and what charon retransmits


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def clients(running_lab: Lab, root: Pair) -> Iterator[list[Client]]:
    _began.append(time.time())
    made = [client(running_lab, number) for number in (53, 54, 55)]
    with gateway_of_users(running_lab, server(root), "10.99.0.0/29"):
        yield made
    for one in made:
        one.node.destroy()


@pytest.fixture(scope="module")
def authority(running_lab: Lab, clients: list[Client]) -> str:
    return running_lab.hub.run("user", "ca").stdout


@pytest.fixture(autouse=True)
def signed_off(running_lab: Lab, clients: list[Client]) -> Iterator[None]:
    yield
    for one in clients:
        one.logout(force=True)
    wait_for("nobody is signed on", lambda: not running_lab.hub.show("sessions"), _SPEAKS_NO_MORE)


def _pools(lab: Lab) -> list[dict[str, Any]]:
    return list(lab.hub.show("pools"))


_began: list[float] = []
"""When the first of these cases did: others have users of the same names."""


def _told(lab: Lab, event: str, who: str) -> list[str]:
    return lab.hub.events(event, f"={who} ", since=_began[0])


def _waited(lab: Lab, event: str, who: str, seconds: float = 15) -> str:
    found = lab.hub.wait_event(event, f"={who} ", since=_began[0], seconds=seconds)
    assert _told(lab, event, who) == [found]
    return found


def _octets(lab: Lab, source: str, target: str) -> int:
    """What the kernel counts of the SAs from one address to another."""
    states = re.split(r"^(?=src )", lab.hub.node.ip("-s xfrm state list nokeys"), flags=re.MULTILINE)
    ours = [one for one in states if one.startswith(f"src {source} dst {target}")]
    return sum(int(found) for one in ours for found in re.findall(r"lifetime current:\s+(\d+)\(bytes\)", one))


def _metric(lab: Lab, name: str, instance: int = 0) -> float:
    found = re.search(
        rf'^{name}{{gateway="p1",instance="{instance}"}} (\S+)$', lab.hub.run("metrics").stdout, re.MULTILINE
    )
    assert found, name
    return float(found[1])


def test_a_login_and_its_end_are_told_and_what_is_shown_is_the_kernels(
    lab: Lab, clients: list[Client], authority: str, root: Pair
) -> None:
    one = clients[0]
    assert one.login(authority, user(root, "norma"))
    about = f"user=norma identity='O=Example, CN=norma' address={one.virtual} client={one.address} instance=0"
    assert _waited(lab, "user.login", "norma") == about
    assert pings(one.node, one.virtual, "10.50.0.4", count=5)
    hub = WAN1[0]

    def as_counted() -> list[dict[str, Any]]:
        counted = _octets(lab, one.address, hub), _octets(lab, hub, one.address)
        return [each for each in lab.hub.show("sessions") if (each["bytesIn"], each["bytesOut"]) == counted]

    (shown,) = wait_for("what the kernel has counted is shown", as_counted)
    assert shown["bytesIn"] >= 5 * 84
    assert (shown["user"], shown["addresses"], shown["instance"]) == ("norma", [one.virtual], 0)
    assert (shown["remoteAddress"], shown["remotePort"]) == (one.address, 4500)
    assert shown["cipher"] == "AES_GCM_16-256" and abs(time.time() - shown["since"]) < 60
    assert "norma" in lab.hub.run("show", "sessions", one.virtual).stdout
    assert _metric(lab, "hubgw_p2s_connection_count") == 1
    assert _metric(lab, "hubgw_p2s_ingress_bytes_total") >= 5 * 84
    # Rekeys are no logins, and take nothing from what was counted.
    for what in ("--child", "--ike"):
        one.charon.swanctl("--rekey", what, "hub")
        wait_for(f"rekey {what}", lambda: len(lab.hub.show("sessions")) == 1)
    (again,) = lab.hub.show("sessions")
    assert again["bytesIn"] >= shown["bytesIn"] and abs(again["since"] - shown["since"]) < 3
    one.logout()
    assert _waited(lab, "user.logout", "norma").endswith("reason='the client signed off'")
    assert len(_told(lab, "user.login", "norma")) == 1
    (known,) = lab.hub.show("users", "norma")
    assert known["sessions"] == 0 and known["lastLogin"]


def test_a_refusal_is_told_with_its_reason(lab: Lab, clients: list[Client], authority: str, root: Pair) -> None:
    one = clients[0]
    begin = time.time()
    wrong = {
        "foreign": (user(root_of_users(), "foreign"), "is of an authority that the gateway does not know"),
        "ended": (make("O=Example, CN=ended", by=root, now=begin, days=(-9, -1)), "has ended or is not yet good"),
    }
    for name, (pair, words) in wrong.items():
        assert not one.login(authority, pair, seconds=8)
        told = _waited(lab, "user.refused", name)
        assert told.startswith(f"user={name} client={one.address} instance=0 reason=") and words in told, told
        (shown,) = lab.hub.show("users", name)
        assert words in shown["refusal"] and shown["refusedAddress"] == one.address and not shown["sessions"]
    assert not one.login(authority, user(root, "norma"), identity="somebody@example.com", seconds=8)
    assert "no certificate that names it" in _waited(lab, "user.refused", "somebody@example.com")
    # Who has not said who he is is known by his address.
    other = clients[1]
    conf = other.conf(authority, user(root, "norma")).replace("aes256gcm16-prfsha384-ecp384", "aes128-sha1-modp1024")
    other.charon.load(conf)
    other.charon.swanctl("--initiate", "--child", "hub", "--timeout", "5", check=False)
    told = _waited(lab, "user.refused", other.address)
    assert told.startswith(f"client={other.address} instance=0 reason='no algorithms in common: the client offers IKE:")
    assert lab.hub.show("sessions") == []


@pytest.mark.slow
def test_a_client_that_is_gone_is_signed_off(lab: Lab, clients: list[Client], authority: str, root: Pair) -> None:
    one = clients[0]
    assert one.login(authority, user(root, "dora"))
    _waited(lab, "user.login", "dora")
    left_behind = one.virtual
    one.charon.kill()
    try:
        told = _waited(lab, "user.logout", "dora", seconds=_SPEAKS_NO_MORE)
        assert told.endswith("reason='the client is silent (dead peer detection)'")
        assert _told(lab, "user.refused", "dora") == []
    finally:
        for words in (f"addr del {left_behind}/32 dev eth0", "xfrm state flush", "xfrm policy flush"):
            one.node.ip(words)
        one.charon.start()


def test_who_is_disconnected_is_off_and_nobody_else(
    lab: Lab, clients: list[Client], authority: str, root: Pair
) -> None:
    first, second = clients[:2]
    assert first.login(authority, user(root, "erin")) and second.login(authority, user(root, "frank"))
    assert pings(second.node, second.virtual, "10.50.0.4")
    given = first.virtual
    assert lab.hub.run("user", "disconnect", given, "--yes").stdout == f"erin, {given} at p1/0: disconnected\n"
    assert _waited(lab, "user.logout", "erin").endswith("reason='disconnected by root'")
    wait_for("the kernel has nothing of it", lambda: not lab.hub.sas(first.address))
    assert pings(second.node, second.virtual, "10.50.0.4")
    assert [one["user"] for one in lab.hub.show("sessions")] == ["frank"]
    assert lab.hub.run("user", "disconnect", "erin", "--yes", check=False).returncode == 4
    assert first.login(authority, user(root, "erin"))


def test_a_killed_agent_is_not_missed_and_knows_who_is_signed_on(
    lab: Lab, clients: list[Client], authority: str, root: Pair
) -> None:
    one = clients[0]
    assert one.login(authority, user(root, "grace"))
    assert pings(one.node, one.virtual, "10.50.0.4")
    (before,) = lab.hub.show("sessions")
    spis = {found for sa in lab.hub.sas(one.address) for found in re.findall(r"spi (0x\w+)", sa)}
    with traffic(lab.vnets["vnet1"], "10.50.0.4", one.node, one.virtual) as outcome:
        lab.hub.kill_agent(signal.SIGKILL)
        lab.hub.start_agent()
        (after,) = wait_for("the session is shown", lambda: lab.hub.show("sessions"))
    assert outcome.lost == 0, str(outcome)
    assert {found for sa in lab.hub.sas(one.address) for found in re.findall(r"spi (0x\w+)", sa)} == spis
    assert [after[name] for name in ("user", "addresses", "ikeSa")] == ["grace", [one.virtual], before["ikeSa"]]
    assert abs(after["since"] - before["since"]) < 3
    assert _told(lab, "user.login", "grace") == [], "it was signed on already"
    one.logout()
    _waited(lab, "user.logout", "grace")


def test_a_pool_that_is_full_is_told_and_frees_itself(
    lab: Lab, clients: list[Client], authority: str, root: Pair
) -> None:
    first, second, third = clients
    assert first.login(authority, user(root, "heidi")) and second.login(authority, user(root, "ivan"))
    assert not third.login(authority, user(root, "judy"), seconds=8)
    assert "every address of the pool is in use" in _waited(lab, "user.refused", "judy")
    assert "prefix=10.99.0.0/30 size=2" in _waited(lab, "pool.exhausted", "10.99.0.0/30")
    full, other = wait_for("it is shown", lambda: _pools(lab) if _pools(lab)[0]["exhausted"] else [])
    assert (full["size"], full["online"], full["exhausted"]) == (2, 2, True)
    assert (other["prefix"], other["online"], other["exhausted"]) == ("10.99.0.4/30", 0, False)
    assert _metric(lab, "hubgw_p2s_pool_exhausted") == 1 and _metric(lab, "hubgw_p2s_addresses_used") == 2
    assert pings(first.node, first.virtual, "10.50.0.4") and pings(second.node, second.virtual, "10.50.0.4")
    third.logout(force=True)
    first.logout()
    _waited(lab, "pool.freed", "10.99.0.0/30")
    assert third.login(authority, user(root, "judy"))
    assert len(_told(lab, "user.login", "judy")) == 1
