"""What the contract cannot show of the driver: an ExaBGP that refuses or is late, values that no compile made."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, cast

import pytest

from hubgw.drivers.base import DriverError
from hubgw.drivers.exabgp import driver as driver_module
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.exabgp.events import Began, SpeakerState
from hubgw.drivers.exabgp.frames import Kind
from hubgw.names import Secret
from hubgw.plan.diff import diff
from hubgw.plan.kernel import Vrf
from hubgw.plan.numbers import SESSIONS
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Create, Delete, Object, Op, OpError
from tests.fakes.helper import FakeHelper

NAME = "hgv1-0"
SPEAKER = Speaker(NAME, "hgv1", SESSIONS[2], 65515, (IPv4Address("10.9.0.1"),))
NEIGHBOR = Neighbor(
    speaker=NAME,
    address=IPv4Address("10.9.0.2"),
    local_address=IPv4Address("10.9.0.1"),
    asn=65001,
    site="/vpnSites/branch1",
    hold_time=90,
    passive=False,
    ttl_security=True,
    maximum_prefixes=1000,
)
OTHER = replace(NEIGHBOR, address=IPv4Address("10.9.0.3"))
SECRETIVE = replace(NEIGHBOR, address=IPv4Address("10.9.0.4"), digest="0a1b", password=Secret("not-to-be-seen"))
SECONDS = 20


class Rig:
    """A driver, the helper of its one speaker, and what is wanted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.driver = ExabgpDriver(directory)
        self.wanted: list[Object] = [SPEAKER, NEIGHBOR]
        self.helper: FakeHelper | None = None

    async def ops(self) -> list[Op]:
        return list(diff(self.wanted, await self.driver.observe()))

    async def round(self) -> list[OpError]:
        """One pass."""
        self.driver.expect(self.wanted)
        return await self.driver.apply(await self.ops())

    async def start(self) -> FakeHelper:
        """Makes the speaker, and waits until its ExaBGP has loaded."""
        assert await self.round() == []
        self.helper = FakeHelper(self.directory / NAME)
        await self.until_loaded()
        assert await self.ops() == []
        return self.helper

    async def until_loaded(self) -> None:
        channel = self.driver._client.channel(NAME)
        async with asyncio.timeout(SECONDS):
            while not channel.loaded:
                await channel.moved()


