"""`hubgw show`: one kind of thing as a table, or one thing with all of its fields."""

from typing import Any

import click

from hubgw.agent.differences import fields
from hubgw.agent.references import words
from hubgw.cli import common, show_bgp, views
from hubgw.cli.client import Client
from hubgw.cli.exits import Code, Fail
from hubgw.cli.output import as_json, line, moment, pairs, table


@click.command("show")
@click.argument("kind", type=click.Choice([*views.VIEWS, "bgp"]))
@click.argument("name", required=False)
@click.argument("of", required=False)
@click.option("--show-key", is_flag=True, help="The preshared keys of a connection; for root, and told as an event.")
@common.json_option
@common.socket_option
def command(*, kind: str, name: str | None, of: str | None, show_key: bool, as_json_: bool, socket: str | None) -> None:
    """Tell what there is, as a table or one in full.

    Tunnels and routes can be asked for by whose they are too: by the name of a connection, site or hub; certificates
    by that of a gateway or a branch, or by serial; sessions and pools by that of a gateway, or an address.

    BGP: hubgw show bgp peers|learned|advertised|refused, and then the name of a connection, site or hub, or a peer's
    address.
    """
    agent = common.client(socket)
    if show_key and (kind != "connection" or not name):
        raise click.UsageError("--show-key goes with: show connection NAME")
    if kind == "bgp":
        show_bgp.show(agent, name, of or "", as_json_)
        return
    if of:
        raise click.UsageError(f"Got unexpected extra argument ({of})")
    if show_key and name:
        _keys(agent, name, as_json_)
        return
    status = views.Status(agent.get("/hubgw/status"))
    found = views.select(status, kind, name)
    if name and not found:
        raise Fail(Code.NOT_FOUND, [f"{kind} {name}: there is none; hubgw show {kind} lists what there is"])
    if as_json_:
        as_json(found)
    elif name and len(found) == 1:
        for text in _in_full(status, kind, found[0]):
            line(text)
    else:
        view = views.VIEWS[kind]
        for text in table(view.heads, [view.row(status, one) for one in found]):
            line(text)
        for one in found:
            if one.get("provisioningState") == "Failed":
                line(f"{words(one['id'])}: {one['reason']}")


def _keys(agent: Client, name: str, as_json_: bool) -> None:
    asked = name if name.startswith("/") else f"vpnConnections/{name}"
    keys: dict[str, str] = agent.post("/hubgw/keys", {"connection": asked})["keys"]
    if as_json_:
        as_json(keys)
        return
    for text in [*([keys[""]] if "" in keys else []), *(f"{link}  {key}" for link, key in keys.items() if link)]:
        line(text)


def _cell(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case float() if name in {"since", "until", "lastLogin", "lastRefusal"}:
            return moment(value)
        case list():
            return " ".join(map(str, value))
    return str(value)


def _in_full(status: views.Status, kind: str, one: dict[str, Any]) -> list[str]:
    view = views.VIEWS[kind]
    rows = [(head.lower(), cell) for head, cell in zip(view.heads, view.row(status, one), strict=True)]
    if "body" not in one:
        return pairs([(name, _cell(name, value)) for name, value in one.items()])
    if one["reason"]:
        rows.append(("reason", one["reason"]))
    rows += [(path, ", ".join(values)) for path, values in fields(one["body"].get("properties", {}))]
    tunnels = status.tunnels_of[one["id"].lower()]
    below = views.VIEWS["tunnel"]
    more = table(below.heads, [below.row(status, tunnel) for tunnel in tunnels]) if tunnels else []
    return [*pairs([("id", one["id"]), *rows]), *([""] if more else []), *more]
