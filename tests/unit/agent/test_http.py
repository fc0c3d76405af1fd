"""The agent's socket over a real Unix socket: paths, errors, and who may."""

import base64
import http.client
import json
import logging
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from hubgw.agent.http import SocketError, listen
from hubgw.agent.service import Applied, BgpRoutes, Refusal, Refused
from hubgw.agent.statuses import to_json
from tests.fakes.served import served
from tests.fakes.service import HEAD, PEERS, ROUTES, FakeService, id_of

NOBODY = 65534
GROUP = 4711


class Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def path(service: FakeService, tmp_path: Path) -> Iterator[Path]:
    with served(service, tmp_path / "run" / "agent.sock") as socket_path:
        yield socket_path


def ask(path: Path, method: str, target: str, body: object = None) -> tuple[int, Any]:
    connection = Connection(path)
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    connection.request(method, target, content)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if text else None


def test_get_of_one_resource_without_regard_to_case(path: Path) -> None:
    for target in (
        id_of("vpnSites/branch1"),
        f"{HEAD}//Microsoft.Network/vpnSites/branch1?api-version=2024-05-01".replace(
            "resourceGroups", "resourcegroups"
        ),
        id_of("VPNSITES/Branch1").upper().replace("/SUBSCRIPTIONS", "/Subscriptions"),
    ):
        status, body = ask(path, "GET", target)
        assert (status, body["id"]) == (200, id_of("vpnSites/branch1"))
        assert body["properties"]["provisioningState"] == "Succeeded"
        assert "connectionStatus" not in body["properties"]


def test_get_tells_state_and_reason(path: Path) -> None:
    _, body = ask(path, "GET", id_of("vpnGateways/gw1/vpnConnections/branch2"))
    assert body["properties"]["connectionStatus"] == "NotConnected"
    assert body["properties"]["provisioningState"] == "Failed"
    assert "no proposal chosen" in body["properties"]["provisioningError"]


def test_get_of_what_is_not_there(path: Path) -> None:
    status, body = ask(path, "GET", id_of("vpnSites/nope"))
    assert status == 404
    assert body == {"error": {"code": "ResourceNotFound", "message": "vpnSites/nope: there is no such resource"}}
    for target in ("/", "/subscriptions/0", f"{HEAD}/Microsoft.Compute/virtualMachines/x", "/hubgw/nope"):
        status, body = ask(path, "GET", target)
        assert (status, body["error"]["code"]) == (404, "NotFound")


def test_lists(path: Path) -> None:
    def names(target: str) -> list[str]:
        status, body = ask(path, "GET", target)
        assert status == 200
        return [one["name"] for one in body["value"]]

    subscription = HEAD.split("/resourceGroups")[0]
    assert names(f"{HEAD}/Microsoft.Network/vpnsites?api-version=1") == ["branch1", "branch2", "branch3"]
    assert names(f"{subscription}/providers/microsoft.network/vpnSites/") == ["branch1", "branch2", "branch3"]
    assert names(id_of("vpnGateways/gw1/vpnConnections")) == ["branch1", "branch2"]
    assert names(f"{HEAD}/Hubgw.Network/nodes") == ["n1"]
    assert names(f"{HEAD.replace('hubgw', 'other')}/Microsoft.Network/vpnSites") == []
    assert names(f"{HEAD}/Microsoft.Network/p2sVpnGateways") == []


def test_put_creates_and_replaces(path: Path, service: FakeService) -> None:
    status, body = ask(path, "PUT", id_of("vpnSites/new") + "?api-version=1", {"properties": {"a": 1}})
    assert (status, body["properties"]) == (201, {"a": 1, "provisioningState": "Updating"})
    assert service.calls == [
        ("put", {"id": id_of("vpnSites/new"), "body": {"properties": {"a": 1}}, "who": service.calls[0][1]["who"]})
    ]
    status, _ = ask(path, "PUT", id_of("vpnSites/new"), {})
    assert status == 200


