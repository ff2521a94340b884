"""The outbox: frames in order, stale audio taken back, a client that does not read given up."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from orchestrator.conversation.send_queue import MAX_WAITING_BYTES, Frame, Outbox, Stalled


async def test_frames_leave_in_order() -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.put(Frame(bytes([number])))
    assert [(await outbox.take()).data for _ in range(3)] == [b"\0", b"\1", b"\2"]


async def test_taking_waits_for_a_frame(autojump_clock: MockClock) -> None:
    outbox = Outbox()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def put() -> None:
            await trio.sleep(1)
            outbox.put(Frame(b"late"))

        assert (await outbox.take()).data == b"late"


async def test_audio_that_waits_is_taken_back_and_nothing_else() -> None:
    outbox = Outbox()
    for frame in (Frame(b"begin"), Frame(b"old", 1), Frame(b"words"), Frame(b"old", 1), Frame(b"new", 2)):
        outbox.put(frame)
    outbox.drop_audio(1)
    assert [(await outbox.take()).data for _ in range(3)] == [b"begin", b"words", b"new"]


async def test_room_that_was_taken_back_is_free_again() -> None:
    outbox = Outbox()
    outbox.put(Frame(bytes(MAX_WAITING_BYTES), 1))
    outbox.drop_audio(1)
    outbox.put(Frame(bytes(MAX_WAITING_BYTES), 2))
    assert not outbox.overflown
    await outbox.take()
    outbox.put(Frame(bytes(MAX_WAITING_BYTES), 2))
    assert not outbox.overflown


async def test_too_much_that_waits_means_the_client_has_stalled() -> None:
    outbox = Outbox()
    for _ in range(2000):
        outbox.put(Frame(bytes(1024), 1))
    assert outbox.overflown
    assert sum(len(frame.data) for frame in outbox._frames) <= MAX_WAITING_BYTES
    with pytest.raises(Stalled, match="wait to be sent"):
        await outbox.take()


async def test_a_writer_that_waits_learns_of_the_overflow() -> None:
    outbox = Outbox()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write() -> None:
            with pytest.raises(Stalled):
                await outbox.take()

        await wait_all_tasks_blocked()
        outbox.put(Frame(bytes(MAX_WAITING_BYTES + 1)))


async def test_everything_was_sent_when_the_last_frame_is_not_just_taken_but_gone() -> None:
    outbox = Outbox()
    flushed = trio.Event()

    async def flush() -> None:
        await outbox.flushed()
        flushed.set()

    async with trio.open_nursery() as nursery:
        outbox.put(Frame(b"last"))
        nursery.start_soon(flush)
        await outbox.take()
        await wait_all_tasks_blocked()
        assert not flushed.is_set()
        nursery.start_soon(outbox.take)
        await flushed.wait()
        nursery.cancel_scope.cancel()


async def test_what_was_taken_back_need_not_be_waited_for(autojump_clock: MockClock) -> None:
    outbox = Outbox()
    outbox.put(Frame(b"old", 1))
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.flushed)
            await wait_all_tasks_blocked()
            outbox.drop_audio(1)
