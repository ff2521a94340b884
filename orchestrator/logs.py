"""Logs of a process: where lines go, as text or JSON, and the session that each belongs to.

How modules of ours write them is said in `adapters.logs`. Lines within `with bind_session(id):`, and in every
Trio task started there, carry `session`.

There is one logger. What libraries log, Python's warnings, and exceptions that nothing caught pass through
it, too, so that all lines are formatted, masked, short and neutral, and their rate is bounded
(`log_rates.py`).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import Processor

from adapters.logs import drop_personal_data, mask_secrets, shorten
from orchestrator.log_rates import BoundedHandler, Clock
from orchestrator.settings.settings import Listener

_QUIET = ("alembic", "openai", "httpx", "httpx2", "httpcore", "httpcore2", "trio-websocket", "statemachine")
"""Libraries whose info lines repeat ours. Their warnings are kept."""


@contextmanager
def bind_session(session_id: str) -> Iterator[None]:
    """Put `session` into every line logged inside, and inside the Trio tasks started there."""
    with structlog.contextvars.bound_contextvars(session=session_id):
        yield


log = logging.getLogger("vantum")


def configure_logs(
    settings: Listener, stream: TextIO | None = None, *, clock: Clock = time.monotonic
) -> None:
    """Write all lines of the process to `stream`, by default standard error."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = BoundedHandler(stream, clock)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(settings.log_format, colors=stream.isatty()),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # A disk that is full or a terminal that is gone must not be answered with a traceback for each line.
    logging.raiseExceptions = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    _take_over_libraries()
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_of_thread


def _take_over_libraries() -> None:
    """Have loggers that write on their own account pass their lines on instead."""
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers = [each for each in logger.handlers if isinstance(each, logging.NullHandler)]
            logger.propagate = True


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        log.critical("an exception ended the process", exc_info=(kind, error, traceback))


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Log an exception that cannot be raised, such as one of a finalizer."""
    error = unraisable.exc_value
    told = None if error is None else (type(error), error, unraisable.exc_traceback)
    log.error(
        "an exception could not be raised: %s %r",
        unraisable.err_msg or "in",
        unraisable.object,
        exc_info=told,
    )


def _log_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        log.error("a thread broke", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _shared() -> list[Processor]:
    """The processors for every line, of ours or of a library."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        drop_personal_data,
    ]


def _rendering(log_format: str, *, colors: bool) -> list[Processor]:
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    return [structlog.processors.format_exc_info, mask_secrets, shorten, renderer]
