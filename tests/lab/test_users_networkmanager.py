"""NetworkManager's profile, as hubgw wrote it, is all that NetworkManager-strongswan's own service needs."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.lab import profiles
from tests.lab.capture import capture
from tests.lab.networkmanager import NetworkManager
from tests.lab.platforms import files_of
from tests.lab.reach import pings
from tests.lab.topology import Lab
from tests.lab.users import OWN_AUTHORITY, gateway_of_users, uplink
from tests.lab.waiting import wait_for

_PASSWORD = "example-password-of-nora"
_PASSWORDS = f"""
type: vpnUsers
name: nora
properties: {{vpnServerConfiguration: users, password: {_PASSWORD}}}
"""


@pytest.fixture(scope="module")
def machine(running_lab: Lab) -> Iterator[NetworkManager]:
    one = NetworkManager(*uplink(running_lab, 63))
    try:
        one.start()
        with gateway_of_users(running_lab, OWN_AUTHORITY):
            yield one
    finally:
        one.end()
        one.node.destroy()


def _installed(lab: Lab, machine: NetworkManager, user: str, folder: Path) -> tuple[str, bytes]:
    """Does what the profile says on top, and returns the connection's name and what is in its file."""
    content, _ = profiles.written(lab.hub, user, "networkmanager", folder)
    machine.run("tar", "-xpf", str(folder / "networkmanager"), "-C", "/")
    machine.nmcli("connection", "reload")
    ((path, text),) = (
        (PurePosixPath(name), text) for name, (text, _) in files_of(content).items() if name.endswith(".nmconnection")
    )
    assert path.stem in machine.nmcli("-g", "NAME", "connection").splitlines()
    return path.stem, text


def _carries(lab: Lab, machine: NetworkManager, name: str) -> None:
    """Sees packets both ways, all of them in ESP."""
    virtual = machine.nmcli("-g", "IP4.ADDRESS", "connection", "show", name).strip().removesuffix("/32")
    assert virtual.startswith("10.99.")
    with (
        capture(lab.isp, "uhub", f"host {machine.address} and ip proto 50", to_the_last=True) as esp,
        capture(lab.isp, "uhub", "net 10.0.0.0/8", to_the_last=True) as clear,
    ):
        assert pings(machine.node, virtual, "10.50.0.4")
        assert pings(lab.vnets["vnet1"], "10.50.0.4", virtual)
    assert len(esp.lines) == 12 and not clear.lines


def _goes(lab: Lab, machine: NetworkManager, name: str) -> None:
    """Takes the connection down, and sees that nothing is left of it at either end."""
    machine.nmcli("connection", "down", name)
    wait_for("the hub has nothing of it", lambda: not lab.hub.sas(machine.address) and not lab.hub.show("sessions"))
    assert not machine.node.ip("xfrm state list nokeys")
    assert "10.99." not in machine.node.ip("addr show") + machine.node.ip("route show table all")


def test_a_profile_by_certificate_is_loaded_as_it_is(lab: Lab, machine: NetworkManager, tmp_path: Path) -> None:
    name, text = _installed(lab, machine, "nora@example.com", tmp_path)
    machine.up(name)
    _carries(lab, machine, name)
    _goes(lab, machine, name)
    assert machine.run("cat", f"/etc/NetworkManager/system-connections/{name}.nmconnection").stdout == text.decode()


def test_a_profile_of_a_password_is_asked_for_it_by_nmcli(lab: Lab, machine: NetworkManager, tmp_path: Path) -> None:
    lab.hub.apply_text(_PASSWORDS)
    try:
        name, text = _installed(lab, machine, "nora", tmp_path)
        assert _PASSWORD not in text.decode()
        machine.show()
        machine.up(name, _PASSWORD)
        _carries(lab, machine, name)
        _goes(lab, machine, name)
        assert machine.run("cat", f"/etc/NetworkManager/system-connections/{name}.nmconnection").stdout == text.decode()
    finally:
        lab.hub.run("delete", "vpnUsers/nora", "--yes")
