"""Python's collector: it goes through everything when calls have ended, and not because calls begin."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from orchestrator.server.garbage import (
    LEAST_ENDED,
    LOOK_EVERY_S,
    MOST_ROUNDS,
    QUIET_ROUNDS,
    collect_seldom,
    is_due,
)


class Circle:
    """Something that only the collector frees."""

    def __init__(self) -> None:
        self.itself = self


@contextmanager
def full_collections() -> Iterator[list[None]]:
    """One item for each time that everything was gone through."""
    seen: list[None] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            seen.append(None)

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


async def test_what_ended_calls_left_is_freed_and_calls_that_begin_have_nothing_gone_through(
    autojump_clock: MockClock,
) -> None:
    calls, ended, thresholds = 0, 0, gc.get_threshold()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect_seldom, lambda: calls, lambda: ended)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        with full_collections() as seen:
            calls = 500
            kept = [[each] for each in range(1_000_000)]
            await trio.sleep(10 * LOOK_EVERY_S)
            assert not seen
            left = Circle()
            freed = weakref.ref(left)
            del left
            calls, ended = 30, LEAST_ENDED
            await trio.sleep(2 * LOOK_EVERY_S)
            assert seen
            assert freed() is None
        del kept
        nursery.cancel_scope.cancel()
    assert gc.get_threshold() == thresholds


@pytest.mark.parametrize(
    ("calls", "ended", "rounds", "due"),
    [
        (0, 0, 1, False),
        (0, 0, QUIET_ROUNDS, True),
        (500, 0, QUIET_ROUNDS, False),
        (500, LEAST_ENDED, 0, False),
        (500, 500, 0, True),
        (10, LEAST_ENDED, 0, True),
        (500, 0, MOST_ROUNDS, True),
    ],
)
def test_when_everything_is_gone_through(calls: int, ended: int, rounds: int, due: bool) -> None:
    assert is_due(calls, ended, rounds) is due
