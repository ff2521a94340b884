"""How much may come at once, and how fast beyond that."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from orchestrator.leaky_bucket import LeakyBucket


async def test_so_much_comes_at_once_and_then_no_more_than_the_pace(autojump_clock: MockClock) -> None:
    bucket = LeakyBucket(size=3, per_s=2)
    assert [bucket.admits(1) for _ in range(5)] == [True, True, True, False, False]
    await trio.sleep(0.5)
    assert [bucket.admits(1) for _ in range(2)] == [True, False]


async def test_time_in_which_nothing_comes_makes_room_for_no_more_than_the_size(
    autojump_clock: MockClock,
) -> None:
    bucket = LeakyBucket(size=3, per_s=2)
    await trio.sleep(3600)
    assert [bucket.admits(1) for _ in range(5)] == [True, True, True, False, False]


async def test_what_was_added_without_room_is_owed(autojump_clock: MockClock) -> None:
    bucket = LeakyBucket(size=3, per_s=2)
    bucket.add(5)
    assert bucket.room == -2
    await trio.sleep(1)
    assert not bucket.admits(1)
    await trio.sleep(0.5)
    assert bucket.admits(1)
