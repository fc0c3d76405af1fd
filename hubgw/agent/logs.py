"""Log records -> lines on standard error: words for people, JSON for the journal and what reads it.

The text of an exception is never in a line, for it may hold a secret: its type and frames are.
"""

import json
import logging
import sys
import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def frames(fault: BaseException | None) -> str:
    """Returns where an exception came from, innermost last, without its text."""
    return "".join(traceback.format_tb(fault.__traceback__)) if fault else ""


class TextFormatter(logging.Formatter):
    """Time, level and text; of a foreign logger only the first line: asyncio's next ones show what a task raised."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = _text(record)
        return super().formatMessage(record)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's name
        return _exception(ei)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (epoch seconds), level, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
        }
        fields = getattr(record, "fields", None)
        line |= {name: str(value) for name, value in fields.items()} if fields else {"text": _text(record)}
        if record.exc_info:
            line["exception"] = _exception(record.exc_info)
        return json.dumps(line)


def configure(format_: str) -> None:
    """Sends the log to standard error as ``json`` or ``text``; both say nothing of where in the code."""
    # Else logging looks up the caller, the thread and the process of each record (its documentation: Optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format_ == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _text(record: logging.LogRecord) -> str:
    text = record.getMessage()
    return text if record.name.partition(".")[0] == "hubgw" else text.partition("\n")[0]


def _exception(fault: ExcInfo) -> str:
    kind, value, _ = fault
    return f"{kind.__name__}\n{frames(value)}".rstrip() if kind else ""
