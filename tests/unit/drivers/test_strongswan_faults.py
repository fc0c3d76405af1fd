"""charon's log of one attempt -> why it failed, and what an operator reads. The lines are charon 6.0.1's own."""

import time
from dataclasses import replace

import pytest

from hubgw.agent.diagnosis import words
from hubgw.drivers.strongswan.faults import OF_USERS, Ended, Ending, Fault, Faults, Why
from hubgw.plan.ipsec import IkeConnection

INIT = "192.0.2.6 is initiating an IKE_SA"
MAIN = "192.0.2.6 is initiating a Main Mode IKE_SA"
OLD = "received proposals: IKE:AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024"
OURS = "configured proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384"
UP = "IKE_SA hgt3[16] established between 198.51.100.10[198.51.100.10]...192.0.2.6[192.0.2.6]"
PROPOSED = "received proposals: ESP:AES_CBC_256/HMAC_SHA2_256_128/NO_EXT_SEQ"
MATCHING = "looking for peer configs matching 198.51.100.10[{}]...192.0.2.6[{}]"
HERE = "hubgw show connection --show-key"
LINK = "set its own identity, or remoteIdentity in the settings of the link"
ANOTHER = "give the branch another (hubgw pki issue)"
SUBJECT = "O=Example, CN=branch1"
NO_KEY = "no trusted ECDSA public key found for '192.0.2.6'"
VALIDITY = "valid from Nov 01 00:00:00 2026 to Nov 28 00:00:00 2026"
MISMATCHED = "signature validation failed, looking for another key"
REFUSED = "generating IKE_AUTH response 1 [ N(AUTH_FAILED) ]"
A_NAME = "'a.example' (ID_FQDN)"
UNNAMED = (
    "the branch shows no certificate that names it 192.0.2.6, which it is here; give it one that names that (hubgw pki "
    "issue --identity), or set remoteIdentity in the settings of the link"
)
SUITE = "give both ends one suite (ipsecPolicies here)"

