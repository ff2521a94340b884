"""What goes wrong at a server with OpenAI's interface, in the terms that the machines understand."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping

import httpx2
import openai

from adapters.interfaces import ProviderError
from machines.facts import ErrorClass

BY_STATUS: Mapping[int, ErrorClass] = {
    400: ErrorClass.FATAL,
    401: ErrorClass.AUTH,
    402: ErrorClass.FATAL,
    403: ErrorClass.AUTH,
    404: ErrorClass.FATAL,
    405: ErrorClass.FATAL,
    408: ErrorClass.TIMEOUT,
    413: ErrorClass.FATAL,
    415: ErrorClass.FATAL,
    422: ErrorClass.FATAL,
    429: ErrorClass.RATE_LIMIT,
    504: ErrorClass.TIMEOUT,
}
"""HTTP statuses; all others are transient."""

BY_CODE: Mapping[str, ErrorClass] = {
    "insufficient_quota": ErrorClass.FATAL,
    "model_not_found": ErrorClass.FATAL,
    "context_length_exceeded": ErrorClass.FATAL,
    "exceed_context_size_error": ErrorClass.FATAL,
    "invalid_request_error": ErrorClass.FATAL,
    "not_found_error": ErrorClass.FATAL,
    "invalid_api_key": ErrorClass.AUTH,
    "authentication_error": ErrorClass.AUTH,
    "permission_error": ErrorClass.AUTH,
    "rate_limit_exceeded": ErrorClass.RATE_LIMIT,
    "rate_limit_error": ErrorClass.RATE_LIMIT,
    "timeout": ErrorClass.TIMEOUT,
}
"""The `code` or `type` inside an error body of OpenAI or llama.cpp; stands above the status."""

BY_EXCEPTION: tuple[tuple[type[Exception], ErrorClass], ...] = (
    (openai.APITimeoutError, ErrorClass.TIMEOUT),
    (openai.APIConnectionError, ErrorClass.CONNECTION),
    (httpx2.TimeoutException, ErrorClass.TIMEOUT),
    (httpx2.TransportError, ErrorClass.CONNECTION),
    (openai.OpenAIError, ErrorClass.TRANSIENT),
)
"""The first that fits counts."""

CAUGHT = (openai.OpenAIError, httpx2.TransportError)
"""What the SDK and its HTTP client raise."""

_LONGEST_REASON = 200
_KEY = re.compile(r"\b(sk|pk|gsk|key|Bearer)[-_ ][\w*.-]{6,}")


def provider_error(provider: str, error: Exception, key: str) -> ProviderError:
    """Translate an exception of the SDK or its HTTP client. `key` is kept out of the message."""
    if isinstance(error, openai.APIStatusError):
        return _from_status(provider, error, key)
    error_class = next(
        (kind for type_, kind in BY_EXCEPTION if isinstance(error, type_)), ErrorClass.TRANSIENT
    )
    return ProviderError(error_class, f"{provider}: {type(error).__name__}: {_safe(str(error), key)}")


def error_body(provider: str, body: object, key: str) -> ProviderError:
    """Translate the `error` that a server sent where a piece of the answer was due."""
    fields = body if isinstance(body, dict) else {"message": body}
    code = fields.get("code")
    error_class = _by_code(fields) or (BY_STATUS.get(code) if isinstance(code, int) else None)
    return ProviderError(error_class or ErrorClass.TRANSIENT, f"{provider}: {_reason(fields, key)}")


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """The wait that a server asks for: `retry-after-ms`, or `Retry-After` as seconds or as a date."""
    for name, unit_ms in (("retry-after-ms", 1), ("retry-after", 1000)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
            return round(float(value) * unit_ms)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0, round((date.timestamp() - time.time()) * 1000))


def _from_status(provider: str, error: openai.APIStatusError, key: str) -> ProviderError:
    fields = error.body if isinstance(error.body, dict) else {}
    error_class = _by_code(fields) or BY_STATUS.get(error.status_code, ErrorClass.TRANSIENT)
    message = f"{provider}: HTTP {error.status_code}: {_reason(fields, key)}"
    return ProviderError(error_class, message, retry_after_ms(error.response.headers))


def _by_code(fields: Mapping[str, object]) -> ErrorClass | None:
    known = (BY_CODE.get(str(fields.get(name))) for name in ("code", "type"))
    return next((error_class for error_class in known if error_class), None)


def _reason(fields: Mapping[str, object], key: str) -> str:
    said = [str(fields[name]) for name in ("type", "code", "message") if fields.get(name) is not None]
    return _safe(" / ".join(said) or "no reason given", key)


def _safe(text: str, key: str) -> str:
    """Short, on one line, and without anything that looks like a key: servers like to repeat keys."""
    without_key = text.replace(key, "(key)") if key else text
    return " ".join(_KEY.sub("(key)", without_key).split())[:_LONGEST_REASON]