def test_put_of_a_collection(path: Path) -> None:
    status, body = ask(path, "PUT", f"{HEAD}/Microsoft.Network/vpnSites", {})
    assert (status, body["error"]["code"]) == (405, "MethodNotAllowed")


def test_refusals_in_azures_shape(path: Path, service: FakeService) -> None:
    service.fail_next(Refused(Refusal.INVALID, ["a: x", "b: y"]))
    status, body = ask(path, "PUT", id_of("vpnSites/new"), {})
    code = "InvalidRequestContent"
    details = [{"code": code, "message": "a: x"}, {"code": code, "message": "b: y"}]
    assert status == 400
    assert body == {"error": {"code": code, "message": "the configuration has problems", "details": details}}
    service.fail_next(Refused(Refusal.IN_USE, ["vpnSites/branch1: is referred to"]))
    status, body = ask(path, "DELETE", id_of("vpnSites/branch1"))
    assert (status, body["error"]["message"]) == (409, "vpnSites/branch1: is referred to")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"sharedKey": hunter2}', "body:1: no JSON: Expecting value at column 15"),
        (b"\xff\xfe\xfa", "body: no JSON: UnicodeDecodeError"),
        (b"[" * 200_000, "body: no JSON: RecursionError"),
        (b"[]", "body: is no JSON object"),
        (b"", "body:1: no JSON: Expecting value at column 1"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "body: no JSON: ValueError"),
    ],
)
def test_bodies_that_are_no_json(path: Path, content: bytes, message: str) -> None:
    status, body = ask(path, "PUT", id_of("vpnSites/new"), content)
    assert (status, body["error"]["message"]) == (400, message)


def test_delete(path: Path, service: FakeService) -> None:
    assert ask(path, "DELETE", id_of("vpnSites/nope")) == (204, None)
    assert service.calls == []
    assert ask(path, "DELETE", id_of("vpnSites/BRANCH1"))[0] == 200
    (method, arguments) = service.calls[0]
    assert (method, arguments["names"], arguments["cascade"]) == ("delete", [id_of("vpnSites/BRANCH1")], False)


def test_apply(path: Path, service: FakeService) -> None:
    sources = [{"file": "a.yaml", "text": "x: ü"}, {"file": "b", "base64": base64.b64encode(b"\xff\x00").decode()}]
    status, body = ask(path, "POST", "/hubgw/apply?prune=1&dryRun=true&ifGeneration=7", {"sources": sources})
    assert status == 200
    assert body == {
        "generation": 8,
        "changes": ["vpnSites/branch1: created"],
        "plan": ["route 10.1.0.0/24 added"],
        "pruned": [],
    }
    (_, arguments) = service.calls[0]
    assert arguments["sources"] == {"a.yaml": "x: ü".encode(), "b": b"\xff\x00"}
    assert (arguments["prune"], arguments["dry_run"], arguments["if_generation"]) == (True, True, 7)


def test_apply_refused(path: Path, service: FakeService) -> None:
    service.fail_next(Refused(Refusal.INVALID, ["a.yaml:3: x"]))
    assert ask(path, "POST", "/hubgw/apply", {"sources": []}) == (422, {"why": "invalid", "problems": ["a.yaml:3: x"]})
    service.fail_next(Refused(Refusal.CONFLICT, ["store: ..."]))
    assert ask(path, "POST", "/hubgw/apply", {"sources": []})[0] == 409


@pytest.mark.parametrize(
    ("target", "body", "problem"),
    [
        ("apply?prune=perhaps", {}, "prune: is neither true nor false, got 'perhaps'"),
        ("apply?ifGeneration=-1", {}, "ifGeneration: is no number, got '-1'"),
        ("apply", {"sources": 1}, "sources: is no list"),
        ("apply", {"sources": [{"file": "x"}]}, "sources[0]: is no {file, text} and no {file, base64}"),
        ("apply", {"sources": [{"file": "x", "base64": "&"}]}, "sources[0].base64: is no base64"),
        ("delete", {"names": "x"}, "names: is no list of names"),
        ("delete", {"all": "yes"}, "all: is neither true nor false"),
    ],
)
def test_requests_that_make_no_sense(path: Path, target: str, body: object, problem: str) -> None:
    assert ask(path, "POST", f"/hubgw/{target}", body) == (422, {"why": "invalid", "problems": [problem]})


