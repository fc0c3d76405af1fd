"""Loading: no bytes make it raise, and every place is right."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hubgw.resources import stream
from hubgw.resources.load import load
from hubgw.resources.problem import STORED

PIECES = [
    "type: virtualWans",
    "\n",
    "name: ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!x ",
    "---\n",
    ": ",
    "'",
    '"',
    "#",
    "|",
]


@given(st.binary(max_size=200))
def test_any_bytes_are_resources_or_problems(content: bytes) -> None:
    loaded = load([("any.yaml", content)])
    assert loaded.resources or loaded.problems


@given(st.lists(st.sampled_from([*PIECES, "\t", "x", "5", "\x00", "\u2028", "é", "?", "%YAML 1.1\n"]), max_size=30))
def test_any_yaml_is_resources_or_problems(pieces: list[str]) -> None:
    loaded = load([("any.yaml", "".join(pieces).encode())])
    assert loaded.resources or loaded.problems


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_does_not_end_the_process(text: str) -> None:
    assert load([("deep.yaml", text.encode())]).problems


def test_the_python_parser_does_for_the_one_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"type: virtualWans\nname: wan1\ntags: {a: 'yes', b: &x y, c: *x}\n"
    expected = load([("a.yaml", content)])
    assert len(expected.resources) == 1
    monkeypatch.setattr(stream, "_Parser", yaml.SafeLoader)
    assert load([("a.yaml", content)]).resources == expected.resources


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "a: [yes, no, on, 0o7, 1:30, 2024-01-01, 0x1f, 'true', true, ~, 5, -5, 1.5, '5', 1e3]"
    (document,) = stream.documents(text, stream.Budget())
    assert document.value["a"] == [
        *("yes", "no", "on", "0o7", "1:30", "2024-01-01", "0x1f", "true"),
        *(True, None, 5, -5, 1.5, "5", 1000.0),
    ]


def test_where_tells_the_line_of_a_field_or_of_what_is_around_it() -> None:
    text = """\
# \u00fc\u2603 before
type: virtualWans
name: wan1
---
  # indented, with text of several bytes: \u2603\u2603
  type: vpnSites
  name: branch1
  tags: {\u00f6: \u2603}
  properties:
    virtualWan: wan1
    vpnSiteLinks:
      - name: link1
        properties:
          ipAddress: 192.0.2.1
      - {name: link2, properties: {ipAddress: 192.0.2.2}}
--- {type: virtualWans, name: wan2}
"""
    loaded = load([("a.yaml", text.encode())])
    assert not loaded.problems
    wan, site, other = (resource.key for resource in loaded.resources)
    assert loaded.where(wan, ("name",)) == ("a.yaml", 3)
    assert loaded.where(wan, ("properties", "type")) == ("a.yaml", 2)
    assert loaded.where(site) == ("a.yaml", 6)
    links = ("properties", "vpnSiteLinks")
    assert loaded.where(site, (*links, 0, "properties", "ipAddress")) == ("a.yaml", 14)
    assert loaded.where(site, (*links, 1, "properties", "ipAddress")) == ("a.yaml", 15)
    assert loaded.where(site, (*links, 0, "properties", "fqdn")) == ("a.yaml", 13)
    assert loaded.where(site, (*links, 7)) == ("a.yaml", 11)
    assert loaded.where(other, ("name",)) == ("a.yaml", 16)
    assert loaded.where("/no/such/key", ("name",)) == STORED
