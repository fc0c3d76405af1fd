"""hubgw's own authority of users: what it issues to users and gateways, renews, revokes and refuses; its keys are in
nothing that anybody reads."""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from hubgw.agent.certificates import Certificates
from hubgw.agent.journal import Journal
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.user_certificates import GATEWAY_DAYS, LONGEST, ROOT_DAYS, SIGNING_DAYS, UserCertificates
from hubgw.compile.credentials import UserNeeds
from hubgw.names import Secret
from hubgw.pki.authority import LIST_DAYS, new_authority, new_key, new_rsa_key, request
from hubgw.pki.reading import key_id, read_certificates, read_revocation_lists, signed_by
from hubgw.pki.subjects import users_of
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import StoreError
from tests.certificates import NOW
from tests.unit.agent.rig import Clock

DAY = 86_400
GATEWAY = "/subscriptions/s/providers/microsoft.network/p2svpngateways/p1"
FQDN = "vpn.example.com"
NAMES = (FQDN, "198.51.100.10", "198.51.100.11")
ALICE = "alice@example.com"
NO_USER = "name: expected user@host, or a name like a host's, of at most 64 characters"


def needs(names: tuple[str, ...] = NAMES, *thumbprints: str) -> UserNeeds:
    return UserNeeds({GATEWAY: names} if names else {}, is_believed=True, thumbprints=frozenset(thumbprints))


class Authority:
    """Users' certificates with a store, a journal and a clock of the test's own."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path / "store.db")
        self.journal = Journal()
        self.clock = Clock()
        self.clock.now = NOW
        self.users = self.again()

    def again(self) -> UserCertificates:
        """What a restarted agent has."""
        return Certificates(self.store, self.journal, self.clock).users

    def issue(self, name: str = ALICE, days: int = 365, *, renews: bool = False, revokes: bool = False) -> str:
        asked = request(new_key(), name)
        issued, _ = self.users.issue(asked, name, days, renews=renews, revokes=revokes, who="test")
        return issued.serial

    def revoked(self) -> set[str]:
        own, _ = self.users.authority().revocation_lists
        return set(read_revocation_lists(own)[0].serials)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Authority]:
    authority = Authority(tmp_path)
    yield authority
    authority.store.close()


def _parsed(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _policy(made: Authority) -> PolicyBuilder:
    """A verifier by the rules of browsers (the Baseline Requirements), which Apple's devices have too."""
    at = datetime.fromtimestamp(made.clock.now, UTC)
    return PolicyBuilder().store(Store(_parsed(made.users.authority().root))).time(at)


def test_the_root_has_one_below_it_and_that_none(made: Authority) -> None:
    authority = made.users.authority()
    root, signing = _parsed(authority.root + authority.below[0])
    lengths = [
        one.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length for one in (root, signing)
    ]
    assert lengths == [1, 0]
    assert signed_by(authority.certificates[1], authority.certificates[:1])
    assert (authority.certificates[1].not_after - NOW) / DAY == SIGNING_DAYS
    assert (authority.certificates[0].not_after - NOW) / DAY == ROOT_DAYS
    assert made.again().authority() == authority
    assert [read_revocation_lists(one)[0].key_id for one in authority.revocation_lists] == [
        one.key_id for one in reversed(authority.certificates)
    ], "charon, where it is strict, asks for a list of each"


def test_a_gateway_is_issued_what_windows_and_apple_ask_for(made: Authority) -> None:
    credentials = made.users.ensure(needs())[GATEWAY]
    leaf, signing = _parsed(credentials.chain)
    chain = _policy(made).build_server_verifier(x509.DNSName(FQDN)).verify(leaf, [signing])
    assert len(chain) == 3
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.IPSEC_IKE}
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == list(NAMES), "Windows looks for addresses there too"
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == list(NAMES[1:])
    public = leaf.public_key()
    assert isinstance(public, RSAPublicKey) and public.key_size == 2048
    (own, _) = credentials.own
    assert own.subject == f"O=hubgw, CN={FQDN}"
    assert own.key_id == key_id(credentials.key)
    assert own.not_after == NOW + GATEWAY_DAYS * DAY <= NOW + LONGEST * DAY
    assert credentials.believed == made.users.authority().certificates[:1]
    assert made.again().ensure(needs()) == {GATEWAY: credentials}


