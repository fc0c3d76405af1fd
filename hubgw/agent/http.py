"""The agent's Unix socket: who may speak to it, and the HTTP server on it.

Every answer is JSON, errors in Azure's shape. It decides nothing about resources (that is the `Service`'s), and never
logs a body or the text of an exception: either may hold a secret.
"""

import logging
import os
import socket
import stat
import struct
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from hubgw.agent import http_azure, http_own
from hubgw.agent.http_answers import PEER, SERVICE, Peer, error, refused
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

    async def close(self) -> None:
        """Ends the connections and takes the socket away."""
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
    runner = web.AppRunner(application(service, group), access_log=None, shutdown_timeout=2)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    return Server(path, runner)


def application(service: Service, group: int | None) -> web.Application:
    """Returns the routes, with the check of who asks before them; the agent's own user may, as root does."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_only_json_errors, _only_members(group)])
    app[SERVICE] = service
    http_own.add_routes(app.router)
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
    umask = os.umask(0o117)
    try:
        # 0755 whatever the mask: who may connect is said by the socket's own mode.
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o755)
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise SocketError(f"{where}: is there and no socket; remove it, or name another path")
            path.unlink()
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
    except Exception as failure:
        frames = "".join(traceback.format_tb(failure.__traceback__))
        kind = type(failure).__name__
        LOG.error("http.failed error=%s path=%s\n%s", kind, request.path, frames, extra={"event": "http.failed"})
        return error(500, "InternalServerError", f"{kind} in the agent; its log has where")
