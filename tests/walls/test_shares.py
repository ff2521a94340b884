"""What one call may take of the machine: audio ahead of time, and beginning at the same time as others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import trio
from trio.testing import MockClock

from orchestrator.audio.real_time_share import AHEAD_MS, AT_ONCE_MS, TIMES_REAL_TIME, RealTimeShare
from orchestrator.conversation.message_share import (
    BYTES_PER_S,
    MESSAGES_AT_ONCE,
    MESSAGES_PER_S,
    MessageShare,
)
from orchestrator.server.pace_of_starts import GAP_S, PaceOfStarts
from orchestrator.sessions.session import Session
from orchestrator.simulation import SimulatedProviders
from tests.orchestrator.memory_port import memory_port
from tests.walls.peers import BINARY, HANDSHAKE, SECOND, Socket, a_socket, message


async def told(socket: Socket, event_type: str) -> dict[str, Any]:
    """The server's next message of this type."""
    while True:
        opcode, payload = await socket.next_frame()
        heard = msgpack.unpackb(payload) if opcode == BINARY else {}
        if heard.get("eventType") == event_type:
            return dict(heard)


async def test_audio_far_ahead_of_time_is_dropped_and_told_and_the_call_goes_on(
    autojump_clock: MockClock,
) -> None:
    seconds = 200
    async with memory_port(SimulatedProviders()) as port, a_socket(port) as socket:
        await socket.stream.send_all(message("audio.input.start", turnMode="manual"))
        for _ in range(seconds):
            await socket.stream.send_all(message("audio.input.chunk", audio=SECOND))
        error = (await told(socket, "audio.error.buffer_overflow"))["payload"]["error"]
        assert error["message"].endswith("came faster than they could be understood and were dropped")
        await socket.stream.send_all(message("connection.lifecycle.heartbeat", timestamp=1))
        await told(socket, "connection.lifecycle.heartbeat")
        [session] = port.server.sessions
        assert isinstance(session, Session)
        counts = session._audio.counts
        assert counts.received_ms == seconds * 1000
        # What is heard is the bound, and what became due while it was heard.
        heard_ms = counts.received_ms - counts.dropped_ms
        assert AHEAD_MS <= heard_ms <= AHEAD_MS * TIMES_REAL_TIME / (TIMES_REAL_TIME - 1)


async def test_what_waits_to_be_handled_is_not_gathered(autojump_clock: MockClock) -> None:
    """Of large messages, few fit into the queue between the socket and the call."""
    second = message("audio.input.chunk", audio=SECOND * 30)
    async with memory_port(SimulatedProviders()) as port:
        ours, theirs = trio.testing.lockstep_stream_pair()
        sent = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.serve, theirs)
            await ours.send_all(HANDSHAKE % b"/ws")

            @nursery.start_soon
            async def read() -> None:
                while await ours.receive_some():
                    pass

            @nursery.start_soon
            async def send() -> None:
                nonlocal sent
                await ours.send_all(message("audio.input.start", turnMode="manual"))
                for sent in range(20):  # noqa: B007
                    await ours.send_all(second)

            await trio.sleep(1)
            # One is waited for, one was read ahead, and one waits for that.
            assert sent <= 4
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("after_s", [0, 9])
async def test_audio_in_real_time_and_what_a_stalled_network_held_back_is_never_dropped_nor_delayed(
    after_s: int, autojump_clock: MockClock
) -> None:
    share = RealTimeShare()
    await trio.sleep(after_s)
    for _ in range(after_s):
        assert await share.admits(1000)
    began = trio.current_time()
    for _ in range(600):
        assert await share.admits(1000)
        await trio.sleep(1)
    assert trio.current_time() - began == pytest.approx(600)


async def test_beyond_that_audio_is_taken_at_a_pace(autojump_clock: MockClock) -> None:
    share, began = RealTimeShare(), trio.current_time()
    for _ in range(50):
        assert await share.admits(1000)
    pace_s = (50_000 - AT_ONCE_MS) / TIMES_REAL_TIME / 1000
    assert trio.current_time() - began == pytest.approx(pace_s)


