"""State charts, made once per thread and shared by all conversations in it."""

from __future__ import annotations

import threading

from machines.system import Charts


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.charts = Charts()


_OF_THREAD = _OfThread()


def charts_of_this_thread() -> Charts:
    """The charts, made once per thread (10 ms, 0.6 MB) and freed with it."""
    return _OF_THREAD.charts
