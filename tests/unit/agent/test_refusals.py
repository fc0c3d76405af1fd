"""Why a user's client did not get in, in words."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from hubgw.agent.refusals import words
from hubgw.drivers.strongswan.faults import OF_USERS, Fault, Why
from hubgw.plan.ipsec import IkeServer

SERVER = IkeServer("hgt7", 7, "198.51.100.10", "vpn.example.com", "", (), (), (), (), (), 10, 3600)
PROFILE = "give the user a new profile"
CASES: list[tuple[Why, Mapping[str, str], str]] = [
    (
        Why.NO_PROPOSAL,
        {"received": "IKE:A", "configured": "IKE:B"},
        f"no algorithms in common: the client offers IKE:A, the gateway has IKE:B; {PROFILE}, or set "
        "vpnClientIpsecPolicies",
    ),
    (Why.NO_CONNECTION, {}, "the client does not speak IKEv2; set it to that"),
    (
        Why.UNKNOWN_IDENTITY,
        {"called": "other.example.com", "identity": "alice"},
        f"the client takes the gateway for other.example.com, and it is vpn.example.com; {PROFILE}",
    ),
    (
        Why.UNKNOWN_IDENTITY,
        {"called": "%any", "identity": "alice"},
        f"the gateway knows nobody who calls himself so, or proves it in this way; {PROFILE}",
    ),
    (
        Why.CERTIFICATE,
        {"revoked": "Nov 29 2026", "unbelieved": "CN=x"},
        "the certificate was revoked on Nov 29 2026; give the user another",
    ),
    (
        Why.CERTIFICATE,
        {"mismatched": "validation failed"},
        "the client does not sign by the key of its certificate; give the user another",
    ),
    (Why.CERTIFICATE, {}, f"the client shows no certificate that names it as it calls itself; {PROFILE}"),
    (
        Why.NO_PROOF,
        {"unlisted": "unknown, crl is stale"},
        f"the client proves itself in no way that the gateway takes; {PROFILE}, or add the authority of the "
        "certificate to vpnClientRootCertificates",
    ),
    (Why.AUTHENTICATION_REFUSED, {}, f"the client does not believe the gateway's certificate; {PROFILE}"),
    (Why.SELECTORS, {}, f"the client asks for traffic that the gateway does not carry; {PROFILE}"),
    (
        Why.NO_ADDRESS,
        {"pool": "hgt7-0"},
        "every address of the pool is in use; give the gateway a greater one (vpnClientAddressPool)",
    ),
    (Why.NO_ADDRESS_ASKED, {}, f"the client asks for no address; {PROFILE}"),
    (Why.EAP_FAILED, {"unknown": "mallory"}, "there is no such user"),
    (
        Why.EAP_FAILED,
        {"silent": "timed out"},
        "no RADIUS server answers; is it up, does it know the hub, and has it the same radiusServerSecret?",
    ),
    (Why.EAP_FAILED, {}, "wrong password, or no such user"),
    (Why.EAP_METHOD, {}, f"the client takes another EAP method alone; {PROFILE}"),
    (
        Why.NO_PROOF,
        {},
        f"the client proves itself in no way that the gateway takes; {PROFILE}, or add the authority of the "
        "certificate to vpnClientRootCertificates",
    ),
    (
        Why.HALF_OPEN,
        {},
        "the client began and did not go on; are UDP 500 and 4500 let through, fragments too?",
    ),
]


@pytest.mark.parametrize(("why", "details", "text"), CASES)
def test_each_refusal_in_words(why: Why, details: Mapping[str, str], text: str) -> None:
    assert words(Fault(why, "hgt7", details=details), SERVER) == text


def test_every_refusal_of_a_client_has_a_case() -> None:
    assert {why for why, _, _ in CASES} > OF_USERS
    for why in Why:
        assert words(Fault(why, "hgt7"), None)


@pytest.mark.parametrize("why", [Why.CERTIFICATE, Why.NO_PROOF])
def test_where_lists_decide_one_that_is_missing_or_too_old_is_why(why: Why) -> None:
    strict, told = replace(SERVER, is_strict=True), {"unlisted": "unknown, crl is stale"}
    assert words(Fault(why, "hgt7", details=told), strict).startswith(
        "the certificate's authority has no list of what is"
    )
    assert "no list" not in words(Fault(why, "hgt7", details=told | {"unbelieved": "CN=x"}), strict)
    assert "no list" not in words(Fault(why, "hgt7"), strict)