CASES: list[tuple[list[tuple[str, str]], Why, str]] = [
    (
        [("", INIT), ("", OLD), ("", OURS), ("", "received proposals unacceptable")],
        Why.NO_PROPOSAL,
        "no algorithms in common: the branch offers IKE:AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024, the hub has "
        f"IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384; {SUITE}, or allow legacyAlgorithms in the settings of the site",
    ),
    (
        [("", MAIN), ("", OLD), ("", OURS), ("", "no proposal found")],
        Why.NO_PROPOSAL,
        "no algorithms in common: the branch offers IKE:AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024, the hub has "
        f"IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384; {SUITE}, or allow legacyAlgorithms in the settings of the site",
    ),
    (
        [("", INIT), ("hgt3", UP), ("hgt3", PROPOSED), ("hgt3", OURS), ("hgt3", "no acceptable proposal found")],
        Why.NO_PROPOSAL,
        "no algorithms in common: the branch offers ESP:AES_CBC_256/HMAC_SHA2_256_128/NO_EXT_SEQ, the hub has "
        f"IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384; {SUITE}",
    ),
    (
        [("hgt3", UP), ("hgt3", "no matching proposal found, sending NO_PROPOSAL_CHOSEN")],
        Why.NO_PROPOSAL,
        f"no algorithms in common: the branch offers nothing known, the hub has none of it; {SUITE}",
    ),
    (
        [("hgt3", "initiating IKE_SA hgt3[9] to 192.0.2.6"), ("hgt3", "received NO_PROPOSAL_CHOSEN notify error")],
        Why.PROPOSALS_REFUSED,
        f"the branch takes none of what the hub offers (ike1, ike2); {SUITE}, and IKEv2",
    ),
    (
        [("hgt3", UP), ("hgt3", "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built")],
        Why.PROPOSALS_REFUSED,
        f"the branch takes none of what the hub offers (esp1); {SUITE}, and IKEv2",
    ),
    (
        [("hgt3", "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built")],
        Why.PROPOSALS_REFUSED,
        f"the branch takes none of what the hub offers (esp1); {SUITE}, and IKEv2",
    ),
    (
        [("", "no IKE config found for 198.51.100.10...192.0.2.6, sending NO_PROPOSAL_CHOSEN")],
        Why.NO_CONNECTION,
        "the branch does not speak IKEv2, which this connection has; set the branch to that, or "
        "vpnConnectionProtocolType to what it speaks",
    ),
    (
        [("", INIT), ("", MATCHING.format("198.51.100.10", "a.example")), ("", "no matching peer config found")],
        Why.UNKNOWN_IDENTITY,
        f"the branch calls itself a.example, and is 192.0.2.6 here; {LINK}",
    ),
    (
        [
            ("", MAIN),
            ("", "looking for pre-shared key peer configs matching 198.51.100.10...192.0.2.6[a.example]"),
            ("", "no peer config found"),
        ],
        Why.UNKNOWN_IDENTITY,
        f"the branch calls itself a.example, and is 192.0.2.6 here; {LINK}",
    ),
    (
        [("", INIT), ("", MATCHING.format("198.51.100.90", "192.0.2.6")), ("", "no matching peer config found")],
        Why.UNKNOWN_IDENTITY,
        "the branch takes the hub for 198.51.100.90, and it is 198.51.100.10; give the branch that for the identity of "
        "its peer",
    ),
    (
        [("hgt3", "constraint check failed: identity '192.0.2.6' required ")],
        Why.OTHER_IDENTITY,
        f"the branch that answers does not call itself 192.0.2.6; {LINK}",
    ),
    (
        [("hgt3", f"constraint check failed: identity '192.0.2.6' (ID_IPV4_ADDR) required, not matched by {A_NAME}")],
        Why.OTHER_IDENTITY,
        f"the branch that answers does not call itself 192.0.2.6; {LINK}",
    ),
    (
        [("hgt3", "constraint check failed: certificate does not confirm identity '192.0.2.6' (ID_IPV4_ADDR)")],
        Why.CERTIFICATE,
        UNNAMED,
    ),
    (
        [("hgt3", "tried 2 shared keys for '198.51.100.10' - '192.0.2.6', but MAC mismatched")],
        Why.WRONG_KEY,
        f"the branch has another preshared key; give both ends the same ({HERE})",
    ),
    (
        [("hgt3", "received AUTHENTICATION_FAILED notify error")],
        Why.AUTHENTICATION_REFUSED,
        "the branch has another preshared key, or knows no hub called 198.51.100.10; its log says which; give both "
        "ends one sharedKey, and the branch the hub's identity",
    ),
    (
        [
            ("hgt3", f'no issuer certificate found for "{SUBJECT}"'),
            ("hgt3", '  issuer is "CN=other"'),
            ("hgt3", NO_KEY),
        ],
        Why.CERTIFICATE,
        f"the branch's certificate ({SUBJECT}) is of an authority that the hub does not know; {ANOTHER}, or add its "
        "authority to certificateAuthorities in the settings of the gateway",
    ),
    (
        [("hgt3", f'  self-signed certificate "{SUBJECT}" is not trusted'), ("hgt3", NO_KEY)],
        Why.CERTIFICATE,
        f"the branch's certificate ({SUBJECT}) is of an authority that the hub does not know; {ANOTHER}, or add its "
        "authority to certificateAuthorities in the settings of the gateway",
    ),
    (
        [("hgt3", f"subject certificate invalid ({VALIDITY})"), ("hgt3", NO_KEY)],
        Why.CERTIFICATE,
        f"the branch's certificate, or its authority's, has ended or is not yet good ({VALIDITY}); {ANOTHER}",
    ),
    (
        [("hgt3", "certificate was revoked on Nov 29 14:00:00 UTC 2026, reason: unspecified"), ("hgt3", NO_KEY)],
        Why.CERTIFICATE,
        f"the branch's certificate was revoked on Nov 29 14:00:00 UTC 2026; {ANOTHER}",
    ),
    (
        [("hgt3", f"subject certificate invalid ({VALIDITY})"), ("hgt3", MISMATCHED), ("hgt3", REFUSED)],
        Why.CERTIFICATE,
        f"the branch's certificate, or its authority's, has ended or is not yet good ({VALIDITY}); {ANOTHER}",
    ),
    (
        [("hgt3", MISMATCHED), ("hgt3", MISMATCHED), ("hgt3", "generating INFORMATIONAL request 2 [ N(AUTH_FAILED) ]")],
        Why.CERTIFICATE,
        "the branch does not sign by the key of its certificate; give it the key of that",
    ),
    (
        [("hgt3", NO_KEY)],
        Why.CERTIFICATE,
        UNNAMED,
    ),
    (
        [("hgt3", "constraint check failed: peer not authenticated by CA 'O=Example, CN=ca'")],
        Why.OTHER_AUTHORITY,
        f"the branch's certificate is of no authority that the hub has for this connection; {ANOTHER}",
    ),
    (
        [("", MAIN), ("", "could not decrypt payloads"), ("", "message parsing failed")],
        Why.UNREADABLE,
        f"what the branch encrypts cannot be read, as with another preshared key; give both ends the same ({HERE})",
    ),
    (
        [("hgt3", "traffic selectors 10.99.0.0/24 === 10.2.0.0/24 unacceptable")],
        Why.SELECTORS,
        "the branch asks for traffic selectors that the hub does not have (10.99.0.0/24 === 10.2.0.0/24); set the "
        "branch to 0.0.0.0/0 both ways, routes select",
    ),
    (
        [("hgt3", "received TS_UNACCEPTABLE notify, no CHILD_SA built")],
        Why.SELECTORS_REFUSED,
        "the branch does not take the traffic selectors 0.0.0.0/0 both ways; set the branch to that, routes select",
    ),
    (
        [("hgt3", "giving up after 2 retransmits")],
        Why.NO_ANSWER,
        "no answer from 192.0.2.6; is that the branch, is it up, and are UDP 500 and 4500 let through?",
    ),
    (
        [("", MAIN.replace("Main", "Aggressive")), ("", "Aggressive Mode PSK disabled for security reasons")],
        Why.AGGRESSIVE,
        "the branch uses aggressive mode, which lets anybody guess at the preshared key; set it to main mode",
    ),
    (
        [("", "received unsupported IKE version 1.0 from 192.0.2.6, sending INVALID_MAJOR_VERSION")],
        Why.WITHOUT_IKEV1,
        "the branch speaks IKEv1, which the hub's charon was built without; set both ends to IKEv2",
    ),
]

