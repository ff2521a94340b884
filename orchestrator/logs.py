"""Logging: one line per event, as text or JSON, with the session that it belongs to.

Our lines are written by `log = library_logger(__name__)`, then `log.info("turn over", speech_ms=840)`. They
go where the process has configured logging: `configure_logs` (the command line), structlog or Python's own
`logging` (a host program). Where nobody did, they go nowhere. Conventions:

* What is personal goes under the keys of `PERSONAL_KEYS`, such as `transcript` or `arguments`, and only into
  lines at debug level; from others these keys are dropped, and telephone numbers are masked in them.
* API keys and tokens never appear: values under keys with such names are masked, and so is any text that
  looks like one.
* Lines within `with bind_session(id):`, and in every Trio task started there, carry `session`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orchestrator.settings.settings import Listener

PERSONAL_KEYS = ("transcript", "answer", "prompt", "arguments", "result", "payload")
"""What callers and models said, and what tools were given and gave."""
MASK = "(a secret)"
NUMBER_MASK = "(a telephone number)"

_SECRET_KEY = re.compile(r"(?i)(^|_)(api_?key|authorization|token|secret|password|cookie)$")
_SECRET_TEXT = re.compile(
    r"""(?ix)
    (?P<kept>
        \bbearer\s+
      | \bauthorization["']?\s*[=:]\s*["']?(?:[a-z]+\s+)?
      | \b(?:basic|token)\s+(?=\S{16})
      | \b(?:api[_-]?key|token|secret|password)["']?\s*[=:]\s*["']?
      | //[^/\s:@]*:(?=[^/\s@]+@)
    )
    [^\s"'&,;@]+
    | \b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}
    """
)
_NUMBER = re.compile(r"(?<![\w+])\+[1-9][0-9]{6,14}\b")
"""In E.164 form, as carriers write them."""
_QUIET = ("openai", "httpx", "httpx2", "httpcore", "httpcore2", "trio-websocket", "statemachine")
"""Libraries whose info lines repeat ours. Their warnings are kept."""


def library_logger(name: str) -> Any:
    """The logger of a module of ours: structlog's if the process has configured that, else Python's own."""
    return _LibraryLogger(name)


class _LibraryLogger:
    """Has the methods of a structlog logger. Which one it is can be decided after it was made."""

    def __init__(self, name: str) -> None:
        self._configured = structlog.get_logger(name)
        self._plain = structlog.wrap_logger(
            logging.getLogger(name),
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.contextvars.merge_contextvars,
                drop_personal_data,
                structlog.processors.format_exc_info,
                mask_secrets,
                _as_one_text,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def __getattr__(self, method: str) -> Any:
        return getattr(self._configured if structlog.is_configured() else self._plain, method)


def _as_one_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """`turn over speech_ms=840`, a traceback below it."""
    traceback = event.pop("exception", None)
    line = " ".join([str(event.pop("event")), *(f"{key}={value!r}" for key, value in event.items())])
    # Python's own logging takes it for a pattern, without anything to fill in.
    return line if traceback is None else f"{line}\n{traceback}"


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


def drop_personal_data(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop what was said, and mask telephone numbers, in every line above debug level."""
    if event.get("level", method) == "debug":
        return event
    return {
        key: _NUMBER.sub(NUMBER_MASK, value) if isinstance(value, str) else value
        for key, value in event.items()
        if key not in PERSONAL_KEYS
    }


def mask_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Mask API keys and tokens, also in tracebacks and nested values."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_KEY.search(key):
        return MASK
    if isinstance(value, Mapping):
        return {str(inner): _masked(str(inner), of) for inner, of in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", of) for of in value]
    text = value if isinstance(value, str) else repr(value)
    return _SECRET_TEXT.sub(lambda found: (found["kept"] or "") + MASK, text)
