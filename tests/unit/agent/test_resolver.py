"""Names are asked for while their tunnels are down, each apart from the others, and what was found is kept."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from hubgw.agent import resolver as resolver_module
from hubgw.agent.resolved import Resolved
from hubgw.agent.resolver import AT_ONCE, Resolver, System
from hubgw.compile.where import Found
from hubgw.plan.types import TunnelOf
from tests.unit.agent.rig import BRANCHES, FIRST, SECOND, Rig, run

NAME, OTHER = "branch1.example.com", "branch2.example.com"
NAMED = BRANCHES.replace(b"ipAddress: 192.0.2.2", b"fqdn: branch1.example.com").replace(
    b"ipAddress: 192.0.2.6", b"fqdn: branch2.example.com"
)
HINT = "see to its A record, and to the resolver of this machine"


class Dns:
    """The answers by name; what is missing has none, and what is None never comes."""

    def __init__(self, **answers: Sequence[str] | None) -> None:
        self.answers = {f"{name}.example.com": answer for name, answer in answers.items()}
        self.asked: list[str] = []

    async def look_up(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        if name not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if (answer := self.answers[name]) is None:
            await asyncio.Event().wait()
        return answer or ()


class Named:
    """An agent whose two branches have names."""

    def __init__(self, path: Path, dns: Dns) -> None:
        self.rig = Rig(path)
        self.resolved = Resolved(path / "names.json")
        self.rig.compiler._addresses = lambda: self.resolved.addresses
        self.changed = 0
        self.resolver = Resolver(self.rig.reconciler, self.resolved, self.rig.journal, self._change, dns.look_up)

    def _change(self) -> None:
        self.changed += 1

    async def round(self) -> None:
        """Asks, lets the answers come, and runs the pass that they ask for."""
        await self.resolver.round()
        for _ in range(5):
            await asyncio.sleep(0)
        await self.rig.reconciler.reconcile()
        await self.resolver.round()

    def hurry(self) -> None:
        """Has the next round find every name due."""
        self.resolver._attempts.keep(set())

    def tunnels(self) -> tuple[TunnelOf, ...]:
        state = self.rig.reconciler.state
        assert state.desired is not None
        return state.desired.plan.tunnels

    def ends(self) -> dict[str, str]:
        return {tunnel.name: tunnel.remote_address for tunnel in self.tunnels()}

    @property
    def errors(self) -> dict[str, str]:
        return self.rig.reconciler.state.last_errors


def both(address: str, other: str) -> dict[str, str]:
    return dict.fromkeys(FIRST, address) | dict.fromkeys(SECOND, other)


def test_the_first_address_is_taken_and_the_other_names_wait_for_nobody(tmp_path: Path) -> None:
    async def case() -> None:
        dns = Dns(branch1=["192.0.2.2", "192.0.2.3"], branch2=None)
        named = Named(tmp_path, dns)
        await named.rig.apply(NAMED)
        assert named.ends() == both("", "")
        await named.round()
        assert named.ends() == both("192.0.2.2", "")
        assert named.errors == {}
        assert (tmp_path / "names.json").stat().st_mode & 0o777 == 0o600

    run(case())


def test_a_name_without_an_address_is_the_last_error_of_its_tunnels_alone(tmp_path: Path) -> None:
    async def case() -> None:
        dns = Dns(branch2=["192.0.2.6"])
        named = Named(tmp_path, dns)
        await named.rig.apply(NAMED)
        await named.round()
        reason = f"fqdn {NAME} has no IPv4 address: Name or service not known; {HINT}"
        assert named.errors == dict.fromkeys(FIRST, reason)
        assert len(named.rig.events("name.failed")) == 1
        dns.answers[NAME] = ["127.0.0.1"]
        named.hurry()
        await named.round()
        assert named.errors["hgt1"] == f"fqdn {NAME} has no IPv4 address: the answer is 127.0.0.1; {HINT}"
        dns.answers[NAME] = ["192.0.2.2"]
        named.hurry()
        await named.round()
        assert named.errors == {}
        assert named.ends() == both("192.0.2.2", "192.0.2.6")

    run(case())


def test_a_tunnel_that_is_up_stays_where_it_is(tmp_path: Path) -> None:
    async def case() -> None:
        dns = Dns(branch1=["192.0.2.2"], branch2=["192.0.2.6"])
        named = Named(tmp_path, dns)
        await named.rig.apply(NAMED)
        await named.round()
        named.rig.machine.bring_up(*FIRST, "hgt3")
        await named.rig.reconciler.follow()
        dns.asked.clear()
        dns.answers = {NAME: ["192.0.2.12"], OTHER: ["192.0.2.16"]}
        named.hurry()
        await named.round()
        assert dns.asked == [OTHER]
        assert named.ends() == both("192.0.2.2", "192.0.2.6") | {"hgt4": "192.0.2.16"}
        named.rig.machine.take_down(*FIRST)
        await named.rig.reconciler.follow()
        await named.round()
        assert named.ends() == both("192.0.2.12", "192.0.2.6") | {"hgt4": "192.0.2.16"}

    run(case())


def test_an_address_stays_while_the_answers_still_have_it(tmp_path: Path) -> None:
    async def case() -> None:
        dns = Dns(branch1=["192.0.2.2", "192.0.2.3"], branch2=["192.0.2.6"])
        named = Named(tmp_path, dns)
        await named.rig.apply(NAMED)
        await named.round()
        changed = named.changed
        dns.answers[NAME] = ["192.0.2.3", "192.0.2.2"]
        named.hurry()
        await named.round()
        assert (named.changed, named.ends()["hgt1"]) == (changed, "192.0.2.2")

    run(case())


def test_a_restart_without_dns_writes_nothing(tmp_path: Path) -> None:
    async def case() -> None:
        first = Named(tmp_path, Dns(branch1=["192.0.2.2"], branch2=["192.0.2.6"]))
        await first.rig.apply(NAMED)
        await first.round()
        machine = first.rig.machine
        await first.rig.end()
        machine.log.clear()
        resolved = Resolved(tmp_path / "names.json")
        again = Rig(tmp_path, machine)
        again.compiler._addresses = lambda: resolved.addresses
        await again.reconciler.reconcile()
        assert machine.log == []
        # What goes is forgotten with the next answer.
        assert resolved.put({}, set()) and Resolved(tmp_path / "names.json").addresses == {}

    run(case())


def test_an_address_that_is_the_hubs_own_is_said(tmp_path: Path) -> None:
    async def case() -> None:
        named = Named(tmp_path, Dns(branch1=["198.51.100.10"], branch2=["192.0.2.6"]))
        await named.rig.apply(NAMED)
        await named.round()
        assert named.ends()["hgt1"] == ""
        assert named.errors["hgt1"].startswith(f"fqdn {NAME} leads to 198.51.100.10, which is the hub's own, and ")

    run(case())


def test_a_name_gets_no_address_that_another_holds_until_that_one_leaves_it(tmp_path: Path) -> None:
    async def case() -> None:
        dns = Dns(branch2=["192.0.2.6"])
        named = Named(tmp_path, dns)
        await named.rig.apply(
            NAMED.replace(b"  remoteVpnSite:", b"  vpnConnectionProtocolType: IKEv1\n  remoteVpnSite:")
        )
        await named.round()
        named.rig.machine.bring_up(*SECOND)
        await named.rig.reconciler.follow()
        dns.answers[NAME] = ["192.0.2.6"]
        named.hurry()
        await named.round()
        await named.round()
        assert named.ends() == both("", "192.0.2.6")
        (holder,) = {one.connection for one in named.tunnels() if one.name in SECOND}
        said = f"fqdn {NAME} leads to 192.0.2.6, where {holder} was first, and they could not be told apart; "
        assert {name: why.startswith(said) for name, why in named.errors.items()} == dict.fromkeys(FIRST, True)
        assert [text.split()[0] for text in named.rig.events("name.taken")] == ["tunnel=hgt1", "tunnel=hgt2"]
        named.rig.machine.take_down(*SECOND)
        await named.rig.reconciler.follow()
        dns.answers[OTHER] = ["192.0.2.7"]
        named.hurry()
        await named.round()
        assert named.ends() == both("192.0.2.6", "192.0.2.7")
        assert named.errors == {}

    run(case())


def test_a_file_without_times_is_read_and_its_names_are_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text('[["hgt1", "branch1.example.com", "192.0.2.2"]]')
    resolved = Resolved(path)
    assert resolved.addresses == {("hgt1", NAME): Found("192.0.2.2", 0.0)}
    assert resolved.put({("hgt3", OTHER): "192.0.2.2"}, {("hgt1", NAME), ("hgt3", OTHER)})
    again = Resolved(path).addresses
    assert again == resolved.addresses
    assert again["hgt1", NAME].since < again["hgt3", OTHER].since


def test_a_clock_that_is_set_back_makes_nobody_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text('[["hgt1", "branch1.example.com", "192.0.2.2", 1e12]]')
    resolved = Resolved(path)
    resolved.put({("hgt3", OTHER): "192.0.2.2"}, {("hgt1", NAME), ("hgt3", OTHER)})
    assert resolved.addresses["hgt3", OTHER].since == 1e12


@pytest.mark.parametrize(
    "content",
    ["", "{}", '[["hgt1"]]', '[["hgt1", "a.example.com", "nowhere"]]', '[["hgt1", "a.example.com", "192.0.2.2", "x"]]'],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "names.json").write_text(content)
    assert Resolved(tmp_path / "names.json").addresses == {}


def test_the_systems_resolver_answers_or_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()

    def getaddrinfo(name: str, *_: object) -> list[tuple[object, ...]]:
        if name == "slow.example.com":
            hangs.wait(20)
        if name != "branch1.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in ("192.0.2.2", "192.0.2.3")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(resolver_module, "DEADLINE", 0.2)

    async def case() -> None:
        system = System()
        assert await system.look_up(NAME) == ["192.0.2.2", "192.0.2.3"]
        with pytest.raises(OSError, match="Name or service not known"):
            await system.look_up(OTHER)
        with pytest.raises(OSError, match=r"no answer within 0\.2 s"):
            await system.look_up("slow.example.com")
        hangs.set()

    run(case())


def test_a_name_that_waits_for_slow_ones_has_its_whole_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()

    def getaddrinfo(name: str, *_: object) -> list[tuple[object, ...]]:
        if name == "slow.example.com":
            hangs.wait(20)
        return [(0, 0, 0, "", ("192.0.2.2", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(resolver_module, "DEADLINE", 0.2)

    async def case() -> None:
        system = System()
        slow = [asyncio.create_task(system.look_up("slow.example.com")) for _ in range(AT_ONCE)]
        waiting = asyncio.create_task(system.look_up(NAME))
        failed = await asyncio.gather(*slow, return_exceptions=True)
        assert all(isinstance(one, OSError) for one in failed)
        assert not waiting.done(), "each slot is taken until its look-up has ended"
        hangs.set()
        assert await waiting == ["192.0.2.2"]

    run(case())
