"""The HTTP application: the page, the state diagram, `/health` and `/ready`."""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import trio
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.logs import library_logger
from machines.diagrams import svg_of_conversation
from orchestrator.access.origins import Origins

PAGE = resources.files("orchestrator.server") / "page"

log = library_logger(__name__)

# The state diagram carries its own styles inside.
CONTENT_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'"
)
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

UNCACHED = {"cache-control": "no-store"}
"""Headers of answers that are true only at this moment."""

UNVERSIONED = {"cache-control": "no-cache"}
"""Headers of answers that are asked for again each time; the browser is told if they have not changed."""
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
"""Headers of files whose address changes when they do."""
LOST_UPGRADE_EVERY_S = 60
"""Lost upgrades are warned about once in so long."""

Health = Callable[[], dict[str, Any]]
"""Returns the body of `/health`."""
Waiting = Callable[[], str | None]
"""Returns what the server waits for, as `/ready` reports it; None when it takes calls."""


def make_app(
    health: Health,
    waiting: Waiting,
    others: Sequence[BaseRoute] = (),
    sockets: Sequence[str] = (),
    embedded_by: Sequence[str] = (),
    origins: Origins = Origins.of(()),  # noqa: B008 - frozen
) -> Starlette:
    """Make the HTTP application, which also serves `others`. At the paths `sockets` there are WebSockets.

    Pages from the origins `embedded_by` may show ours in a frame ("self": those from here), pages from
    `origins` may read how the server is.
    """
    page = Path(str(PAGE))
    version = page_version(page)
    document = (page / "index.html").read_text(encoding="utf-8").replace('"page/', f'"page/{version}/')
    drawing = _drawing()
    lost_upgrade = _LostUpgrades()

    async def index(request: Request) -> Response:
        return HTMLResponse(document, headers={"cache-control": "no-store"})

    async def report_health(request: Request) -> Response:
        return JSONResponse(health(), headers=_readable(request, origins))

    async def report_readiness(request: Request) -> Response:
        reason = waiting()
        if reason is None:
            return JSONResponse({"ready": True}, headers=_readable(request, origins))
        body = {"ready": False, "waiting": reason}
        return JSONResponse(body, status_code=503, headers=_readable(request, origins))

    async def diagram(request: Request) -> Response:
        return Response(drawing, media_type="image/svg+xml", headers=UNVERSIONED)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/health", report_health),
            Route("/ready", report_readiness),
            Route("/diagrams/conversation.svg", diagram),
            Mount("/page", _PageFiles(page, version)),
            *(Route(path, lost_upgrade.answer) for path in sockets),
            *others,
        ],
        middleware=[Middleware(_AddHeaders, embedded_by=embedded_by)],
    )


def _readable(request: Request, origins: Origins) -> dict[str, str]:
    """Headers of an answer that pages of these origins may read."""
    origin = request.headers.get("origin")
    if origin is None or not origins.allows(request.headers):
        return UNCACHED
    return {**UNCACHED, "access-control-allow-origin": origin, "vary": "origin"}


@functools.cache
def page_version(page: Path) -> str:
    """A name for the page's files as they are: a cache must never mix old ones and new ones."""
    digest = hashlib.sha256()
    for file in sorted(each for each in page.rglob("*") if each.is_file()):
        digest.update(f"{file.relative_to(page)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


class _PageFiles(StaticFiles):
    """The page's files, under its version or any other: the page of before an update asks for that one's."""

    def __init__(self, page: Path, version: str) -> None:
        super().__init__(directory=page)
        self._version = version

    async def get_response(self, path: str, scope: Scope) -> Response:
        named = re.match(r"([0-9a-f]{12})[/\\]", path)
        response = await super().get_response(path[named.end() :] if named else path, scope)
        current = named is not None and named[1] == self._version and response.status_code in (200, 304)
        response.headers.update(FOREVER if current else UNVERSIONED)
        return response


class _LostUpgrades:
    """Answers requests for a WebSocket that came as plain HTTP, and tells the operator."""

    def __init__(self) -> None:
        self._warned_at = -math.inf

    async def answer(self, request: Request) -> Response:
        # Proxies drop "Upgrade" and "Connection", which are theirs, and pass on the rest of the handshake.
        if "sec-websocket-key" in request.headers:
            self._warn(request)
        return PlainTextResponse(
            "There is a WebSocket here, and the request did not ask for an upgrade to it. If it did when it "
            "was sent, a proxy has dropped the headers: it must pass on Upgrade and Connection, over "
            f"HTTP/1.1 (this came over {request.scope['http_version']}). See docs/protocol.md.\n",
            status_code=426,
            headers={"upgrade": "websocket"},
        )

    def _warn(self, request: Request) -> None:
        now = trio.current_time()
        if now < self._warned_at + LOST_UPGRADE_EVERY_S:
            return
        self._warned_at = now
        proxies = [
            name for name in request.headers if name == "via" or name.startswith(("x-forwarded", "cf-"))
        ]
        log.warning(
            "a proxy has dropped the Upgrade header: no call gets through",
            path=request.url.path,
            peer=request.client.host if request.client else None,
            http=request.scope["http_version"],
            proxy_headers=proxies,
        )


@functools.cache
def _drawing() -> str:
    """The state diagram, drawn once per process: the machine is the same for every server."""
    return svg_of_conversation()


class _AddHeaders:
    """Adds headers to every answer. The answer passes through as it is, however its client breaks it off."""

    def __init__(self, app: ASGIApp, embedded_by: Sequence[str]) -> None:
        self._app = app
        self._ancestors = " ".join("'self'" if each == "self" else each for each in embedded_by) or "'none'"
        self._fixed = dict(SECURITY_HEADERS)
        if not embedded_by:
            self._fixed["x-frame-options"] = "DENY"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message), Headers(scope=scope).get("host", ""))
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _add(self, headers: MutableHeaders, host: str) -> None:
        policy = f"{_content_policy(host)}; frame-ancestors {self._ancestors}"
        headers.setdefault("content-security-policy", policy)
        for name, value in self._fixed.items():
            headers.setdefault(name, value)


def _content_policy(host: str) -> str:
    """The policy for a page at this host. To Safari before 15.4 a socket there is not 'self'."""
    if re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?", host) is None:
        return CONTENT_POLICY
    return f"{CONTENT_POLICY}; connect-src 'self' ws://{host} wss://{host}"
