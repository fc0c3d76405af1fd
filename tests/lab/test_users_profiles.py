"""Each platform's profile, as hubgw wrote it, is all that a client needs to log in, carry, and rekey as it does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubgw.profiles.types import Platform
from tests.lab import profiles
from tests.lab.platforms import Typed
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import OWN_AUTHORITY, Client, client, gateway_of_users
from tests.lab.waiting import wait_for

_PASSWORDS = """
type: vpnUsers
name: paula
properties: {vpnServerConfiguration: users, password: example-password-of-paula}
"""
_PASSWORD = "example-password-of-paula"
_ALL: tuple[Platform, ...] = ("windows", "apple", "android", "linux", "networkmanager")


def _platforms(*quick: Platform) -> list[Any]:
    return [pytest.param(one, marks=[] if one in quick else pytest.mark.slow) for one in _ALL]


@pytest.fixture(scope="module")
def machine(running_lab: Lab) -> Iterator[Client]:
    one = client(running_lab, 62)
    with gateway_of_users(running_lab, OWN_AUTHORITY):
        yield one
    one.node.destroy()


def _carries(lab: Lab, machine: Client) -> bool:
    virtual = machine.virtual
    return pings(machine.node, virtual, "10.50.0.4") and pings(lab.vnets["vnet1"], "10.50.0.4", virtual)


@pytest.mark.parametrize("platform", _platforms("windows", "apple", "linux"))
def test_a_profile_by_certificate_is_all_that_a_client_needs(
    lab: Lab, machine: Client, tmp_path: Path, platform: Platform
) -> None:
    content, password = profiles.written(lab.hub, f"{platform}@example.com", platform, tmp_path)
    typed = Typed(key_password=password)
    made = profiles.client(platform, content, typed, rekeying=platform == "windows")
    charon = profiles.install(machine, made)
    charon.swanctl("--initiate", "--child", made.child, "--timeout", "30")
    assert _carries(lab, machine)
    (name,) = {name for name, _ in charon.sas()}
    before = charon.child_spis(name)
    charon.swanctl("--rekey", "--child", made.child)
    wait_for("the client has rekeyed", lambda: charon.child_spis(name).isdisjoint(before))
    ike = charon.ike_spis(name)
    charon.swanctl("--rekey", "--ike", name)
    wait_for("its IKE SA too", lambda: charon.ike_spis(name) and charon.ike_spis(name).isdisjoint(ike))
    assert _carries(lab, machine)
    charon.swanctl("--terminate", "--ike", name)
    wait_for("nothing is left of it", lambda: lab.hub.sas(machine.address) == [])


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["windows", "apple"])
def test_a_platform_that_rekeys_by_its_clock_keeps_its_session(
    lab: Lab, machine: Client, tmp_path: Path, platform: Platform
) -> None:
    content, password = profiles.written(lab.hub, f"{platform}@example.com", platform, tmp_path)
    made = profiles.client(platform, content, Typed(key_password=password), hurry=120)
    charon = profiles.install(machine, made)
    charon.swanctl("--initiate", "--child", made.child, "--timeout", "30")
    first = charon.child_spis("profile")
    wait_for("it has rekeyed by itself", lambda: charon.child_spis("profile").isdisjoint(first), 90)
    assert _carries(lab, machine) and charon.established() == ["profile"]
    charon.swanctl("--terminate", "--ike", "profile")


@pytest.mark.parametrize("platform", _platforms("windows"))
def test_a_profile_of_a_password_asks_for_nothing_else(
    lab: Lab, machine: Client, tmp_path: Path, platform: Platform
) -> None:
    lab.hub.apply_text(_PASSWORDS)
    try:
        content, _ = profiles.written(lab.hub, "paula", platform, tmp_path)
        made = profiles.client(platform, content, Typed(password=_PASSWORD))
        charon = profiles.install(machine, made)
        charon.swanctl("--initiate", "--child", made.child, "--timeout", "30")
        assert _carries(lab, machine)
        charon.swanctl("--terminate", "--ike", next(name for name, _ in charon.sas()))
    finally:
        lab.hub.run("delete", "vpnUsers/paula", "--yes")
