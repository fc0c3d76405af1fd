"""`hubgw show bgp` and `hubgw metrics` against a fake agent on a real socket: what they ask, print, and end with."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hubgw.agent.service import BgpRoutes, Refusal, Refused
from hubgw.agent.statuses import to_json
from hubgw.cli.__main__ import run
from tests.fakes.served import served
from tests.fakes.service import NOW, PEERS, ROUTES, FakeService
from tests.unit.cli.ended import Ended, Hubgw, check_golden

ROUTE_FIELDS = {
    *("hub", "connection", "site", "instance", "peer", "prefix", "asPath"),
    *("communities", "best", "refusal"),
}


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def hubgw(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hubgw]:
    monkeypatch.setenv("HUBGW_SOCKET", str(tmp_path / "agent.sock"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(time, "time", lambda: NOW + 3725)

    def run_(*arguments: str) -> Ended:
        code = run(arguments)
        return Ended(code, *capsys.readouterr())

    with served(service, tmp_path / "agent.sock"):
        yield run_


@pytest.mark.parametrize("what", ["peers", "learned", "advertised", "refused"])
def test_what_people_read(hubgw: Hubgw, what: str) -> None:
    ended = hubgw("show", "bgp", what)
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    check_golden(f"show-bgp-{what}", ended.out)


def test_what_programs_read_of_peers(hubgw: Hubgw) -> None:
    ended = hubgw("show", "bgp", "peers", "--json")
    assert (ended.code, ended.err) == (0, "")
    peers = json.loads(ended.out)
    assert peers == to_json(list(PEERS))
    assert list(peers[2]) == [
        *("speaker", "hub", "connection", "site", "link", "instance", "address", "localAddress", "asn"),
        *("state", "since", "reason", "attempt", "holdTime", "gracefulRestart"),
        *("learned", "accepted", "refused", "stale"),
        *("advertised", "updatesIn", "updatesOut", "flaps", "heldUntil", "treatedAsWithdraw", "discarded"),
        "lastMalformed",
    ]
    assert (peers[2]["state"], peers[2]["heldUntil"], peers[2]["since"]) == ("Held", NOW + 60, None)


@pytest.mark.parametrize("which", list(BgpRoutes))
def test_what_programs_read_of_routes(hubgw: Hubgw, which: BgpRoutes) -> None:
    ended = hubgw("show", "bgp", which, "--json")
    assert (ended.code, ended.err) == (0, "")
    routes = json.loads(ended.out)
    assert routes == to_json(list(ROUTES[which]))
    assert all(set(route) == ROUTE_FIELDS for route in routes)


def test_whose_they_are_is_passed_on_as_it_is(hubgw: Hubgw, service: FakeService) -> None:
    assert len(hubgw("show", "bgp", "peers", "10.1.0.254").out.splitlines()) == 3
    assert hubgw("show", "bgp", "refused", "gw1/branch ü&1").code == 0
    assert [arguments["of"] for _, arguments in service.calls] == ["10.1.0.254", "gw1/branch ü&1"]


def test_who_has_no_session(hubgw: Hubgw, service: FakeService) -> None:
    problem = "nope: has no BGP session; hubgw show bgp peers lists them"
    for what in ("peers", "learned", "advertised", "refused"):
        service.fail_next(Refused(Refusal.NOT_FOUND, [problem]))
        assert hubgw("show", "bgp", what, "nope") == (4, "", problem + "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        "show bgp",
        "show bgp nothing",
        "show bgp Peers",
        "show bgp peers a b",
        "show bgp peers --show-key",
        "show site branch1 more",
        "metrics more",
    ],
)
def test_usage(hubgw: Hubgw, service: FakeService, arguments: str) -> None:
    ended = hubgw(*arguments.split())
    assert (ended.code, ended.out, service.calls) == (2, "", [])
    assert "Usage: hubgw" in ended.err


def test_which_tables_there_are_is_told(hubgw: Hubgw) -> None:
    assert "peers, learned, advertised, refused" in hubgw("show", "bgp").err


def test_routes_tell_who_taught_them(hubgw: Hubgw) -> None:
    learned = [route for route in json.loads(hubgw("show", "route", "--json").out) if route["protocol"] == "bgp"]
    assert [(route["prefix"], route["asPath"], route["nexthops"]) for route in learned] == [
        ("10.9.0.0/16", "65010 65011", ["hgt1"])
    ]
    effective = json.loads(hubgw("effective-routes", "hub1", "--json").out)
    assert {route["prefix"]: (route["protocol"], route["asPath"]) for route in effective} == {
        "0.0.0.0/0": ("static", ""),
        "10.1.0.0/24": ("static", ""),
        "10.9.0.0/16": ("bgp", "65010 65011"),
        "10.50.0.0/24": ("static", ""),
    }


def test_metrics_are_what_prometheus_reads(hubgw: Hubgw) -> None:
    ended = hubgw("metrics")
    assert (ended.code, ended.err) == (0, "")
    families = {family.name: family for family in text_string_to_metric_families(ended.out)}
    status = {
        (sample.labels["connection"], sample.labels["peer"], sample.labels["instance"]): sample.value
        for sample in families["hubgw_bgp_peer_status"].samples
    }
    assert status == {
        ("gw1/branch1", "10.1.0.254", "0"): 1,
        ("gw1/branch1", "10.1.0.254", "1"): 1,
        ("gw1/branch2", "10.2.0.254", "0"): 0,
        ("gw1/branch2", "10.2.0.254", "1"): 0,
    }


def test_metrics_that_are_refused(hubgw: Hubgw, service: FakeService) -> None:
    service.fail_next(Refused(Refusal.UNAVAILABLE, ["store: disk I/O error"]))
    assert hubgw("metrics") == (1, "", "store: disk I/O error\n")
