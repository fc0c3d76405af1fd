"""The text of the nftables table, and its elements."""

import re
from pathlib import Path

import pytest

from hubgw.drivers.nftables import codec
from hubgw.drivers.nftables.client import complaints
from hubgw.plan.kernel import Element

CLOSE_IKE = Path(__file__).parents[3] / "packaging/close-ike.nft"


def test_every_rule_has_a_comment_of_its_own() -> None:
    in_chain = re.findall(r"^\tchain \w+ \{\n(.*?)^\t\}", codec.TEXT, re.MULTILINE | re.DOTALL)
    rules = [line for body in in_chain for line in body.splitlines() if not line.startswith("\t\ttype ")]
    assert len(rules) == sum(map(len, codec.CHAINS.values()))
    assert all(len(set(comments)) == len(comments) for comments in codec.CHAINS.values())


def test_what_closes_ike_has_the_rules_of_the_table() -> None:
    gate = codec.TEXT.partition("chain ike_gate {\n")[2].partition("\t}\n")[0].splitlines()[1:]
    added = re.findall(r"^add rule inet hubgw ike_gate (.*)$", CLOSE_IKE.read_text(encoding="utf-8"), re.MULTILINE)
    assert added == [line.strip() for line in gate]


def test_elements_are_written_canonically() -> None:
    assert codec.written(Element("not_in_fib", ("hgt1", "10.1.0.1/32"))) == '"hgt1" . 10.1.0.1'
    assert codec.written(Element("mss", ("hgv1",), "1350")) == '"hgv1" : 1350'


@pytest.mark.parametrize("item", ['a"', "a }", "a\nb", "", "-a"])
def test_what_would_need_quoting_is_refused(item: str) -> None:
    with pytest.raises(ValueError, match="no interface"):
        codec.written(Element("ports", (item,)))


def test_what_goes_is_before_what_comes() -> None:
    lines = [
        line for line, _ in codec.render([Element("ports", ("a",))], [Element("hub_addresses", ("b", "10.0.0.1"))])
    ]
    assert lines[0].startswith("destroy")
    assert lines[2].startswith("add")


def test_complaints_keep_their_lines() -> None:
    assert complaints("/proc/self/fd/5:108:1-6: Error: no\nx\n^\n") == [(108, "no")]
    assert complaints("") == [(0, "refused without a word")]
