"""`hubgw delete`: names, files or everything -> those resources gone, after a question."""

import click

from hubgw.cli import common
from hubgw.cli.files import sources
from hubgw.cli.kinds import full_name
from hubgw.cli.output import as_json, line


@click.command("delete")
@click.argument("names", nargs=-1, metavar="[TYPE/NAME]...")
@common.files_option(required=False)
@click.option("--all", "everything", is_flag=True, help="Delete every resource, the node too.")
@click.option("--cascade", is_flag=True, help="Delete what refers to them too.")
@common.yes_option
@common.json_option
@common.socket_option
def command(
    *,
    names: tuple[str, ...],
    files: tuple[str, ...],
    everything: bool,
    cascade: bool,
    yes: bool,
    as_json_: bool,
    socket: str | None,
) -> None:
    """Delete resources by name, by file, or all.

    They are named like vpnSites/branch1, vpnConnections/gw1/branch1, or by their ids. What other resources
    refer to is not deleted, unless they go with it (--cascade).
    """
    if sum(map(bool, (names, files, everything))) != 1:
        raise click.UsageError("give names, or files with -f, or --all: one of the three")
    agent = common.client(socket)
    body = {"names": [full_name(name) for name in names], "sources": sources(files), "all": everything}
    query = {"cascade": "true"} if cascade else {}
    if not yes:
        foreseen = agent.post("/hubgw/delete", body, dryRun="true", **query)
        if foreseen["changes"]:
            common.confirm("Delete?", foreseen["changes"], yes=False)
        query["ifGeneration"] = str(foreseen["generation"])
    deleted = agent.post("/hubgw/delete", body, **query)
    if as_json_:
        as_json(deleted)
    else:
        common.report(deleted)
        line(f"generation {deleted['generation']}")
