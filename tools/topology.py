"""Turns a containerlab topology file into typed nodes and links, or into every place that asks for more."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

# What containerlab gives a veth pair where the file names no MTU.
DEFAULT_MTU = 9500
TOP = ("name", "topology")
TOPOLOGY = ("defaults", "nodes", "links")
NODE = ("kind", "image", "network-mode", "binds", "env", "exec")
LINK = ("endpoints", "mtu")


class TopologyError(Exception):
    """All problems of a file, one `file:line: path: what` a line."""


@dataclass(frozen=True)
class Node:
    name: str
    image: str
    binds: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    exec: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Link:
    """Two ends, each a node and the interface's name in it."""

    a: tuple[str, str]
    b: tuple[str, str]
    mtu: int


@dataclass(frozen=True)
class Topology:
    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    def container(self, node: str) -> str:
        return f"clab-{self.name}-{node}"


class Reader:
    """Walks the YAML's nodes, which know their lines, and collects problems."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []

    def problem(self, at: yaml.Node, dotted: str, what: str) -> None:
        self.problems.append(f"{self.path}:{at.start_mark.line + 1}: {dotted}: {what}")

    def mapping(self, at: yaml.Node | None, dotted: str, known: tuple[str, ...] | None = None) -> dict[str, yaml.Node]:
        """The entries of a mapping by key; with `known`, every other key is refused."""
        if at is None:
            return {}
        if not isinstance(at, yaml.MappingNode):
            self.problem(at, dotted, "must be a mapping")
            return {}
        entries: dict[str, yaml.Node] = {}
        for key, value in at.value:
            name = str(key.value)
            if known is not None and name not in known:
                self.problem(key, f"{dotted}.{name}".lstrip("."), f"not implemented here, only {', '.join(known)}")
            elif name in entries:
                self.problem(key, f"{dotted}.{name}".lstrip("."), "is there twice")
            else:
                entries[name] = value
        return entries

    def texts(self, at: yaml.Node | None, dotted: str) -> tuple[str, ...]:
        if at is None:
            return ()
        if not isinstance(at, yaml.SequenceNode) or not all(isinstance(item, yaml.ScalarNode) for item in at.value):
            self.problem(at, dotted, "must be a list of strings")
            return ()
        return tuple(str(item.value) for item in at.value)

    def text(self, at: yaml.Node | None, parent: yaml.Node, dotted: str, default: str | None = None) -> str:
        if isinstance(at, yaml.ScalarNode) and at.value:
            return str(at.value)
        if at is not None:
            self.problem(at, dotted, "must be a string")
        elif default is None:
            self.problem(parent, dotted, "is missing")
        return default or ""

    def node(self, name: str, at: yaml.Node, defaults: dict[str, yaml.Node]) -> Node:
        dotted = f"topology.nodes.{name}"
        entries = {**defaults, **self.mapping(at, dotted, NODE)}
        kind = self.text(entries.get("kind"), at, f"{dotted}.kind")
        if kind not in ("linux", ""):
            self.problem(entries["kind"], f"{dotted}.kind", f"{kind} is not implemented here, only linux")
        mode = self.text(entries.get("network-mode"), at, f"{dotted}.network-mode", "bridge")
        if mode != "none":
            where = entries.get("network-mode", at)
            self.problem(where, f"{dotted}.network-mode", f"{mode} is not implemented here, only none")
        binds = self.texts(entries.get("binds"), f"{dotted}.binds")
        return Node(
            name=name,
            image=self.text(entries.get("image"), at, f"{dotted}.image"),
            binds=tuple(self.bind(bind, entries["binds"], f"{dotted}.binds") for bind in binds),
            env={
                key: self.text(value, value, f"{dotted}.env.{key}", "")
                for key, value in self.mapping(entries.get("env"), f"{dotted}.env").items()
            },
            exec=tuple(tuple(shlex.split(line)) for line in self.texts(entries.get("exec"), f"{dotted}.exec")),
        )

    def bind(self, text: str, at: yaml.Node, dotted: str) -> str:
        """A bind with its source made absolute; a relative one starts at the topology's folder."""
        source, colon, target = text.partition(":")
        path = (self.path.parent / source).resolve()
        if not colon or not target.startswith("/"):
            self.problem(at, dotted, f"{text} must be SOURCE:/TARGET or SOURCE:/TARGET:ro")
        elif not path.exists():
            self.problem(at, dotted, f"{path} is not there")
        return f"{path}:{target}"

    def link(self, number: int, at: yaml.Node, nodes: dict[str, yaml.Node]) -> Link | None:
        dotted = f"topology.links[{number}]"
        entries = self.mapping(at, dotted, LINK)
        ends = [end.partition(":") for end in self.texts(entries.get("endpoints"), f"{dotted}.endpoints")]
        if len(ends) != 2 or not all(interface for _, _, interface in ends):
            self.problem(entries.get("endpoints", at), f"{dotted}.endpoints", "must be two strings NODE:INTERFACE")
            return None
        for node, _, _ in ends:
            if node not in nodes:
                self.problem(entries["endpoints"], f"{dotted}.endpoints", f"{node} is no node of topology.nodes")
        mtu = self.text(entries.get("mtu"), at, f"{dotted}.mtu", str(DEFAULT_MTU))
        if not mtu.isdecimal():
            self.problem(entries["mtu"], f"{dotted}.mtu", f"{mtu} must be a number")
            return None
        (a, _, a_interface), (b, _, b_interface) = ends
        return Link((a, a_interface), (b, b_interface), int(mtu))


def read(path: Path) -> Topology:
    reader = Reader(path)
    try:
        document = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TopologyError(f"{path}: {error}") from error
    if document is None:
        raise TopologyError(f"{path}: the file is empty")
    top = reader.mapping(document, "", TOP)
    topology = reader.mapping(top.get("topology"), "topology", TOPOLOGY)
    defaults = reader.mapping(topology.get("defaults"), "topology.defaults", NODE)
    entries = reader.mapping(topology.get("nodes"), "topology.nodes")
    links = topology.get("links")
    sequence = links.value if isinstance(links, yaml.SequenceNode) else []
    name = reader.text(top.get("name"), document, "name")
    result = Topology(
        name=name,
        nodes=tuple(reader.node(key, value, defaults) for key, value in entries.items()),
        links=tuple(link for n, at in enumerate(sequence) if (link := reader.link(n, at, entries)) is not None),
    )
    if reader.problems:
        raise TopologyError("\n".join(reader.problems))
    return result
