"""README's example is a configuration that hubgw takes."""

from pathlib import Path
from textwrap import dedent

from hubgw.resources.load import load
from hubgw.resources.validate import validate

README = Path(__file__).parents[2] / "README.md"


def test_the_ten_lines_load_and_validate() -> None:
    section = README.read_text().partition("## Ten lines\n")[2]
    example = section.strip("\n").partition("\n\n")[0]
    loaded = load([("README.md", dedent(example).encode())])
    assert [*map(str, loaded.problems)] == []
    assert [*map(str, validate(loaded.resources, loaded.where))] == []
    assert {resource.type for resource in loaded.resources} >= {"virtualWans", "vpnGateways/vpnConnections"}
