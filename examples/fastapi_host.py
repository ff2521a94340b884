"""A FastAPI host: every WebSocket is a caller, who can reserve books with a tool of the application.

    pip install fastapi "uvicorn[standard]"
    python examples/fastapi_host.py

serves http://127.0.0.1:8000. A client of `/call` sends 16 kHz PCM (16 bit, mono) in binary messages and gets
24 kHz PCM back. Text messages are JSON: the transcript, the text of the answer, and `{"stop": true}` if audio
that is being played must be dropped. `GET /reservations` lists what callers have reserved.

The tool runs in the application's own event loop, like the HTTP handlers, so both use the same data without
locks, and the tool could await the application's database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated

import uvicorn
from attrs import asdict, frozen
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import Field
from starlette.websockets import WebSocketState

from orchestrator import (
    AnswerText,
    AudioIn,
    AudioOut,
    AudioStopped,
    EndReason,
    Incoming,
    Outgoing,
    Pacing,
    Tool,
    Transcript,
    TransportClosed,
    load_settings,
    tool,
)
from orchestrator.asyncio_host import Orchestrator, open_orchestrator


@frozen
class Reservation:
    """A book that a caller has reserved."""

    book: str
    name: str


def reserving(made: list[Reservation]) -> Tool:
    """A tool that adds to the list of reservations."""

    @tool
    async def reserve_book(
        book: Annotated[str, Field(description="The title.")],
        name: Annotated[str, Field(description="The caller's name.")],
    ) -> str:
        """Reserve a book for the caller, who picks it up in the shop. Ask for the name before."""
        made.append(Reservation(book, name))
        return f"Reserved; it is number {len(made)}."

    return reserve_book


class WebSocketTransport:
    """A transport of the orchestrator over a client's WebSocket."""

    pacing = Pacing(rate=24_000, chunk_ms=60, lead_ms=140)

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket

    async def receive(self) -> Incoming:
        """The next binary message, which is audio. Clients send nothing else."""
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                raise TransportClosed(f"closed with {message.get('code')}")
            pcm = message.get("bytes") or b""
            if pcm and len(pcm) % 2 == 0:
                return AudioIn.of_pcm(pcm, rate=16_000)

    async def send(self, message: Outgoing) -> None:
        """Send audio, or tell the client to drop it."""
        try:
            if isinstance(message, AudioOut):
                await self.socket.send_bytes(message.pcm)
            elif isinstance(message, AudioStopped):
                await self.socket.send_json({"stop": True})
        except WebSocketDisconnect as gone:
            raise TransportClosed(f"closed with {gone.code}") from gone

    async def close(self, reason: EndReason) -> None:
        """Tell the client why, if it is still there."""
        if self.socket.client_state is WebSocketState.CONNECTED:
            await self.socket.close(reason=reason.value)


async def show(socket: WebSocket, what: Mapping[str, str]) -> None:
    """Send the client a JSON message, if it is still there."""
    if WebSocketState.DISCONNECTED not in (socket.client_state, socket.application_state):
        await socket.send_json(what)


def make_app(opened: AbstractAsyncContextManager[Orchestrator]) -> FastAPI:
    """The application. The orchestrator is open as long as it runs."""
    reservations: list[Reservation] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Orchestrator]]:
        async with opened as orchestrator:
            yield {"orchestrator": orchestrator}

    app = FastAPI(lifespan=lifespan)

    @app.get("/reservations")
    async def reserved() -> list[dict[str, str]]:
        return [asdict(each) for each in reservations]

    @app.websocket("/call")
    async def call(socket: WebSocket) -> None:
        orchestrator: Orchestrator = socket.state.orchestrator
        await socket.accept()
        transport, tools = WebSocketTransport(socket), [reserving(reservations)]
        async with orchestrator.conversation(transport, tools=tools) as conversation:
            async for event in conversation.events():
                if isinstance(event, Transcript) and event.is_final:
                    await show(socket, {"caller": event.text})
                elif isinstance(event, AnswerText):
                    await show(socket, {"answer": event.text})

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(open_orchestrator(load_settings())))
