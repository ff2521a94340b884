"""The server's side of a WebSocket: messages, pings, closes by either side, and what breaks the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    memory_stream_pair,
    wait_all_tasks_blocked,
)
from trio_websocket import ConnectionClosed

from orchestrator.server.peer_socket import PeerSocket
from tests.walls.peers import BINARY, CLOSE, HANDSHAKE, PING, PONG, TEXT, Socket, frame

Stream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]
MOST = 1000
GOODBYE = frame(CLOSE, (1000).to_bytes(2, "big") + b"bye")


@define
class Pair:
    """Our side, and the peer's as it is on the wire."""

    ours: PeerSocket
    theirs: Socket

    async def sends(self, data: bytes) -> None:
        await self.theirs.stream.send_all(data)

    async def closed_with(self) -> tuple[int, str | None]:
        """Why no message comes."""
        with pytest.raises(ConnectionClosed) as closed:
            await self.ours.get_message()
        assert closed.value.reason is self.ours.closed
        assert self.ours.closed is not None
        return self.ours.closed.code, self.ours.closed.reason


@asynccontextmanager
async def a_pair(following: bytes = b"") -> AsyncIterator[Pair]:
    ours, theirs = memory_stream_pair()
    socket = PeerSocket(ours, MOST)
    await socket.accept(HANDSHAKE % b"/ws", following, ["vantum.v2"])
    pair = Pair(socket, Socket(theirs))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await pair.theirs.hears(1)
    assert socket.subprotocol == "vantum.v2"
    assert b"vantum.v2" in head
    yield pair


async def test_messages_come_whole_and_in_order_however_they_are_cut(autojump_clock: MockClock) -> None:
    sent = (
        frame(TEXT, "né".encode())
        + frame(BINARY, b"1", final=False)
        + frame(PING, b"now")
        + frame(0, b"2", final=False)
        + frame(0, b"3")
        + frame(BINARY, b"")
    )
    for size in (1, 7, len(sent)):
        async with a_pair() as pair, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send(pair: Pair = pair, size: int = size) -> None:
                for start in range(0, len(sent), size):
                    await pair.sends(sent[start : start + size])
                    await wait_all_tasks_blocked()

            assert [await pair.ours.get_message() for _ in range(3)] == ["né", b"123", b""]
            assert await pair.theirs.next_frame() == (PONG, b"now")


async def test_what_came_with_the_handshake_comes_first() -> None:
    async with a_pair(frame(TEXT, b"early")) as pair:
        await pair.sends(frame(TEXT, b"late"))
        assert [await pair.ours.get_message() for _ in range(2)] == ["early", "late"]


async def test_messages_that_are_sent_together_are_messages_of_their_own() -> None:
    async with a_pair() as pair:
        await pair.ours.send_messages(["one", b"two"])
        await pair.ours.send_message("three")
        told = [await pair.theirs.next_frame() for _ in range(3)]
    assert told == [(TEXT, b"one"), (BINARY, b"two"), (TEXT, b"three")]


async def test_several_may_send_at_once() -> None:
    async with a_pair() as pair, trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(pair.ours.send_message, str(number))
        told = {await pair.theirs.next_frame() for _ in range(20)}
    assert told == {(TEXT, str(number).encode()) for number in range(20)}


async def test_a_wait_for_a_message_that_is_cancelled_loses_none() -> None:
    whole = frame(TEXT, b"whole") + frame(TEXT, b"other")
    async with a_pair() as pair:
        for byte in whole:
            await pair.sends(bytes([byte]))
            with trio.move_on_after(0):
                assert await pair.ours.get_message() == "whole"
                break
            async with trio.open_nursery() as nursery:
                heard: list[str | bytes] = []

                @nursery.start_soon
                async def hear(heard: list[str | bytes] = heard) -> None:
                    heard.append(await pair.ours.get_message())

                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            if heard:
                assert heard == ["whole"]
                break


async def test_the_peers_close_is_answered_and_told() -> None:
    async with a_pair() as pair:
        await pair.sends(frame(TEXT, b"last words") + GOODBYE)
        assert await pair.ours.get_message() == "last words"
        assert await pair.closed_with() == (1000, "bye")
        assert await pair.theirs.is_closed() == (1000, "bye")
        with pytest.raises(ConnectionClosed):
            await pair.ours.send_message("too late")
        await pair.ours.aclose()


