"""A small server with OpenAI's interface on a loopback port, whose answers tests decide byte by byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import h11
import trio
from attrs import define, field

EVENTS = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


def chunk(text: str | None = None, finish: str | None = None, **fields: Any) -> str:
    """A line of an answer, as OpenAI sends it."""
    delta = {} if text is None else {"content": text}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "test",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **fields,
    }
    return f"data: {json.dumps(body)}\n\n"


DONE = "data: [DONE]\n\n"


@define
class Exchange:
    """One request, with methods to answer it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    _connection: h11.Connection
    _stream: trio.SocketStream

    async def begin(self, status: int = 200, headers: Mapping[str, str] = EVENTS) -> None:
        await self._send(h11.Response(status_code=status, headers=list(headers.items())))

    async def write(self, content: str | bytes) -> None:
        await self._send(h11.Data(data=content.encode() if isinstance(content, str) else content))

    async def finish(self) -> None:
        await self._send(h11.EndOfMessage())

    async def reply(self, *lines: str, status: int = 200, headers: Mapping[str, str] = EVENTS) -> None:
        await self.begin(status, headers)
        for line in lines:
            await self.write(line)
        await self.finish()

    async def hung_up(self) -> None:
        """Returns when the client has closed the connection."""
        while await self._stream.receive_some():
            pass

    async def _send(self, event: h11.Event) -> None:
        await self._stream.send_all(self._connection.send(event) or b"")


Answer = Callable[[Exchange], Awaitable[None]]


@define
class ChatServer:
    base_url: str
    exchanges: list[Exchange] = field(factory=list)
    connections: int = 0


@asynccontextmanager
async def chat_server(answer: Answer) -> AsyncIterator[ChatServer]:
    """Runs while the block does. After `answer` returns without finishing, the connection is closed."""

    async def serve(stream: trio.SocketStream) -> None:
        server.connections += 1
        try:
            async with stream:
                await _serve_connection(stream, server, answer)
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = ChatServer(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def _serve_connection(stream: trio.SocketStream, server: ChatServer, answer: Answer) -> None:
    connection = h11.Connection(h11.SERVER)
    while exchange := await _next_exchange(connection, stream):
        server.exchanges.append(exchange)
        await answer(exchange)
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _next_exchange(connection: h11.Connection, stream: trio.SocketStream) -> Exchange | None:
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request:
            headers = {name.decode(): value.decode() for name, value in request.headers}
            fields = json.loads(body) if body else {}
            return Exchange(request.target.decode(), headers, fields, connection, stream)
        else:
            return None
