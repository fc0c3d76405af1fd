"""hubgw's own paths on the agent's socket, below /hubgw/: files to apply, names to delete, and what was observed."""

import base64
import binascii
from collections.abc import Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from hubgw.agent.http_answers import SERVICE, answer, error, peer
from hubgw.agent.http_azure import json_object
from hubgw.agent.service import BgpRoutes, Refusal, Refused, Sources
from hubgw.agent.statuses import Json, to_json
from hubgw.agent.views import effective_routes

_EVENTS = 200


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the paths below /hubgw/."""
    router.add_post("/hubgw/apply", _apply)
    router.add_post("/hubgw/delete", _delete)
    router.add_post("/hubgw/keys", _keys)
    router.add_get("/hubgw/pki", _pki)
    router.add_post("/hubgw/pki/issue", _issue)
    router.add_post("/hubgw/pki/revoke", _revoke)
    router.add_post("/hubgw/users/disconnect", _disconnect)
    router.add_get("/hubgw/resources", _resources)
    router.add_get("/hubgw/status", _status)
    router.add_get("/hubgw/routes", _routes)
    router.add_get("/hubgw/effective-routes", _effective_routes)
    router.add_get("/hubgw/events", _events)
    router.add_get("/hubgw/bgp/peers", _bgp_peers)
    router.add_get("/hubgw/bgp/{which:learned|advertised|refused}", _bgp_routes)
    router.add_get("/metrics", _metrics)


async def _apply(request: web.Request) -> web.Response:
    body = await json_object(request)
    applied = await request.app[SERVICE].apply(
        _sources(body),
        prune=_flag(request.query, "prune"),
        dry_run=_flag(request.query, "dryRun"),
        if_generation=_if_generation(request.query),
        who=peer(request).who,
    )
    return answer(to_json(applied))


async def _delete(request: web.Request) -> web.Response:
    body = await json_object(request)
    names, everything = body.get("names", []), body.get("all", False)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(Refusal.INVALID, ["names: is no list of names"])
    if not isinstance(everything, bool):
        raise Refused(Refusal.INVALID, ["all: is neither true nor false"])
    applied = await request.app[SERVICE].delete(
        names,
        _sources(body),
        everything=everything,
        cascade=_flag(request.query, "cascade"),
        dry_run=_flag(request.query, "dryRun"),
        if_generation=_if_generation(request.query),
        who=peer(request).who,
    )
    return answer(to_json(applied))


async def _keys(request: web.Request) -> web.Response:
    body = await json_object(request)
    if not peer(request).is_root:
        return error(403, "AuthorizationFailed", "preshared keys are shown to root alone")
    keys = await request.app[SERVICE].shared_keys(str(body.get("connection", "")), who=peer(request).who)
    return answer({"keys": dict(keys)})


async def _pki(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    return answer({"authority": await service.authority(), "issued": to_json(list(await service.issued()))})


async def _issue(request: web.Request) -> web.Response:
    body = await json_object(request)
    if not peer(request).is_root:
        return error(403, "AuthorizationFailed", "certificates are issued for root alone")
    match body:
        case {"request": str(asked), "name": str(name), "names": list(names), "days": int(days)} if not isinstance(
            days, bool
        ):
            wanted = [str(one) for one in names]
        case _:
            raise Refused(Refusal.INVALID, ["expected {request, name, names, days}"])
    issued, certificate = await request.app[SERVICE].issue(asked, name, wanted, days, who=peer(request).who)
    authority = await request.app[SERVICE].authority()
    return answer({"issued": to_json(issued), "certificate": certificate, "authority": authority})


async def _revoke(request: web.Request) -> web.Response:
    body = await json_object(request)
    revoked = await request.app[SERVICE].revoke(str(body.get("name", "")), who=peer(request).who)
    return answer({"revoked": to_json(list(revoked))})


async def _disconnect(request: web.Request) -> web.Response:
    body = await json_object(request)
    ended = await request.app[SERVICE].disconnect(str(body.get("name", "")), who=peer(request).who)
    return answer({"sessions": to_json(list(ended))})


async def _resources(request: web.Request) -> web.Response:
    resources = await request.app[SERVICE].resources()
    return answer({"resources": to_json([each for _, each in sorted(resources.items())])})


async def _status(request: web.Request) -> web.Response:
    return answer(to_json(await request.app[SERVICE].status()))


async def _routes(request: web.Request) -> web.Response:
    status = await request.app[SERVICE].status()
    return answer({"routes": to_json(status.routes)})


async def _effective_routes(request: web.Request) -> web.Response:
    status = await request.app[SERVICE].status()
    return answer({"routes": to_json(effective_routes(status, request.query.get("of", "")))})


async def _events(request: web.Request) -> web.Response:
    limit = _number(request.query, "limit")
    events = await request.app[SERVICE].events(_EVENTS if limit is None else limit)
    return answer({"events": to_json(list(events))})


async def _bgp_peers(request: web.Request) -> web.Response:
    peers = await request.app[SERVICE].bgp_peers(request.query.get("of", ""))
    return answer({"peers": to_json(list(peers))})


async def _bgp_routes(request: web.Request) -> web.Response:
    which = BgpRoutes(request.match_info["which"])
    routes = await request.app[SERVICE].bgp_routes(which, request.query.get("of", ""))
    return answer({"routes": to_json(list(routes))})


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=await request.app[SERVICE].metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _sources(body: Json) -> Sources:
    listed = body.get("sources", [])
    if not isinstance(listed, list):
        raise Refused(Refusal.INVALID, ["sources: is no list"])
    return [_source(index, item) for index, item in enumerate(listed)]


def _source(index: int, item: object) -> tuple[str, bytes]:
    match item:
        case {"file": str(file), "text": str(text)}:
            return file, text.encode("utf-8", "surrogatepass")
        case {"file": str(file), "base64": str(text)}:
            try:
                return file, base64.b64decode(text, validate=True)
            except binascii.Error:
                raise Refused(Refusal.INVALID, [f"sources[{index}].base64: is no base64"]) from None
    raise Refused(Refusal.INVALID, [f"sources[{index}]: is no {{file, text}} and no {{file, base64}}"])


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value.lower() not in {"true", "false", "1", "0"}:
        raise Refused(Refusal.INVALID, [f"{name}: is neither true nor false, got {value!r}"])
    return value.lower() in {"true", "1"}


def _if_generation(query: Mapping[str, str]) -> int | None:
    return _number(query, "ifGeneration")


def _number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise Refused(Refusal.INVALID, [f"{name}: is no number, got {value!r}"])
    return int(value)
