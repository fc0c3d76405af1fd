"""Users whose certificates are no good: refused in words, and whoever else is in stays."""

import json
import time
from collections.abc import Iterator

import pytest

from hubgw.cli.client import Client as Agent
from tests.certificates import Pair, make, revoke
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import Client, client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for

_DAY = 86_400


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def clients(running_lab: Lab, root: Pair) -> Iterator[list[Client]]:
    """The first is in."""
    made = [client(running_lab, number) for number in (53, 54)]
    with gateway_of_users(running_lab, server(root)):
        assert made[0].login(running_lab.hub.run("user", "ca").stdout, user(root, "honest"))
        yield made
    for one in made:
        one.node.destroy()


def _refused(lab: Lab, one: Client, pair: Pair, words: str) -> None:
    """Has a client try, and waits for the event that says why not."""

    def told() -> list[str]:
        events = Agent(str(lab.hub.socket)).get("/hubgw/events", limit="1000")["events"]
        return [each["text"] for each in events if each["event"] == "user.refused"]

    before = len(told())
    assert not one.login(lab.hub.run("user", "ca").stdout, pair)
    one.logout(force=True)
    wait_for(f"refused: {words}", lambda: any(words in text for text in told()[before:]), 30)


def _lists(*lists: str) -> str:
    properties = {"resource": "vpnServerConfigurations/users", "revocationLists": lists}
    return json.dumps({"type": "settings", "name": "lists", "properties": properties})


def test_who_has_ended_or_is_of_another_authority_is_refused_in_words(
    lab: Lab, root: Pair, clients: list[Client]
) -> None:
    honest, other = clients
    now = time.time()
    ended = make("O=Example, CN=ended", ["ended@example.com"], by=root, now=now - 10 * _DAY, days=(0, 5))
    early = make("O=Example, CN=early", ["early@example.com"], by=root, now=now + 10 * _DAY, days=(0, 5))
    _refused(lab, other, ended, "has ended or is not yet good")
    _refused(lab, other, early, "has ended or is not yet good")
    _refused(lab, other, user(root_of_users(), "honest"), "does not know")
    assert pings(honest.node, honest.virtual, "10.50.0.4")


def test_the_operators_list_refuses_and_ends_and_one_that_is_too_old_refuses_everybody(
    lab: Lab, root: Pair, clients: list[Client]
) -> None:
    honest, other = clients
    hub, mallory = lab.hub, user(root, "mallory")
    authority = hub.run("user", "ca").stdout
    try:
        hub.apply_text(_lists(revoke(root, now=time.time() - 60)))
        assert other.login(authority, mallory), "on no list"
        hub.apply_text(_lists(revoke(root, mallory, now=time.time() - 30)))
        wait_for("who is on the list is out", lambda: hub.sas(other.address) == [], 60)
        other.logout(force=True)
        _refused(lab, other, mallory, "revoked")
        until = time.time() + 15
        hub.apply_text(_lists(revoke(root, mallory, now=until - 30, seconds=30)))
        wait_for("the list is too old", lambda: time.time() > until + 1)
        _refused(lab, other, user(root, "newcomer"), "has no list of what is revoked that is still good")
        assert pings(honest.node, honest.virtual, "10.50.0.4"), "who was in stays"
    finally:
        hub.run("delete", "settings/lists", "--yes")
