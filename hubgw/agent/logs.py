"""Log records -> lines on standard error: words for people, JSON for the journal and what reads it."""

import json
import logging
import sys


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (epoch seconds), level, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
        }
        fields = getattr(record, "fields", None)
        line |= {name: str(value) for name, value in fields.items()} if fields else {"text": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(format_: str) -> None:
    """Sends the log to standard error as ``json`` or ``text``."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if format_ == "json" else formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
