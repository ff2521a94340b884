"""The queue of the caller's audio: order, bounds, turn marks."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters.interfaces import LISTENING_RATE, Samples
from orchestrator.audio.caller_audio import MAX_QUEUED_MS, AudioBlock, CallerAudio, TurnBegins, TurnEnds


def audio(ms: float, level: int = 1) -> Samples:
    return np.full(int(LISTENING_RATE * ms / 1000), level, np.int16)


async def take(queue: CallerAudio) -> object:
    with trio.fail_after(60):
        return await queue.take()


async def take_block(queue: CallerAudio) -> AudioBlock:
    item = await take(queue)
    assert isinstance(item, AudioBlock)
    return item


async def taken(queue: CallerAudio, count: int) -> list[object]:
    items = [await take(queue) for _ in range(count)]
    return [int(item.samples[0]) if isinstance(item, AudioBlock) else item for item in items]


async def test_audio_before_the_first_turn_waits_for_it_and_belongs_to_it(autojump_clock: MockClock) -> None:
    queue = CallerAudio()
    queue.push(audio(40, 1), LISTENING_RATE)
    with trio.move_on_after(1) as waiting:
        await queue.take()
    assert waiting.cancelled_caught
    queue.begin_turn(1)
    queue.push(audio(20, 2), LISTENING_RATE)
    queue.end_turn(1)
    queue.begin_turn(2)
    queue.push(audio(40, 3), LISTENING_RATE)
    assert await taken(queue, 6) == [TurnBegins(1), 1, 2, TurnEnds(1), TurnBegins(2), 3]


async def test_short_audio_waits_for_more_or_for_a_mark(autojump_clock: MockClock) -> None:
    queue = CallerAudio()
    queue.begin_turn(1)
    assert await take(queue) == TurnBegins(1)
    assert queue.take_short() is None
    queue.push(audio(20, 1), LISTENING_RATE)
    with trio.move_on_after(1) as waiting:
        await queue.take()
    assert waiting.cancelled_caught
    queue.push(audio(20, 2), LISTENING_RATE)
    assert np.array_equal((await take_block(queue)).samples, np.concatenate([audio(20, 1), audio(20, 2)]))
    queue.push(audio(20, 3), LISTENING_RATE)
    short = queue.take_short()
    assert short is not None
    assert short.duration_ms == 20
    queue.push(audio(20, 4), LISTENING_RATE)
    queue.end_turn(1)
    assert await taken(queue, 2) == [4, TurnEnds(1)]


async def test_the_oldest_audio_goes_first_when_nobody_takes_it_and_marks_stay(
    autojump_clock: MockClock,
) -> None:
    queue = CallerAudio()
    queue.begin_turn(1)
    for number in range(600):
        queue.push(audio(20, number + 1), LISTENING_RATE)
        if number == 50:
            queue.end_turn(1)
            queue.begin_turn(2)
    assert queue.counts.received_ms == pytest.approx(12_000)
    assert queue.counts.dropped_ms == pytest.approx(12_000 - MAX_QUEUED_MS)
    assert await taken(queue, 4) == [TurnBegins(1), TurnEnds(1), TurnBegins(2), 101]


async def test_of_one_block_beyond_the_bound_the_newest_is_kept(autojump_clock: MockClock) -> None:
    queue = CallerAudio()
    queue.begin_turn(1)
    block = np.arange(LISTENING_RATE * 12, dtype=np.int64).astype(np.int16)
    queue.push(block, LISTENING_RATE)
    assert await take(queue) == TurnBegins(1)
    kept = await take(queue)
    assert isinstance(kept, AudioBlock)
    assert np.array_equal(kept.samples, block[-LISTENING_RATE * 10 :])
    assert queue.counts.dropped_ms == pytest.approx(2000)


async def test_tiny_blocks_cost_no_more_memory_than_large_ones(autojump_clock: MockClock) -> None:
    queue = CallerAudio()
    queue.begin_turn(1)
    for number in range(5000):
        queue.push(np.array([number], np.int16), LISTENING_RATE)
    queue.end_turn(1)
    assert len(queue._items) < 100
    assert await take(queue) == TurnBegins(1)
    heard: list[Samples] = []
    while sum(map(len, heard)) < 5000:
        heard.append((await take_block(queue)).samples)
    assert np.array_equal(np.concatenate(heard), np.arange(5000))
