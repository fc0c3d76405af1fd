"""The verbs against a fake agent on a real socket: what they ask, what they print, how they end."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubgw.agent.service import Applied, Refusal, Refused
from hubgw.agent.statuses import Provisioning, Status
from hubgw.cli.__main__ import run
from tests.fakes.served import served
from tests.fakes.service import FakeService, id_of, resource
from tests.unit.cli.ended import Ended, Hubgw, check_golden


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def hubgw(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hubgw]:
    monkeypatch.setenv("HUBGW_SOCKET", str(tmp_path / "agent.sock"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def run_(*arguments: str) -> Ended:
        code = run(arguments)
        return Ended(code, *capsys.readouterr())

    with served(service, tmp_path / "agent.sock"):
        yield run_


@pytest.mark.parametrize(
    "arguments",
    [
        "show wan",
        "show hub",
        "show site",
        "show connection",
        "show nat-rule",
        "show tunnel",
        "show route",
        "show vnet",
        "show certificate",
        "show certificate GW1",
        "show certificate branch1.example.com",
        "show certificate 1b",
        "show sessions",
        "show sessions alice",
        "show sessions 10.99.0.129",
        "show users",
        "show pools",
        "show site branch1",
        "show connection branch2",
        "show connection gw1/branch1",
        "show hub HUB1",
        "show tunnel hgt1",
        "show tunnel branch2",
        "show route hub2",
        "show route branch1",
        "effective-routes hub1",
        "effective-routes connection/branch1",
        "events",
        "--help",
        "show --help",
        "apply --help",
        "delete --help",
        "metrics --help",
        "user --help",
        "user disconnect --help",
        "user disconnect alice --yes",
    ],
)
def test_what_people_read(hubgw: Hubgw, arguments: str) -> None:
    ended = hubgw(*arguments.split())
    assert (ended.code, ended.err) == (0, "")
    check_golden(arguments.replace("--", "").replace(" ", "-").replace("/", "-"), ended.out)
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    "kind", ["wan", "hub", "site", "connection", "nat-rule", "tunnel", "route", "vnet", "sessions", "users", "pools"]
)
def test_what_programs_read(hubgw: Hubgw, kind: str) -> None:
    ended = hubgw("show", kind, "--json")
    assert ended.code == 0
    assert isinstance(json.loads(ended.out), list)


def test_tables_fit_a_terminal(hubgw: Hubgw) -> None:
    for kind in ("wan", "hub", "site", "connection", "nat-rule", "route", "vnet"):
        assert max(map(len, hubgw("show", kind).out.splitlines())) <= 100


def test_disconnect_asks(hubgw: Hubgw, service: FakeService) -> None:
    refusal = "Disconnect? nobody can be asked; give --yes where that is meant\n"
    assert hubgw("user", "disconnect", "alice") == (2, "", f"  alice\n{refusal}")
    assert service.calls == []
    ended = json.loads(hubgw("user", "disconnect", "10.99.0.129", "--yes", "--json").out)
    assert [one["user"] for one in ended] == ["alice"]
    assert service.calls[0][1]["name"] == "10.99.0.129"
    service.fail_next(Refused(Refusal.NOT_FOUND, ["carol: is not signed on; hubgw show sessions lists who is"]))
    assert hubgw("user", "disconnect", "carol", "--yes").code == 4


def test_show_of_what_is_not_there(hubgw: Hubgw) -> None:
    ended = hubgw("show", "site", "nope")
    assert ended == (4, "", "site nope: there is none; hubgw show site lists what there is\n")


def test_show_key(hubgw: Hubgw, service: FakeService) -> None:
    ended = hubgw("show", "connection", "gw1/branch1", "--show-key")
    assert ended == (0, "the-key-of-the-connection\nisp  the-key-of-the-link\n", "")
    assert service.calls[0][1]["connection"] == "vpnConnections/gw1/branch1"
    assert (
        json.loads(hubgw("show", "connection", "branch1", "--show-key", "--json").out)["isp"] == "the-key-of-the-link"
    )
    assert hubgw("show", "connection", "nope", "--show-key").code == 4
    assert hubgw("show", "site", "branch1", "--show-key").code == 2


def test_apply(hubgw: Hubgw, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "wan.yaml").write_bytes(b"name: \xff\xfe")
    ended = hubgw("apply", "-f", "wan.yaml")
    assert ended == (0, "vpnSites/branch1: created\n\n  route 10.1.0.0/24 added\ngeneration 8\n", "")
    (_, arguments) = service.calls[0]
    assert arguments["sources"] == {"wan.yaml": b"name: \xff\xfe"}
    assert (arguments["prune"], arguments["dry_run"]) == (False, False)


def test_apply_of_stdin(hubgw: Hubgw, service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"type: x")))
    assert hubgw("apply", "-f", "-", "--json").code == 0
    assert service.calls[0][1]["sources"] == {"(stdin)": b"type: x"}


def test_apply_refused_tells_every_problem(hubgw: Hubgw, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "wan.yaml").touch()
    service.fail_next(Refused(Refusal.INVALID, ["wan.yaml:1: a", "wan.yaml:2: b"]))
    assert hubgw("apply", "-f", "wan.yaml") == (1, "", "wan.yaml:1: a\nwan.yaml:2: b\n")


def test_prune_asks_and_does_what_it_showed(
    hubgw: Hubgw, service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wan.yaml").touch()
    service.applied = Applied(7, pruned=("vpnSites/branch3",))
    ended = hubgw("apply", "-f", "wan.yaml", "--prune")
    refusal = "Delete these 1 resources? nobody can be asked; give --yes where that is meant\n"
    assert ended == (2, "", f"  vpnSites/branch3\n{refusal}")
    assert [arguments["dry_run"] for _, arguments in service.calls] == [True]
    assert hubgw("apply", "-f", "wan.yaml", "--prune", "--yes").code == 0
    assert [(call["dry_run"], call["prune"], call["if_generation"]) for _, call in service.calls[1:]] == [
        (True, True, None),
        (False, True, 7),
    ]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 130)])
def test_a_question(hubgw: Hubgw, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert hubgw("delete", "vpnSites/branch1").code == code


def test_wait_tells_what_failed(hubgw: Hubgw, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "wan.yaml").touch()
    ended = hubgw("apply", "-f", "wan.yaml", "--wait", "5")
    assert (ended.code, ended.err) == (5, "vpnConnections/gw1/branch2: charon: no proposal chosen\\x1b[31m\n")
    old = service.answer
    late = resource("vpnSites/late", {}, state=Provisioning.UPDATING)
    service.answer = Status(old.time, 7, old.charon, (late,), (), ())
    ended = hubgw("apply", "-f", "wan.yaml", "--wait", "0")
    assert (ended.code, ended.err) == (5, "vpnSites/late: not in place after 0 s\n")
    service.answer = Status(old.time, 7, old.charon, (), (), ())
    assert hubgw("apply", "-f", "wan.yaml", "--wait", "5").code == 0


def test_plan_changes_nothing(hubgw: Hubgw, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "wan.yaml").touch()
    assert hubgw("plan", "-f", "wan.yaml").out == "vpnSites/branch1: created\n\n  route 10.1.0.0/24 added\n"
    service.applied = Applied(7)
    assert hubgw("plan", "-f", "wan.yaml", "--prune").out == "no change\n"
    assert [(call["dry_run"], call["prune"]) for _, call in service.calls] == [(True, False), (True, True)]


def test_delete(hubgw: Hubgw, service: FakeService, tmp_path: Path) -> None:
    assert hubgw("delete", "site/branch1", "vpnConnections/gw1/branch1", "--cascade", "--yes").code == 0
    (_, arguments) = service.calls[-1]
    assert arguments["names"] == ["vpnSites/branch1", "vpnConnections/gw1/branch1"]
    assert (arguments["cascade"], arguments["everything"], arguments["dry_run"]) == (True, False, False)
    assert hubgw("delete", "--all", "--yes").code == 0
    assert service.calls[-1][1]["everything"] is True
    (tmp_path / "wan.yaml").write_text("x")
    assert hubgw("delete", "-f", "wan.yaml", "--yes", "--json").code == 0
    assert service.calls[-1][1]["sources"] == {"wan.yaml": b"x"}
    service.fail_next(Refused(Refusal.NOT_FOUND, ["vpnSites/x: there is no such resource"]))
    assert hubgw("delete", "vpnSites/x", "--yes") == (4, "", "vpnSites/x: there is no such resource\n")
    service.fail_next(Refused(Refusal.IN_USE, ["vpnSites/x: is referred to"]))
    assert hubgw("delete", "vpnSites/x").code == 1


@pytest.mark.parametrize(
    "arguments", ["delete", "delete a --all", "apply", "show", "show nothing", "nope", "--nope", ""]
)
def test_usage(hubgw: Hubgw, arguments: str) -> None:
    ended = hubgw(*arguments.split())
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: hubgw" in ended.err


def test_files_that_cannot_be_read(hubgw: Hubgw, tmp_path: Path) -> None:
    ended = hubgw("apply", "-f", "absent.yaml", "-f", str(tmp_path), "-f", "-", "-f", "-", "-f", "a\0b")
    assert ended.code == 2
    assert ended.err.splitlines()[1:3] == [
        "absent.yaml: No such file or directory; is it the file that was meant?",
        f"{tmp_path}: is a directory; name the files in it, each with -f",
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(hubgw: Hubgw, shell: str) -> None:
    ended = hubgw("completion", shell)
    assert ended.code == 0
    assert "_HUBGW_COMPLETE" in ended.out


def test_init_needs_a_gateway(hubgw: Hubgw, service: FakeService) -> None:
    service.answer = Status(0, 0, "", (), (), ())
    assert hubgw("init") == (2, "", "init: no vpnGateway is stored; name it with --gateway NAME\n")
    gateways = (resource("vpnGateways/a", {}), resource("vpnGateways/b", {}))
    service.answer = Status(0, 0, "", gateways, (), ())
    assert hubgw("init") == (2, "", "init: 2 vpnGateways are stored; name it with --gateway NAME\n")


def test_the_fake_is_named_as_azure_names() -> None:
    assert id_of("vpnSites/a").endswith("/providers/Microsoft.Network/vpnSites/a")