async def test_a_close_waits_for_the_peers_whoever_reads(autojump_clock: MockClock) -> None:
    for somebody_reads in (True, False):
        async with a_pair() as pair, trio.open_nursery() as nursery:
            if somebody_reads:
                nursery.start_soon(pair.closed_with)
            await wait_all_tasks_blocked()

            @nursery.start_soon
            async def answer(pair: Pair = pair) -> None:
                assert await pair.theirs.is_closed() == (1001, "going")
                await pair.sends(frame(TEXT, b"still here") + frame(PING))
                await trio.sleep(5)
                await pair.sends(frame(CLOSE, (1001).to_bytes(2, "big")))

            began = trio.current_time()
            await pair.ours.aclose(1001, "going")
            assert trio.current_time() - began == 5
            assert await pair.closed_with() == (1001, "going")


async def test_a_close_that_the_peer_does_not_answer_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with a_pair() as pair:
        with trio.move_on_after(1) as waiting:
            await pair.ours.aclose()
        assert waiting.cancelled_caught
        assert await pair.theirs.is_closed() == (1000, "")
        assert await pair.theirs.stream.receive_some() == b"", "the socket is closed all the same"


async def test_a_connection_that_breaks_is_told_to_all_who_wait() -> None:
    async with a_pair() as pair, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ping() -> None:
            with pytest.raises(ConnectionClosed):
                await pair.ours.ping()

        await wait_all_tasks_blocked()
        await pair.theirs.stream.aclose()
        assert await pair.closed_with() == (1006, None)


async def test_a_pong_answers_its_ping_and_those_before_it() -> None:
    async with a_pair() as pair, trio.open_nursery() as nursery:
        answered: list[str] = []

        async def ping(name: str) -> None:
            await pair.ours.ping()
            answered.append(name)

        payloads = []
        for name in ("first", "second", "third"):
            nursery.start_soon(ping, name)
            payloads.append((await pair.theirs.next_frame())[1])
        await pair.sends(frame(PONG, b"never asked for") + frame(PONG, payloads[1]) + frame(TEXT, b"then"))
        assert await pair.ours.get_message() == "then"
        await wait_all_tasks_blocked()
        assert sorted(answered) == ["first", "second"]
        nursery.cancel_scope.cancel()


BROKEN = {
    "a reserved opcode": (frame(3), 1002),
    "a bit that belongs to an extension": (bytes([0xC1]) + frame(TEXT, b"x")[1:], 1002),
    "no mask": (b"\x81\x01x", 1002),
    "a piece of no message": (frame(0, b"x"), 1002),
    "a message within another": (frame(TEXT, b"x", final=False) + frame(TEXT, b"x"), 1002),
    "a ping in pieces": (frame(PING, final=False), 1002),
    "a ping that is too long": (frame(PING, bytes(126)), 1002),
    "a close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "a close with a code that nobody may send": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "a text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "a text that is no UTF-8 in pieces": (frame(TEXT, b"\xc3", final=False) + frame(0, b"x"), 1007),
    "a message that is too long": (frame(TEXT, bytes(MOST + 1)), 1009),
    "a length that nobody has": (b"\x82\xff" + b"\x7f" * 8 + bytes(4), 1009),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_breaks_the_protocol_is_closed_with_the_code_that_says_so(
    kind: str, autojump_clock: MockClock
) -> None:
    sent, code = BROKEN[kind]
    async with a_pair() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(pair.sends, sent)
        assert (await pair.closed_with())[0] == code
        told, reason = await pair.theirs.is_closed()
        assert told == code
        assert reason


async def test_a_peer_that_broke_the_protocol_is_read_on_for_a_moment(autojump_clock: MockClock) -> None:
    async with a_pair() as pair, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def flood() -> None:
            with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
                while True:
                    await pair.sends(frame(3) * 100)
                    await trio.sleep(0.1)

        began = trio.current_time()
        assert (await pair.closed_with())[0] == 1002
        assert trio.current_time() - began <= 2


@define
class Flood:
    """A peer's stream that never ends, however fast it is read."""

    ours: Stream
    reads: int = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        assert self.reads < 1000, "it is read as fast as it can send"
        self.reads += 1
        await trio.lowlevel.checkpoint()
        return frame(3, b"no such frame") * 4000

    async def send_all(self, data: bytes) -> None:
        await self.ours.send_all(data)

    async def aclose(self) -> None:
        await self.ours.aclose()


async def test_a_peer_that_is_closed_and_sends_on_is_read_no_faster_than_others_can_bear(
    autojump_clock: MockClock,
) -> None:
    async with a_pair() as pair:
        flood = Flood(pair.ours.stream)  # type: ignore[arg-type]
        pair.ours.stream = flood  # type: ignore[assignment]
        assert (await pair.closed_with())[0] == 1002
        assert flood.reads > 50, "so much that an honest peer gets to know why"
