"""charon's log as it grows -> whole lines, wherever a write ended; what is not read in time is counted."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from hubgw.drivers import ledger_file
from hubgw.drivers.base import DriverError
from hubgw.drivers.strongswan import log
from hubgw.drivers.strongswan.client import Request
from hubgw.drivers.strongswan.driver import StrongswanDriver
from hubgw.drivers.strongswan.faults import Fault, Why
from hubgw.drivers.strongswan.log import LogFile, Missed
from hubgw.drivers.strongswan.requests import RELOAD_SETTINGS
from tests.unit.agent.rig import until

Told = AsyncIterator[bytes | Missed]
Write = Callable[[bytes], None]
WITHOUT_IKEV1 = "01[NET] received unsupported IKE version 1.0 from 192.0.2.2, sending INVALID_MAJOR_VERSION"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "EVERY", 0.0)


def follow(directory: Path, case: Callable[[Told, Write], Coroutine[Any, Any, None]]) -> None:
    """Runs a case with the lines that are told, and what appends to the file as charon does."""

    async def with_lines() -> None:
        file = LogFile(directory)
        file.ask()
        with (directory / "charon.log").open("ab", buffering=0) as appended:
            appended.write(b"what was there before\n")
            async with aclosing(file.lines(file.size)) as told:  # type: ignore[type-var]
                first = asyncio.ensure_future(anext(told))
                await asyncio.sleep(0)  # it is open from here on

                async def lines() -> Told:
                    yield await first
                    async for one in told:
                        yield one

                await asyncio.wait_for(case(lines(), appended.write), 30)  # type: ignore[arg-type]

    asyncio.run(with_lines())


def test_lines_are_told_whole_and_none_from_before(tmp_path: Path) -> None:
    async def case(told: Told, write: Write) -> None:
        write(b"one\ntwo\nthr")
        assert await anext(told) == b"one\ntwo\n"
        write(b"ee\n")
        assert await anext(told) == b"three\n"

    follow(tmp_path, case)


def test_what_is_too_far_behind_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_BEHIND", 20)

    async def case(told: Told, write: Write) -> None:
        write(b"a line that is long\n" * 3)
        assert await anext(told) == Missed(3)
        write(b"the next\n")
        assert await anext(told) == b"the next\n"

    follow(tmp_path, case)


def test_a_file_that_is_long_begins_anew_and_one_that_was_emptied_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_LONGEST", 100)
    path = tmp_path / "charon.log"

    async def case(told: Told, write: Write) -> None:
        write(b"x" * 100 + b"\n")
        assert await anext(told) == b"x" * 100 + b"\n"
        following = asyncio.ensure_future(anext(told))
        await until(lambda: not path.stat().st_size)
        write(b"after it\n")
        assert await following == b"after it\n"
        os.truncate(path, 0)
        write(b"a\n")
        assert await anext(told) == b"a\n"

    follow(tmp_path, case)


def test_a_file_that_grows_all_the_time_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_LONGEST", 100)
    lines = [b"line %d of one that never pauses\n" % number for number in range(40)]

    async def case(told: Told, write: Write) -> None:
        for line in lines:
            write(line)
            assert await anext(told) == line
        assert (tmp_path / "charon.log").stat().st_size <= 200

    follow(tmp_path, case)


def test_who_is_behind_goes_on_with_the_line_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_BEHIND", 20)

    async def case(told: Told, write: Write) -> None:
        write(b"a line that is long\n" * 3 + b"the ne")
        assert await anext(told) == Missed(3)
        write(b"xt\n")
        assert await anext(told) == b"the next\n"

    follow(tmp_path, case)


@pytest.mark.parametrize("name", ["charon.log", "charon.d/log.conf"])
def test_who_removes_one_of_the_files_is_noticed(tmp_path: Path, name: str) -> None:
    async def case(told: Told, _: Write) -> None:
        (tmp_path / name).unlink()
        with pytest.raises(DriverError, match=f"{name}: somebody has removed it"):
            await anext(told)

    follow(tmp_path, case)


def test_who_replaces_the_file_is_noticed(tmp_path: Path) -> None:
    async def case(told: Told, _: Write) -> None:
        path = tmp_path / "charon.log"
        path.rename(tmp_path / "charon.log.1")
        path.touch()
        with pytest.raises(DriverError, match="somebody has replaced it"):
            await anext(told)

    follow(tmp_path, case)


def test_what_charon_is_asked_to_write_is_for_root_alone_and_goes_with_the_agent(tmp_path: Path) -> None:
    file = LogFile(tmp_path)
    (tmp_path / "charon.log").touch(0o644)  # as charon makes it
    file.ask()
    settings = tmp_path / "charon.d" / "log.conf"
    assert f'path = "{tmp_path}/charon.log"' in settings.read_text()
    assert stat.S_IMODE((tmp_path / "charon.log").stat().st_mode) == 0o600
    assert file.withdraw() is True
    assert (settings.exists(), (tmp_path / "charon.log").exists()) == (False, False)
    assert file.withdraw() is False


def test_where_it_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "charon.d").touch()
    with pytest.raises(DriverError, match=r"charon\.d"):
        LogFile(tmp_path).ask()


def test_a_file_system_that_is_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does, which names no file

    monkeypatch.setattr(ledger_file, "replace", refuse)
    with pytest.raises(DriverError, match=r"log\.conf: No space left on device"):
        LogFile(tmp_path).ask()


def test_what_cannot_be_removed_keeps_no_agent_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "charon.d").touch()
    (tmp_path / "charon.log").mkdir()
    assert LogFile(tmp_path).withdraw() is False


def test_a_charon_that_reads_no_settings_is_said(tmp_path: Path) -> None:
    class Session:
        def refusals(self, requests: Sequence[Request]) -> list[str]:
            return [f"{command} failed" for command, _ in requests]

    asyncio.run(cannot_be_read(tmp_path, Session(), "charon: reload-settings failed"))


def test_what_charon_writes_since_it_has_read_its_settings_is_heard(tmp_path: Path) -> None:
    class Session:
        def refusals(self, requests: Sequence[Request]) -> list[str]:
            said = {"reload-settings": "00[CFG] <hgt1|1> giving up after 3 retransmits", "install": WITHOUT_IKEV1}
            with (tmp_path / "charon.log").open("a") as file:
                file.writelines(f"{said[command]}\n" for command, _ in requests)
            return ["" for _ in requests]

    async def case() -> None:
        driver = StrongswanDriver(str(tmp_path / "vici"), tmp_path / "ledger.json")
        with patch.object(driver._commands, "_call", lambda work: work(Session())):
            async with asyncio.timeout(5), aclosing(driver.faults()) as told:  # type: ignore[type-var]
                fault = await anext(told)
        assert isinstance(fault, Fault) and fault.why is Why.WITHOUT_IKEV1
        await driver.close()

    asyncio.run(case())


def test_a_charon_that_does_not_write_it_is_said(tmp_path: Path) -> None:
    class Session:
        def refusals(self, requests: Sequence[Request]) -> list[str]:
            if requests == [RELOAD_SETTINGS]:
                # By a logger that was there before.
                (tmp_path / "charon.log").write_text("something\n")
            return ["" for _ in requests]

    words = f"charon.log: charon does not write it; does its configuration include {tmp_path}/charon.d/\\*.conf"
    asyncio.run(cannot_be_read(tmp_path, Session(), words))


async def cannot_be_read(directory: Path, session: object, words: str) -> None:
    driver = StrongswanDriver(str(directory / "vici"), directory / "ledger.json")
    with (
        patch.object(driver._commands, "_call", lambda work: work(session)),
        pytest.raises(DriverError, match=words),
    ):
        async with asyncio.timeout(5):
            await anext(driver.faults())
    await driver.close()
    assert not (directory / "charon.d" / "log.conf").exists()
