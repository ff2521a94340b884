"""The buffer of samples that wait to be sent: order, cuts, bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from adapters.interfaces import Samples
from orchestrator.audio.playback_buffer import SampleBuffer


def numbered(count: int, start: int = 0) -> Samples:
    return np.arange(start, start + count, dtype=np.int16)


async def test_a_buffer_gives_what_was_put_in_in_order_however_it_is_cut() -> None:
    buffer = SampleBuffer(1000)
    for start in (0, 7, 14):
        await buffer.put(numbered(7, start))
    buffer.close()
    taken: Sequence[Samples] = [await buffer.take(5, 5) for _ in range(5)]
    assert [len(piece) for piece in taken] == [5, 5, 5, 5, 1]
    assert np.array_equal(np.concatenate(taken), numbered(21))
    assert len(await buffer.take(5, 5)) == 0


async def test_a_buffer_waits_for_enough(autojump_clock: MockClock) -> None:
    buffer = SampleBuffer(1000)
    await buffer.put(numbered(3))
    with trio.move_on_after(1) as waiting:
        await buffer.take(10, 4)
    assert waiting.cancelled_caught
    assert len(await buffer.take(10, 3)) == 3


async def test_a_full_buffer_holds_its_filler_up(autojump_clock: MockClock) -> None:
    buffer = SampleBuffer(10)
    await buffer.put(numbered(10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(buffer.put, numbered(5, 10))
        await wait_all_tasks_blocked()
        assert len(await buffer.take(20, 1)) == 10
    assert np.array_equal(await buffer.take(20, 1), numbered(5, 10))
