"""charon's death: clients come back by themselves, and no address is another's while the SA of the one who had it may
still carry traffic."""

import time
from collections.abc import Iterator

import pytest

from tests.certificates import Pair
from tests.lab.reach import Listener, marked_packet, pings, send_raw
from tests.lab.topology import Lab
from tests.lab.users import Client, client, gateway_of_users, root_of_users, server, user
from tests.lab.waiting import wait_for


@pytest.fixture(scope="module")
def root() -> Pair:
    return root_of_users()


@pytest.fixture(scope="module")
def clients(running_lab: Lab) -> Iterator[list[Client]]:
    made = [client(running_lab, number) for number in (55, 56, 57)]
    yield made
    for one in made:
        one.node.destroy()


def test_an_address_is_no_newcomers_while_the_sa_of_another_may_carry(
    lab: Lab, root: Pair, clients: list[Client]
) -> None:
    first, second, late = clients
    hub, vnet1 = lab.hub, lab.vnets["vnet1"]
    # Two addresses an instance: with two clients the pool is full.
    with gateway_of_users(lab, server(root), pool="10.99.0.0/29"):
        authority = hub.run("user", "ca").stdout
        for one, name in ((first, "first"), (second, "second")):
            assert one.login(authority, user(root, name))
        had = first.virtual
        assert not late.login(authority, user(root, "late"), seconds=8), "the pool is full"
        late.logout(force=True)

        hub.kill_agent()
        hub.charon.kill()
        hub.charon.start()
        assert len(hub.sas(first.address)) == 2, "the kernel keeps the SAs of a charon that was killed"
        assert not late.login(authority, user(root, "late"), seconds=8), "IKE is closed"
        late.logout(force=True)
        assert pings(vnet1, "10.50.0.4", had), "and they carry, as long as nobody is given the address"

        hub.start_agent()
        wait_for("their SAs are gone before anybody may log in", lambda: hub.sas(first.address) == [], 60)
        hub.wait_connected()
        assert late.login(authority, user(root, "late"))
        assert late.virtual == had, "the new charon knows of no lease"
        of_first, of_late = Listener(first.node, "for-whom"), Listener(late.node, "for-whom")
        send_raw(vnet1, marked_packet("10.50.0.4", had, "for-whom"), had)
        wait_for("the newcomer is sent to", lambda: of_late.heard() == 5)
        assert (of_first.stop(), of_late.stop()) == (0, 5)
        assert not pings(first.node, had, "10.50.0.4", count=1), "what the first client still sends goes nowhere"
        for one in clients:
            one.logout(force=True)
    assert hub.sas(late.address) == []


def test_clients_come_back_by_themselves(lab: Lab, root: Pair, clients: list[Client]) -> None:
    """Each finds out by its dead peer detection: 5 s here, and what it retransmits, some 15 s more."""
    first, second, _ = clients
    hub, vnet1 = lab.hub, lab.vnets["vnet1"]
    with gateway_of_users(lab, server(root)):
        authority = hub.run("user", "ca").stdout
        for one, name in ((first, "first"), (second, "second")):
            watchful = one.conf(authority, user(root, name)).replace(
                "    children {", "    dpd_delay = 5\n    children {"
            )
            one.charon.load(watchful.replace("        remote_ts", "        dpd_action = restart\n        remote_ts"))
            one.charon.load_key((one.folder / "user.key").read_text())
            one.charon.swanctl("--initiate", "--child", "hub", "--timeout", "20")
        before = {one.address: one.charon.child_spis("hub") for one in (first, second)}
        killed = time.monotonic()
        hub.charon.kill()
        hub.charon.start()
        for one in (first, second):
            wait_for("it is in again", lambda: one.charon.child_spis("hub") - before[one.address], 90)  # noqa: B023
            wait_for("and it carries", lambda: pings(vnet1, "10.50.0.4", one.virtual, count=1))  # noqa: B023
        print(f"clients were back {time.monotonic() - killed:.0f} s after charon was killed")
        for one in clients:
            one.logout(force=True)
    hub.wait_connected(seconds=120)
