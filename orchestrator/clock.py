"""The two clocks: one for the times of facts, one for timestamps that leave the process."""

from __future__ import annotations

import time

import trio


def now_ms() -> float:
    """Ms of Trio's clock, with which facts are stamped. Virtual in tests."""
    return trio.current_time() * 1000


def epoch_ms() -> float:
    """Ms since the Unix epoch, for timestamps on the wire, in reports and in journals."""
    return time.time() * 1000
