"""HTTP over the agent's Unix socket, by the standard library alone: a request -> its JSON, or the error in words."""

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from hubgw.cli.exits import Code, Fail

DEFAULT_SOCKET: Final = "/run/hubgw/agent.sock"
TIMEOUT: Final = 300.0
"""Seconds without a byte: a first apply of thousands of sites on a small machine takes a while."""

_CODES: Final = {403: Code.UNREACHABLE, 404: Code.NOT_FOUND}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """Asks the agent at one socket."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        self.path = path
        self._timeout = timeout

    def get(self, path: str, **query: str) -> Any:
        """Returns the answer's JSON. Raises Fail."""
        return self._ask("GET", path, query, None)

    def text(self, path: str) -> str:
        """Returns the answer as it is. Raises Fail."""
        status, octets = self._exchange("GET", path, {}, None)
        if status >= http.client.BAD_REQUEST:
            self._parsed(status, octets)
        return octets.decode(errors="replace")

    def post(self, path: str, body: Mapping[str, object], **query: str) -> Any:
        """Returns the answer's JSON. Raises Fail."""
        return self._ask("POST", path, query, body)

    def _ask(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, object] | None) -> Any:
        return self._parsed(*self._exchange(method, path, query, body))

    def _exchange(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, object] | None
    ) -> tuple[int, bytes]:
        target = quote(path) + (f"?{urlencode(query, errors='surrogateescape')}" if query else "")
        connection = _UnixConnection(self.path, self._timeout)
        try:
            connection.request(method, target, None if body is None else json.dumps(body).encode())
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Fail(Code.UNREACHABLE, [self._unreachable(error)]) from None
        finally:
            connection.close()

    def _parsed(self, status: int, text: bytes) -> Any:
        try:
            parsed = json.loads(text) if text else {}
        except ValueError:
            raise Fail(Code.UNREACHABLE, [f"agent: {self.path} answers no JSON; is it hubgw's socket?"]) from None
        if status >= http.client.BAD_REQUEST:
            raise Fail(_CODES.get(status, Code.REFUSED), _problems(parsed, status))
        return parsed

    def _unreachable(self, error: Exception) -> str:
        match error:
            case FileNotFoundError():
                what = "there is no socket; start the agent (systemctl start hubgw), or name its socket with --socket"
            case ConnectionRefusedError():
                what = "nobody listens; start the agent (systemctl start hubgw)"
            case PermissionError():
                what = "permission denied; be root, or join the group hubgw"
            case TimeoutError():
                what = f"no answer in {self._timeout:g} s; look into the agent's log"
            case ConnectionError() | http.client.HTTPException():
                what = "the connection broke; look into the agent's log"
            case OSError():
                what = f"{error.strerror or error}; name the agent's socket with --socket"
            case _:
                what = type(error).__name__
        return f"agent: {self.path}: {what}"


def _problems(answer: object, status: int) -> list[str]:
    match answer:
        case {"problems": [*problems]}:
            return [str(problem) for problem in problems]
        case {"error": {"details": [_, *_] as details}}:
            return [str(detail["message"]) if isinstance(detail, dict) else str(detail) for detail in details]
        case {"error": {"message": message}}:
            return [f"agent: {message}"]
    return [f"agent: answered {status} without saying why"]
