"""How many lines that are alike a log gets: beyond that, it is told how many more there were.

Whoever can make the server write a line can have it written without end. The clock is given, so that tests
set it; nothing here knows of Trio, since lines come from every thread.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import TextIO

from attrs import define

WINDOW_S = 10.0
MOST_ALIKE = 500
"""Lines that are alike, written in `WINDOW_S`. A hundred calls that are busy write fewer."""
MOST_TRACEBACKS = 20
"""Of those with a traceback."""
MOST_OF_LIBRARY = 500
"""Lines of one logger of a library, in `WINDOW_S`. None need be like another, if they hold what came."""
_MOST_KINDS = 1000
"""Kinds that are counted. When there are more, the window of the oldest ends early."""
_TELLING = 120
"""Characters by which kinds are told apart."""
_CHANGING = re.compile(r"0x[0-9a-fA-F]+|\d+")

Clock = Callable[[], float]
"""Seconds since any beginning."""


@define
class _Window:
    """How many lines of one kind came since the first of them."""

    since: float
    name: str
    level: int
    count: int = 0
    left_out: int = 0


class BoundedHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream; of those that are alike a number in `WINDOW_S`, and then how many more came.

    That is written before the next line of any kind, or when the handler is closed, as Python does at the end
    of the process. Lines at debug level are all written.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        super().__init__(stream)
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, unless there were too many of its kind."""
        now = self._clock()
        self._end_windows(now)
        if record.levelno <= logging.DEBUG or self._may_write(record, now):
            super().emit(record)

    def close(self) -> None:
        """Write how many lines were left out so far."""
        self._end_windows(None)
        super().close()

    def _may_write(self, record: logging.LogRecord, now: float) -> bool:
        kind, library = _kind(record), _library(record)
        if library and kind not in self._windows and self._is_full(library):
            # No more kinds of it are begun, or a flood of lines that all differ would push out all others.
            return self._count(library, MOST_OF_LIBRARY, record, now)
        if _has_traceback(record) and not self._count(f"{kind} (a traceback)", MOST_TRACEBACKS, record, now):
            return False
        return self._count(kind, MOST_ALIKE, record, now) and (
            not library or self._count(library, MOST_OF_LIBRARY, record, now)
        )

    def _is_full(self, library: str) -> bool:
        window = self._windows.get(library)
        return window is not None and window.count >= MOST_OF_LIBRARY

    def _count(self, kind: str, most: int, record: logging.LogRecord, now: float) -> bool:
        """Count a line of this kind; returns whether it may be written."""
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= _MOST_KINDS:
                self._tell(*self._windows.popitem(last=False))
            window = self._windows[kind] = _Window(now, record.name, record.levelno)
        window.count += 1
        window.left_out += window.count > most
        return window.count <= most

    def _end_windows(self, now: float | None) -> None:
        """End the windows that are over. They are in the order in which they began."""
        while self._windows:
            kind, window = next(iter(self._windows.items()))
            if now is not None and now - window.since < WINDOW_S:
                return
            del self._windows[kind]
            self._tell(kind, window)

    def _tell(self, kind: str, window: _Window) -> None:
        if window.left_out:
            told = "%s: and %s more in the last %.0f s"
            arguments = (kind, f"{window.left_out:,}", WINDOW_S)
            super().emit(logging.LogRecord(window.name, window.level, __file__, 0, told, arguments, None))


def _kind(record: logging.LogRecord) -> str:
    """What lines that are alike have in common: their text before anything is filled in."""
    text = str(record.msg.get("event", "")) if isinstance(record.msg, dict) else str(record.msg)
    return _CHANGING.sub("#", text[:_TELLING])


def _library(record: logging.LogRecord) -> str:
    """What all lines of a library's logger have in common; empty for a line of ours."""
    return "" if isinstance(record.msg, dict) else f"lines of {record.name}"


def _has_traceback(record: logging.LogRecord) -> bool:
    return bool(record.exc_info or (isinstance(record.msg, dict) and record.msg.get("exc_info")))
