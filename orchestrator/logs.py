"""Logs of a process: where lines go, as text or JSON, and the session that each belongs to.

How modules of ours write them is said in `adapters.logs`. Lines within `with bind_session(id):`, and in every
Trio task started there, carry `session`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.typing import Processor

from adapters.logs import drop_personal_data, mask_secrets
from orchestrator.settings.settings import Listener

_QUIET = ("openai", "httpx", "httpx2", "httpcore", "httpcore2", "trio-websocket", "statemachine")
"""Libraries whose info lines repeat ours. Their warnings are kept."""


@contextmanager
def bind_session(session_id: str) -> Iterator[None]:
    """Put `session` into every line logged inside, and inside the Trio tasks started there."""
    with structlog.contextvars.bound_contextvars(session=session_id):
        yield


def configure_logs(settings: Listener, stream: TextIO | None = None) -> None:
    """Write our lines and those of libraries (stdlib logging) to `stream`, by default standard error."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
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
    if log_format == "json":
        return [
            structlog.processors.format_exc_info,
            mask_secrets,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    return [
        structlog.processors.format_exc_info,
        mask_secrets,
        structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
