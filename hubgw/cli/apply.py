"""`hubgw apply`: files -> stored resources; tells what changed, and can wait until it is in place."""

import time
from typing import Any

import click

from hubgw.agent.references import words
from hubgw.cli import common
from hubgw.cli.client import Client
from hubgw.cli.exits import Code, Fail
from hubgw.cli.files import sources
from hubgw.cli.output import as_json, line

_PAUSE = 0.3  # seconds between two looks while waiting


@click.command("apply")
@common.files_option(required=True)
@click.option("--prune", is_flag=True, help="Delete what no file names (nodes only where a file names one).")
@click.option("--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait until everything is in place.")
@common.yes_option
@common.json_option
@common.socket_option
def command(
    *, files: tuple[str, ...], prune: bool, wait: float | None, yes: bool, as_json_: bool, socket: str | None
) -> None:
    """Create and update the resources that files name. Nothing is deleted but by --prune.

    Every problem of the files is told at once, and then nothing is changed. A preshared key that is left out stays as
    it is; where there is none yet a random one is made: see it with `hubgw show connection NAME --show-key`.
    """
    agent = common.client(socket)
    body = {"sources": sources(files)}
    query: dict[str, str] = {}
    if prune:
        foreseen = agent.post("/hubgw/apply", body, prune="true", dryRun="true")
        if foreseen["pruned"]:
            common.confirm(f"Delete these {len(foreseen['pruned'])} resources?", foreseen["pruned"], yes=yes)
        query = {"prune": "true", "ifGeneration": str(foreseen["generation"])}
    applied = agent.post("/hubgw/apply", body, **query)
    failed = [] if wait is None else _settled(agent, wait)
    if as_json_:
        as_json(applied)
    else:
        common.report(applied)
        line(f"generation {applied['generation']}")
    if failed:
        raise Fail(Code.FAILED, failed)


def _settled(agent: Client, seconds: float) -> list[str]:
    """Waits until no resource is Updating; returns what Failed, or is not in place when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        resources: list[dict[str, Any]] = agent.get("/hubgw/resources")["resources"]
        updating = [each for each in resources if each["provisioningState"] == "Updating"]
        if not updating or time.monotonic() > deadline:
            break
        time.sleep(_PAUSE)
    failed = [each for each in resources if each["provisioningState"] == "Failed"]
    late = [f"{words(each['id'])}: not in place after {seconds:g} s" for each in updating]
    return [f"{words(each['id'])}: {each['reason']}" for each in failed] + late
