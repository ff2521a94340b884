"""The simulated telephone: when it plays, when its marks come back, and what a `clear` does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_server_stream

from adapters.simulators import Latency, Telephone
from adapters.simulators.telephone import NO_LATENCY
from protocol.twilio import (
    Clear,
    Connected,
    Mark,
    Media,
    Started,
    StreamMessage,
    read_stream_message,
    write_stream_message,
)

FRAME = Media(b"\x10" * 160)
STARTED = Started("MZ1", "CA1", "AC1", {"token": "t"})


@define
class Server:
    """The server that is called, with the time of each message."""

    socket: WebSocketConnection
    telephone: Telephone
    began_at: float

    async def sends(self, *messages: StreamMessage) -> None:
        for message in messages:
            await self.socket.send_message(write_stream_message(message, "MZ1"))

    async def marks(self, count: int) -> list[tuple[str, int]]:
        """The next marks that come back, each with its time in ms."""
        came: list[tuple[str, int]] = []
        while len(came) < count:
            message = read_stream_message(await self.socket.get_message())
            if isinstance(message, Mark):
                came.append((message.name, round((trio.current_time() - self.began_at) * 1000)))
        return came


@asynccontextmanager
async def called(jitter: Latency = NO_LATENCY) -> AsyncIterator[Server]:
    ours, theirs = memory_stream_pair()

    async def connect(host: str, port: int) -> trio.abc.Stream:
        return theirs

    telephone = Telephone("ws://vantum.example/twilio/media", STARTED, connect, jitter)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(telephone.run)
            request = await wrap_server_stream(nursery, ours)
            socket = await request.accept()
            beginning = [read_stream_message(await socket.get_message()) for _ in range(2)]
            assert beginning == [Connected(), STARTED]
            yield Server(socket, telephone, trio.current_time())
            await socket.aclose()
            await telephone.over.wait()
            nursery.cancel_scope.cancel()


async def test_a_mark_comes_back_when_all_audio_before_it_was_played(autojump_clock: MockClock) -> None:
    async with called() as server:
        await server.sends(Mark("a"), *[FRAME] * 5, Mark("b"), FRAME, FRAME, Mark("c"), Mark("d"))
        assert await server.marks(4) == [("a", 0), ("b", 100), ("c", 140), ("d", 140)]
        assert server.telephone.heard_seconds() == pytest.approx(0.14)


async def test_a_clear_drops_what_is_not_played_and_sends_its_marks_back_at_once(
    autojump_clock: MockClock,
) -> None:
    async with called() as server:
        await server.sends(*[FRAME] * 50, Mark("a"), *[FRAME] * 50, Mark("b"))
        await trio.sleep(0.25)
        await server.sends(Clear(), FRAME, Mark("c"))
        assert await server.marks(3) == [("a", 250), ("b", 250), ("c", 270)]
        assert server.telephone.flushed_marks == ["a", "b"]
        assert server.telephone.heard_seconds() == pytest.approx(0.27)


async def test_jitter_delays_marks_and_changes_no_order(autojump_clock: MockClock) -> None:
    async with called(Latency(200, 0.5)) as server:
        await server.sends(*(message for number in range(20) for message in (FRAME, Mark(str(number)))))
        came = await server.marks(20)
        assert [name for name, _ in came] == [str(number) for number in range(20)]
        late = [at - 20 * (number + 1) for number, (_, at) in enumerate(came)]
        assert min(late) > 0
        assert len(set(late)) > 5
