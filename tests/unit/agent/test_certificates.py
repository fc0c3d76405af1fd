"""hubgw's own authority: what it issues, renews, revokes and refuses; its keys are in nothing that anybody reads."""

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hubgw.agent.certificates import GATEWAY_DAYS, RENEWED_BEFORE, Certificates
from hubgw.agent.journal import Journal
from hubgw.agent.service import Refusal, Refused
from hubgw.names import Secret
from hubgw.pki.authority import LIST_DAYS, new_key, request
from hubgw.pki.reading import Credentials, key_id, read_certificates, read_revocation_lists, signed_by
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import StoreError
from tests.certificates import NOW
from tests.unit.agent.rig import Clock

DAY = 86_400
GATEWAY = "/subscriptions/s/providers/microsoft.network/vpngateways/gw1"
NEEDS: Mapping[str, tuple[str, ...]] = {GATEWAY: ("198.51.100.10", "198.51.100.11")}
BRANCH = "branch1.example.com"
IDENTITY = "identity: expected an IPv4 address, a host name or user@host"


class Authority:
    """Certificates with a store, a journal and a clock of the test's own."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path / "store.db")
        self.journal = Journal()
        self.clock = Clock()
        self.clock.now = NOW
        self.certificates = self.again()

    def again(self) -> Certificates:
        """What a restarted agent has."""
        return Certificates(self.store, self.journal, self.clock)

    def issue(self, name: str = BRANCH, names: tuple[str, ...] = (BRANCH,), days: int = 365) -> str:
        issued, _ = self.certificates.issue(request(new_key(), name), name, names, days, who="test")
        return issued.serial


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Authority]:
    authority = Authority(tmp_path)
    yield authority
    authority.store.close()


def test_a_gateway_is_issued_one_once_and_keeps_it_over_a_restart(made: Authority) -> None:
    (credentials,) = made.certificates.ensure(NEEDS).values()
    (own,) = read_certificates(credentials.chain)
    assert (own.subject, own.names) == ("O=hubgw, CN=gw1", NEEDS[GATEWAY])
    assert own.key_id == key_id(credentials.key)
    assert own.not_after == NOW + GATEWAY_DAYS * DAY
    assert signed_by(own, read_certificates(credentials.authorities[0]))
    assert credentials.authorities == (made.certificates.authority(),)
    assert made.certificates.ensure(NEEDS) == made.again().ensure(NEEDS) == {GATEWAY: credentials}


@pytest.mark.parametrize(
    ("days", "needs", "renewed"),
    [
        (GATEWAY_DAYS - RENEWED_BEFORE - 1, NEEDS, False),
        (GATEWAY_DAYS - RENEWED_BEFORE + 1, NEEDS, True),
        (0, {GATEWAY: ("198.51.100.10",)}, True),
    ],
    ids=["in time", "ends soon", "another address"],
)
def test_it_is_issued_anew_where_it_ends_soon_or_names_another_address(
    made: Authority, days: int, needs: Mapping[str, tuple[str, ...]], renewed: bool
) -> None:
    before = made.certificates.ensure(NEEDS)[GATEWAY]
    made.clock.now += days * DAY
    after = made.certificates.ensure(needs)[GATEWAY]
    assert (after.chain != before.chain, after.key != before.key) == (renewed, renewed)
    assert after.authorities == before.authorities
    (own,) = read_certificates(after.chain)
    assert own.names == needs[GATEWAY]


@pytest.mark.parametrize("made_at", [0.0, NOW - 3_650 * DAY], ids=["a wrong clock", "long ago"])
def test_an_authority_that_has_ended_is_made_anew(made: Authority, made_at: float) -> None:
    made.clock.now = made_at
    first = made.certificates.ensure(NEEDS)
    made.clock.now = NOW
    second = made.certificates.ensure(NEEDS)
    assert second[GATEWAY].authorities != first[GATEWAY].authorities
    assert made.certificates.ensure(NEEDS) == second
    made.issue()


def test_what_ends_with_the_authority_is_not_issued_again_and_again(made: Authority) -> None:
    made.certificates.ensure(NEEDS)
    made.clock.now += 3_620 * DAY
    last = made.certificates.ensure(NEEDS)
    assert made.certificates.ensure(NEEDS) == last


def test_what_no_gateway_needs_any_longer_is_gone(made: Authority) -> None:
    made.certificates.ensure(NEEDS)
    assert made.certificates.ensure({}) == {} == made.again().known()


def test_a_branch_is_issued_one_for_the_key_of_its_request(made: Authority) -> None:
    key = new_key()
    names = ("192.0.2.2", "branch1.example.com", "admin@example.com")
    issued, text = made.certificates.issue(request(key, "other"), BRANCH, names, 10, who="root")
    (read,) = read_certificates(text)
    assert (read.subject, read.names, read.key_id) == (f"O=hubgw, CN={BRANCH}", names, key_id(key))
    assert (read.serial, read.not_after, read.is_authority) == (issued.serial, NOW + 10 * DAY, False)
    assert made.again().issued() == made.certificates.issued() == (issued,)


@pytest.mark.parametrize(
    ("name", "names", "days", "problems"),
    [
        ("../branch1", (BRANCH,), 1, ["name: expected a host name of at most 64 characters, got '../branch1'"]),
        ("a" * 65, (BRANCH,), 1, [f"name: expected a host name of at most 64 characters, got '{'a' * 65}'"]),
        ("branch1\n", (BRANCH,), 1, ["name: expected a host name of at most 64 characters, got 'branch1\\n'"]),
        (BRANCH, ("*",), 1, [f"{IDENTITY}, got '*'"]),
        (BRANCH, ("01.2.3.4",), 1, [f"{IDENTITY}, got '01.2.3.4'"]),
        (BRANCH, ("192.0.2.256", "a b"), 1, [f"{IDENTITY}, got '192.0.2.256'", f"{IDENTITY}, got 'a b'"]),
        (BRANCH, (), 1, ["identity: is missing; name at least one"]),
        ("", (), 0, ["name: expected a host name of at most 64 characters, got ''", "days: expected 1 to 3650, got 0",
                     "identity: is missing; name at least one"]),
    ],
)  # fmt: skip
def test_bad_names_are_refused_all_at_once(
    made: Authority, name: str, names: tuple[str, ...], days: int, problems: list[str]
) -> None:
    with pytest.raises(Refused) as refusal:
        made.certificates.issue(request(new_key(), BRANCH), name, names, days, who="test")
    assert (refusal.value.why, list(refusal.value.problems)) == (Refusal.INVALID, problems)
    assert made.certificates.issued() == ()


@pytest.mark.parametrize("asked", ["", "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----"])
def test_what_is_no_request_is_refused(made: Authority, asked: str) -> None:
    with pytest.raises(Refused) as refusal:
        made.certificates.issue(asked, BRANCH, (BRANCH,), 1, who="test")
    said = "request: is no certificate request in PEM; make one in PEM (openssl req -new)"
    assert refusal.value.problems == (said,)


def test_what_is_revoked_is_on_the_list_by_name_or_serial(made: Authority) -> None:
    made.certificates.ensure(NEEDS)
    first, second, other = made.issue(), made.issue(), made.issue("branch2.example.com", ("192.0.2.6",))
    made.clock.now += 5
    assert [one.serial for one in made.certificates.revoke(BRANCH.upper(), who="test")] == [first, second]
    assert _revoked(made) == {first, second}
    made.clock.now += 5
    made.certificates.revoke(other, who="test")
    assert _revoked(made) == {first, second, other}
    assert set(made.again().revoked().values()) == {math.inf}, "nobody has one in force"
    assert {BRANCH, "192.0.2.6", "o=hubgw, cn=branch2.example.com"} <= made.again().revoked().keys()
    for name in (BRANCH, "nobody"):
        with pytest.raises(Refused) as refusal:
            made.certificates.revoke(name, who="test")
        assert refusal.value.why is Refusal.NOT_FOUND
    made.issue(names=(BRANCH.title(),))
    assert made.again().revoked()[BRANCH] == NOW + 5, "what its successor made may stay"


def test_the_list_is_made_anew_before_its_next_update_is_due(made: Authority) -> None:
    made.certificates.ensure(NEEDS)
    serial = made.issue()
    made.certificates.revoke(serial, who="test")
    before = _list(made)
    made.clock.now += LIST_DAYS * DAY / 2 + 1
    made.certificates.ensure(NEEDS)
    assert _list(made) != before
    assert _revoked(made) == {serial}
    (read,) = read_revocation_lists(_list(made))
    assert read.next_update > made.clock.now + (LIST_DAYS - 1) * DAY


def test_what_the_store_does_not_keep_never_was(made: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    known = made.certificates.ensure(NEEDS)
    serial = made.issue()

    def full(name: str, value: bytes) -> None:
        raise StoreError("store: disk full")

    with monkeypatch.context() as patched:
        patched.setattr(made.store, "keep_secret", full)
        with pytest.raises(StoreError):
            made.issue("branch2.example.com")
        with pytest.raises(StoreError):
            made.certificates.revoke(serial, who="test")
        with pytest.raises(StoreError):
            made.certificates.ensure({})
    assert [(one.serial, one.revoked) for one in made.certificates.issued()] == [(serial, None)]
    assert made.certificates.known() == known == made.again().known()
    made.certificates.revoke(serial, who="test")
    assert _revoked(made) == {serial}


def test_no_private_key_is_in_any_log_event_or_repr(made: Authority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    credentials = made.certificates.ensure(NEEDS)[GATEWAY]
    made.issue()
    made.certificates.revoke(BRANCH, who="test")
    read = " ".join(
        (
            caplog.text,
            repr([record.__dict__ for record in caplog.records]),
            repr(made.journal.events()),
            repr(made.certificates.issued()),
            repr(made.certificates._state),
            repr(credentials),
            str(credentials.key),
            made.certificates.authority(),
        )
    )
    for key in (credentials.key, Secret(made.certificates._state.key)):
        lines = key.reveal().splitlines()[1:-1]
        assert lines and not any(line in read for line in lines)
    assert "PRIVATE KEY" not in read


def _list(made: Authority) -> str:
    credentials: Credentials = made.certificates.known()[GATEWAY]
    (text,) = credentials.revocation_lists
    return text


def _revoked(made: Authority) -> set[str]:
    (read,) = read_revocation_lists(_list(made))
    return set(read.serials)
