"""The WebSocket to a vendor: one writer, closing in bounded time, and nothing left, also on real sockets."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from adapters.interfaces import ProviderError
from adapters.simulators import Fault, FaultKind, Simulators, simulators
from adapters.vendor_socket import SocketLimits, VendorSocket, alive_with, open_vendor_socket
from machines.facts import ErrorClass

HEADERS = {"authorization": "Token any", "cartesia-version": "2026-08-14"}
QUICK = SocketLimits(connect_seconds=2.0, close_seconds=0.2)
Watch = Callable[[], AbstractContextManager[None]]


@asynccontextmanager
async def connected(running: Simulators, limits: SocketLimits = QUICK) -> AsyncIterator[VendorSocket]:
    url = f"{running.deepgram_url}/tts/websocket"
    async with open_vendor_socket(url, HEADERS, limits=limits) as socket:
        yield socket


async def test_messages_go_both_ways() -> None:
    async with simulators() as running, connected(running) as socket:
        await socket.send('{"cancel": 1}')
        assert "context_id is missing" in str(await socket.recv())
        assert isinstance(await _answered(socket, decode=False), bytes)


async def _answered(socket: VendorSocket, *, decode: bool) -> str | bytes:
    await socket.send("not even JSON")
    return await socket.recv(decode)


async def test_a_refused_handshake_says_why_and_leaves_nothing(leaves_nothing: Watch) -> None:
    with leaves_nothing():
        async with simulators(faults=[Fault(FaultKind.STATUS, status=429, retry_after=3)]) as running:
            with pytest.raises(InvalidStatus) as caught:
                async with connected(running):
                    pass
            assert caught.value.response.headers["retry-after"] == "3"
            with trio.fail_after(60):
                await running.all_closed()


@asynccontextmanager
async def http_proxy(
    to: int, status: str = "200 Connection established"
) -> AsyncIterator[tuple[int, list[str]]]:
    """A proxy that connects everybody to this port. Gives its own port, and what it was asked."""
    asked: list[str] = []

    async def pump(source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            async for data in source:
                await target.send_all(data)
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def serve(client: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await client.receive_some()
        asked.append(head.decode().partition("\r\n")[0])
        await client.send_all(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if status.startswith("200"):
            async with await trio.open_tcp_stream("127.0.0.1", to) as vendor, trio.open_nursery() as nursery:
                nursery.start_soon(pump, client, vendor)
                await pump(vendor, client)
        await client.aclose()

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1], asked
        nursery.cancel_scope.cancel()


FAR_AWAY = "ws://vendor.invalid/tts/websocket"


async def test_a_vendor_is_reached_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with simulators() as running, http_proxy(running.port) as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        async with open_vendor_socket(FAR_AWAY, HEADERS, limits=QUICK) as socket:
            await socket.send('{"cancel": 1}')
            assert "context_id is missing" in str(await socket.recv())
        async with connected(running) as socket:
            await socket.send('{"cancel": 1}')
            assert "context_id is missing" in str(await socket.recv())
    assert asked == ["CONNECT vendor.invalid:80 HTTP/1.1"], "this machine is not asked of a proxy"


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("http://user:secret@127.0.0.1:{port}", "the proxy http://127.0.0.1:{port} gave no connection"),
        ("socks5://127.0.0.1:{port}", "HTTPS_PROXY or HTTP_PROXY is no HTTP proxy's address"),
    ],
)
async def test_a_proxy_that_gives_no_connection_is_named_without_its_password(
    proxy: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http_proxy(1, "407 Proxy Authentication Required") as (port, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy.format(port=port))
        with pytest.raises(OSError) as raised:
            async with open_vendor_socket(FAR_AWAY, HEADERS, limits=QUICK):
                pass
        assert told.format(port=port) in str(raised.value)
        assert "secret" not in str(raised.value)


async def test_a_connection_lost_in_the_handshake_does_not_hang(leaves_nothing: Watch) -> None:
    with leaves_nothing():
        async with simulators(faults=[Fault(FaultKind.REFUSE)]) as running:
            with trio.fail_after(60), pytest.raises((InvalidHandshake, OSError)):
                async with connected(running):
                    pass


async def test_nobody_listening_is_an_os_error() -> None:
    async with simulators() as running:
        url = running.deepgram_url
    with pytest.raises(OSError, match="connect"):
        async with open_vendor_socket(url, {}, limits=QUICK):
            pass


async def test_cancelling_at_any_moment_leaves_nothing(leaves_nothing: Watch) -> None:
    with leaves_nothing():
        async with simulators(faults=[Fault(FaultKind.SLOW_ACCEPT, seconds=0.02, times=0)]) as running:
            for milliseconds in (0, 1, 5, 15, 20, 25, 30, 50):
                with trio.move_on_after(milliseconds / 1000):
                    async with connected(running) as socket:
                        await socket.send("hello")
                        await trio.sleep_forever()
            with trio.fail_after(60):
                await running.all_closed()


async def test_a_cancelled_call_still_closes_properly() -> None:
    """Messages sent before are written, and the closing handshake is done."""
    async with simulators() as running:
        with trio.CancelScope() as scope:
            async with connected(running) as socket:
                await socket.send('{"context_id": "a", "cancel": true}')
                scope.cancel()
                await trio.sleep_forever()
        with trio.fail_after(60):
            await running.all_closed()
    assert running.requests[0].messages == [{"context_id": "a", "cancel": True}]


async def test_a_proper_close_by_the_vendor_is_an_exception_too() -> None:
    closing = Fault(FaultKind.CLOSE, code=1000, reason="bye")
    async with simulators(faults=[closing]) as running, connected(running) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(100):
                await socket.send("too late")
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "bye")


async def test_a_vendor_that_reads_nothing_is_given_up(autojump_clock: MockClock) -> None:
    """Half-open, with full buffers: writing blocks, so pings cannot be sent either."""
    async with simulators(faults=[Fault(FaultKind.HALF_OPEN)]) as running:

        async def narrow(host: str, port: int) -> trio.abc.Stream:
            ours, theirs = lockstep_stream_pair()
            nursery.start_soon(running._serve, theirs)
            return ours

        async with trio.open_nursery() as nursery:
            started = trio.current_time()
            async with open_vendor_socket("ws://x/tts/websocket", HEADERS, open_stream=narrow) as socket:
                with pytest.raises(trio.TooSlowError):
                    async with alive_with(lambda: _flood(socket)):
                        await socket.recv()
            assert trio.current_time() - started < 12
            nursery.cancel_scope.cancel()


async def _flood(socket: VendorSocket) -> None:
    try:
        while True:
            await socket.send(b"\0" * 1000)
    except trio.BrokenResourceError:
        return


async def test_a_vendor_that_does_not_answer_pings_is_given_up(autojump_clock: MockClock) -> None:
    async with simulators(faults=[Fault(FaultKind.HALF_OPEN)]) as running:
        started = trio.current_time()
        async with open_vendor_socket("ws://x/tts/websocket", HEADERS, open_stream=running.connect) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        # A ping that was answered, the next one, the time for its answer, and closing.
        assert 9 < trio.current_time() - started < 16


async def test_the_failure_of_a_task_ends_the_block_and_is_raised_alone() -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ProviderError(ErrorClass.TIMEOUT, "late")

    with pytest.raises(ProviderError, match="late"):
        async with alive_with(fail):
            await trio.sleep_forever()


async def test_an_exception_of_the_block_ends_the_task_and_is_raised_alone() -> None:
    with pytest.raises(LookupError):
        async with alive_with(trio.sleep_forever):
            raise LookupError


GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MOST_FRAMES_AT_ONCE = 2100


@pytest.mark.parametrize("flood", [b"\x8a\x00", b"\x81\x00"], ids=["pongs", "messages"])
async def test_others_run_while_a_vendor_floods(flood: bytes, autojump_clock: MockClock) -> None:
    steps, frames, last, watching = 0, 30_000, "the last one", trio.CancelScope()
    begun = trio.Event()

    async def vendor(stream: trio.abc.Stream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        [key] = re.findall(rb"(?i)sec-websocket-key: *(\S+)", head)
        accepted = base64.b64encode(hashlib.sha1(key + GUID).digest())
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: " + accepted + b"\r\n\r\n"
        )
        await begun.wait()
        await stream.send_all(flood * frames + bytes([0x81, len(last)]) + last.encode())
        await trio.sleep_forever()

    async def bystander() -> None:
        nonlocal steps
        with watching:
            while True:
                await trio.lowlevel.checkpoint()
                steps += 1

    async with trio.open_nursery() as nursery:

        async def open_stream(host: str, port: int) -> trio.abc.Stream:
            ours, theirs = memory_stream_pair()
            nursery.start_soon(vendor, theirs)
            return ours

        async with open_vendor_socket("ws://vendor.example/", {}, open_stream=open_stream) as socket:
            nursery.start_soon(bystander)
            begun.set()
            while await socket.recv() != last:
                pass
            watching.cancel()
        nursery.cancel_scope.cancel()
    assert steps >= frames / MOST_FRAMES_AT_ONCE
