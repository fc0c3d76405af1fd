"""Users whose certificates are no good: refused in words, and whoever else is in stays."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.certificates import Pair, make, revoke
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import Client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

_DAY = 86_400


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def authority(running_lab: Lab, root: Pair) -> Iterator[str]:
    """The hub's, of a gateway that believes the operator's."""
    with gateway_of_users(running_lab, server(root)):
        yield running_lab.hub.run("user", "ca").stdout


@pytest.fixture
def honest(clients: list[Client], authority: str, root: Pair) -> Client:
    """The first of the clients, who is in."""
    assert clients[0].login(authority, user(root, "honest"))
    return clients[0]


def _refused(lab: Lab, one: Client, authority: str, pair: Pair, words: str) -> None:
    """Has a client try, and waits for the event that says why not."""
    since = time.time()
    assert not one.login(authority, pair)
    one.logout(force=True)
    lab.hub.wait_event("user.refused", words, since=since)


def _lists(*lists: str) -> str:
    properties = {"resource": "vpnServerConfigurations/users", "revocationLists": lists}
    return json.dumps({"type": "settings", "name": "lists", "properties": properties})


def test_who_has_ended_or_is_of_another_authority_is_refused_in_words(
    lab: Lab, root: Pair, authority: str, honest: Client, clients: list[Client]
) -> None:
    other = clients[1]
    now = time.time()
    ended = make("O=Example, CN=ended", ["ended@example.com"], by=root, now=now - 10 * _DAY, days=(0, 5))
    early = make("O=Example, CN=early", ["early@example.com"], by=root, now=now + 10 * _DAY, days=(0, 5))
    _refused(lab, other, authority, ended, "has ended or is not yet good")
    _refused(lab, other, authority, early, "has ended or is not yet good")
    _refused(lab, other, authority, user(root_of_users(), "honest"), "does not know")
    assert pings(honest.node, honest.virtual, "10.50.0.4")


def test_the_operators_list_refuses_and_ends_and_one_that_is_too_old_refuses_everybody(
    lab: Lab, root: Pair, authority: str, honest: Client, clients: list[Client]
) -> None:
    other = clients[1]
    hub, mallory = lab.hub, user(root, "mallory")
    try:
        hub.apply_text(_lists(revoke(root, now=time.time() - 60)))
        assert other.login(authority, mallory), "on no list"
        hub.apply_text(_lists(revoke(root, mallory, now=time.time() - 30)))
        wait_for("who is on the list is out", lambda: hub.sas(other.address) == [], 60)
        other.logout(force=True)
        _refused(lab, other, authority, mallory, "revoked")
        until = time.time() + 15
        hub.apply_text(_lists(revoke(root, mallory, now=until - 30, seconds=30)))
        wait_for("the list is too old", lambda: time.time() > until + 1)
        _refused(lab, other, authority, user(root, "newcomer"), "has no list of what is revoked that is still good")
        assert pings(honest.node, honest.virtual, "10.50.0.4"), "who was in stays"
    finally:
        hub.run("delete", "settings/lists", "--yes")
