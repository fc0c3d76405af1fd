"""RADIUS servers in the file of charon's settings, and the order of the connections that ask them."""

import re
from dataclasses import replace
from pathlib import Path

from hubgw.drivers.strongswan import radius
from hubgw.drivers.strongswan.users import behind, encode_server, from_ledger, to_ledger
from hubgw.names import Secret
from hubgw.plan.ipsec import IkeRadius
from hubgw.plan.types import Create, Delete, Update
from tests.unit.drivers.test_strongswan_users import CERTIFICATES, SERVER

FIRST = IkeRadius("192.0.2.1", 30, "0a1b", Secret('a "secret" with \\ and # {'))
SECOND = IkeRadius("192.0.2.2", 1, "0c0d", Secret("another-secret"))


def test_what_is_written_is_read_without_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "charon.d" / "radius.conf"
    assert radius.read(path) == set()
    assert radius.write(path, [SECOND, FIRST]) == ""
    assert radius.read(path) == {FIRST, SECOND}
    assert path.stat().st_mode & 0o777 == 0o600
    assert 'secret = "a \\"secret\\" with \\\\ and # {"' in path.read_text()
    assert radius.write(path, []) == ""
    assert radius.read(path) == set()


def test_where_it_cannot_be_written_there_is_a_reason_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "charon.d").touch()
    reason = radius.write(tmp_path / "charon.d" / "radius.conf", [FIRST])
    assert reason.startswith(str(tmp_path))
    assert "secret" not in reason


def test_the_greater_score_is_preferred() -> None:
    text = radius.text_of([FIRST, SECOND])
    preferences = [int(line.rpartition(" ")[2]) for line in text.splitlines() if "preference" in line]
    assert preferences[0] > preferences[1] > 0
    # Or one that does not answer would come before one that does.
    assert preferences[0] - preferences[1] < 110


def test_no_login_waits_for_a_socket() -> None:
    """It would hold its thread for as long as all before it wait for a server that is silent."""
    conf = (Path(__file__).parents[3] / "packaging" / "charon.conf").read_text()
    threads, high, medium = (
        int(found) for name in ("threads", "high", "medium") for found in re.findall(rf"^ +{name} = (\d+)$", conf, re.M)
    )
    (sockets,) = re.findall(r"sockets = (\d+)", radius.text_of([FIRST]))
    assert int(sockets) >= threads - high - medium > 0


def test_a_ledger_has_no_secret() -> None:
    entry = to_ledger(FIRST)
    assert "secret" not in str(entry)
    assert from_ledger(entry) == FIRST


def test_a_group_goes_before_the_rest() -> None:
    rest = replace(SERVER, name="hgt1-eap", eap="radius", authorities=())
    group = replace(rest, name="hgt1-eap-0a1b2c3d", groups=("finance",))
    other = replace(rest, name="hgt2-eap")
    (connection,) = encode_server(group, CERTIFICATES, frozenset()).values()
    assert isinstance(connection, dict)
    assert connection["remote"] == {"id": "%any", "auth": "eap-radius", "eap_id": "%any", "groups": ["finance"]}
    wanted = [rest, group, other, SERVER]
    assert behind([Create(group)], wanted) == [rest]
    assert behind([Update(replace(group, unique="replace"), group)], wanted) == [rest]
    assert behind([Create(rest), Delete(group)], wanted) == []