async def test_calls_under_way_are_served_between_each_two_that_begin(mock_clock: MockClock) -> None:
    pace, served, began = PaceOfStarts(), 0, []

    async def under_way() -> None:
        nonlocal served
        while True:
            await trio.sleep(0.02)
            served += 1

    async def caller(number: int) -> None:
        assert await pace.may_begin()
        mock_clock.jump(0.3)  # beginning a call keeps the event loop so long
        began.append((number, served))

    mock_clock.autojump_threshold = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(under_way)
        async with trio.open_nursery() as callers:
            for number in range(20):
                callers.start_soon(caller, number)
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert [number for number, _ in began] == list(range(20))
    assert all(before < after for (_, before), (_, after) in pairwise(began))


async def test_a_caller_who_comes_alone_begins_at_once(mock_clock: MockClock) -> None:
    pace = PaceOfStarts()
    for _ in range(3):
        began = trio.current_time()
        assert await pace.may_begin()
        assert trio.current_time() == began
        mock_clock.jump(1)


@pytest.mark.parametrize("after_s", [0.1, 0.5, 0.9])
async def test_a_caller_who_comes_soon_after_another_hardly_waits(
    after_s: float, autojump_clock: MockClock
) -> None:
    pace = PaceOfStarts()
    assert await pace.may_begin()
    await trio.sleep(after_s)
    began = trio.current_time()
    assert await pace.may_begin()
    assert trio.current_time() - began <= 2 * GAP_S + 1e-9


@pytest.mark.slow
async def test_many_who_come_at_once_all_get_their_call(autojump_clock: MockClock) -> None:
    async with memory_port(SimulatedProviders(), max_sessions=60) as port:
        done = 0

        async def caller() -> None:
            nonlocal done
            async with a_socket(port) as socket:
                await told(socket, "connection.lifecycle.ack")
                done += 1

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(caller)
        assert done == 50


class EndsByTurn(trio.abc.Instrument):
    """How many sessions end in each turn of the event loop, in which every task that can go on does so."""

    def __init__(self, ended: Callable[[], int]) -> None:
        self.most = 0
        self._ended = ended
        self._before = ended()

    def before_io_wait(self, timeout: float) -> None:
        """Count those of the turn that is over."""
        self.most = max(self.most, self._ended() - self._before)
        self._before = self._ended()


async def test_callers_who_go_together_leave_the_others_their_turns(autojump_clock: MockClock) -> None:
    callers = 20
    async with memory_port(SimulatedProviders()) as port:
        server = port.server
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(a_socket(port)) for _ in range(callers)]
            while len(server.sessions) < callers:  # noqa: ASYNC110
                await trio.sleep(1)
            ends = EndsByTurn(lambda: server.session_runner.ended)
            trio.lowlevel.add_instrument(ends)
            async with trio.open_nursery() as nursery:
                for socket in sockets:
                    nursery.start_soon(socket.stream.aclose)
            while server.session_runner.ended < callers:  # noqa: ASYNC110
                await trio.sleep(1)
            trio.lowlevel.remove_instrument(ends)
        assert ends.most <= 2


# --- messages of any kind ---------------------------------------------------------------------------------


async def test_a_flood_of_messages_that_are_all_right_is_read_at_a_pace_and_nothing_is_lost(
    autojump_clock: MockClock,
) -> None:
    beyond = 2000
    async with memory_port(SimulatedProviders()) as port, a_socket(port) as socket:
        began = trio.current_time()
        heartbeat = message("connection.lifecycle.heartbeat", timestamp=1)

        async def flood() -> None:
            for _ in range(MESSAGES_AT_ONCE + beyond):
                await socket.stream.send_all(heartbeat)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            for _ in range(MESSAGES_AT_ONCE + beyond):
                await told(socket, "connection.lifecycle.heartbeat")
        assert trio.current_time() - began == pytest.approx(beyond / MESSAGES_PER_S, abs=1)


async def test_large_messages_are_read_at_a_pace_however_few_they_are(autojump_clock: MockClock) -> None:
    share, began = MessageShare(), trio.current_time()
    for _ in range(30):
        await share.take(1024 * 1024)
    assert trio.current_time() - began == pytest.approx(20 * 1024 * 1024 / BYTES_PER_S)


async def test_audio_eight_times_faster_than_real_time_is_not_held_up(autojump_clock: MockClock) -> None:
    share, began = MessageShare(), trio.current_time()
    for _ in range(20_000):
        await trio.sleep(0.02 / 8)
        await share.take(48_000 * 2 // 50 + 100)
    assert trio.current_time() - began == pytest.approx(20_000 * 0.02 / 8)
