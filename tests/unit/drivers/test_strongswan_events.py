"""Which events of charon make the agent look at its tunnels."""

import pytest

from hubgw.drivers.strongswan.heard import moved


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("", [], [""]),
        ("ike-updown", ["up", "hgt1"], ["hgt1"]),
        ("child-updown", ["hgt1"], ["hgt1"]),
        ("ike-rekey", ["hgt1"], []),
        ("child-rekey", ["hgt1"], []),
        ("child-rekey", ["hgt2"], ["hgt2"]),
        ("ike-updown", ["up", "hgt7"], []),
        ("child-updown", ["up", "hgt7-eap"], []),
        ("child-updown", ["up", "hgt77"], ["hgt77"]),
    ],
)
def test_what_moves_a_tunnel(kind: str, message: list[str], expected: list[str]) -> None:
    assert moved(kind, message, {"hgt2"}, {"hgt7"}) == expected
