"""`hubgw effective-routes`: a hub or a connection -> the routes that it forwards by, as the kernel has them."""

import click

from hubgw.agent.references import words
from hubgw.cli import common
from hubgw.cli.kinds import full_name
from hubgw.cli.output import listing

_HEADS = ("PREFIX", "VIA", "TUNNELS", "ORIGIN", "AS PATH")


@click.command("effective-routes")
@click.argument("name", metavar="CONNECTION|HUB")
@common.json_option
@common.socket_option
def command(name: str, as_json_: bool, socket: str | None) -> None:
    """Tell by which routes a hub or connection forwards.

    A bare NAME is a hub's; a connection is written connection/NAME, or by its id.
    """
    asked = full_name(name if "/" in name else f"hub/{name}")
    routes = common.client(socket).get("/hubgw/effective-routes", of=asked)["routes"]
    rows = [
        [route["prefix"], route["via"], " ".join(route["nexthops"]), words(route["origin"]), route["asPath"]]
        for route in routes
    ]
    listing(routes, _HEADS, rows, for_programs=as_json_)
