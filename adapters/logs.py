"""Loggers of the library, and what their lines may not hold.

Our lines are written by `log = library_logger(__name__)`, then `log.info("turn over", speech_ms=840)`. They
go where the process has configured logging: `orchestrator.logs.configure_logs` (the command line), structlog
or Python's own `logging` (a host program). Where nobody did, they go nowhere. Conventions:

* What is personal goes under the keys of `PERSONAL_KEYS`, such as `transcript` or `arguments`, and only into
  lines at debug level; from others these keys are dropped, and telephone numbers are masked in them.
* API keys and tokens never appear: values under keys with such names are masked, and so is any text that
  looks like one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from adapters.neutral import PASSWORD_MASK, neutral, without_passwords

PERSONAL_KEYS = ("transcript", "answer", "prompt", "arguments", "result", "payload")
"""What callers and models said, and what tools were given and gave."""
MASK = PASSWORD_MASK
NUMBER_MASK = "(a telephone number)"

_SECRET_KEY = re.compile(r"(?i)(^|_)(api_?key|authorization|token|secret|password|cookie)$")
_SECRET_TEXT = re.compile(
    r"""(?ix)
    (?P<kept>
        \bbearer\s+
      | \bauthorization["']?\s*[=:]\s*["']?(?:[a-z]+\s+)?
      | \b(?:basic|token)\s+(?=\S{16})
      | \b(?:api[_-]?key|token|secret|password)["']?\s*[=:]\s*["']?
    )
    [^\s"'&,;@]+
    | \b(?:sk|pk|rk|vsk)[-_][A-Za-z0-9_-]{8,}
    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?  # a JWT: it begins with {" in base64
    """
)
_NUMBER = re.compile(r"(?<![\w+])\+[1-9][0-9]{6,14}\b")
"""In E.164 form, as carriers write them."""


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
                shorten,
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


LONGEST_VALUE = 4000
"""Characters of one value of a line."""
LONGEST_TRACEBACK = 12_000


def shorten(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Make every value short and neutral: somebody outside may have written it. Tracebacks keep lines.

    Of a long traceback its end is kept, which says what went wrong.
    """
    return {
        neutral(key): _traceback(value) if key == "exception" and isinstance(value, str) else _short(value)
        for key, value in event.items()
    }


def _traceback(text: str) -> str:
    left_out = len(text) - LONGEST_TRACEBACK
    if left_out > 0:
        text = f"({left_out:,} characters) …{text[-LONGEST_TRACEBACK:]}"
    return neutral(text, lines=True)


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {neutral(str(key)): _short(each) for key, each in list(value.items())[:LONGEST_VALUE]}
    if isinstance(value, list | tuple):
        return [_short(each) for each in value[:LONGEST_VALUE]]
    if not isinstance(value, str):
        return value
    left_out = len(value) - LONGEST_VALUE
    return neutral(value if left_out <= 0 else f"{value[:LONGEST_VALUE]}… ({left_out:,} more characters)")


def _masked(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_KEY.search(key):
        return MASK
    if isinstance(value, Mapping):
        return {str(inner): _masked(str(inner), of) for inner, of in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", of) for of in value]
    return without_secrets(value if isinstance(value, str) else repr(value))


def without_secrets(text: str) -> str:
    """The text with all that looks like a key or token replaced."""
    text = without_passwords(text)
    return _SECRET_TEXT.sub(lambda found: (found["kept"] or "") + MASK, text)
