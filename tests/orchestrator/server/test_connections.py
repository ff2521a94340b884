"""Upgrades to a WebSocket that do not go as they should: none harms another one, and the log tells which."""

from __future__ import annotations

import pytest
import structlog
import trio
import trio.testing
from trio.testing import MockClock

from orchestrator.simulation import SimulatedProviders
from tests.orchestrator.memory_port import memory_port
from tests.walls.peers import BINARY, HANDSHAKE, PATIENCE_S, START, Socket, a_socket, frame

WITHOUT_KEY = HANDSHAKE.replace(b"sec-websocket-key", b"x-key")
OF_ANOTHER_VERSION = HANDSHAKE.replace(b"sec-websocket-version: 13", b"sec-websocket-version: 8")


@pytest.mark.parametrize("path", [b"/ws", b"/twilio/media"])
@pytest.mark.parametrize("refused", [WITHOUT_KEY, OF_ANOTHER_VERSION], ids=["no key", "another version"])
async def test_an_upgrade_that_is_refused_keeps_nobody_else_waiting(
    refused: bytes, path: bytes, autojump_clock: MockClock
) -> None:
    async with memory_port(SimulatedProviders()) as port, await port.connect() as stream:
        began = trio.current_time()
        await stream.send_all(refused % path)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 4")
        async with a_socket(port) as other:
            assert (await other.next_frame())[0] == BINARY
        assert trio.current_time() - began < 1


async def test_a_client_is_served_though_the_server_stood_still_while_it_was_accepted(
    autojump_clock: MockClock,
) -> None:
    """As when the machine sleeps, or has no time for the process."""
    async with memory_port(SimulatedProviders()) as port:
        ours, theirs = trio.testing.memory_stream_pair()

        carry = theirs.send_stream.send_all_hook
        assert carry is not None

        async def stand_still() -> None:
            theirs.send_stream.send_all_hook = carry
            autojump_clock.jump(15)
            await carry()

        theirs.send_stream.send_all_hook = stand_still
        async with ours, trio.open_nursery() as nursery:
            nursery.start_soon(port.serve, theirs)
            await ours.send_all(HANDSHAKE % b"/ws")
            client = Socket(ours)
            assert (await client.hears(12)).startswith(b"HTTP/1.1 101")
            await ours.send_all(frame(BINARY, START))
            await trio.testing.wait_all_tasks_blocked()
            assert [session.begun for session in port.server.sessions] == [True]
            nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_when_there_is_no_room_for_it_is_no_failed_handshake(
    autojump_clock: MockClock,
) -> None:
    async with (
        memory_port(SimulatedProviders(), max_sessions=1) as port,
        a_socket(port) as holder,
        trio.open_nursery() as nursery,
    ):
        await holder.stream.send_all(frame(BINARY, START))
        await trio.testing.wait_all_tasks_blocked()
        ours, theirs = trio.testing.lockstep_stream_pair()
        with structlog.testing.capture_logs() as lines:
            nursery.start_soon(port.serve, theirs)
            await ours.send_all(HANDSHAKE % b"/ws")
            with trio.fail_after(PATIENCE_S):
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += await ours.receive_some()
            assert answer.startswith(b"HTTP/1.1 101 ")
            await ours.aclose()
            await trio.testing.wait_all_tasks_blocked()
        assert [each["event"] for each in lines if each["log_level"] != "debug"] == ["no room"]
        assert port.open_connections == 1


async def test_a_handshake_that_is_refused_is_logged_as_such(autojump_clock: MockClock) -> None:
    with structlog.testing.capture_logs() as lines:
        async with memory_port(SimulatedProviders()) as port, await port.connect() as stream:
            await stream.send_all(WITHOUT_KEY % b"/ws")
            await stream.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            assert "handshake failed" in [each["event"] for each in lines]