def test_a_gateway_without_a_name_has_its_own(made: Authority) -> None:
    own, _ = made.users.ensure(needs(NAMES[1:]))[GATEWAY].own
    assert own.subject == "O=hubgw, CN=p1"


@pytest.mark.parametrize(
    ("days", "names", "renewed"),
    [(GATEWAY_DAYS - 61, NAMES, False), (GATEWAY_DAYS - 59, NAMES, True), (0, ("other.example.com",), True)],
    ids=["in time", "ends soon", "another name"],
)
def test_it_is_issued_anew_where_it_ends_soon_or_is_called_otherwise(
    made: Authority, days: int, names: tuple[str, ...], renewed: bool
) -> None:
    before = made.users.ensure(needs())[GATEWAY]
    made.clock.now += days * DAY
    assert (made.users.ensure(needs(names))[GATEWAY].chain != before.chain) is renewed
    assert made.users.ensure(needs(())) == {} == made.again().known()


def test_what_signs_is_made_anew_with_its_key_in_time_and_everything_goes_on(made: Authority) -> None:
    made.users.ensure(needs())
    made.clock.now += (SIGNING_DAYS - 901) * DAY
    serial, before = made.issue(days=LONGEST), made.users.authority()
    (leaf,) = [one for one in made.users.issued() if one.serial == serial]
    made.clock.now += 2 * DAY
    made.users.ensure(needs())
    after = made.users.authority()
    assert (after.root, after.below != before.below) == (before.root, True)
    old, new = before.certificates[1], after.certificates[1]
    assert (old.subject, old.key_id) == (new.subject, new.key_id)
    assert new.not_after > leaf.not_after
    made.users.revoke(serial, who="test")
    assert made.revoked() == {serial}


@pytest.mark.parametrize("made_at", [0.0, NOW - ROOT_DAYS * DAY], ids=["a wrong clock", "long ago"])
def test_an_authority_that_has_ended_is_made_anew(made: Authority, made_at: float) -> None:
    made.clock.now = made_at
    first = made.users.ensure(needs())
    made.clock.now = NOW
    second = made.users.ensure(needs())
    assert second[GATEWAY].authorities != first[GATEWAY].authorities
    leaf, signing = _parsed(second[GATEWAY].chain)
    assert _policy(made).build_server_verifier(x509.DNSName(FQDN)).verify(leaf, [signing])
    assert made.users.ensure(needs()) == second
    made.issue()


def test_near_the_end_of_the_root_nothing_is_made_again_and_again(made: Authority) -> None:
    made.users.ensure(needs())
    made.clock.now += (ROOT_DAYS - 20) * DAY
    last = made.users.ensure(needs()), made.users.authority()
    assert (made.users.ensure(needs()), made.users.authority()) == last


