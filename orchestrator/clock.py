"""The clock of a conversation's facts."""

from __future__ import annotations

import trio


def now_ms() -> float:
    """Ms of Trio's clock: what facts are stamped with, and virtual in tests."""
    return trio.current_time() * 1000
