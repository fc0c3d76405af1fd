"""`hubgw events`: what happened, the newest last."""

import click

from hubgw.agent.references import words
from hubgw.cli import common
from hubgw.cli.output import as_json, line, moment


@click.command("events")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, the newest.")
@common.json_option
@common.socket_option
def command(limit: int, as_json_: bool, socket: str | None) -> None:
    """Tell what happened, the newest last."""
    events = common.client(socket).get("/hubgw/events", limit=str(limit))["events"]
    if as_json_:
        as_json(events)
        return
    for event in events:
        parts = (moment(event["time"]), event["event"], words(event["resource"]), event["text"])
        line("  ".join(part for part in parts if part))
