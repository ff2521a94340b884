"""One HTTP request of a connection, answered by an ASGI application, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.server.asgi import serve_request
from orchestrator.server.request_head import ReplayedStream, read_head
from tests.orchestrator.real_servers import serving


@asynccontextmanager
async def asking(app: ASGIApp) -> AsyncIterator[trio.SocketStream]:
    """A connection whose request this application answers; fails if that fails."""
    failures: list[Exception] = []

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            head = await read_head(stream)
            assert head is not None
            try:
                await serve_request(app, ReplayedStream(stream, head.received))
            except Exception as error:
                failures.append(error)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, handle, [listener])
        port = listener.socket.getsockname()[1]
        with trio.fail_after(120):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                yield stream
        nursery.cancel_scope.cancel()
    assert failures == []


async def answer_to(app: ASGIApp, request: bytes) -> bytes:
    """What the application's client receives until the connection ends."""
    async with asking(app) as stream:
        await stream.send_all(request)
        return b"".join([part async for part in stream])


async def say(send: Send, *pieces: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        more = message["more_body"]
    return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await say(send, await body_of(receive))


async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without reading the request's body."""
    await say(send, b"no")


# --- what the application is told -------------------------------------------------------------------------


async def test_the_application_is_told_what_was_asked_and_by_whom() -> None:
    told: Scope = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.update(scope)
        await say(send)

    async with asking(app) as stream:
        ours, theirs = stream.socket.getsockname(), stream.socket.getpeername()
        await stream.send_all(b"DELETE /a%20b/%C3%A4?x=%201&y HTTP/1.1\r\nHost: a\r\nX-Name: Value\r\n\r\n")
        await stream.receive_some()
    assert (told["method"], told["path"], told["raw_path"]) == ("DELETE", "/a b/ä", b"/a%20b/%C3%A4")
    assert told["query_string"] == b"x=%201&y"
    assert told["headers"] == [(b"host", b"a"), (b"x-name", b"Value")]
    assert (told["client"], told["server"], told["scheme"]) == (ours, theirs, "http")


@pytest.mark.parametrize(
    "body",
    [
        b"content-length: 9\r\n\r\nsome text",
        b"transfer-encoding: chunked\r\n\r\n5\r\nsome \r\n4\r\ntext\r\n0\r\n\r\n",
    ],
    ids=["of a stated length", "in chunks"],
)
async def test_a_body_is_received_whole(body: bytes) -> None:
    answer = await answer_to(echo, b"POST / HTTP/1.1\r\nhost: a\r\n" + body)
    assert b"some text" in answer


async def test_a_client_that_waits_for_permission_to_send_its_body_gets_it() -> None:
    async with asking(echo) as stream:
        await stream.send_all(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
        )
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"hi")
        assert b"hi" in b"".join([part async for part in stream])


async def test_an_application_that_waits_is_told_when_its_client_is_gone() -> None:
    told: list[Message] = []
    over = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.extend([await receive(), await receive(), await receive()])
        over.set()
        await trio.sleep_forever()

    async with asking(app) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nmore that nobody asked for")
        await stream.aclose()
        await over.wait()
    assert [message["type"] for message in told] == ["http.request", "http.disconnect", "http.disconnect"]


# --- what the client gets ---------------------------------------------------------------------------------


async def test_an_answer_of_unknown_length_comes_in_chunks_and_closes() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await say(send, b"some", b"", b"text")

    head, _, body = (await answer_to(app, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")).partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert b"connection: close" in lines
    assert b"transfer-encoding: chunked" in lines
    assert any(line.startswith(b"date: ") for line in lines)
    assert body == b"4\r\nsome\r\n4\r\ntext\r\n0\r\n\r\n"


async def test_a_client_of_http_1_0_gets_plain_bytes() -> None:
    answer = await answer_to(echo, b"POST / HTTP/1.0\r\ncontent-length: 2\r\n\r\nhi")
    assert answer.endswith(b"\r\n\r\nhi")
    assert b"chunked" not in answer


async def test_head_is_answered_with_the_head_alone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await say(send, b"four", headers=((b"content-length", b"4"),))

    answer = await answer_to(app, b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert b"content-length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_an_answer_to_a_body_that_nobody_read_is_not_lost() -> None:
    """A socket that is closed with unread bytes in it resets the connection."""
    request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n" + bytes(100_000)
    assert (await answer_to(deaf, request)).startswith(b"HTTP/1.1 200 ")


async def test_a_head_that_is_far_too_large_is_answered_and_the_answer_is_not_lost() -> None:
    async with serving() as running, await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
        with trio.fail_after(120):
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 100_000)
            assert b"".join([part async for part in stream]).startswith(b"HTTP/1.1 431 ")


# --- requests that are not whole --------------------------------------------------------------------------

HEAD = b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n"
CHUNKS = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\nthis is not one\r\n"
CUT_SHORT = HEAD + b"content-length: 9\r\n\r\nhi"


@pytest.mark.parametrize("request_", [CHUNKS, CUT_SHORT], ids=["malformed", "cut short"])
async def test_a_request_that_is_not_whole_is_answered_with_400_and_leaves_no_traceback(
    request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async with (
        serving(twilio_account_sid="AC" + "0" * 32, twilio_auth_token="secret") as running,
        await trio.open_tcp_stream("127.0.0.1", running.port) as stream,
    ):
        with trio.fail_after(120):
            await stream.send_all(request_ % b"/twilio/voice")
            await stream.send_eof()
            answer = b"".join([part async for part in stream])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_client_that_is_reset_within_its_body_leaves_no_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with serving(twilio_account_sid="AC" + "0" * 32, twilio_auth_token="secret") as running:
        raw = socket.create_connection(("127.0.0.1", running.port))
        raw.sendall(CUT_SHORT % b"/twilio/voice")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raw.close()
        async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
            await stream.send_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    assert "Traceback" not in "".join(capfd.readouterr())
