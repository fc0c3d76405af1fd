"""Events, and the lines of the log that they become."""

import json
import logging

import pytest

from hubgw.agent.journal import KEPT, Journal
from hubgw.agent.logs import JsonFormatter, TextFormatter, configure
from hubgw.names import Secret


def test_an_event_is_kept_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(clock=lambda: 7.0)
    with caplog.at_level(logging.INFO, "hubgw"):
        journal.record("tunnel.up", "/an/id", tunnel="hgt1", text='two "words"', key=Secret("0123456789abcdef"), no="")
    (event,) = journal.events()
    assert (event.time, event.event, event.resource) == (7.0, "tunnel.up", "/an/id")
    assert event.text == "tunnel=hgt1 text='two \"words\"' key=*** no=''"
    (record,) = caplog.records
    assert record.getMessage() == f"tunnel.up {event.text}"
    line = json.loads(JsonFormatter().format(record))
    expected = {"level": "info", "event": "tunnel.up", "resource": "/an/id", "tunnel": "hgt1", "key": "***"}
    assert line.items() >= expected.items()


def test_the_newest_are_kept() -> None:
    journal = Journal()
    for number in range(KEPT + 10):
        journal.record("e", number=number)
    assert len(journal.events()) == KEPT
    assert [event.text for event in journal.events(2)] == [f"number={KEPT + 8}", f"number={KEPT + 9}"]
    assert journal.events(0) == journal.events(-1) == ()


def test_a_line_break_in_a_field_makes_no_line(caplog: pytest.LogCaptureFixture) -> None:
    Journal().record("e", level=logging.WARNING, reason="one\nhubgw forged")
    assert "\n" not in caplog.records[0].getMessage()


def test_a_fault_is_logged_with_its_traceback_and_told_without(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    try:
        raise KeyError("vrf")
    except KeyError as fault:
        journal.record("agent.fault", level=logging.ERROR, fault=fault, step="pass")
    assert journal.events()[0].text == "step=pass"
    line = json.loads(JsonFormatter().format(caplog.records[0]))
    assert "test_journal.py" in line["traceback"] and "test_journal.py" in caplog.text


def test_a_foreign_record_is_a_line_too() -> None:
    record = logging.LogRecord("aiohttp", logging.ERROR, "", 0, "broken %s", ("pipe",), None)
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["text"], line["level"]) == ("aiohttp", "broken pipe", "error")


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_the_text_of_an_exception_is_in_no_line(formatter: logging.Formatter) -> None:
    key = "hunter2"
    try:
        raise ValueError(key)
    except ValueError as fault:
        info = (ValueError, fault, fault.__traceback__)
    task = "Task exception was never retrieved\nfuture: <Task exception=ValueError('hunter2')>"
    line = formatter.format(logging.LogRecord("asyncio", logging.ERROR, "", 0, task, (), info))
    assert "hunter2" not in line
    assert "Task exception was never retrieved" in line
    assert "ValueError" in line and "test_journal.py" in line


@pytest.mark.parametrize(("format_", "start"), [("json", "{"), ("text", "20")])
def test_the_log_goes_to_standard_error(
    format_: str, start: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, getattr(logging, name))  # as it was before, afterwards
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure(format_)
        logging.getLogger("hubgw").info("e")
        assert capsys.readouterr().err.startswith(start)
    finally:
        root.handlers[:], root.level = before
