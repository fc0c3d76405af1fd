"""The agent's Unix socket: who may speak to it, and the HTTP server on it.

Every answer is JSON, errors in Azure's shape. It decides nothing about resources (that is the `Service`'s), and never
logs a body or the text of an exception: either may hold a secret.
"""

import asyncio
import logging
import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from hubgw.agent import http_azure, http_own, http_users
from hubgw.agent.http_answers import PEER, SERVICE, Peer, error, refused
from hubgw.agent.logs import frames
from hubgw.agent.service import Refused, Service

LOG = logging.getLogger("hubgw")

GROUP: Final = "hubgw"
MAX_BODY: Final = 64 << 20  # bytes; a file of 10,000 sites has some 5 MiB
_BACKLOG: Final = 64
_PATH_LENGTH: Final = 107  # bytes, of sockaddr_un
_SO_PEERGROUPS: Final = 59  # linux/include/uapi/asm-generic/socket.h; Python has no name for it
_GROUPS_LENGTH: Final = 1024  # bytes, the most that Python's getsockopt takes: 256 groups


class SocketError(Exception):
    """The socket cannot be made: which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on its socket until `close`."""

    path: Path
    runner: web.AppRunner
    listener: asyncio.Server

    async def close(self) -> None:
        """Ends the connections and takes the socket away."""
        self.listener.close()
        await self.runner.cleanup()
        with suppress(FileNotFoundError):
            self.path.unlink()


async def serve(service: Service, path: Path, group: int | None) -> Server:
    """Answers for `service` on a Unix socket at `path`, to root and to `group` (an id; None where there is no such).

    Who holds the store is the only agent, so a socket that is there already is a dead one's.

    Raises:
        SocketError: the socket cannot be made.
    """
    bound = listen(path, group)
    runner = web.AppRunner(application(service, group), shutdown_timeout=2)
    await runner.setup()
    manager = cast(web.Server, runner.server)  # None only before setup
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Connection(manager, loop=loop), sock=bound, backlog=_BACKLOG)
    return Server(path, runner, listener)


def application(service: Service, group: int | None) -> web.Application:
    """Returns the routes, with the check of who asks before them; the agent's own user may, as root does."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_only_json_errors, _only_members(group)])
    app[SERVICE] = service
    http_own.add_routes(app.router)
    http_users.add_routes(app.router)
    http_azure.add_routes(app.router)
    return app


def listen(path: Path, group: int | None) -> socket.socket:
    """Returns a socket that listens at `path`, mode 0660 from its first moment, owned by us and `group`.

    Raises:
        SocketError: something else is at the path, or the file system refused.
    """
    where = f"socket: {path}"
    if len(os.fsencode(path)) > _PATH_LENGTH:
        raise SocketError(
            f"{where}: has {len(os.fsencode(path))} bytes; a Unix socket's path has at most {_PATH_LENGTH}"
        )
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # Directories are 0755 whatever our mask was: who may connect is said by the socket's own mode.
    umask = os.umask(0o022)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if group is not None and _shuts_out(path.parent, group):
            path.parent.chmod(0o755)
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise SocketError(f"{where}: is there and no socket; remove it, or name another path")
            path.unlink()
        os.umask(0o117)
        bound.bind(str(path))
        if group is not None:
            os.chown(path, -1, group)
        bound.listen(_BACKLOG)
    except OSError as refusal:
        bound.close()
        raise SocketError(f"{where}: {refusal.strerror}; run the agent as root, or name another path") from refusal
    except SocketError:
        bound.close()
        raise
    finally:
        os.umask(umask)
    return bound


def _shuts_out(directory: Path, group: int) -> bool:
    """Tells whether a directory of our user and name lets the group not pass; what others made is not ours to open."""
    status = directory.stat()
    passes = status.st_mode & stat.S_IXOTH or (status.st_gid == group and status.st_mode & stat.S_IXGRP)
    return directory.name == GROUP and status.st_uid == os.geteuid() and not passes


class _Connection(web.RequestHandler):
    """A client's connection; aiohttp's own answers, and its log, quote the bytes of a request that it cannot read."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status == HTTPStatus.BAD_REQUEST:
            LOG.warning("http.unreadable error=%s", type(exc).__name__, extra={"event": "http.unreadable"})
            response = _unreadable()
        else:
            response = _failed(exc, request.path)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent")
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        _failed(kw.get("exc_info"), "")

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        pass


def peer_of(connection: socket.socket) -> Peer:
    """Returns who is at the other end, as the kernel saw them when they connected (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    pid, uid, gid = struct.unpack("iII", credentials)
    groups = b""
    with suppress(OSError):  # ERANGE: of a member of more groups only the primary one counts
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_LENGTH)
    return Peer(pid, uid, frozenset({gid, *struct.unpack(f"{len(groups) // 4}I", groups)}))


def _only_members(group: int | None) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise web.HTTPForbidden
        peer = peer_of(transport.get_extra_info("socket"))
        if not peer.is_root and (group is None or group not in peer.groups):
            LOG.warning("http.refused uid=%d pid=%d", peer.uid, peer.pid, extra={"event": "http.refused"})
            return error(403, "AuthorizationFailed", f"uid {peer.uid} may not; be root, or join the group {GROUP}")
        request[PEER] = peer
        return await handler(request)

    return check


@web.middleware
async def _only_json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refusal:
        return refused(refusal, azure=not request.path.startswith("/hubgw/"))
    except web.HTTPRequestEntityTooLarge:
        return error(413, "RequestTooLarge", f"the request has more than {MAX_BODY >> 20} MiB; apply it in parts")
    except web.HTTPException as answer:
        return error(answer.status, "".join(answer.reason.split()), f"{request.method} {request.path}: {answer.reason}")
    except web.RequestPayloadError:
        return _unreadable()
    except Exception as failure:
        return _failed(failure, request.path)


def _unreadable() -> web.Response:
    return error(400, "BadRequest", "the request cannot be read: its head, length or encoding is not HTTP/1.1's")


def _failed(failure: BaseException | None, path: str) -> web.Response:
    kind = type(failure).__name__
    LOG.error("http.failed error=%s path=%s\n%s", kind, path, frames(failure), extra={"event": "http.failed"})
    return error(500, "InternalServerError", f"{kind} in the agent; its log has where")
