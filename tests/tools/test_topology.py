"""The deployer reads what containerlab reads, and refuses with the line what it does not implement."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tools.topology import Link, TopologyError, read

REPO = Path(__file__).resolve().parents[2]
SCHEMA = REPO.parent / "shared" / "reference" / "clab.schema.json"
FILES = sorted(REPO.glob("containerlab/*/topology.clab.yml"))

GOOD = """\
name: one
topology:
  defaults:
    kind: linux
    network-mode: none
  nodes:
    a:
      image: hubgw:latest
      binds: [a.sh:/a.sh:ro]
      env: {X: "1"}
      exec: ["bash -c 'echo two words'"]
    b: {image: hubgw-node:latest}
  links:
    - endpoints: ["a:eth1", "b:eth7"]
    - {endpoints: ["a:eth2", "b:eth2"], mtu: 1500}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "a.sh").touch()
    path = folder / "x.clab.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_nodes_and_links(tmp_path: Path) -> None:
    topology = read(write(tmp_path, GOOD))
    a, b = topology.nodes
    assert topology.container("a") == "clab-one-a"
    assert (a.image, a.binds, a.env) == ("hubgw:latest", (f"{tmp_path}/a.sh:/a.sh:ro",), {"X": "1"})
    assert a.exec == (("bash", "-c", "echo two words"),)
    assert (b.image, b.exec) == ("hubgw-node:latest", ())
    assert topology.links == (Link(("a", "eth1"), ("b", "eth7"), 9500), Link(("a", "eth2"), ("b", "eth2"), 1500))


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("name: one", "name: one\nmgmt: {network: x}", 2, "mgmt: not implemented here, only name, topology"),
        ("topology:", "topology:\n  kinds: {}", 3, "topology.kinds: not implemented here"),
        ("image: hubgw:latest", "image: x\n      startup-config: y", 9, "topology.nodes.a.startup-config: not impl"),
        ("kind: linux", "kind: vr-sros", 4, "topology.nodes.a.kind: vr-sros is not implemented here, only linux"),
        ("network-mode: none", "network-mode: host", 5, "topology.nodes.a.network-mode: host is not implemented"),
        ("    network-mode: none\n", "", 7, "topology.nodes.a.network-mode: bridge is not implemented"),
        ("a.sh:/a.sh:ro", "missing.sh:/a.sh", 9, "missing.sh is not there"),
        ("b: {image: hubgw-node:latest}", "b: {}", 12, "topology.nodes.b.image: is missing"),
        ("b:eth7", "c:eth7", 14, "topology.links[0].endpoints: c is no node of topology.nodes"),
        ("mtu: 1500", "mtu: jumbo", 15, "topology.links[1].mtu: jumbo must be a number"),
        ("mtu: 1500", "type: veth", 15, "topology.links[1].type: not implemented here, only endpoints, mtu"),
        ("    b: {", "    a: {", 12, "topology.nodes.a: is there twice"),
    ],
)
def test_what_is_not_implemented_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, what: str
) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(TopologyError) as error:
        read(path)
    assert any(text.startswith(f"{path}:{line}: ") and what in text for text in str(error.value).splitlines()), error


def test_every_problem_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("name: one", "name: one\ndebug: true").replace("b:eth7", "c:eth7"))
    with pytest.raises(TopologyError) as error:
        read(path)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_the_projects_topologies(path: Path) -> None:
    topology = read(path)
    assert topology.name == path.parent.name
    used = [end for link in topology.links for end in (link.a, link.b)]
    assert len(used) == len(set(used)), "an interface has two links"
    scripts = [path.parent / "smoke.sh", *path.parent.parent.glob("devices/*.sh")]
    assert all(script.stat().st_mode & 0o111 for script in scripts)


def refused_by_containerlab(document: object) -> list[str]:
    """What containerlab's own schema says against a topology: where, and what."""
    if not SCHEMA.exists():
        pytest.skip(f"containerlab's schema is not at {SCHEMA}")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(document)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_containerlabs_schema_takes_the_projects_topologies(path: Path) -> None:
    assert refused_by_containerlab(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("kind: linux", "kind: linux\n    sysctl: {}", "$.topology.defaults: Additional properties"),
        ("name: ", "lab: x\nname: ", "$: Additional properties"),
        ("kind: linux", "kind: linuks", "$.topology.defaults.kind: 'linuks' is not one of"),
        ("mtu: 1500", "mtu: jumbo", "$.topology.links[0]"),
    ],
)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_containerlabs_schema_refuses_what_it_does_not_know(path: Path, old: str, new: str, where: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    said = refused_by_containerlab(yaml.safe_load(text.replace(old, new, 1)))
    assert any(line.startswith(where) for line in said), said
