"""`hubgw plan`: files -> what an apply would change, in words; changes nothing."""

import click

from hubgw.cli import common
from hubgw.cli.files import sources
from hubgw.cli.output import as_json


@click.command("plan")
@common.files_option(required=True)
@click.option("--prune", is_flag=True, help="As if applied with --prune.")
@common.json_option
@common.socket_option
def command(files: tuple[str, ...], prune: bool, as_json_: bool, socket: str | None) -> None:
    """Tell what an apply of files would change.

    Resources, tunnels touched, routes added and withdrawn; nothing is changed.
    """
    query = {"prune": "true"} if prune else {}
    foreseen = common.client(socket).post("/hubgw/apply", {"sources": sources(files)}, dryRun="true", **query)
    if as_json_:
        as_json(foreseen)
    else:
        common.report(foreseen)
