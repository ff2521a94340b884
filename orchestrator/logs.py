"""Logging: one line per event, as text or JSON, with the session that it belongs to.

Our lines are written through structlog: `log = structlog.get_logger(__name__)`, then
`log.info("turn over", speech_ms=840)`. Conventions:

* What a caller or the model said goes under the keys `transcript`, `answer` or `prompt`. These keys are
  dropped from all lines above debug level.
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
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orchestrator.settings.settings import Listener

SPOKEN_KEYS = ("transcript", "answer", "prompt")
MASK = "(a secret)"

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
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _shared() -> list[Processor]:
    """The processors for every line, of ours or of a library."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        drop_spoken_words,
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


def drop_spoken_words(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop what was said from every line above debug level."""
    if event.get("level", method) != "debug":
        for key in SPOKEN_KEYS:
            event.pop(key, None)
    return event


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
