"""The HTTP application: the page, the state diagram, `/health` and `/ready`."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from machines.diagrams import svg_of_conversation

PAGE = resources.files("orchestrator.server") / "page"

SECURITY_HEADERS = {
    # The state diagram carries its own styles inside.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

UNCACHED = {"cache-control": "no-store", "access-control-allow-origin": "*"}
"""Headers of answers that are true only at this moment."""

Health = Callable[[], dict[str, Any]]
"""Returns the body of `/health`."""
Waiting = Callable[[], str | None]
"""Returns what the server waits for, as `/ready` reports it; None when it takes calls."""


def make_app(health: Health, waiting: Waiting, others: Sequence[BaseRoute] = ()) -> Starlette:
    """Make the HTTP application, which also serves `others`."""
    page = str(PAGE)
    drawing = _drawing()

    async def index(request: Request) -> Response:
        return FileResponse(f"{page}/index.html", headers={"cache-control": "no-cache"})

    async def report_health(request: Request) -> Response:
        return JSONResponse(health(), headers=UNCACHED)

    async def report_readiness(request: Request) -> Response:
        reason = waiting()
        if reason is None:
            return JSONResponse({"ready": True}, headers=UNCACHED)
        return JSONResponse({"ready": False, "waiting": reason}, status_code=503, headers=UNCACHED)

    async def diagram(request: Request) -> Response:
        return Response(drawing, media_type="image/svg+xml")

    return Starlette(
        routes=[
            Route("/", index),
            Route("/health", report_health),
            Route("/ready", report_readiness),
            Route("/diagrams/conversation.svg", diagram),
            Mount("/page", StaticFiles(directory=page)),
            *others,
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_add_headers)],
    )


@functools.cache
def _drawing() -> str:
    """The state diagram, drawn once per process: the machine is the same for every server."""
    return svg_of_conversation()


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
