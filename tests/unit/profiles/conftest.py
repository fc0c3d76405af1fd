"""The profile of a user of a small organisation, whose root has an authority below it."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from hubgw.names import Secret
from hubgw.profiles.types import Profile, UserCredentials
from tests.certificates import Pair, make

USER = "alice.example.com"
PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def root() -> Pair:
    return make("O=Example, CN=root", ca=True)


@pytest.fixture(scope="session")
def intermediate(root: Pair) -> Pair:
    return make("O=Example, CN=users", by=root, ca=True)


@pytest.fixture(scope="session")
def alice(intermediate: Pair) -> Pair:
    return make("O=Example, CN=alice", [USER], by=intermediate)


@pytest.fixture
def profile(root: Pair, intermediate: Pair, alice: Pair) -> Profile:
    return Profile(
        name="hub-1.west",
        server="vpn.example.com",
        authorities=(root.pem,),
        user=USER,
        authentication="Certificate",
        routes=(IPv4Network("10.50.0.0/24"), IPv4Network("172.16.0.0/12")),
        dns_servers=(IPv4Address("10.50.0.53"),),
        credentials=UserCredentials(alice.pem, Secret(alice.key), (intermediate.pem,)),
        password=Secret(PASSWORD),
        intermediates=(intermediate.pem,),
    )