def run(tmp_path: Path, case: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        rig = Rig(tmp_path / "bgp")
        try:
            await case(rig)
        finally:
            await rig.driver.close()
            if rig.helper:
                rig.helper.kill()

    asyncio.run(main())


@contextmanager
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(driver_module, "GRACE", -1.0)
        yield


def test_a_refusal_is_in_exabgps_words_and_of_what_it_refused(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        helper = await rig.start()
        rig.wanted = [SPEAKER, NEIGHBOR, OTHER]
        for _ in range(2):  # as long as it refuses
            helper.fail_next = ["exabgp.conf: line 7: peer-as is no number"]
            errors = await rig.round()
            assert {error.op.new for error in errors if not isinstance(error.op, Delete)} == {OTHER}
            assert errors[0].reason == "ExaBGP: exabgp.conf: line 7: peer-as is no number"
        assert await rig.round() == []
        assert await rig.ops() == []

    run(tmp_path, case)


def test_what_was_refused_can_be_taken_back(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        helper = await rig.start()
        helper.fail_next = ["no"]
        rig.wanted = [SPEAKER, NEIGHBOR, OTHER]
        assert await rig.round()
        rig.wanted = [SPEAKER, NEIGHBOR]
        assert Delete(replace(OTHER, asn=0)) in await rig.ops()
        assert await rig.round() == []
        assert await rig.ops() == []

    run(tmp_path, case)


def test_an_exabgp_that_is_away_has_time_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        helper = await rig.start()
        helper.connected = False
        helper.tell_speaker()
        channel = rig.driver._client.channel(NAME)
        async with asyncio.timeout(SECONDS):
            while channel.loaded:
                await channel.moved()
        assert await rig.ops() == []
        with impatient(monkeypatch):
            (error,) = await rig.round()
            assert "ExaBGP does not run" in error.reason
            helper.connected = True
            helper.tell_speaker()
            await rig.until_loaded()
            assert await rig.round() == []

    run(tmp_path, case)


def test_a_speaker_that_nobody_starts_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        assert await rig.round() == []
        assert await rig.ops() == []
        with impatient(monkeypatch):
            (error,) = await rig.round()
            assert "does runsvdir run" in error.reason

    run(tmp_path, case)


def test_a_helper_that_missed_the_reload_is_told_by_the_next_agent(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        helper = await rig.start()
        helper.loaded = "of before"
        await rig.driver.close()
        rig.driver = ExabgpDriver(tmp_path / "bgp")
        assert await rig.ops() == []
        await rig.until_loaded()
        await asyncio.to_thread(helper.until, Kind.RELOAD)
        assert helper.heard.count(Kind.RELOAD) == 1

    run(tmp_path, case)


def test_the_events_are_those_of_all_speakers(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        helper = await rig.start()
        async with asyncio.timeout(SECONDS):
            batch = await anext(rig.driver.events())
        assert batch == [Began(NAME, "1"), SpeakerState(NAME, True, helper.loaded)]
        rig.driver.advertise(NAME, ["/vpnSites/branch2"], [(b"wire", [bytes(5)])])
        rig.driver.advertised(NAME)
        assert await rig.driver.drain(NAME)
        await asyncio.to_thread(helper.until, Kind.ADVERTISED)
        assert helper.out == {bytes(5): (b"wire", ("/vpnSites/branch2",))}
        rig.driver.withdraw(NAME, [bytes(5)])
        rig.driver.withdraw("hgv9-1", [bytes(5)])
        await asyncio.to_thread(helper.until, Kind.WITHDRAW)
        assert not helper.out
        assert not await rig.driver.drain("hgv9-1")

    run(tmp_path, case)


@pytest.mark.parametrize(
    "bad",
    [
        replace(SPEAKER, name="../hgv1-0"),
        replace(SPEAKER, name="hgv1-0\n"),
        replace(SPEAKER, name="hgv1-2"),
        replace(SPEAKER, name="services"),
        replace(SPEAKER, vrf="hgv2"),
        replace(SPEAKER, uid=0),
        replace(SPEAKER, asn=0),
        replace(SPEAKER, addresses=()),
        replace(SPEAKER, addresses=cast(Any, ("10.9.0.1;",))),
        replace(NEIGHBOR, address=cast(Any, IPv6Address("2001:db8::1"))),
        replace(NEIGHBOR, asn=2**32),
        replace(NEIGHBOR, hold_time=2),
        replace(NEIGHBOR, maximum_prefixes=-1),
        replace(NEIGHBOR, site="/vpnSites/a\n"),
        replace(NEIGHBOR, digest="a b"),
        replace(NEIGHBOR, digest="ab", password=Secret('a";}')),
        replace(NEIGHBOR, digest="ab", password=Secret("")),
        replace(NEIGHBOR, speaker="hgv2-0"),
    ],
    ids=repr,
)
def test_values_that_no_compile_makes_are_refused_one_by_one(tmp_path: Path, bad: Speaker | Neighbor) -> None:
    async def case(rig: Rig) -> None:
        errors = await rig.driver.apply([Create(bad), Create(SPEAKER), Create(OTHER)])
        assert [error.op for error in errors] == [Create(bad)]
        assert '";}' not in errors[0].reason
        assert set(await rig.driver.observe()) == {SPEAKER, OTHER}
        assert {path.name for path in (tmp_path / "bgp").iterdir()} == {NAME, "services"}

    run(tmp_path, case)
    assert {path.name for path in tmp_path.iterdir()} == {"bgp"}


def test_a_name_that_is_none_deletes_nothing(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        await rig.start()
        assert await rig.driver.apply([Delete(replace(SPEAKER, name="services"))])
        assert await rig.ops() == []

    run(tmp_path, case)


def test_what_is_not_a_speakers_is_a_fault_of_ours(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        with pytest.raises(TypeError):
            await rig.driver.apply([Create(Vrf("hgv1", 1, ""))])

    run(tmp_path, case)


def test_a_password_that_nobody_knows_is_not_left_out(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        rig.wanted.append(SECRETIVE)
        await rig.start()
        conf = rig.directory / NAME / "exabgp.conf"
        before = conf.read_text()
        await rig.driver.close()
        rig.driver = ExabgpDriver(tmp_path / "bgp")
        (error,) = await rig.driver.apply([Create(OTHER)])
        assert "password is not known" in error.reason
        assert conf.read_text() == before
        rig.driver.expect(rig.wanted)
        assert await rig.driver.apply([Create(OTHER)]) == []

    run(tmp_path, case)


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        (tmp_path / "bgp/theirs").mkdir(parents=True)
        await rig.start()
        rig.wanted = []
        assert await rig.round() == []
        assert {path.name for path in (tmp_path / "bgp").iterdir()} == {"theirs", "services"}

    run(tmp_path, case)


def test_a_directory_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    async def case(rig: Rig) -> None:
        rig.driver = ExabgpDriver(tmp_path / ("x" * 300))
        with pytest.raises(DriverError, match="File name too long"):
            await rig.driver.observe()
        with pytest.raises(DriverError, match="File name too long"):
            await rig.driver.apply([Create(SPEAKER)])

    run(tmp_path, case)
