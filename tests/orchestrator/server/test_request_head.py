"""The head of a connection: who it is for, in whatever pieces it comes; and that it is then replayed."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from adapters.tasks import running
from orchestrator.server.request_head import (
    HEAD_TIMEOUT_S,
    MAX_HEAD_BYTES,
    Head,
    Kind,
    ReplayedStream,
    RequestError,
    read_head,
    refuse,
)

GET = b"GET /health?x=1 HTTP/1.1\r\nhost: a\r\n\r\n"
UPGRADE = (
    b"GET /ws?token=1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def head_of(*pieces: bytes, end: bool = False) -> Head | None:
    """The head that is read when these pieces come one after the other, each when the one before was read."""
    ours, theirs = memory_stream_pair()

    async def send() -> None:
        for piece in pieces:
            await theirs.send_all(piece)
            await wait_all_tasks_blocked()
        if end:
            await theirs.send_eof()

    async with running(send):
        return await read_head(ours)
    raise AssertionError("the sender ended first")


async def test_a_plain_request_is_for_http() -> None:
    assert await head_of(GET) == Head(Kind.HTTP, "/health", GET)


async def test_an_upgrade_is_for_the_websocket_whatever_its_capitals() -> None:
    assert await head_of(UPGRADE) == Head(Kind.WEBSOCKET, "/ws", UPGRADE)


async def test_an_upgrade_to_something_else_is_for_http() -> None:
    head = await head_of(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
    assert head is not None
    assert head.kind is Kind.HTTP


async def test_a_head_that_drips_in_byte_by_byte_is_read() -> None:
    assert await head_of(*(GET[at : at + 1] for at in range(len(GET)))) == Head(Kind.HTTP, "/health", GET)


async def test_what_came_with_the_head_is_kept() -> None:
    head = await head_of(UPGRADE + b"\x81\x00first frame")
    assert head is not None
    assert head.received == UPGRADE + b"\x81\x00first frame"


async def test_pipelined_requests_are_kept() -> None:
    assert await head_of(GET + GET) == Head(Kind.HTTP, "/health", GET + GET)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"\xc1\x01\x02\r\n\r\n",
        b"HELO there\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["TLS", "MessagePack", "another protocol", "a broken header", "no host"],
)
async def test_what_is_not_http_is_a_bad_request(garbage: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        await head_of(garbage)
    assert raised.value.status == 400


async def test_a_head_that_is_too_large_is_refused_and_not_gathered() -> None:
    with pytest.raises(RequestError) as raised:
        await head_of(b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"x" * MAX_HEAD_BYTES, b"y\r\n\r\n")
    assert raised.value.status == 431


async def test_a_connection_that_says_nothing_and_ends_is_no_error() -> None:
    assert await head_of(end=True) is None


async def test_a_connection_that_ends_within_the_head_is_a_bad_request() -> None:
    with pytest.raises(RequestError, match="ended within"):
        await head_of(GET[:20], end=True)


@pytest.mark.parametrize("interval_s", [0.5, 3, 60])
async def test_a_head_that_takes_too_long_is_given_up(interval_s: float, autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def drip() -> None:
            for byte in GET:
                await theirs.send_all(bytes([byte]))
                await trio.sleep(interval_s)

        with pytest.raises(RequestError) as raised:
            await read_head(ours)
        nursery.cancel_scope.cancel()
    assert raised.value.status == 408
    assert trio.current_time() - began == pytest.approx(HEAD_TIMEOUT_S)


# --- over a socket ----------------------------------------------------------------------------------------


async def connected() -> tuple[trio.SocketStream, trio.SocketStream]:
    one, other = socket.socketpair()
    return trio.SocketStream(trio.socket.from_stdlib_socket(one)), trio.SocketStream(
        trio.socket.from_stdlib_socket(other)
    )


async def test_a_replayed_stream_gives_everything_once_more_and_then_what_comes() -> None:
    ours, theirs = await connected()
    async with ours, theirs:
        stream = ReplayedStream(ours, b"first words")
        assert await stream.receive_some(5) == b"first"
        assert await stream.receive_some() == b" words"
        await theirs.send_all(b", later words")
        assert await stream.receive_some(100) == b", later words"
        await stream.wait_send_all_might_not_block()
        await stream.send_all(b"an answer")
        await stream.send_eof()
        assert await theirs.receive_some() == b"an answer"
        assert await theirs.receive_some() == b""
        await stream.aclose()
        assert stream.socket.fileno() == -1


@pytest.mark.slow
async def test_a_refusal_says_what_was_wrong() -> None:
    ours, theirs = await connected()
    async with ours, theirs:
        await refuse(ours, RequestError(431, "too large"))
        await ours.aclose()
        answer = b"".join([part async for part in theirs])
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\ntoo large\n")
