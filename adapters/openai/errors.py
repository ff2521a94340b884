"""Classification of errors of servers with OpenAI's interface as `ErrorClass`."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2
import openai

from adapters.interfaces import ProviderError
from adapters.printable import printable
from adapters.retry_after import retry_after_ms
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
"""By HTTP status; all others are transient."""

_UNPAID = "insufficient_quota"

BY_CODE: Mapping[str, ErrorClass] = {
    _UNPAID: ErrorClass.FATAL,
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
"""By `code` or `type` in an error body of OpenAI or llama.cpp. Mostly takes precedence over the status."""

BY_EXCEPTION: tuple[tuple[type[Exception], ErrorClass], ...] = (
    (openai.APITimeoutError, ErrorClass.TIMEOUT),
    (openai.APIConnectionError, ErrorClass.CONNECTION),
    (httpx2.TimeoutException, ErrorClass.TIMEOUT),
    (httpx2.TransportError, ErrorClass.CONNECTION),
    (openai.OpenAIError, ErrorClass.TRANSIENT),
)
"""The first that matches counts."""

CAUGHT = (openai.OpenAIError, httpx2.TransportError)
"""What the SDK and its HTTP client raise."""


def provider_error(provider: str, error: Exception, key: str) -> ProviderError:
    """Translate an exception of the SDK or its HTTP client. `key` is kept out of the message."""
    if isinstance(error, openai.APIStatusError):
        return _from_status(provider, error, key)
    error_class = next(
        (kind for type_, kind in BY_EXCEPTION if isinstance(error, type_)), ErrorClass.TRANSIENT
    )
    return ProviderError(error_class, f"{provider}: {type(error).__name__}: {printable(str(error), key)}")


def error_body(provider: str, body: object, key: str) -> ProviderError:
    """Translate the `error` that a server sent instead of a piece of the answer."""
    fields = body if isinstance(body, dict) else {"message": body}
    code = fields.get("code")
    error_class = _class(fields, code if isinstance(code, int) else None)
    return ProviderError(error_class, f"{provider}: {_reason(fields, key)}")


def _from_status(provider: str, error: openai.APIStatusError, key: str) -> ProviderError:
    fields = error.body if isinstance(error.body, dict) else {}
    message = f"{provider}: HTTP {error.status_code}: {_reason(fields, key)}"
    return ProviderError(_class(fields, error.status_code), message, retry_after_ms(error.response.headers))


def _class(fields: Mapping[str, object], status: int | None) -> ErrorClass:
    """By `code`, `type` and status, in this order. With a refused key, `type` often says nothing, so it is
    ignored."""
    by_code, by_type = (BY_CODE.get(str(fields.get(name))) for name in ("code", "type"))
    by_status = BY_STATUS.get(status) if status is not None else None
    if by_status is ErrorClass.AUTH and fields.get("type") != _UNPAID:
        by_type = None
    return by_code or by_type or by_status or ErrorClass.TRANSIENT


def _reason(fields: Mapping[str, object], key: str) -> str:
    said = [str(fields[name]) for name in ("type", "code", "message") if fields.get(name) is not None]
    return printable(" / ".join(said), key)
