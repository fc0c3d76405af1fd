"""Addresses that a RADIUS server gives users: carried to where each is signed on, and never another's."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.certificates import Pair
from tests.lab.probes import traffic
from tests.lab.radius import Radius
from tests.lab.reach import pings
from tests.lab.test_users_eap import by_password
from tests.lab.topology import Lab
from tests.lab.users import POOL, Client, asks_radius, gateway_of_users, root_of_users, user
from tests.lab.waiting import wait_for

SECRET, PASSWORD = "example-secret-one", "example-password"
A = "10.99.8.5"
FRAMED = {
    "alice": A,
    "mallory": A,  # another's
    "dave": "10.50.0.9",  # in a virtual network
    "erin": "10.99.0.1",  # the first of the pool
}
SETTINGS = """
type: settings
name: p1
properties: {resource: p2sVpnGateways/p1, framedAddressPrefixes: [10.99.8.0/24]}
"""
_SERVER = "198.51.100.1"

Login = Callable[..., bool]


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def login(running_lab: Lab, root: Pair) -> Iterator[Login]:
    """Has the hub ask a server that gives addresses; yields what tells whether a client is taken."""
    lab, spare = running_lab, user(root, "spare")
    radius = Radius(lab.isp, _SERVER, dict.fromkeys((*FRAMED, "bob"), (PASSWORD, "")), FRAMED)
    radius.start(SECRET)
    with gateway_of_users(lab, asks_radius(root, _SERVER, SECRET)):
        lab.hub.apply_text(SETTINGS)
        authority = lab.hub.run("user", "ca").stdout

        def taken(one: Client, name: str, instance: int = 0) -> bool:
            return by_password(one, authority, spare, name, PASSWORD, instance=instance)

        yield taken
        lab.hub.run("delete", "settings/p1", "--yes")
    radius.end()


def _why(lab: Lab, event: str, name: str, since: float) -> str:
    return lab.hub.wait_event(event, f"user={name} ", since=since).partition("reason=")[2]


def _carries(lab: Lab, one: Client, address: str = A) -> None:
    """Waits for the route, which is there moments after the login."""
    assert one.virtual == address
    wait_for("it carries", lambda: pings(one.node, address, "10.50.0.4", count=1))
    assert pings(lab.vnets["vnet1"], "10.50.0.4", address) and pings(one.node, address, "10.50.0.4")


def _users(lab: Lab) -> list[tuple[str, list[str], int]]:
    return [(one["user"], one["addresses"], one["instance"]) for one in lab.hub.show("sessions")]


def test_a_user_has_his_address_at_each_instance_and_takes_it_along(
    lab: Lab, clients: list[Client], login: Login
) -> None:
    one, two = clients
    assert login(one, "alice")
    _carries(lab, one)
    began = time.time()
    assert login(two, "alice", instance=1)
    _carries(lab, two)
    assert _users(lab) == [("alice", [A], 1)]
    assert _why(lab, "user.logout", "alice", began) == "'another login took its place'"
    wait_for("the older client is told", lambda: not one.charon.established())
    # Who has none of his own is given one of the pool.
    assert login(one, "bob")
    assert one.virtual.startswith(POOL.rpartition(".")[0])
    assert pings(one.node, one.virtual, "10.50.0.4") and pings(two.node, A, "10.50.0.4")


def test_what_is_not_his_to_have_ends_a_session_and_nobody_elses(lab: Lab, clients: list[Client], login: Login) -> None:
    one, two = clients
    assert login(one, "alice")
    _carries(lab, one)
    expected = {
        ("mallory", 0): "'RADIUS gave 10.99.8.5, which alice has'",
        ("mallory", 1): "'RADIUS gave 10.99.8.5, which alice has'",
        ("dave", 0): "'10.50.0.9 is neither of a pool nor in framedAddressPrefixes'",
        ("dave", 1): "'10.50.0.9 is neither of a pool nor in framedAddressPrefixes'",
        ("erin", 0): "'RADIUS gave 10.99.0.1, which is of a pool'",
    }
    for (name, instance), reason in expected.items():
        began = time.time()
        with traffic(lab.vnets["vnet1"], "10.50.0.4", one.node, A) as outcome:
            login(two, name, instance)
            _why(lab, "user.logout", name, began)
        # At one instance the kernel has the newest's policy until the agent has ended it.
        assert outcome.lost == 0 or (name, instance) == ("mallory", 0), f"{name} at {instance}: {outcome}"
        assert _why(lab, "address.refused", name, began) == reason
        assert _why(lab, "user.logout", name, began) == reason
        two.logout(force=True)
        assert _users(lab) == [("alice", [A], 0)]
        _carries(lab, one)


def test_while_the_agent_is_away_nothing_is_lost_and_nothing_new_is_carried(
    lab: Lab, clients: list[Client], login: Login
) -> None:
    one, two = clients
    hub, began = lab.hub, time.time()
    assert login(one, "alice")
    _carries(lab, one)
    with traffic(lab.vnets["vnet1"], "10.50.0.4", one.node, A) as outcome:
        hub.kill_agent()
        assert login(two, "dave", 1)
        assert not pings(two.node, "10.50.0.9", "10.50.0.4", count=1), "a virtual network's address"
        hub.start_agent()
        assert "10.50.0.9 is neither" in _why(lab, "address.refused", "dave", began)
    assert outcome.lost == 0, str(outcome)
    one.logout()
    wait_for("nobody is signed on", lambda: not _users(lab))
    hub.kill_agent()
    assert login(two, "alice", 1)
    assert not pings(two.node, A, "10.50.0.4", count=1), "nobody has said yet that it is his"
    hub.start_agent()
    _carries(lab, two)
