"""What the socket's answers are made of: JSON bodies, Azure's errors, and who asked."""

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from hubgw.agent.service import Refusal, Refused, Service

SERVICE: Final = web.AppKey("service", Service)
_ROOT: Final = 0
_UNPROCESSABLE: Final = 422


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a connection, with all of its groups."""

    pid: int
    uid: int
    groups: frozenset[int]

    @property
    def is_root(self) -> bool:
        """Root, or the user that the agent itself runs as."""
        return self.uid in {_ROOT, os.geteuid()}

    @property
    def who(self) -> str:
        """The user's name where the machine knows one, for history and events."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


PEER: Final = web.RequestKey("peer", Peer)

_STATUS: Final[Mapping[Refusal, tuple[int, str, str]]] = {
    Refusal.INVALID: (400, "InvalidRequestContent", "the configuration has problems"),
    Refusal.NOT_FOUND: (404, "ResourceNotFound", "there is no such resource"),
    Refusal.IN_USE: (409, "InUse", "other resources refer to it"),
    Refusal.CONFLICT: (409, "AnotherOperationInProgress", "another change came first"),
    Refusal.UNAVAILABLE: (503, "ServiceUnavailable", "the store cannot be read or written"),
}


def answer(body: object, status: int = 200) -> web.Response:
    """Returns a JSON response."""
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")


def error(status: int, code: str, message: str, details: Sequence[str] = ()) -> web.Response:
    """Returns an error in Azure's shape; each detail is one problem."""
    body: dict[str, object] = {"code": code, "message": message}
    if details:
        body["details"] = [{"code": code, "message": detail} for detail in details]
    return answer({"error": body}, status)


def refused(refusal: Refused, *, azure: bool) -> web.Response:
    """Returns the error that a refusal is: in Azure's shape, or as ``{"why", "problems"}`` on hubgw's own paths."""
    status, code, message = _STATUS[refusal.why]
    if not azure:
        body = {"why": refusal.why, "problems": list(refusal.problems)}
        return answer(body, _UNPROCESSABLE if refusal.why is Refusal.INVALID else status)
    if len(refusal.problems) == 1:
        message = refusal.problems[0]
    return error(status, code, message, refusal.problems)


def peer(request: web.Request) -> Peer:
    """Returns who asked, as the check before the routes found it."""
    return request[PEER]
