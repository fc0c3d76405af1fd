"""The contract of the nftables driver: on a fake everywhere, on the kernel in a namespace where root runs it."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from hubgw.drivers.nftables import codec
from hubgw.drivers.nftables.client import Client
from hubgw.drivers.nftables.driver import MOST_DESTROYED, NftablesDriver
from hubgw.plan.diff import diff
from hubgw.plan.kernel import Element
from hubgw.plan.types import Create, Delete, Object, Op, OpError, Update
from tests.fakes.nft import FakeNft

REPO = Path(__file__).parents[2]
NETNS = f"hgnft{os.getpid()}"
REAL = os.geteuid() == 0 and shutil.which("nft") is not None and sys.version_info >= (3, 12)

OPEN = Element("ike_open", ("198.51.100.10",))
WANTED: tuple[Element, ...] = (
    Element("bgp_peers", ("hgt1", "10.1.0.254", "10.100.0.12")),
    Element("bgp_peers", ("hgt2", "10.1.0.254", "10.100.0.13")),
    Element("bgp_ttl_security", ("hgt1", "10.1.0.254")),
    Element("hub_addresses", ("hgv1", "10.100.0.12")),
    OPEN,
    Element("mss", ("hgv1",), "1350"),
    Element("no_branch_to_branch", ("hgv1",)),
    Element("no_default", ("hgt1",)),
    Element("not_in_fib", ("hgt1", "10.1.0.0/24")),
    Element("not_in_fib", ("hgt1", "10.9.0.1")),
    Element("not_in_fib", ("hgt2", "10.1.0.0/24")),
    Element("ports", ("eth1.100",)),
    Element("ports", ("hgn1",)),
    Element("underlay", ("eth0",)),
)


class Machine(Protocol):
    """What happens to a table besides hubgw."""

    driver: NftablesDriver

    def lose_rule(self) -> None: ...
    def flush(self, name: str) -> None: ...
    def close_ike(self) -> None: ...
    def sleep(self) -> None: ...


class FakeMachine:
    def __init__(self) -> None:
        self.nft = FakeNft()
        self.driver = NftablesDriver(self.nft)

    def lose_rule(self) -> None:
        self.nft.chains["anti_spoof"].pop()

    def flush(self, name: str) -> None:
        self.nft.sets[name].clear()

    def close_ike(self) -> None:
        self.nft.comment = self.nft.comment or ""
        self.nft.sets["ike_open"] = {}
        self.nft.chains["ike_gate"] = list(codec.CHAINS["ike_gate"])

    def sleep(self) -> None:
        self.nft.comment = ""


class Kernel:
    def __init__(self) -> None:
        def enter() -> None:
            with Path(f"/run/netns/{NETNS}").open() as namespace:
                os.setns(namespace.fileno())  # type: ignore[attr-defined,unused-ignore]
            self.driver = NftablesDriver(Client())

        entered = threading.Thread(target=enter)
        entered.start()
        entered.join()

    def nft(self, *arguments: str) -> str:
        return subprocess.run(
            ["ip", "netns", "exec", NETNS, "nft", *arguments], check=True, capture_output=True, text=True
        ).stdout

    def lose_rule(self) -> None:
        last = self.nft("-a", "list", "chain", "inet", "hubgw", "anti_spoof").rpartition("# handle ")[2].split()[0]
        self.nft("delete", "rule", "inet", "hubgw", "anti_spoof", "handle", last)

    def flush(self, name: str) -> None:
        self.nft("flush", "map" if codec.SETS[name] == "map" else "set", "inet", "hubgw", name)

    def close_ike(self) -> None:
        self.nft("-f", str(REPO / "packaging/close-ike.nft"))

    def sleep(self) -> None:
        self.nft("add", "table", "inet", "hubgw", "{", "flags", "dormant", ";", "}")


@pytest.fixture(params=["fake", pytest.param("kernel", marks=pytest.mark.skipif(not REAL, reason="root and nft"))])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    if request.param == "fake":
        yield FakeMachine()
        return
    subprocess.run(["ip", "netns", "add", NETNS], check=True)
    try:
        yield Kernel()
    finally:
        subprocess.run(["ip", "netns", "del", NETNS], check=True)


def wanted(*elements: Element) -> list[Object]:
    return [codec.RULESET, *(elements or WANTED)]


def observed(machine: Machine) -> list[Object]:
    return asyncio.run(machine.driver.observe())


def apply(machine: Machine, ops: Sequence[Op]) -> list[OpError]:
    return asyncio.run(machine.driver.apply(ops))


def reach(machine: Machine, objects: list[Object]) -> list[Op]:
    """One pass: returns what it did, after checking that nothing is left to do."""
    ops = diff(objects, observed(machine))
    assert apply(machine, ops) == []
    assert observed(machine) == objects
    return list(ops)


def test_no_table_is_nothing_seen(machine: Machine) -> None:
    assert observed(machine) == []


def test_what_was_applied_is_seen_and_the_next_pass_does_nothing(machine: Machine) -> None:
    assert len(reach(machine, wanted())) == 1 + len(WANTED)
    assert reach(machine, wanted()) == []


def test_elements_come_go_and_change(machine: Machine) -> None:
    reach(machine, wanted())
    changed = [*WANTED[1:5], Element("mss", ("hgv1",), "1300"), *WANTED[7:12], Element("underlay", ("eth2",))]
    ops = reach(machine, wanted(*changed))
    assert {type(op) for op in ops} == {Create, Update, Delete}


def test_a_wider_prefix_replaces_the_narrower_in_one_pass(machine: Machine) -> None:
    reach(machine, wanted(OPEN, Element("not_in_fib", ("hgt1", "10.1.0.0/24"))))
    reach(machine, wanted(OPEN, Element("not_in_fib", ("hgt1", "10.1.0.0/16"))))


def test_many_elements_go(machine: Machine) -> None:
    many = [Element("not_in_fib", (f"hgt{number}", f"10.{number}.0.0/24")) for number in range(10, 20 + MOST_DESTROYED)]
    reach(machine, wanted(OPEN, *many))
    reach(machine, wanted(OPEN))


def test_deleting_the_absent_succeeds(machine: Machine) -> None:
    reach(machine, wanted(OPEN))
    assert apply(machine, [Delete(Element("ports", ("hgn9",))), Delete(Element("mss", ("hgv9",), "1350"))]) == []


@pytest.mark.parametrize("harm", ["lose_rule", "sleep"])
def test_a_harmed_table_shows_no_ruleset_and_is_repaired_with_its_elements(machine: Machine, harm: str) -> None:
    reach(machine, wanted())
    getattr(machine, harm)()
    assert observed(machine) == list(WANTED)
    assert reach(machine, wanted()) == [Create(codec.RULESET)]


@pytest.mark.parametrize("name", ["mss", "not_in_fib", "no_branch_to_branch", "bgp_peers", "no_default"])
def test_a_flushed_set_is_filled_again(machine: Machine, name: str) -> None:
    reach(machine, wanted())
    machine.flush(name)
    assert {type(op) for op in reach(machine, wanted())} == {Create}


def test_closed_ike_is_made_the_whole_table(machine: Machine) -> None:
    machine.close_ike()
    assert observed(machine) == []
    reach(machine, wanted())


def test_close_ike_over_the_whole_table_only_closes(machine: Machine) -> None:
    reach(machine, wanted())
    machine.close_ike()
    assert reach(machine, wanted()) == [Create(OPEN)]


def test_one_bad_element_fails_alone(machine: Machine) -> None:
    reach(machine, wanted(OPEN))
    mss = Element("mss", ("hgv1",), "1350")
    bad = [
        Create(Element("mss", ("hgv1",), "1400")),
        Create(Element("ports", ('x" }; flush ruleset',))),
        Create(Element("nowhere", ("x",))),
    ]
    good = [Create(Element("not_in_fib", (f"hgt{number}", "10.1.0.0/24"))) for number in range(9)]
    apply(machine, [Create(mss)])
    errors = apply(machine, [*good[:4], *bad, *good[4:]])
    assert [error.op for error in errors] == bad
    assert "File exists" in errors[0].reason
    assert set(observed(machine)) == {codec.RULESET, OPEN, mss, *(op.new for op in good)}


def test_the_table_goes(machine: Machine) -> None:
    reach(machine, wanted())
    assert apply(machine, [Delete(codec.RULESET), Delete(OPEN)]) == []
    assert observed(machine) == []
    assert apply(machine, [Delete(codec.RULESET)]) == []
