"""Speaker + Neighbors -> exabgp.conf, and ExaBGP's own reading of it."""

import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from hubgw.drivers.exabgp import conf
from hubgw.drivers.exabgp.adapter import inside
from hubgw.names import Secret
from hubgw.plan.sessions import Neighbor, Speaker

SPEAKER = Speaker("hgv1-0", "hgv1", 20_000_002, 4_200_000_000, (IPv4Address("10.0.0.12"), IPv4Address("169.254.21.1")))
NEIGHBOR = Neighbor(
    speaker="hgv1-0",
    address=IPv4Address("192.168.1.1"),
    local_address=IPv4Address("169.254.21.1"),
    asn=4_200_000_001,
    site="/s",
    hold_time=30,
    passive=False,
    ttl_security=True,
    maximum_prefixes=100,
)
inside.configure()

AWKWARD = "'\"\\#;{} \\u0041\tñ"


def loaded(*neighbors: Neighbor) -> dict[bytes, Any]:
    return inside.load(conf.render(SPEAKER, neighbors))


def test_exabgp_reads_what_is_meant() -> None:
    read = loaded(NEIGHBOR)[NEIGHBOR.address.packed]
    assert {name: str(read[name]) for name in ("local-address", "router-id", "local-as", "peer-as", "hold-time")} == {
        "local-address": "169.254.21.1",
        "router-id": "10.0.0.12",
        "local-as": "4200000000",
        "peer-as": "4200000001",
        "hold-time": "30",
    }
    assert (read["passive"], read["listen"], read["connect"]) == (False, 179, 179)
    assert (read["source-interface"], read["incoming-ttl"], read["md5-password"]) == ("hgv1", None, None)
    capability = read["capability"]
    assert (capability["graceful-restart"], capability["asn4"], capability["extended-message"]) == (120, True, False)
    assert read.families() == [inside._IPV4]


@pytest.mark.parametrize("password", ["x", AWKWARD, "p" * 80])
def test_any_password_arrives(password: str) -> None:
    neighbor = replace(NEIGHBOR, password=Secret(password))
    read = loaded(neighbor)[NEIGHBOR.address.packed]
    assert inside.secret_of(read) == password.encode()


@pytest.mark.parametrize(
    "change", [{"maximum_prefixes": 5}, {"site": "/subscriptions/0/other"}], ids=["maximum", "site"]
)
def test_digest_tells_of_what_only_the_helper_goes_by(change: dict[str, Any]) -> None:
    before, after = (conf.render(SPEAKER, [one]) for one in (NEIGHBOR, replace(NEIGHBOR, **change)))
    assert conf.digest(before) != conf.digest(after)


def test_digest_is_that_of_the_rest() -> None:
    text = conf.render(SPEAKER, [NEIGHBOR])
    assert len(conf.digest(text)) == 64
    assert conf.digest(text) != conf.digest(conf.render(SPEAKER, []))
    assert conf.digest(text.replace("30;", "31;")) == conf.digest(text[:-1]) == conf.digest("") == ""


def test_order_of_neighbors_does_not_matter() -> None:
    other = replace(NEIGHBOR, address=IPv4Address("9.0.0.1"))
    assert conf.render(SPEAKER, [NEIGHBOR, other]) == conf.render(SPEAKER, [other, NEIGHBOR])


def test_speaker_without_neighbors() -> None:
    assert loaded() == {}


@pytest.mark.parametrize(
    ("speaker", "neighbor", "words"),
    [
        (replace(SPEAKER, vrf="a; b"), NEIGHBOR, "'a; b' is no name of an interface"),
        (SPEAKER, replace(NEIGHBOR, hold_time=2), "a hold time of 2 s"),
        (SPEAKER, replace(NEIGHBOR, asn=2**32), "not both AS numbers"),
        (SPEAKER, replace(NEIGHBOR, password=Secret("p" * 81)), "a password of 81 octets"),
        (SPEAKER, replace(NEIGHBOR, password=Secret("")), "a password of 0 octets"),
    ],
)
def test_refused(speaker: Speaker, neighbor: Neighbor, words: str) -> None:
    with pytest.raises(ValueError, match="speaker hgv1-0") as error:
        conf.render(speaker, [neighbor])
    assert words in str(error.value)


def test_exabgps_own_error_has_no_password() -> None:
    text = conf.render(SPEAKER, [replace(NEIGHBOR, password=Secret("rosebud"))])
    broken = text.partition("\n")[2].replace("hold-time 30", "hold-time 1").replace("md5-base64 true", "md5-base64 no!")
    text = f"# sha256 {conf._sha256(broken)}\n{broken}"
    with pytest.raises(ValueError, match="hold") as error:
        inside.load(text)
    assert "cm9zZWJ1ZA==" not in str(error.value)


def test_words_about_a_configuration_lose_its_passwords() -> None:
    text = conf.render(SPEAKER, [replace(NEIGHBOR, password=Secret("rosebud"))])
    assert conf.redact('line 9: md5-password "cm9zZWJ1ZA==" ;', text) == 'line 9: md5-password "***" ;'


def test_loading_exabgp_asks_no_resolver() -> None:
    """One that does not answer would cost each start 10 seconds."""
    code = "import socket; socket.getfqdn = None; import hubgw.drivers.exabgp.adapter.inside"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