def test_a_user_is_issued_one_for_the_key_of_the_request(made: Authority) -> None:
    key = new_rsa_key()
    issued, text = made.users.issue(request(key, "x"), ALICE, 90, renews=False, revokes=False, who="root")
    (read,) = read_certificates(text)
    assert (read.subject, read.names, read.key_id) == (f"O=hubgw, OU=example.com, CN={ALICE}", (ALICE,), key_id(key))
    assert (issued.serial, issued.thumbprint, issued.not_after) == (read.serial, read.thumbprint, NOW + 90 * DAY)
    assert issued.renew_from == NOW + 60 * DAY
    (leaf,), below = _parsed(text), _parsed(made.users.authority().below[0])
    assert _policy(made).build_client_verifier().verify(leaf, below)
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert made.again().issued() == made.users.issued() == (issued,)


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("bob@Sales.example.com", "O=hubgw, OU=sales.example.com, CN=bob@Sales.example.com"),
        ("laptop.example.com", "O=hubgw, CN=laptop.example.com"),
    ],
    ids=["with a domain", "without"],
)
def test_a_subject_has_the_domain_by_which_charon_finds_the_group(made: Authority, name: str, subject: str) -> None:
    made.issue(name)
    (issued,) = made.users.issued()
    assert issued.subject == subject
    domain = name.partition("@")[2]
    assert not domain or users_of(domain).removesuffix("*") == subject.removesuffix(name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", '""'),
        ("alice\n", r'"alice\n"'),
        ("al\nice", r'"al\nice"'),
        ('al"ice', r'"al\"ice"'),
        ("al'ice", '"al\'ice"'),
        ("alice; rm", '"alice; rm"'),
        ("alice;", '"alice;"'),
        ("al/ice", '"al/ice"'),
        ("../alice", '"../alice"'),
        ("al\0ice", r'"al\u0000ice"'),
        ("älice", r'"\u00e4lice"'),
        ("alice@bücher.example", r'"alice@b\u00fccher.example"'),
        ("a" * 300, f'"{"a" * 76}...'),
        (f"{'a' * 60}@b.example", f'"{"a" * 60}@b.example"'),
        ("192.0.2.1", '"192.0.2.1"'),
        ("-alice", '"-alice"'),
        ("O=hubgw, CN=alice", '"O=hubgw, CN=alice"'),
        ("%any", '"%any"'),
        ("*@example.com", '"*@example.com"'),
    ],
)
def test_what_is_no_name_of_a_user_is_refused(made: Authority, name: str, shown: str) -> None:
    with pytest.raises(Refused) as refusal:
        made.users.issue("", name, 0, renews=False, revokes=False, who="test")
    assert refusal.value.problems == (f"{NO_USER}, got {shown}", f"days: expected 1 to {LONGEST}, got 0")
    assert made.users.issued() == ()


def test_what_is_no_request_is_refused(made: Authority) -> None:
    with pytest.raises(Refused) as refusal:
        made.users.issue("nothing", ALICE, 1, renews=False, revokes=False, who="test")
    said = "request: is no certificate request in PEM; make one in PEM (openssl req -new)"
    assert (refusal.value.why, refusal.value.problems) == (Refusal.INVALID, (said,))


def test_a_user_is_added_once_and_again_when_revoked_or_ended(made: Authority) -> None:
    made.issue(days=10)
    with pytest.raises(Refused) as refusal:
        made.issue(ALICE.upper())
    assert refusal.value.problems == (
        f"name: the user has a certificate in force, got {ALICE.upper()}; renew it, or revoke it first",
    )
    made.clock.now += 11 * DAY
    made.issue()
    made.users.revoke(ALICE, who="test")
    made.issue()
    assert made.users.in_force(ALICE)


def test_a_renewal_is_beside_what_there_is_or_in_its_place(made: Authority) -> None:
    with pytest.raises(Refused) as refusal:
        made.issue(renews=True)
    assert (refusal.value.why, list(refusal.value.problems)) == (
        Refusal.NOT_FOUND,
        [f"{ALICE}: there is no such user; hubgw user list has who there is"],
    )
    first = made.issue()
    second = made.issue(ALICE.title(), renews=True)
    assert made.revoked() == set()
    third = made.issue(renews=True, revokes=True)
    assert made.revoked() == {first, second}
    assert [(one.name, one.serial, one.revoked) for one in made.again().issued()] == [
        (ALICE, first, NOW),
        (ALICE, second, NOW),
        (ALICE, third, None),
    ]


