"""Numbers of groups over restarts, and what a broken file costs."""

from pathlib import Path

import pytest

from hubgw.drivers.netlink.groups import named
from hubgw.drivers.netlink.ledger import Ledger
from hubgw.plan.kernel import Group
from hubgw.plan.numbers import GROUPS

SITE, BACKED_UP = ((1, 2),), ((1, 2), (3,))


def test_numbers_survive_a_restart_and_are_not_given_twice(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "run" / "groups.json")
    assert [ledger.allocate(tiers) for tiers in (SITE, BACKED_UP, SITE)] == [GROUPS[1], GROUPS[2], GROUPS[1]]
    ledger.save()
    again = Ledger(tmp_path / "run" / "groups.json")
    assert dict(again) == {SITE: GROUPS[1], BACKED_UP: GROUPS[2]}
    assert again.allocate(((9,),)) == GROUPS[3]
    again.keep([GROUPS[2]])
    assert dict(again) == {BACKED_UP: GROUPS[2]}
    assert (tmp_path / "run" / "groups.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "{", "[1]", '[["x", [[1]]]]', "null", "\ud800"])
def test_a_broken_file_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "groups.json").write_bytes(content.encode(errors="surrogatepass"))
    assert dict(Ledger(tmp_path / "groups.json")) == {}


def test_groups_unknown_to_the_ledger_are_named_by_their_members_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "groups.json")
    members = {GROUPS[1]: [1, 2], GROUPS[2]: [1, 2], GROUPS[3]: [GROUPS[0]]}
    assert named(ledger, members) == [
        Group(SITE, (1, 2)),
        Group(((GROUPS[2],),), (1, 2)),
        Group(((GROUPS[3],),), ()),
    ]
    assert named(Ledger(tmp_path / "groups.json"), members)[0] == Group(SITE, (1, 2))
