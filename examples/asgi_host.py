"""An ASGI host under asyncio, with Starlette: every WebSocket is a caller. FastAPI has the same parts.

    python examples/asgi_host.py

serves ws://127.0.0.1:8000/call with Hypercorn's asyncio worker. A client sends 16 kHz PCM (16 bit, mono) in
binary messages and gets 24 kHz PCM back; text messages are JSON: what was understood, what is said, and
`{"stop": true}` when what is being played must be dropped. In FastAPI, `call` is an `@app.websocket("/call")`
function, and `FastAPI(lifespan=...)` takes the same lifespan.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import hypercorn
from hypercorn.asyncio import serve
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from orchestrator import (
    AnswerText,
    AudioIn,
    AudioOut,
    AudioStopped,
    EndReason,
    Incoming,
    Outgoing,
    Pacing,
    Transcript,
    TransportClosed,
    load_settings,
)
from orchestrator.asyncio_host import Orchestrator, open_orchestrator


class WebSocketTransport:
    """A client's WebSocket as the orchestrator's transport."""

    pacing = Pacing(rate=24_000, chunk_ms=60, lead_ms=140)

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket

    async def receive(self) -> Incoming:
        """Binary messages are audio; nothing else is expected."""
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                raise TransportClosed(f"closed with {message.get('code')}")
            pcm = message.get("bytes") or b""
            if pcm and len(pcm) % 2 == 0:
                return AudioIn.of_pcm(pcm, rate=16_000)

    async def send(self, message: Outgoing) -> None:
        """Audio, and when to drop it."""
        try:
            if isinstance(message, AudioOut):
                await self.socket.send_bytes(message.pcm)
            elif isinstance(message, AudioStopped):
                await self.socket.send_json({"stop": True})
        except WebSocketDisconnect as gone:
            raise TransportClosed(f"closed with {gone.code}") from gone

    async def close(self, reason: EndReason) -> None:
        """Say why, if anybody is there."""
        if self.socket.client_state is WebSocketState.CONNECTED:
            await self.socket.close(reason=reason.value)


async def call(socket: WebSocket) -> None:
    """One caller, from the first message to the last."""
    orchestrator: Orchestrator = socket.state.orchestrator
    await socket.accept()
    async with orchestrator.conversation(WebSocketTransport(socket)) as conversation:
        async for event in conversation.events():
            if isinstance(event, Transcript) and event.is_final:
                await show(socket, {"caller": event.text})
            elif isinstance(event, AnswerText):
                await show(socket, {"answer": event.text})


async def show(socket: WebSocket, what: Mapping[str, str]) -> None:
    """Tell the client, if it is still there."""
    if WebSocketState.DISCONNECTED not in (socket.client_state, socket.application_state):
        await socket.send_json(what)


def make_app(opened: AbstractAsyncContextManager[Orchestrator]) -> Starlette:
    """The application; the orchestrator lives as long as it does."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, Orchestrator]]:
        async with opened as orchestrator:
            yield {"orchestrator": orchestrator}

    return Starlette(routes=[WebSocketRoute("/call", call)], lifespan=lifespan)


if __name__ == "__main__":
    app = make_app(open_orchestrator(load_settings()))
    asyncio.run(serve(app, hypercorn.Config()))  # type: ignore[arg-type]
