"""`hubgw init`: what this machine is, as the kernel tells it -> the `node` resource, as YAML or applied."""

import base64
import socket as socket_

import click

from hubgw.cli import common
from hubgw.cli.exits import Code, Fail
from hubgw.cli.output import line, note


@click.command("init")
@click.option(
    "--gateway", metavar="NAME", help="The vpnGateway that this machine hosts; else the only one that is stored."
)
@click.option("--name", metavar="NAME", help="The node's name; else the host's.")
@click.option("--apply", "apply_", is_flag=True, help="Store it, rather than write it to stdout.")
@common.socket_option
def command(gateway: str | None, name: str | None, apply_: bool, socket: str | None) -> None:
    """Derive this machine's node from its interfaces.

    The default route's interface is the underlay; its first two addresses are a gateway instance each. What was
    chosen is told on stderr; the YAML on stdout is to be read, completed with virtual networks, and applied.
    """
    # Imported here: its library costs the other verbs their start-up time.
    from hubgw.cli.init_kernel import observe  # noqa: PLC0415
    from hubgw.cli.init_node import derive  # noqa: PLC0415

    node = derive(name or socket_.gethostname(), gateway or _only_gateway(socket), observe())
    for choice in node.choices:
        note(choice)
    if not apply_:
        for text in node.yaml.splitlines():
            line(text)
        return
    sources = [{"file": "(hubgw init)", "base64": base64.b64encode(node.yaml.encode()).decode()}]
    common.report(common.client(socket).post("/hubgw/apply", {"sources": sources}))


def _only_gateway(socket: str | None) -> str:
    hint = "name it with --gateway NAME"
    try:
        resources = common.client(socket).get("/hubgw/resources")["resources"]
    except Fail as fail:
        raise Fail(fail.code, [f"init: the gateway is not known without the agent; {hint}", *fail.lines]) from None
    found = [one["id"] for one in resources if one["id"].lower().rsplit("/", 2)[1] == "vpngateways"]
    if len(found) != 1:
        what = "no vpnGateway is stored" if not found else f"{len(found)} vpnGateways are stored"
        raise Fail(Code.USAGE, [f"init: {what}; {hint}"])
    return str(found[0])
