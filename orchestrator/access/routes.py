"""The HTTP side of the doors: who sent a request, refusals as answers, and `POST /v1/client-tokens`."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.access.claims import told
from orchestrator.access.client_tokens import TokenOrder
from orchestrator.access.credentials import Asked, joined
from orchestrator.access.doors import Doors
from orchestrator.access.refusal import Refusal
from orchestrator.http_bodies import UNCACHED, body_of, is_json

TOKENS_PATH = "/v1/client-tokens"
MAX_BODY_BYTES = 16 * 1024


def asked_by(request: Request) -> Asked:
    """Who sent a request."""
    peer = (request.client.host, request.client.port) if request.client is not None else None
    own = request.scope.get("server")
    here = None if own is None else (own[0], own[1])
    return Asked(peer, here, joined(request.headers.items()), request.url.query)


def refused(refusal: Refusal) -> Response:
    """The answer that says so."""
    return JSONResponse({"error": refusal.sentence}, refusal.status, headers={**UNCACHED, **refusal.headers})


def access_routes(doors: Doors, tools: Collection[str]) -> list[Route]:
    """The routes of these doors. `tools` are the names of all tools that calls may have."""

    async def mint(request: Request) -> Response:
        try:
            # Whoever may not do this learns nothing of what would be right.
            minted = await doors.minting(asked_by(request))
            order = await _order(request, tools)
            token, made = minted(order)
        except Refusal as refusal:
            return refused(refusal)
        body = {
            "token": token,
            "token_id": made.token_id,
            "expires_at": made.expires_s,
            "uses": made.uses,
            "scopes": sorted(scope.value for scope in made.grant.scopes),
        }
        return JSONResponse(body, 201, headers=UNCACHED)

    return [Route(TOKENS_PATH, mint, methods=["POST"], name="client tokens")]


async def _order(request: Request, tools: Collection[str]) -> TokenOrder:
    """What is ordered; without a body, what is usual. Raises `Refusal`."""
    body = await _bytes(request)
    if body and not is_json(request):
        raise Refusal(415, "the body must be JSON, with the content type application/json")
    try:
        order = TokenOrder.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise Refusal(400, told(error)) from None
    unknown = sorted(set(order.tools or ()) - set(tools))
    if unknown:
        raise Refusal(400, f"tools: {', '.join(unknown)} cannot be called here; those that can are in TOOLS")
    return order


async def _bytes(request: Request) -> bytes:
    try:
        body = await body_of(request, MAX_BODY_BYTES)
    except ClientDisconnect:
        raise Refusal(400, "the request ended within its body") from None
    if body is None:
        raise Refusal(413, f"a request may have {MAX_BODY_BYTES} bytes here")
    return body
