"""Azure's resource paths on the agent's socket: GET, PUT and DELETE of one resource, GET of a collection.

Paths are compared without case, as Azure's; `api-version` is accepted and not looked at: there is one.
"""

import json
import re
from typing import Final

from aiohttp import web

from hubgw.agent.http_answers import SERVICE, answer, error, peer
from hubgw.agent.references import words
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.statuses import Json, Provisioning, ResourceStatus

_SEGMENT: Final = r"[A-Za-z0-9._()-]+"
_PATH: Final = re.compile(
    rf"/subscriptions/(?P<subscription>{_SEGMENT})(?:/resourceGroups/(?P<group>{_SEGMENT}))?"
    rf"/providers/(?P<provider>Microsoft\.Network|Hubgw\.Network)/(?P<path>{_SEGMENT}(?:/{_SEGMENT})*)/?",
    re.ASCII | re.IGNORECASE,
)


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the paths below /subscriptions/."""
    router.add_get("/{path:(?i:subscriptions)/.*}", _get)
    router.add_put("/{path:(?i:subscriptions)/.*}", _put)
    router.add_delete("/{path:(?i:subscriptions)/.*}", _delete)


async def _get(request: web.Request) -> web.Response:
    matched = _match(request)
    resources = await request.app[SERVICE].resources()
    if _is_resource(matched):
        found = resources.get(_id(matched).lower())
        return answer(_azure(found)) if found else _not_found(matched)
    group = re.escape(matched["group"].lower()) if matched["group"] else "[^/]+"
    collection = re.compile(
        rf"/subscriptions/{re.escape(matched['subscription'].lower())}/resourcegroups/{group}"
        rf"/providers/{re.escape(matched['provider'].lower())}/{re.escape(matched['path'].lower())}/[^/]+"
    )
    return answer({"value": [_azure(each) for key, each in sorted(resources.items()) if collection.fullmatch(key)]})


async def _put(request: web.Request) -> web.Response:
    matched = _one(request)
    body = await json_object(request)
    service = request.app[SERVICE]
    created = await service.put(_id(matched), body, who=peer(request).who)
    found = (await service.resources()).get(_id(matched).lower())
    # Deleted by another in between.
    return answer(_azure(found), 201 if created else 200) if found else _not_found(matched)


async def _delete(request: web.Request) -> web.Response:
    matched = _one(request)
    service = request.app[SERVICE]
    if _id(matched).lower() not in await service.resources():
        return web.Response(status=204)
    await service.delete(
        [_id(matched)], (), everything=False, cascade=False, dry_run=False, if_generation=None, who=peer(request).who
    )
    return web.Response(status=200)


async def json_object(request: web.Request) -> Json:
    """Returns the request's body, a JSON object.

    Raises:
        Refused: it is none; the text says where, never what.
    """
    try:
        body = json.loads(await request.read())
    except json.JSONDecodeError as fault:
        raise Refused(Refusal.INVALID, [f"body:{fault.lineno}: no JSON: {fault.msg} at column {fault.colno}"]) from None
    # ValueError: bytes that are no UTF-8, or an integer of more digits than Python converts.
    except (ValueError, RecursionError) as fault:
        raise Refused(Refusal.INVALID, [f"body: no JSON: {type(fault).__name__}"]) from None
    if not isinstance(body, dict):
        raise Refused(Refusal.INVALID, ["body: is no JSON object"])
    return body


def _match(request: web.Request) -> re.Match[str]:
    # az writes a double slash before the type.
    matched = _PATH.fullmatch(re.sub("/{2,}", "/", request.path))
    if matched is None:
        raise web.HTTPNotFound
    return matched


def _one(request: web.Request) -> re.Match[str]:
    matched = _match(request)
    if not _is_resource(matched):
        raise web.HTTPMethodNotAllowed(request.method, ["GET"])
    return matched


def _is_resource(matched: re.Match[str]) -> bool:
    return matched["group"] is not None and len(matched["path"].split("/")) % 2 == 0


def _id(matched: re.Match[str]) -> str:
    head = f"/subscriptions/{matched['subscription']}/resourceGroups/{matched['group']}"
    return f"{head}/providers/{matched['provider']}/{matched['path']}"


def _not_found(matched: re.Match[str]) -> web.Response:
    return error(404, "ResourceNotFound", f"{words(_id(matched))}: there is no such resource")


def _azure(resource: ResourceStatus) -> Json:
    properties = resource.body.get("properties")
    seen: dict[str, object] = {"provisioningState": resource.provisioning_state}
    if resource.connection_status is not None:
        seen["connectionStatus"] = resource.connection_status
    if resource.provisioning_state is Provisioning.FAILED:
        seen["provisioningError"] = resource.reason
    return {**resource.body, "properties": {**(properties if isinstance(properties, dict) else {}), **seen}}
