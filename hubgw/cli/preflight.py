"""`hubgw preflight`: what this host has for a hub and what it lacks; needs no agent and changes nothing."""

import click

from hubgw.cli import common
from hubgw.cli.exits import Code
from hubgw.cli.output import as_json, line
from hubgw.cli.preflight_checks import CHECKS
from hubgw.cli.preflight_host import Host


@click.command("preflight")
@click.option("--vici", default="/run/charon.vici", show_default=True, metavar="PATH", help="charon's VICI socket.")
@common.json_option
def command(vici: str, as_json_: bool) -> int:
    """Check what a hub needs of this host.

    Each line is ok, warn or fail, with a hint below; the exit code is 5 where one fails.
    Run it as root: others cannot see everything.
    """
    host = Host(vici=vici)
    found = [each for check in CHECKS for each in check(host)]
    if as_json_:
        as_json([{"verdict": one.verdict, "what": one.what, "seen": one.seen, "hint": one.hint} for one in found])
    else:
        width = max(len(one.what) for one in found)
        for one in found:
            line(f"{one.verdict:4}  {one.what.ljust(width)}  {one.seen}")
            if one.hint:
                line(f"{' ' * (width + 8)}{one.hint}")
    return Code.FAILED if any(one.verdict == "fail" for one in found) else Code.OK
