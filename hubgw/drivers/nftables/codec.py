"""Turns plan objects into nft commands, and nft's JSON into plan objects. Talks to nobody.

The table's text is constant and lies in hubgw.nft. Each of its rules has a comment: the table is whole when every chain
shows the comments of the text in the text's order, when it has the sets and maps of the text and nothing else, and when
its own comment holds the digest of the text that made it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from ipaddress import IPv4Network
from typing import Any, Final

from hubgw.plan.kernel import Element, Ruleset

FAMILY: Final = "inet"
TABLE: Final = "hubgw"
SPOOFED: Final = "spoofed"
"""The set of counters that packets fill: state, never in a plan."""

TEXT: Final = files(__package__).joinpath("hubgw.nft").read_text(encoding="utf-8")
RULESET: Final = Ruleset(hashlib.sha256(TEXT.encode()).hexdigest()[:16])
"""What the plan of every machine holds."""

LOADED_TEXT: Final = TEXT.replace("DIGEST", RULESET.digest)
REMOVE_TABLE: Final = f"destroy table {FAMILY} {TABLE}\n"
REPLACE_TABLE: Final = REMOVE_TABLE + LOADED_TEXT

_ATOM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*", re.ASCII)
_ADDRESS: Final = re.compile(r"\d+(\.\d+){3}(/\d+|-\d+(\.\d+){3})?", re.ASCII)
_OPENS: Final = re.compile(r"\t(chain|set|map) (\w+) \{")
_COMMENT: Final = re.compile(r'\t\t.* comment "([^"]+)"')

Json = Mapping[str, Any]


def _skeleton() -> tuple[dict[str, list[str]], dict[str, str]]:
    chains: dict[str, list[str]] = {}
    sets: dict[str, str] = {}
    chain = ""
    for line in TEXT.splitlines():
        if opens := _OPENS.match(line):
            kind, name = opens.groups()
            if kind == "chain":
                chains[name] = []
                chain = name
            else:
                sets[name] = kind
        elif comment := _COMMENT.fullmatch(line):
            chains[chain].append(comment[1])
    return chains, sets


CHAINS, SETS = _skeleton()
"""The comments of each chain's rules in order, and "set" or "map" for each set's name."""

INTERVALS: Final = frozenset({"not_in_fib"})
"""Sets of concatenated intervals: those from which the kernel removes slowly."""


def is_whole(table: Iterable[Json]) -> bool:
    """Tells whether the table of `nft -j list table` is the one that the text makes, elements aside."""
    chains: dict[str, list[object]] = {}
    sets: dict[str, str] = {}
    comment = None
    for kind, body in _objects(table):
        match kind:
            case "table":
                # A dormant table has all its rules, and none of them acts.
                comment = None if body.get("flags") else body.get("comment")
            case "chain":
                chains.setdefault(body["name"], [])
            case "rule":
                chains.setdefault(body["chain"], []).append(body.get("comment"))
            case "set" | "map":
                sets[body["name"]] = kind
            case _:
                return False
    return comment == RULESET.digest and chains == CHAINS and sets == SETS


def elements(table: Iterable[Json]) -> list[Element]:
    """Returns the elements of our sets and maps, sorted."""
    return sorted(
        (
            Element(body["name"], item, value)
            for kind, body in _objects(table)
            if kind in {"set", "map"} and body["name"] in SETS and body["name"] != SPOOFED
            for item, value in _decode(body)
        ),
        key=lambda element: (element.set, element.item),
    )


def spoofed(table: Iterable[Json]) -> dict[str, int]:
    """Returns the packets with a spoofed source that each tunnel delivered; a tunnel without any is left out."""
    return {
        entry["elem"]["val"]: entry["elem"]["counter"]["packets"]
        for kind, body in _objects(table)
        if kind == "set" and body["name"] == SPOOFED
        for entry in body.get("elem", ())
    }


def _objects(table: Iterable[Json]) -> Iterator[tuple[str, Json]]:
    for entry in table:
        for kind, body in entry.items():
            if kind != "metainfo":
                yield kind, body


def _decode(body: Json) -> Iterator[tuple[tuple[str, ...], str]]:
    for entry in body.get("elem", ()):
        key, value = entry if isinstance(entry, list) else (entry, "")
        if isinstance(key, dict) and "elem" in key:
            key = key["elem"]["val"]
        parts = key["concat"] if isinstance(key, dict) and "concat" in key else [key]
        yield tuple(_atom(part) for part in parts), str(value)


def _atom(part: object) -> str:
    match part:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [low, high]}:
            return f"{low}-{high}"
    return str(part)


def canonical(item: str) -> str:
    """Returns an item as nft's JSON has it.

    >>> canonical("10.1.0.1/32"), canonical("10.1.0.0/24"), canonical("hgt1")
    ('10.1.0.1', '10.1.0.0/24', 'hgt1')
    """
    return str(IPv4Network(item)).removesuffix("/32") if "/" in item else item


def keep_spoofed(table: Iterable[Json]) -> str:
    """Returns the commands that put the counters of spoofed packets into a new table."""
    counters = [
        f'"{entry["elem"]["val"]}" counter packets {entry["elem"]["counter"]["packets"]} '
        f"bytes {entry['elem']['counter']['bytes']}"
        for kind, body in _objects(table)
        if kind == "set" and body["name"] == SPOOFED
        for entry in body.get("elem", ())
    ]
    return f"add element {FAMILY} {TABLE} {SPOOFED} {{ {', '.join(counters)} }}\n" if counters else ""


def forget_spoofed(tunnels: Iterable[str]) -> str:
    """Returns the command that removes counters."""
    names = ", ".join(f'"{name}"' for name in tunnels)
    return f"destroy element {FAMILY} {TABLE} {SPOOFED} {{ {names} }}\n"


def written(element: Element) -> str:
    """Returns an element as nft's syntax has it.

    Raises:
        ValueError: it is of no set of ours, or would need quoting.
    """
    if element.set not in SETS or element.set == SPOOFED:
        raise ValueError(f"{element.set!r} is no set of the table; expected one of {', '.join(sorted(SETS))}")
    for atom in (*element.item, *filter(None, [element.value])):
        if not _ATOM.fullmatch(atom):
            raise ValueError(f"element of {element.set}: {atom!r} is no interface, address, prefix or number")
    # A bare interface may be a keyword of nft's; an address in quotes would be looked up as a name.
    item = " . ".join(canonical(part) if _ADDRESS.fullmatch(part) else f'"{part}"' for part in element.item)
    return f"{item} : {element.value}" if element.value else item


def render(destroyed: Sequence[Element], added: Sequence[Element]) -> list[tuple[str, Element | None]]:
    """Returns the commands of one transaction, line by line, with the element that a line is about.

    What goes is first, so that what comes may overlap with it.
    """
    # A map's value takes no part in finding what is to go.
    keys = [Element(element.set, element.item) for element in destroyed]
    return [
        line
        for verb, items in (("destroy", keys), ("add", added))
        for name in SETS
        for line in _command(verb, name, items)
    ]


def _command(verb: str, name: str, items: Iterable[Element]) -> Iterator[tuple[str, Element | None]]:
    mine = [element for element in items if element.set == name]
    if mine:
        yield f"{verb} element {FAMILY} {TABLE} {name} {{", None
        for element in mine[:-1]:
            yield f"{written(element)},", element
        # nft's grammar has no line break before the closing brace.
        yield f"{written(mine[-1])} }}", mine[-1]