CONNECTION = IkeConnection(
    "hgt3", 3, "198.51.100.10", "192.0.2.6", "198.51.100.10", "192.0.2.6", ("ike1", "ike2"), ("esp1",), 10, 1, 1, 1
)


def hear(faults: Faults, lines: list[tuple[str, str]], number: int = 16) -> list[Fault]:
    return [one for one in told(faults, lines, number) if isinstance(one, Fault)]


def told(faults: Faults, lines: list[tuple[str, str]], number: int = 16) -> list[Fault | Ended]:
    said = (f"07[IKE] <{name}|{number}> {text}\n" if name else f"113[IKE] <{number}> {text}\n" for name, text in lines)
    return list(faults.hear("".join(said).encode()))


@pytest.mark.parametrize(("lines", "why", "text"), CASES)
def test_each_failure_in_words(lines: list[tuple[str, str]], why: Why, text: str) -> None:
    (fault,) = hear(Faults(), lines)
    assert (fault.why, fault.connection or fault.address) == (why, lines[-1][0] or "192.0.2.6")
    version = 1 if why is Why.UNREADABLE else 2
    assert words(fault, replace(CONNECTION, version=version)) == text


def test_who_refuses_a_certificate_is_not_told_of_preshared_keys() -> None:
    (fault,) = hear(Faults(), [("hgt3", "received AUTHENTICATION_FAILED notify error")])
    said = words(fault, replace(CONNECTION, certificate="0123456789abcdef"))
    assert said == (
        "the branch does not believe the hub's certificate, or knows no hub called 198.51.100.10; its log says which; "
        "give it the hub's authority (hubgw pki ca), and the hub's identity"
    )


def test_every_failure_has_a_case() -> None:
    assert {why for _, why, _ in CASES} == set(Why) - OF_USERS
    assert {why for _, why in OF_A_CLIENT} > OF_USERS


def test_who_spoke_to_whom_is_known_before_a_connection_is() -> None:
    received = "received packet: from 192.0.2.6[500] to 198.51.100.10[500] (180 bytes)"
    (fault,) = hear(Faults(), [("", received), ("", "no IKE config found for 198.51.100.10...192.0.2.6, sending X")])
    assert (fault.connection, fault.address, fault.local) == ("", "192.0.2.6", "198.51.100.10")


def test_what_was_heard_of_one_is_not_said_of_another() -> None:
    faults = Faults()
    hear(faults, [("", INIT), ("", OLD)], 1)
    (fault,) = hear(faults, [("", INIT), ("", "received proposals unacceptable")], 2)
    assert "received" not in fault.details
    (fault,) = hear(faults, [("", "received proposals unacceptable")], 1)
    assert fault.details["received"].startswith("IKE:AES_CBC_128")


@pytest.mark.parametrize("text", ["received proposals unacceptable", "selected peer config 'hgt3'", ""])
def test_what_is_of_nobody_or_no_failure_is_passed_over(text: str) -> None:
    assert hear(Faults(), [("", text)]) == []


def test_what_a_peer_says_is_bounded_and_printable() -> None:
    faults = Faults()
    identity = "\x1b[2J" + "x" * 5000
    (fault,) = hear(
        faults, [("", INIT), ("", MATCHING.format("h", identity + "]")), ("", "no matching peer config found")]
    )
    assert len(str(fault.details)) < 2000 and "\x1b" not in str(fault.details)
    for number in range(10_000):
        hear(faults, [("", INIT)], number)
    assert len(faults._heard) <= 4096


def test_what_a_peer_says_takes_no_pattern_long() -> None:
    identity = "peer configs matching 1[" * 2_000 + "]" * 50_000
    began = time.process_time()
    assert told(Faults(), [("", f"looking for {identity}")]) == []
    assert time.process_time() - began < 0.2


