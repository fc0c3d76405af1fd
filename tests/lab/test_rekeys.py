"""Rekeying under traffic: what is lost when the branch is first, as the hub's timing lets it be; and else."""

from collections.abc import Callable

import pytest

from tests.lab.cells import Cell
from tests.lab.interop import Device
from tests.lab.probes import Outcome, traffic
from tests.lab.topology import Lab
from tests.lab.waiting import wait_for

_CHILD = 14
_IKE = 6
"""How often each is rekeyed, over both tunnels."""


def _cell(daemon: str) -> Cell:
    return Cell(daemon, "IKEv2", "preshared key", "default", "branch starts", "no NAT")


@pytest.mark.parametrize("daemon", ["strongSwan", pytest.param("Libreswan", marks=pytest.mark.slow)])
def test_nothing_is_lost_where_the_branch_rekeys(lab: Lab, devices: dict[str, Device], daemon: str) -> None:
    device, cell = devices[daemon], _cell(daemon)
    with device.joined(cell):
        device.wait_connected(cell)
        with traffic(lab.vnets["vnet1"], "10.50.0.4", device.node, device.branch.lan) as outcome:
            for number in range(_CHILD):
                _child_anew(device, number % 2, lambda instance: device.rekey(instance, cell))
            for number in range(_IKE):
                _ike_anew(device, number % 2)
        assert outcome.lost == 0, str(outcome)


@pytest.mark.slow
@pytest.mark.parametrize("daemon", ["strongSwan", "Libreswan"])
@pytest.mark.parametrize("both", [False, True], ids=["the hub", "both at once"])
def test_what_the_hub_rekeys_costs_little(lab: Lab, devices: dict[str, Device], daemon: str, both: bool) -> None:
    """Libreswan sends on the new SA together with its answer, before the hub can have it: a few packets a rekey.

    Where both rekey at once, each deletes what the other still sends on.
    """
    device, cell = devices[daemon], _cell(daemon)
    with device.joined(cell):
        device.wait_connected(cell)

        def rekey(instance: int) -> None:
            name = lab.hub.tunnel(device.site, instance)["name"]
            if both:
                device.rekey(instance, cell)
            lab.hub.charon.swanctl("--rekey", "--child", name)

        with traffic(lab.vnets["vnet1"], "10.50.0.4", device.node, device.branch.lan) as outcome:
            for number in range(_CHILD):
                _child_anew(device, number % 2, rekey)
        print(f"{daemon}, rekeyed by {'both at once' if both else 'the hub'}: {outcome.lost} lost of {_sent(outcome)}")
        bearable = 0 if daemon == "strongSwan" else _sent(outcome) // (10 if both else 100)
        assert outcome.lost <= bearable, str(outcome)


def _sent(outcome: Outcome) -> int:
    assert outcome.there is not None and outcome.back is not None
    return outcome.there.sent + outcome.back.sent


def _child_anew(device: Device, instance: int, rekey: Callable[[int], None]) -> None:
    """Waits for the end of the old one too: pluto deletes it a second later, and charon sends on it until then.

    Where the next is made before, charon goes on sending on one that pluto has deleted.
    """
    charon, name = device.lab.hub.charon, device.lab.hub.tunnel(device.site, instance)["name"]
    before = charon.child_spis(name)
    rekey(instance)
    wait_for("one new child SA alone", lambda: len(now := charon.child_spis(name)) == 1 and not now & before, 30)


def _ike_anew(device: Device, instance: int) -> None:
    charon, name = device.lab.hub.charon, device.lab.hub.tunnel(device.site, instance)["name"]
    before = charon.ike_spis(name)
    device.rekey_ike(instance)
    wait_for("a new IKE SA alone", lambda: (now := charon.ike_spis(name)) and not now & before, 30)