def test_delete_of_hubgws_own(path: Path, service: FakeService) -> None:
    ask(path, "POST", "/hubgw/delete?cascade=true&dryRun=1", {"names": ["vpnSites/a"], "all": False})
    (_, arguments) = service.calls[0]
    assert (arguments["names"], arguments["cascade"], arguments["dry_run"]) == (["vpnSites/a"], True, True)


def test_what_was_observed(path: Path) -> None:
    status, body = ask(path, "GET", "/hubgw/status")
    assert (status, body["generation"], body["charon"]) == (200, 7, "6.0.1")
    assert body["tunnels"][0]["spiIn"] == "c0000001"
    assert body["resources"][0]["provisioningState"] == "Succeeded"
    assert ask(path, "GET", "/hubgw/routes")[1]["routes"] == body["routes"]
    assert len(ask(path, "GET", "/hubgw/resources")[1]["resources"]) == len(body["resources"])
    assert [event["event"] for event in ask(path, "GET", "/hubgw/events")[1]["events"]] == ["tunnel.up", "pass.done"]
    assert len(ask(path, "GET", "/hubgw/events?limit=1")[1]["events"]) == 1


@pytest.mark.parametrize(
    "name",
    [
        "virtualHubs/hub1",
        "vpnConnections/branch1",
        "hubVirtualNetworkConnections/vnet1",
        "vpnGateways/gw1",
        id_of("vpnGateways/gw1/vpnConnections/branch1"),
    ],
)
def test_effective_routes(path: Path, name: str) -> None:
    status, body = ask(path, "GET", f"/hubgw/effective-routes?of={name}")
    assert status == 200
    assert [(route["prefix"], route["protocol"], route["asPath"]) for route in body["routes"]] == [
        ("0.0.0.0/0", "static", ""),
        ("10.1.0.0/24", "static", ""),
        ("10.9.0.0/16", "bgp", "65010 65011"),
        ("10.50.0.0/24", "static", ""),
    ]


def test_effective_routes_of_what_has_none(path: Path) -> None:
    status, body = ask(path, "GET", "/hubgw/effective-routes?of=vpnSites/branch1")
    expected = "vpnSites/branch1: has no routes; name a connection or a virtualHub"
    assert (status, body) == (404, {"why": "notFound", "problems": [expected]})
    assert ask(path, "GET", "/hubgw/effective-routes?of=x")[0] == 404


def test_keys_are_for_root(path: Path, service: FakeService) -> None:
    status, body = ask(path, "POST", "/hubgw/keys", {"connection": "branch1"})
    assert (status, body["keys"][""]) == (200, "the-key-of-the-connection")
    assert service.calls[0][0] == "shared_keys"


