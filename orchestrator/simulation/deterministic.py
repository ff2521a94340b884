"""Deterministic runs of a simulated call: virtual time, task scheduling from a seed, and no logs."""

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
"""A level above that of every log line of ours."""


@contextmanager
def repeatable() -> Iterator[None]:
    """Within the block, a seed decides in which order Trio runs ready tasks, and nothing of ours is logged.

    Trio has no public switch for this. Its own plugin for Hypothesis sets the two names that are used here,
    and `pyproject.toml` pins the version that has them.
    """
    gc.collect()
    gc.freeze()  # charts are large: the collector need not go through them again and again
    deterministic, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    logs = structlog.get_config() if structlog.is_configured() else None
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(NOTHING))
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = deterministic  # type: ignore[misc]
        _run._r.setstate(state)
        if logs is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**logs)
        gc.unfreeze()


def run(seed: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` under Trio from time 0 on, in virtual time. To be called within `repeatable`."""
    _run._r.seed(seed)
    trio.run(work, clock=MockClock(autojump_threshold=0))
