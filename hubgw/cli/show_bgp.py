"""`hubgw show bgp`: the sessions with branches, what they announced, what they are told, and what was refused."""

import time
from typing import Any, Final

import click

from hubgw.agent.references import name_of
from hubgw.cli.client import Client
from hubgw.cli.output import age, listing

_PEERS: Final[tuple[str, ...]] = (
    "PEER",
    "ASN",
    "CONNECTION",
    "I",
    "LOCAL",
    "STATE",
    "SINCE",
    "LEARNED",
    "REFUSED",
    "ADVERTISED",
    "REASON",
)
_ROUTES: Final[dict[str, tuple[str, ...]]] = {
    "learned": ("PREFIX", "PEER", "CONNECTION", "I", "AS PATH", "COMMUNITIES", "BEST", "REFUSED"),
    "advertised": ("PREFIX", "PEER", "CONNECTION", "I", "AS PATH", "COMMUNITIES"),
    "refused": ("PREFIX", "PEER", "CONNECTION", "I", "AS PATH", "REFUSED"),
}


def show(agent: Client, what: str | None, of: str, as_json_: bool) -> None:
    """Writes one of the four tables, or its JSON. Raises Fail; UsageError where `what` is none of them."""
    if what == "peers":
        found = agent.get("/hubgw/bgp/peers", of=of)["peers"]
        heads, rows = _PEERS, [_peer(one) for one in found]
    elif what in _ROUTES:
        found = agent.get(f"/hubgw/bgp/{what}", of=of)["routes"]
        heads, rows = _ROUTES[what], [_route(one, _ROUTES[what]) for one in found]
    else:
        raise click.UsageError(f"show bgp goes with one of: peers, {', '.join(_ROUTES)}")
    listing(found, heads, rows, for_programs=as_json_)


def _peer(one: dict[str, Any]) -> list[str]:
    return [
        one["address"],
        str(one["asn"]),
        name_of(one["connection"]),
        str(one["instance"]),
        one["localAddress"],
        one["state"],
        age(time.time() - one["since"]) if one["since"] else "",
        str(one["learned"]),
        str(one["refused"]),
        str(one["advertised"]),
        "; now ".join(filter(None, (one["reason"], one["attempt"]))),
    ]


def _route(one: dict[str, Any], heads: tuple[str, ...]) -> list[str]:
    cells = {
        "PREFIX": one["prefix"],
        "PEER": one["peer"],
        "CONNECTION": name_of(one["connection"]),
        "I": str(one["instance"]),
        "AS PATH": one["asPath"],
        "COMMUNITIES": " ".join(one["communities"]),
        "BEST": "yes" if one["best"] else "",
        "REFUSED": one["refusal"],
    }
    return [cells[head] for head in heads]