LOOKING = MATCHING.format("198.51.100.10", "O=Example, CN=alice")
OF_A_CLIENT = [
    ([("hgt7", "no virtual IP found, sending INTERNAL_ADDRESS_FAILURE")], Why.NO_ADDRESS),
    ([("hgt7", "expected a virtual IP request, sending FAILED_CP_REQUIRED")], Why.NO_ADDRESS_ASKED),
    ([("hgt7-eap", "EAP method EAP_MSCHAPV2 failed for peer alice")], Why.EAP_FAILED),
    ([("hgt7-eap", "EAP-MS-CHAPv2 verification failed, retry (1)")], Why.EAP_FAILED),
    ([("hgt7-eap", "initiating EAP_RADIUS method failed")], Why.EAP_FAILED),
    ([("hgt7", "received EAP_NAK, sending EAP_FAILURE")], Why.EAP_METHOD),
    ([("hgt7", "no alternative config found")], Why.NO_PROOF),
    ([("", "deleting half open IKE_SA with 192.0.2.6 after timeout")], Why.HALF_OPEN),
    ([("hgt7", NO_KEY)], Why.CERTIFICATE),
]


@pytest.mark.parametrize(("lines", "why"), OF_A_CLIENT)
def test_what_a_users_client_does_otherwise(lines: list[tuple[str, str]], why: Why) -> None:
    received = "received packet: from 192.0.2.6[500] to 198.51.100.10[500] (296 bytes)"
    (fault,) = hear(Faults(), [("", received), ("", INIT), ("", LOOKING), *lines], 7)
    assert (fault.why, fault.ike_sa, fault.connection) == (why, 7, lines[-1][0])
    assert (fault.address, fault.local, fault.details["identity"]) == (
        "192.0.2.6",
        "198.51.100.10",
        "O=Example, CN=alice" if lines[-1][1] != NO_KEY else "192.0.2.6",
    )


def test_what_is_known_of_a_login_by_eap() -> None:
    lines = [
        ("hgt7-eap", "received EAP identity 'mallory'"),
        ("hgt7-eap", "no EAP key found for hosts '198.51.100.10' - 'mallory'"),
        ("hgt7-eap", "EAP method EAP_MSCHAPV2 failed for peer x"),
    ]
    (fault,) = hear(Faults(), lines)
    assert fault.details == {"eap_identity": "mallory", "unknown": "mallory"}


def test_a_radius_server_that_is_silent_is_why() -> None:
    lines = [
        ("hgt7-eap", "received EAP identity 'carol'"),
        ("hgt7-eap", "RADIUS Access-Request timed out after 2 attempts"),
        ("hgt7-eap", "initiating EAP_RADIUS method failed"),
    ]
    (fault,) = hear(Faults(), lines)
    assert (fault.why, fault.details) == (Why.EAP_FAILED, {"eap_identity": "carol", "silent": "timed out"})


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("received DELETE for IKE_SA hgt7[8]", Ending.PEER),
        ("sending DELETE for IKE_SA hgt7[8]", Ending.HUB),
        ("destroying duplicate IKE_SA for peer 'O=Example, CN=alice', received INITIAL_CONTACT", Ending.REPLACED),
    ],
)
def test_how_an_sa_that_stood_ends(text: str, how: Ending) -> None:
    assert told(Faults(), [("hgt7", text)], 8) == [Ended(8, how)]


@pytest.mark.parametrize(
    "text",
    [
        "parsed IKE_AUTH request 1 [ IDi CERT N(INIT_CONTACT) CERTREQ IDr AUTH CPRQ(ADDR DNS) SA TSi TSr ]",
        "selected peer config 'hgt7'",
        "sending packet: from 198.51.100.10[4500] to 192.0.2.242[4500] (1248 bytes)",
        # Where a peer has a say, a line begins otherwise.
        'received end entity cert "CN=received DELETE for IKE_SA "',
    ],
)
def test_a_line_that_says_nothing_is_passed_over(text: str) -> None:
    assert told(Faults(), [("hgt7", text)]) == []


def test_another_charon_numbers_from_one_again() -> None:
    faults = Faults()
    matching, unknown = MATCHING.format("a.example", "b.example"), "no matching peer config found"
    assert hear(faults, [("", INIT), ("", matching), ("", unknown)])[0].details["identity"] == "b.example"
    assert (
        list(faults.hear(b"00[DMN] Starting charon-systemd IKE daemon (strongSwan 6.0.1, Linux 6.12, x86_64)\n")) == []
    )
    assert hear(faults, [("hgt7", unknown)])[0].details == {}


def test_a_line_of_no_ike_sa_is_of_an_address() -> None:
    line = b"09[IKE] no IKE config found for 198.51.100.10...192.0.2.6, sending NO_PROPOSAL_CHOSEN\n"
    assert list(Faults().hear(b"07[CFG] x\n" + line)) == [Fault(Why.NO_CONNECTION, "", "192.0.2.6")]