def test_a_failure_of_ours_tells_no_secret(path: Path, service: FakeService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service.fail_next(ValueError("hunter2-hunter2-hunter2"))
    status, body = ask(path, "POST", "/hubgw/apply", {})
    assert (status, body["error"]["code"]) == (500, "InternalServerError")
    assert "ValueError" in caplog.text
    assert "service.py" in caplog.text
    assert "hunter2" not in caplog.text + json.dumps(body)


def test_a_body_beyond_the_limit(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hubgw.agent.http.MAX_BODY", 1 << 20)
    with served(FakeService(), tmp_path / "small.sock") as small:
        status, body = ask(small, "POST", "/hubgw/apply", {"sources": [{"file": "x", "text": "y" * (2 << 20)}]})
    assert status == 413
    assert body["error"]["message"] == "the request has more than 1 MiB; apply it in parts"


def _raw(path: Path, request: bytes) -> list[tuple[int, Any]]:
    """Sends bytes and returns the status and JSON of every answer until the connection is closed."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(request)
        with client.makefile("rb") as stream:
            answers = []
            while line := stream.readline():
                headers = http.client.parse_headers(stream)
                body = stream.read(int(headers["Content-Length"]))
                assert headers.get_content_type() == "application/json"
                answers.append((int(line.split()[1]), json.loads(body)))
            return answers


_PUT = f"PUT {id_of('vpnSites/new')} HTTP/1.1\r\nHost: x\r\n".encode()
_KEY = b'{"sharedKey": "hunter2-hunter2-hunter2"}'


@pytest.mark.parametrize(
    "request_",
    [
        _PUT + b"X-Key: hunter2\0\r\n\r\n",
        _PUT + b"Content-Length: 2\r\n\r\n{}" + _KEY + b"\r\n\r\n",
        _PUT + b"Content-Length: hunter2\r\n\r\n",
        _KEY + b"\r\n\r\n",
        _PUT + b"Transfer-Encoding: chunked\r\n\r\nhunter2\r\n" + _KEY,
        _PUT + b"Content-Encoding: deflate\r\nConnection: close\r\nContent-Length: 40\r\n\r\n" + _KEY,
    ],
    ids=["nul", "short-length", "no-length", "no-http", "no-chunk", "no-deflate"],
)
def test_bytes_that_are_no_request_are_not_quoted(
    path: Path, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = _raw(path, request_)
    unreadable = "the request cannot be read: its head, length or encoding is not HTTP/1.1's"
    assert answers[-1] == (400, {"error": {"code": "BadRequest", "message": unreadable}})
    assert "hunter2" not in caplog.text + json.dumps(answers)
    assert not [record for record in caplog.records if record.exc_info or record.name.startswith("aiohttp")]


def test_the_socket_is_ours_and_goes_with_us(tmp_path: Path) -> None:
    path = tmp_path / "run" / "hub" / "agent.sock"
    umask = os.umask(0o077)
    try:
        with served(FakeService(), path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path.parent.parent)] == [0o755, 0o755]
    finally:
        os.umask(umask)
    assert not path.exists()


def test_a_dead_agents_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with served(FakeService(), path):
        assert ask(path, "GET", "/hubgw/resources")[0] == 200


def test_paths_that_no_socket_can_have(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SocketError, match="is there and no socket; remove it"):
        listen(tmp_path / "file", None)
    with pytest.raises(SocketError, match="a Unix socket's path has at most 107"):
        listen(tmp_path / ("x" * 108), None)
    with pytest.raises(SocketError, match=r"(Not a directory|File exists); run the agent as root"):
        listen(tmp_path / "file" / "agent.sock", None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
@pytest.mark.parametrize(("name", "mode", "may"), [("hubgw", 0o700, True), ("hubgw", 0o750, True), ("x", 0o700, False)])
def test_a_closed_directory_of_ours_is_opened_for_the_group(name: str, mode: int, may: bool) -> None:
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        directory = Path(above) / name
        directory.mkdir()
        directory.chmod(mode)
        with served(FakeService(), directory / "agent.sock", GROUP):
            said = _as_another([str(directory / "agent.sock"), "GET", "/hubgw/status", ""], GROUP, [])
        assert said.startswith("200 ") if may else "PermissionError" in said
        assert stat.S_IMODE(directory.stat().st_mode) == (0o755 if may else mode)


def test_a_directory_that_lets_the_group_pass_is_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "hubgw"
    directory.mkdir()
    directory.chmod(0o750)
    with served(FakeService(), directory / "agent.sock", directory.stat().st_gid):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o750


_ASK_AS_ANOTHER = """
import http.client, os, socket, sys
os.setgroups([int(group) for group in sys.argv[6].split(",") if group])
os.setgid(int(sys.argv[5]))
os.setuid(65534)
connection = http.client.HTTPConnection("localhost", timeout=10)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request(sys.argv[2], sys.argv[3], sys.argv[4] or None)
response = connection.getresponse()
print(response.status, response.read().decode())
"""


def _as_another(arguments: list[str], group: int, extra_groups: list[int]) -> str:
    command = [sys.executable, "-c", _ASK_AS_ANOTHER, *arguments, str(group), ",".join(map(str, extra_groups))]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
def test_who_may() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        path = Path(directory) / "agent.sock"
        with served(FakeService(applied=Applied(1)), path, GROUP):
            status = [str(path), "GET", "/hubgw/status", ""]
            keys = [str(path), "POST", "/hubgw/keys", '{"connection": "branch1"}']
            issue = [str(path), "POST", "/hubgw/pki/issue", "{}"]
            assert "PermissionError" in _as_another(status, NOBODY, [])
            # Were the mode lost, the kernel's word on who asks would still hold.
            path.chmod(0o666)
            refused = _as_another(status, NOBODY, [])
            assert refused.startswith("403 ")
            assert "uid 65534 may not; be root, or join the group hubgw" in refused
            path.chmod(0o660)
            assert _as_another(status, GROUP, []).startswith("200 ")
            assert _as_another(status, NOBODY, [1, 2, GROUP]).startswith("200 ")
            assert "PermissionError" in _as_another(status, NOBODY, [1, 2])
            path.chmod(0o666)
            assert _as_another(status, NOBODY, [*range(5000, 5300), GROUP]).startswith("403 ")
            shown = _as_another(keys, GROUP, [])
            assert shown.startswith("403 ")
            assert "the-key" not in shown
            refused = _as_another(issue, GROUP, [])
            assert refused.startswith("403 ") and "certificates are issued for root alone" in refused
            refused = _as_another([str(path), "POST", "/hubgw/users/issue", "{}"], GROUP, [])
            assert refused.startswith("403 ") and "certificates are issued for root alone" in refused


def test_certificates_are_issued_listed_and_revoked(path: Path, service: FakeService) -> None:
    asked = {"request": "csr", "name": "branch1.example.com", "names": ["192.0.2.2"], "days": 30}
    status, body = ask(path, "POST", "/hubgw/pki/issue", asked)
    assert (status, set(body)) == (200, {"issued", "certificate", "authority"})
    assert service.calls[-1][0] == "issue" and service.calls[-1][1].items() >= asked.items()
    status, listed = ask(path, "GET", "/hubgw/pki")
    assert (status, listed) == (200, {"authority": body["authority"], "issued": [body["issued"]]})
    status, revoked = ask(path, "POST", "/hubgw/pki/revoke", {"name": "branch1.example.com"})
    assert (status, revoked) == (200, {"revoked": [body["issued"]]})
    assert service.calls[-1][1]["name"] == "branch1.example.com"


def test_users_are_issued_certificates_listed_and_revoked(path: Path, service: FakeService) -> None:
    asked = {"request": "csr", "name": "alice", "days": 30, "renews": True, "revokes": False}
    status, body = ask(path, "POST", "/hubgw/users/issue", asked)
    assert (status, set(body)) == (200, {"issued", "certificate", "chain", "authority"})
    assert service.calls[-1][0] == "issue_user" and service.calls[-1][1].items() >= asked.items()
    status, listed = ask(path, "GET", "/hubgw/users")
    assert (status, listed["users"]) == (200, [body["issued"]])
    assert {"thumbprint", "renewFrom", "notAfter", "revoked"} < set(body["issued"])
    status, revoked = ask(path, "POST", "/hubgw/users/revoke", {"name": "alice"})
    assert (status, revoked) == (200, {"revoked": [body["issued"]]})
    assert service.calls[-1] == ("revoke_user", {"name": "alice", "who": service.calls[-1][1]["who"]})


@pytest.mark.parametrize("left_out", ["request", "name", "days", "renews", "revokes"])
def test_a_request_of_a_users_certificate_is_whole(path: Path, service: FakeService, left_out: str) -> None:
    asked = {"request": "csr", "name": "alice", "days": 30, "renews": False, "revokes": False}
    missing = {key: value for key, value in asked.items() if key != left_out}
    wrong: object = 1 if left_out in {"renews", "revokes"} else True
    for body in (missing, asked | {left_out: None}, asked | {left_out: wrong}):
        status, answer = ask(path, "POST", "/hubgw/users/issue", body)
        assert (status, service.calls) == (422, [])
        assert "expected {request, name, days, renews, revokes}" in json.dumps(answer)


def test_users_are_disconnected_by_name_or_address(path: Path, service: FakeService) -> None:
    for name in ("alice", "10.99.0.129"):
        status, answer = ask(path, "POST", "/hubgw/users/disconnect", {"name": name})
        assert status == 200 and [one["user"] for one in answer["sessions"]] == ["alice"]
        assert answer["sessions"][0]["bytesIn"] == 1_500_000
        assert service.calls[-1][1]["name"] == name and service.calls[-1][1]["who"]
    assert ask(path, "POST", "/hubgw/users/disconnect", {})[0] == 200
    assert service.calls[-1][1]["name"] == ""


@pytest.mark.parametrize("left_out", ["request", "name", "names", "days"])
def test_a_request_of_a_certificate_is_whole(path: Path, service: FakeService, left_out: str) -> None:
    asked = {"request": "csr", "name": "branch1", "names": ["192.0.2.2"], "days": 30}
    missing = {key: value for key, value in asked.items() if key != left_out}
    for body in (missing, asked | {left_out: None}, asked | {left_out: True}):
        status, answer = ask(path, "POST", "/hubgw/pki/issue", body)
        assert (status, service.calls) == (422, [])
        assert "expected {request, name, names, days}" in json.dumps(answer)


def test_bgp_peers_and_routes(path: Path, service: FakeService) -> None:
    status, body = ask(path, "GET", "/hubgw/bgp/peers?of=10.1.0.254")
    assert (status, [(peer["localAddress"], peer["gracefulRestart"]) for peer in body["peers"]]) == (
        200,
        [("10.100.0.12", True), ("10.100.0.13", True)],
    )
    assert len(ask(path, "GET", "/hubgw/bgp/peers")[1]["peers"]) == len(PEERS)
    for which in BgpRoutes:
        status, body = ask(path, "GET", f"/hubgw/bgp/{which}?of=gw1%2Fbranch1")
        assert (status, body) == (200, {"routes": to_json(list(ROUTES[which]))})
        assert service.calls[-1] == ("bgp_routes", {"which": which, "of": "gw1/branch1"})


def test_bgp_of_who_has_no_session(path: Path, service: FakeService) -> None:
    for what in ("peers", *BgpRoutes):
        service.fail_next(Refused(Refusal.NOT_FOUND, ["nope: has no BGP session; name another"]))
        status, body = ask(path, "GET", f"/hubgw/bgp/{what}?of=nope")
        assert (status, body) == (404, {"why": "notFound", "problems": ["nope: has no BGP session; name another"]})
    for target in ("/hubgw/bgp", "/hubgw/bgp/accepted", "/hubgw/bgp/peers/10.1.0.254"):
        status, body = ask(path, "GET", target)
        assert (status, body["error"]["code"]) == (404, "NotFound")


def test_metrics_as_prometheus_asks_for_them(path: Path) -> None:
    connection = Connection(path)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert (response.status, response.headers["Content-Type"]) == (200, CONTENT_TYPE_LATEST)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {sample.value for sample in families["hubgw_bgp_peer_status"].samples} == {0, 1}
    assert all(family.documentation and name.startswith("hubgw_") for name, family in families.items())