def test_what_is_revoked_is_on_the_list_by_name_serial_or_thumbprint(made: Authority) -> None:
    made.users.ensure(needs())
    first, bob, carol = made.issue(), made.issue("bob"), made.issue("carol")
    assert made.users.standing()[ALICE] == -math.inf
    made.clock.now += 5
    assert [one.serial for one in made.users.revoke(ALICE.upper(), who="test")] == [first]
    made.users.revoke(bob.upper(), who="test")
    thumbprint = made.users.issued()[-1].thumbprint
    made.users.ensure(needs(NAMES, thumbprint))
    assert made.revoked() == {first, bob, carol}
    assert [one.revoked for one in made.again().issued()] == [NOW + 5] * 3
    assert {made.again().standing()[name] for name in (ALICE, "bob", "carol", "o=hubgw, cn=carol")} == {math.inf}
    made.clock.now += 5
    made.users.ensure(needs())
    assert made.revoked() == {first, bob}, "who is no longer named by resources is good again, as with Azure"
    for name in (ALICE, "nobody", "al\nice"):
        with pytest.raises(Refused) as refusal:
            made.users.revoke(name, who="test")
        assert refusal.value.why is Refusal.NOT_FOUND
    made.issue()
    assert made.users.standing()[ALICE] == NOW + 5, "what its successor made may stay"


def test_the_lists_are_made_anew_before_their_next_update_is_due(made: Authority) -> None:
    made.users.ensure(needs())
    before = made.users.authority().revocation_lists
    made.clock.now += LIST_DAYS * DAY / 2 + 1
    made.users.ensure(needs())
    for old, new in zip(before, made.users.authority().revocation_lists, strict=True):
        (one,), (other,) = read_revocation_lists(new), read_revocation_lists(old)
        assert one.replaces(other) and one.next_update > made.clock.now + (LIST_DAYS - 1) * DAY


def test_without_need_there_is_no_authority(made: Authority) -> None:
    assert made.users.ensure(UserNeeds({}, is_believed=False, thumbprints=frozenset())) == {}
    assert made.users.believed() is None and made.journal.events() == ()


def test_what_another_version_kept_for_branches_goes_on(made: Authority) -> None:
    branches = new_authority("hubgw authority", NOW)
    kept = {
        "certificate": branches.certificate,
        "key": branches.key.reveal(),
        "gateways": {},
        "issued": [],
        "revocations": "",
        "number": 0,
        "listed": 0.0,
    }
    made.store.keep_secret("pki", json.dumps(kept).encode())
    again = Certificates(made.store, made.journal, made.clock)
    again.users.ensure(needs())
    assert again.authority() == branches.certificate
    assert Certificates(made.store, made.journal, made.clock).authority() == branches.certificate
    assert again.users.authority().root != branches.certificate


def test_what_the_store_does_not_keep_never_was(made: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    known = made.users.ensure(needs())
    serial = made.issue()

    def full(name: str, value: bytes) -> None:
        raise StoreError("store: disk full")

    with monkeypatch.context() as patched:
        patched.setattr(made.store, "keep_secret", full)
        with pytest.raises(StoreError):
            made.issue("bob")
        with pytest.raises(StoreError):
            made.users.revoke(serial, who="test")
        with pytest.raises(StoreError):
            made.issue(renews=True, revokes=True)
        with pytest.raises(StoreError):
            made.users.ensure(needs(()))
    assert [(one.serial, one.revoked) for one in made.users.issued()] == [(serial, None)]
    assert made.users.known() == known == made.again().known()
    assert made.revoked() == set()


def test_no_private_key_is_in_any_log_event_or_repr(made: Authority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    credentials: Mapping[str, object] = made.users.ensure(needs())
    made.issue()
    made.issue(renews=True, revokes=True)
    read = " ".join(
        (
            caplog.text,
            repr([record.__dict__ for record in caplog.records]),
            repr(made.journal.events()),
            repr(made.users.issued()),
            repr(made.users._state),
            repr(credentials),
            repr(made.users.authority()),
            *made.users.authority().below,
        )
    )
    state = made.users._state
    keys = (state.root_key, state.signing_key, made.users.known()[GATEWAY].key.reveal())
    for key in map(Secret, keys):
        lines = key.reveal().splitlines()[1:-1]
        assert lines and not any(line in read for line in lines)
    assert "PRIVATE KEY" not in read
