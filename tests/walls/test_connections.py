"""Connections that hold a place and do nothing with it: requests, answers, lines, and too many of each."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orchestrator.addresses import address_of
from orchestrator.server.asgi import BODY_TIMEOUT_S, EXCHANGE_TIMEOUT_S
from orchestrator.server.capacity import SILENT_S
from orchestrator.server.connection_limits import CALL_DESCRIPTORS, OWN_DESCRIPTORS
from orchestrator.server.request_head import HEAD_TIMEOUT_S
from orchestrator.simulation import SimulatedProviders
from tests.orchestrator.memory_port import MemoryPort, memory_port
from tests.walls.peers import (
    ACCOUNT,
    BINARY,
    HALF,
    HANDSHAKE,
    HEAD,
    PATIENCE_S,
    PONG,
    START,
    TEXT,
    a_socket,
    frame,
    send_all,
)

HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def answer_of(stream: trio.abc.Stream) -> bytes:
    """All that comes until the connection ends."""
    with trio.fail_after(PATIENCE_S):
        return b"".join([part async for part in stream])


async def asked(port: MemoryPort, request: bytes = HEALTH) -> bytes:
    async with await port.connect() as stream:
        await stream.send_all(request)
        return await answer_of(stream)


# --- requests and answers ---------------------------------------------------------------------------------


async def test_a_body_that_does_not_come_ends_the_request(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders(), **ACCOUNT) as port, await port.connect() as stream:
        began = trio.current_time()
        await stream.send_all(HALF)
        answer = await answer_of(stream)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began <= HEAD_TIMEOUT_S + BODY_TIMEOUT_S + 10


async def test_a_body_that_drips_in_ends_the_request(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders(), **ACCOUNT) as port, await port.connect() as stream:
        await stream.send_all(HEAD + b"content-length: 100000\r\n\r\n")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def drip() -> None:
                while True:
                    await stream.send_all(b"x")
                    await trio.sleep(1)

            with trio.fail_after(PATIENCE_S):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 408 ")
            nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_take_its_answer_is_dropped(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port:
        ours, theirs = trio.testing.lockstep_stream_pair()
        async with ours, trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(port.serve, theirs)
            await ours.send_all(HEALTH)
            await trio.testing.wait_all_tasks_blocked()
            while port.open_connections:  # noqa: ASYNC110
                await trio.sleep(1)
            assert trio.current_time() - began <= EXCHANGE_TIMEOUT_S + 10


@pytest.mark.slow
async def test_others_run_between_each_two_chunks_of_a_body(autojump_clock: MockClock) -> None:
    steps, chunks = 0, 3000

    async def bystander() -> None:
        nonlocal steps
        while True:
            await trio.lowlevel.checkpoint()
            steps += 1

    body = b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
    async with memory_port(SimulatedProviders(), **ACCOUNT) as port, trio.open_nursery() as nursery:
        nursery.start_soon(bystander)
        answer = await asked(port, HEAD + b"transfer-encoding: chunked\r\n\r\n" + body)
        nursery.cancel_scope.cancel()
    assert answer.startswith(b"HTTP/1.1 403 ")  # it was read to its end, and is not signed
    assert steps >= chunks


# --- lines ------------------------------------------------------------------------------------------------


async def test_a_socket_that_begins_nothing_is_told_and_closed(autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"session_begin_timeout_ms": 30_000}
    async with memory_port(SimulatedProviders(), **chosen) as port, a_socket(port) as socket:
        began = trio.current_time()
        told = b""
        while b"connection.error.timeout" not in told:
            told = (await socket.next_frame())[1]
        assert b"no recording was started within 30 s" in told
        assert await socket.is_closed() == (1013, "nothing was begun")
        assert trio.current_time() - began == pytest.approx(30, abs=1)


async def test_a_socket_that_has_begun_may_be_silent(autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"session_begin_timeout_ms": 10_000}
    async with memory_port(SimulatedProviders(), **chosen) as port, a_socket(port) as socket:
        await socket.stream.send_all(frame(BINARY, START))
        await trio.sleep(20)
        [session] = port.server.sessions
        assert session.begun


async def test_pongs_keep_no_silent_socket_alive(autojump_clock: MockClock) -> None:
    async with (
        memory_port(SimulatedProviders()) as port,
        a_socket(port) as socket,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def pong() -> None:
            while True:
                await send_all(socket.stream, frame(PONG))
                await trio.sleep(1)

        # Pongs that answer no ping are not a sign of life, either.
        with trio.fail_after(60):
            await answer_of(socket.stream)
        nursery.cancel_scope.cancel()


async def test_silent_sockets_hold_no_line_that_somebody_needs(autojump_clock: MockClock) -> None:
    async with (
        memory_port(SimulatedProviders(), allow_anybody=True, max_sessions=4) as port,
        AsyncExitStack() as stack,
    ):
        silent = [await stack.enter_async_context(a_socket(port)) for _ in range(3)]
        begun = await stack.enter_async_context(a_socket(port))
        await begun.stream.send_all(frame(BINARY, START))
        async with a_socket(port) as early:  # the others had no time to begin
            assert (await early.is_closed())[0] == 1013
        await trio.sleep(SILENT_S + 1)
        callers = [await stack.enter_async_context(a_socket(port)) for _ in range(3)]
        for caller in callers:
            await caller.stream.send_all(frame(BINARY, START))
        for socket in silent:
            assert await socket.is_closed() == (1013, "nothing was begun")
        async with a_socket(port) as too_late:
            assert (await too_late.is_closed())[0] == 1013
        await trio.sleep(1)
        assert sum(session.begun for session in port.server.sessions) == 4


async def test_of_many_silent_sockets_from_one_address_the_oldest_gives_its_line_to_others_at_once(
    autojump_clock: MockClock,
) -> None:
    async with (
        memory_port(SimulatedProviders(), allow_anybody=True, max_sessions=4) as port,
        AsyncExitStack() as stack,
    ):
        port.peer = "198.51.100.1"
        silent = [await stack.enter_async_context(a_socket(port)) for _ in range(3)]
        begun = await stack.enter_async_context(a_socket(port))
        await begun.stream.send_all(frame(BINARY, START))
        await trio.sleep(1)
        async with a_socket(port) as another:  # they have no more room than that
            assert (await another.is_closed())[0] == 1013
        port.peer = "198.51.100.2"
        caller = await stack.enter_async_context(a_socket(port))
        await caller.stream.send_all(frame(BINARY, START))
        assert await silent[0].is_closed() == (1013, "nothing was begun")
        await trio.sleep(1)
        async with a_socket(port) as too_late:  # two who say nothing yet may be two people
            assert (await too_late.is_closed())[0] == 1013
        await trio.sleep(1)
        assert sum(session.begun for session in port.server.sessions) == 2
        assert len(port.server.sessions) == 4


async def test_a_client_that_sends_only_rubbish_is_closed_with_a_reason(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port, a_socket(port) as socket:
        await socket.stream.send_all(frame(BINARY, START) + frame(BINARY, b"\xc1") * 100)
        await socket.stream.send_all(frame(BINARY, START) + frame(TEXT, b"{}") * 200)
        assert await socket.is_closed() == (1008, "200 unreadable messages in a row")


# --- how many ---------------------------------------------------------------------------------------------


async def test_one_address_cannot_take_all_connections(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders(), **ACCOUNT) as port, AsyncExitStack() as stack:
        port.server.limits.descriptors = 2 * OWN_DESCRIPTORS
        for _ in range(OWN_DESCRIPTORS):
            stream = await stack.enter_async_context(await port.connect())
            await send_all(stream, HALF)
        await trio.sleep(1)
        assert port.open_connections == OWN_DESCRIPTORS // 2
        port.peer = "198.51.100.7"
        assert (await asked(port)).startswith(b"HTTP/1.1 200 ")
        port.peer = "127.0.0.1"
        assert (await asked(port)).startswith(b"HTTP/1.1 429 ")


async def test_many_connections_that_begin_nothing_give_way_to_others(autojump_clock: MockClock) -> None:
    async with (
        memory_port(SimulatedProviders(), allow_anybody=True, **ACCOUNT) as port,
        AsyncExitStack() as stack,
    ):
        port.server.limits.descriptors = 2 * OWN_DESCRIPTORS
        port.peer = "198.51.100.1"
        begun = await stack.enter_async_context(a_socket(port))
        await begun.stream.send_all(frame(BINARY, START))
        for number in range(OWN_DESCRIPTORS):
            port.peer = f"198.51.100.{1 + number % 2}"
            await send_all(await stack.enter_async_context(await port.connect()), HALF)
        await trio.testing.wait_all_tasks_blocked()
        port.peer = "203.0.113.1"
        assert (await asked(port)).startswith(b"HTTP/1.1 200 ")
        caller = await stack.enter_async_context(a_socket(port))
        await caller.stream.send_all(frame(BINARY, START))
        await trio.sleep(1)
        assert [session.begun for session in port.server.sessions] == [True, True]


async def test_those_who_are_refused_take_few_descriptors(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders()) as port, AsyncExitStack() as stack:
        port.server.limits.descriptors = 2 * OWN_DESCRIPTORS
        for _ in range(500):
            await stack.enter_async_context(await port.connect())
        await trio.testing.wait_all_tasks_blocked()
        assert port.open_connections <= 2 * OWN_DESCRIPTORS - 8


async def test_many_addresses_cannot_take_the_descriptors_of_calls(autojump_clock: MockClock) -> None:
    async with (
        memory_port(SimulatedProviders(), allow_anybody=True, **ACCOUNT) as port,
        AsyncExitStack() as stack,
    ):
        port.server.limits.descriptors = 2 * OWN_DESCRIPTORS
        calls = []
        for number in range(OWN_DESCRIPTORS):
            port.peer = f"198.51.100.{number}"
            calls.append(await stack.enter_async_context(await port.connect()))
            await calls[-1].send_all(HALF)
        port.peer = "203.0.113.1"
        assert (await asked(port)).startswith(b"HTTP/1.1 503 ")
        for stream in calls[: CALL_DESCRIPTORS + 1]:
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        async with a_socket(port) as socket:
            await socket.stream.send_all(frame(BINARY, START))
            await trio.testing.wait_all_tasks_blocked()
            assert len(port.server.sessions) == 1
            assert (await asked(port)).startswith(b"HTTP/1.1 503 ")


async def test_an_address_may_have_a_bound_of_calls(autojump_clock: MockClock) -> None:
    chosen: dict[str, Any] = {"allow_anybody": True, "max_sessions_per_address": 2}
    async with memory_port(SimulatedProviders(), **chosen) as port, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(a_socket(port))
        await trio.testing.wait_all_tasks_blocked()
        async with a_socket(port) as third:
            assert (await third.is_closed())[0] == 1013
        port.peer = "198.51.100.7"
        async with a_socket(port) as other:
            await other.stream.send_all(frame(BINARY, START))
            await trio.testing.wait_all_tasks_blocked()
            assert len(port.server.sessions) == 3


@pytest.mark.parametrize("trust", [True, False])
async def test_behind_a_proxy_that_is_believed_its_clients_are_told_apart(
    trust: bool, autojump_clock: MockClock
) -> None:
    chosen: dict[str, Any] = {"max_connections_per_address": 1, "twilio_trust_proxy": trust}
    async with memory_port(SimulatedProviders(), **ACCOUNT, **chosen) as port, await port.connect() as one:
        await one.send_all(HALF.replace(b"host:", b"x-forwarded-for: 198.51.100.1\r\nhost:"))
        await trio.testing.wait_all_tasks_blocked()
        other = HEALTH.replace(b"host:", b"x-forwarded-for: 198.51.100.1, 198.51.100.2\r\nhost:")
        assert (await asked(port, other)).startswith(b"HTTP/1.1 200 " if trust else b"HTTP/1.1 429 ")
        same = HEALTH.replace(b"host:", b"x-forwarded-for: 198.51.100.2, 198.51.100.1\r\nhost:")
        assert (await asked(port, same)).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "junk", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, 198.51.100.2", "198.51.100.2"),
        ("::ffff:198.51.100.1", "", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("::1", "", "::1"),
        (None, "", "unknown"),
    ],
)
def test_whose_connection_it_is(peer: str | None, forwarded: str, address: str) -> None:
    assert address_of(peer, {"x-forwarded-for": forwarded}, behind_proxy=True) == address


# --- odd heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["upgrade", "sec-websocket-protocol", "sec-websocket-extensions"])
async def test_a_handshake_that_is_no_text_is_a_bad_request(header: str, autojump_clock: MockClock) -> None:
    odd = (HANDSHAKE % b"/ws").replace(b"\r\n\r\n", b"\r\n" + header.encode() + b": vantum.v2, \xe9\r\n\r\n")
    async with memory_port(SimulatedProviders()) as port:
        assert (await asked(port, odd)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", [b"xn--a", b"XN--9", b"xn--" + b"a" * 15_000])
async def test_a_handshake_for_a_host_in_no_script_is_taken(host: bytes, autojump_clock: MockClock) -> None:
    """Decoding such a name raises an error, or takes long; nobody needs it."""
    async with memory_port(SimulatedProviders(), allow_anybody=True) as port, await port.connect() as stream:
        await stream.send_all((HANDSHAKE % b"/ws").replace(b"localhost", host))
        with trio.fail_after(PATIENCE_S):
            assert (await stream.receive_some(13)).startswith(b"HTTP/1.1 101 ")


async def test_a_form_of_too_many_fields_is_refused(autojump_clock: MockClock) -> None:
    form = b"&".join([b"a=1"] * 2000)
    async with memory_port(SimulatedProviders(), **ACCOUNT) as port:
        answer = await asked(port, HEAD + b"content-length: %d\r\n\r\n" % len(form) + form)
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_an_address_that_connects_without_end_is_told_when_to_come_again(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders(), connections_per_minute_per_address=40) as port:
        port.peer = "2001:4860:1:2::1"
        assert [(await asked(port))[9:12] for _ in range(10)] == [b"200"] * 10
        port.peer = "2001:4860:1:2::ffff"  # the same network
        refused = await asked(port)
        assert refused.startswith(b"HTTP/1.1 429 Too Many Requests\r\nretry-after: ")
        assert b'ratelimit-policy: "connections";q=40;w=60\r\n' in refused
        port.peer = "2001:4860:1:3::1"
        assert (await asked(port)).startswith(b"HTTP/1.1 200 ")
        port.peer = "2001:4860:1:2::1"
        await trio.sleep(int(refused.partition(b"retry-after: ")[2].split()[0]))
        assert (await asked(port)).startswith(b"HTTP/1.1 200 ")


async def test_the_page_and_calls_of_this_machine_come_as_often_as_they_like(
    autojump_clock: MockClock,
) -> None:
    async with memory_port(SimulatedProviders()) as port:
        for _ in range(1000):
            assert (await asked(port)).startswith(b"HTTP/1.1 200 ")
