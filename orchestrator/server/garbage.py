"""When Python's collector goes through all objects: by hand, seldom, and not because calls begin.

By itself it does so whenever they have become a quarter more, and each time everything stands still: 0.5 s
with the objects of 500 calls. Most of what calls leave is freed without it. Only what refers to itself in a
circle waits for it, and there can be no more of that than ended calls have left.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import trio

LOOK_EVERY_S = 1.0
LEAST_ENDED = 50
"""So many calls must have ended at least, and as many as go on, before all is gone through beside calls."""
QUIET_ROUNDS = 10
"""Collections of younger objects after which all is gone through while there are no calls."""
MOST_ROUNDS = 5000
"""And after which it is done in any case."""
_NEVER = 1_000_000_000


def forget_what_is_loaded() -> None:
    """What is there now stays: the collector need never go through it."""
    gc.collect()
    gc.freeze()


async def collect_seldom(calls: Callable[[], int], ended: Callable[[], int]) -> None:
    """Do so until cancelled. `calls` returns how many go on, `ended` how many have ended so far."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*thresholds[:2], _NEVER)
    ended_before = ended()
    try:
        while True:
            await trio.sleep(LOOK_EVERY_S)
            if is_due(calls(), ended() - ended_before, gc.get_count()[2]):
                ended_before = ended()
                gc.collect()
    finally:
        gc.set_threshold(*thresholds)


def is_due(calls: int, ended: int, rounds: int) -> bool:
    """Whether all is to be gone through: `ended` calls and `rounds` of the collector after the last time."""
    if calls == 0 and rounds >= QUIET_ROUNDS:
        return True
    return ended >= max(LEAST_ENDED, calls) or rounds >= MOST_ROUNDS
