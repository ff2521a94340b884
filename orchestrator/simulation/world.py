"""A world for one call: virtual time, a schedule that its seed decides, and no logs."""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
import trio
from trio._core import _run
from trio.testing import MockClock

NOTHING = logging.CRITICAL
"""A level that none of our lines has."""


@contextmanager
def repeatable() -> Iterator[None]:
    """Inside, Trio runs tasks that are ready in an order that a seed decides, and nothing of ours is logged.

    Trio has no public switch for this: the two names used here are those that its own plugin for Hypothesis
    sets, and `pyproject.toml` pins the version that has them.
    """
    gc.collect()
    gc.freeze()  # charts are large, and need not be looked through again and again
    deterministic, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    logs = structlog.get_config()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(NOTHING))
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = deterministic  # type: ignore[misc]
        _run._r.setstate(state)
        structlog.configure(**logs)
        gc.unfreeze()


def run(seed: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` under Trio from time 0 on, in virtual time; to be used inside `repeatable`."""
    _run._r.seed(seed)
    trio.run(work, clock=MockClock(autojump_threshold=0))
