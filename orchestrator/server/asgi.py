"""Serves an ASGI application over HTTP/1.1: one request of a connection, and its answer.

h11 parses and makes the bytes; the application is called by the ASGI specification (3.0, HTTP 2.3). A
connection carries one request, because an upgrade to WebSocket is recognised only in its first head.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import h11
import trio
from attrs import Factory, define
from starlette.types import ASGIApp, Message, Scope

from orchestrator.server.request_head import (
    MAX_HEAD_BYTES,
    ReplayedStream,
    RequestError,
    finish,
    receive_to_end,
)

BODY_TIMEOUT_S = 20
"""From the head of a request to the end of its body."""
EXCHANGE_TIMEOUT_S = 60
"""From the head of a request until the client has taken the whole answer: 5 KiB a second of our largest."""
_CHUNK = 64 * 1024


async def serve_request(app: ASGIApp, stream: ReplayedStream) -> None:
    """Read a request from `stream`, let `app` answer it, and end the connection.

    The body must come within `BODY_TIMEOUT_S`, and the whole exchange be over within `EXCHANGE_TIMEOUT_S`.

    Raises what `app` raises, `RequestError` if the request's body is malformed, cut short or late,
    `trio.TooSlowError` if the exchange takes too long, and `trio.BrokenResourceError` if the client is gone
    before the answer was sent.
    """
    with trio.fail_after(EXCHANGE_TIMEOUT_S):
        await _serve_request(app, stream)


async def _serve_request(app: ASGIApp, stream: ReplayedStream) -> None:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    request = await _next_event(http, stream)
    assert isinstance(request, h11.Request)
    exchange = _Exchange(stream, http, without_body=request.method == b"HEAD")
    await app(_scope(request, stream), exchange.receive, exchange.send)
    await finish(stream)


@define
class _Exchange:
    """The `receive` and `send` of an ASGI application, for one request."""

    _stream: ReplayedStream
    _http: h11.Connection
    without_body: bool
    """The client wants only the head of the answer."""
    failure: RequestError | None = None
    """Why the request's body cannot be read to its end."""
    _began_at: float = Factory(trio.current_time)

    async def receive(self) -> Message:
        """The next piece of the body. After its end, wait until the client is gone and report that."""
        if self._http.their_state is h11.SEND_BODY:
            try:
                with trio.fail_at(self._began_at + BODY_TIMEOUT_S):
                    event = await _next_event(self._http, self._stream)
            except h11.RemoteProtocolError as error:
                self.failure = RequestError(error.error_status_hint, str(error))
            except trio.TooSlowError:
                self.failure = RequestError(408, f"the body did not come within {BODY_TIMEOUT_S} s")
            else:
                # However small the pieces are, reading them must not keep other tasks from running.
                await trio.lowlevel.checkpoint()
                body = bytes(event.data) if isinstance(event, h11.Data) else b""
                more = not isinstance(event, h11.EndOfMessage)
                return {"type": "http.request", "body": body, "more_body": more}
        elif self.failure is None:
            await receive_to_end(self._stream)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send the head or a piece of the answer. Raises `RequestError` if the request's body was bad."""
        if self.failure is not None:
            raise self.failure
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"date", _date()), (b"connection", b"close")]
            await _write(
                self._http, self._stream, h11.Response(status_code=message["status"], headers=headers)
            )
            return
        if message.get("body") and not self.without_body:
            await _write(self._http, self._stream, h11.Data(data=message["body"]))
        if not message.get("more_body", False):
            await _write(self._http, self._stream, h11.EndOfMessage())


async def _next_event(http: h11.Connection, stream: ReplayedStream) -> Any:
    """The next event of h11. Raises `h11.RemoteProtocolError` if it is not HTTP or is cut short."""
    while (event := http.next_event()) is h11.NEED_DATA:
        if http.they_are_waiting_for_100_continue:
            await _write(http, stream, h11.InformationalResponse(status_code=100, headers=[]))
        http.receive_data(bytes(await stream.receive_some(_CHUNK)))
    return event


async def _write(http: h11.Connection, stream: ReplayedStream, event: h11.Event) -> None:
    data = http.send(event)
    if data:
        await stream.send_all(data)


def _date() -> bytes:
    return formatdate(usegmt=True).encode()


def _scope(request: h11.Request, stream: ReplayedStream) -> Scope:
    """The ASGI scope of the request. The client's address is unknown once the socket is gone."""
    raw_path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.http_version.decode(),
        "method": request.method.decode().upper(),
        "scheme": "http",
        "path": unquote(raw_path.decode()),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": stream.peer,
        "server": stream.own_address,
    }
