"""Until when certificates are good, and events ahead of the end, by a clock of the test's own."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hubgw.agent.certificates import Certificates
from hubgw.agent.expiry import Expiry, certificate_statuses
from hubgw.agent.metrics import exposition
from hubgw.agent.statuses import CertificateStatus, Validity
from hubgw.pki.authority import new_key, request
from tests.certificates import Pair, make, revoke
from tests.unit.agent.rig import Clock, Rig

DAY = 86_400
GATEWAY = """
---
type: settings
name: gw1
properties: {{resource: vpnGateways/gw1, certificate: {own}, privateKey: {key}, certificateAuthorities: [{ca}],
  revocationLists: [{crl}]}}
"""
INPUT = Path(__file__).parents[2].joinpath("golden/compile/two-branches/input.yaml").read_text()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.store.close()


def _operators(rig: Rig, days: float) -> tuple[float, Pair]:
    """Applies a gateway with the operator's certificate, which ends in so many days."""
    now = time.time()
    ca = make("CN=ca", ca=True, now=now)
    own = make("CN=hub", ["198.51.100.10", "198.51.100.11"], by=ca, now=now, days=(-1, days))
    texts = {"own": own.pem, "key": own.key, "ca": ca.pem, "crl": revoke(ca, now=now)}
    content = INPUT + GATEWAY.format(**{name: json.dumps(text) for name, text in texts.items()})
    asyncio.run(rig.apply(content.encode()))
    return now, own


def _statuses(rig: Rig, now: float) -> dict[tuple[str, str], CertificateStatus]:
    assert rig.reconciler.state.desired
    found = certificate_statuses(rig.reconciler.state.desired, rig.certificates, now)
    return {(one.kind, one.subject): one for one in found}


def _issue(certificates: Certificates, name: str, days: int) -> str:
    issued, _ = certificates.issue(request(new_key(), name), name, [name], days, who="test")
    return issued.serial


def test_what_the_operator_gave_a_gateway_is_told(rig: Rig) -> None:
    now, own = _operators(rig, 29)
    found = _statuses(rig, now)
    assert {key: (one.name, one.state, one.days_left) for key, one in found.items()} == {
        ("gateway", "CN=hub"): ("gw1", Validity.EXPIRES, 28),
        ("authority", "CN=ca"): ("gw1", Validity.VALID, 29_999),
        ("revocationList", "CN=ca"): ("gw1", Validity.VALID, 29_999),
    }
    status = found["gateway", "CN=hub"]
    assert (status.issuer, status.serial) == ("CN=ca", f"{own.certificate.serial_number:x}")
    assert status.id.endswith("/vpnGateways/gw1")
    assert _statuses(rig, now + 30 * DAY)["gateway", "CN=hub"].state is Validity.EXPIRED
    assert _statuses(rig, now - 2 * DAY)["gateway", "CN=hub"].state is Validity.NOT_YET


def test_of_branches_the_newest_of_a_name_counts(rig: Rig) -> None:
    _operators(rig, 1_000)
    for name in ("a.example", "b.example"):
        _issue(rig.certificates, name, 10)
    newest = _issue(rig.certificates, "a.example", 100)
    rig.certificates.revoke("b.example", who="test")
    assert rig.reconciler.state.desired
    found = certificate_statuses(rig.reconciler.state.desired, rig.certificates, time.time())
    branches = [(one.name, one.state) for one in found if one.kind == "branch"]
    assert branches == [
        ("a.example", Validity.REPLACED),
        ("b.example", Validity.REVOKED),
        ("a.example", Validity.VALID),
    ]
    assert [one.subject for one in found if one.name == "hubgw"] == ["O=hubgw, CN=hubgw authority"]
    metrics = {family.name: family for family in text_string_to_metric_families(exposition([], [], found).decode())}
    samples = metrics["hubgw_certificate_expiry_seconds"].samples
    told = {sample.labels["serial"]: sample.value for sample in samples if sample.labels["kind"] == "branch"}
    assert told == {newest: next(one.until for one in found if one.serial == newest)}


def test_an_end_is_told_once_a_day_and_its_coming_at_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hubgw")
    now, _ = _operators(rig, 31)
    clock = Clock()
    expiry = Expiry(rig.reconciler, rig.certificates, rig.journal, clock)
    told = []
    for day in (0.0, 2.0, 2.5, 3.1, 30.5, 31.1, 31.5, 32.2):
        clock.now = now + day * DAY
        expiry.round()
        told.append((len(rig.events("certificate.expires")), len(rig.events("certificate.expired"))))
    assert told == [(0, 0), (1, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 1), (3, 2)]
    (first, *_) = rig.events("certificate.expires")
    assert first.startswith("kind=gateway name=gw1 subject='CN=hub' serial=") and first.endswith("days=28")
    assert "PRIVATE KEY" not in caplog.text


def test_before_the_first_pass_nothing_is_told(rig: Rig) -> None:
    Expiry(rig.reconciler, rig.certificates, rig.journal, Clock()).round()
    assert rig.journal.events() == ()
