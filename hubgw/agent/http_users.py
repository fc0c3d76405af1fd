"""Users on the agent's socket, below /hubgw/users: their certificates, who is revoked, what clients have to know."""

from aiohttp import web

from hubgw.agent.http_answers import SERVICE, answer, error, peer
from hubgw.agent.http_azure import json_object
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.statuses import to_json
from hubgw.pki.reading import read_revocation_lists


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds the paths below /hubgw/users."""
    router.add_get("/hubgw/users", _users)
    router.add_get("/hubgw/users/crl", _revocation_list)
    router.add_get("/hubgw/users/profile", _profile)
    router.add_post("/hubgw/users/issue", _issue)
    router.add_post("/hubgw/users/revoke", _revoke)


async def _users(request: web.Request) -> web.Response:
    return answer(to_json(await request.app[SERVICE].users()))


async def _revocation_list(request: web.Request) -> web.Response:
    """In DER, as RFC 5280 has it where a list is fetched by HTTP."""
    users = await request.app[SERVICE].users()
    (read,) = read_revocation_lists(users.revocation_list)
    return web.Response(body=read.der, headers={"Content-Type": "application/pkix-crl"})


async def _profile(request: web.Request) -> web.Response:
    asked = request.query
    return answer(to_json(await request.app[SERVICE].profile(asked.get("gateway", ""), asked.get("user", ""))))


async def _issue(request: web.Request) -> web.Response:
    body = await json_object(request)
    if not peer(request).is_root:
        return error(403, "AuthorizationFailed", "certificates are issued for root alone")
    match body:
        case {
            "request": str(asked),
            "name": str(name),
            "days": int(days),
            "renews": bool(renews),
            "revokes": bool(revokes),
        } if not isinstance(days, bool):
            who = peer(request).who
        case _:
            raise Refused(Refusal.INVALID, ["expected {request, name, days, renews, revokes}"])
    service = request.app[SERVICE]
    issued, certificate = await service.issue_user(asked, name, days, renews=renews, revokes=revokes, who=who)
    users = await service.users()
    authorities = {"chain": users.chain, "authority": users.authority}
    return answer({"issued": to_json(issued), "certificate": certificate, **authorities})


async def _revoke(request: web.Request) -> web.Response:
    body = await json_object(request)
    revoked = await request.app[SERVICE].revoke_user(str(body.get("name", "")), who=peer(request).who)
    return answer({"revoked": to_json(list(revoked))})
