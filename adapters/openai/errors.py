"""Translates the errors of a server with OpenAI's interface into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx2
import openai

from adapters.interfaces import ProviderError
from adapters.printable import printable
from adapters.retry_after import retry_after_ms
from machines.facts import ErrorClass

BY_STATUS: Mapping[int, ErrorClass] = {
    400: ErrorClass.REFUSED_REQUEST,
    401: ErrorClass.AUTH,
    402: ErrorClass.FATAL,
    403: ErrorClass.AUTH,
    404: ErrorClass.FATAL,
    405: ErrorClass.FATAL,
    408: ErrorClass.TIMEOUT,
    413: ErrorClass.REFUSED_REQUEST,
    415: ErrorClass.FATAL,
    422: ErrorClass.REFUSED_REQUEST,
    429: ErrorClass.RATE_LIMIT,
    504: ErrorClass.TIMEOUT,
}
"""HTTP statuses; all others are transient."""

_NOT_FOUND = 404
_UNPAID = "insufficient_quota"

BY_CODE: Mapping[str, ErrorClass] = {
    _UNPAID: ErrorClass.FATAL,
    "billing_not_active": ErrorClass.FATAL,
    "billing_hard_limit_reached": ErrorClass.FATAL,
    "model_not_found": ErrorClass.FATAL,
    "model_decommissioned": ErrorClass.FATAL,
    "invalid_model": ErrorClass.FATAL,
    "organization_restricted": ErrorClass.FATAL,
    "context_length_exceeded": ErrorClass.REFUSED_REQUEST,
    "exceed_context_size_error": ErrorClass.REFUSED_REQUEST,
    "invalid_request_error": ErrorClass.REFUSED_REQUEST,
    "not_found_error": ErrorClass.FATAL,
    "invalid_api_key": ErrorClass.AUTH,
    "authentication_error": ErrorClass.AUTH,
    "permission_error": ErrorClass.AUTH,
    "rate_limit_exceeded": ErrorClass.RATE_LIMIT,
    "rate_limit_error": ErrorClass.RATE_LIMIT,
    "timeout": ErrorClass.TIMEOUT,
    # Groq: the model wrote a call that could not be read. Another attempt mostly succeeds.
    "tool_use_failed": ErrorClass.UNUSABLE_ANSWER,
    # MiniMax and Z.ai, in a response with the status 200: no access, and nothing left to pay with.
    "1004": ErrorClass.AUTH,
    "1008": ErrorClass.FATAL,
    "1113": ErrorClass.FATAL,
}
"""The `code` or `type` in an error body of OpenAI, llama.cpp, Groq or Mistral. It mostly counts more than the
status."""

_REFUSED_TEXT = frozenset(
    ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation", "data_inspection_failed")
)
"""Codes with which servers refuse a text for what it says."""
_FLAGGED = re.compile(r"\bflagged\b|requires moderation|content management policy", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"maximum context length|context (?:length|window|size)|prompt is too long|input is too long"
    r"|request too large|too many (?:input )?tokens",
    re.IGNORECASE,
)
_TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error")
_PHRASES = {status.phrase: status.value for status in HTTPStatus}
"""The status that a server's framework means by the words of its error."""
_CODES = ("code", "status_code", "error_code")
_LONGEST_STATUS = 5
_LONGEST_RAW = 4000
_MESSAGES = ("message", "msg", "error_msg", "errorMessage", "status_msg")
LIMIT_REACHED = "output limit was reached"
"""Words of OpenAI's refusal if the limit of tokens leaves no room for an answer. All else was fine."""
_WAIT = re.compile(
    r"(?:try again|retry(?: after)?|wait)\D{0,12}?(?<!\d)(\d{1,9}(?:\.\d{1,9})?) ?(ms|s\b|sec)", re.IGNORECASE
)
"""A wait given in words, like "Please try again in 7.66s"."""
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,12})?)s")

BY_EXCEPTION: tuple[tuple[type[Exception], ErrorClass], ...] = (
    (openai.APITimeoutError, ErrorClass.TIMEOUT),
    (openai.APIConnectionError, ErrorClass.CONNECTION),
    (httpx2.TimeoutException, ErrorClass.TIMEOUT),
    (httpx2.TransportError, ErrorClass.CONNECTION),
    (httpx2.DecodingError, ErrorClass.TRANSIENT),
    (openai.OpenAIError, ErrorClass.TRANSIENT),
)
"""The first class that fits counts."""

CAUGHT = (openai.OpenAIError, httpx2.TransportError, httpx2.DecodingError)
"""The exceptions of the SDK and of its HTTP client."""


def provider_error(provider: str, error: Exception, key: str) -> ProviderError:
    """Translate an exception of the SDK or its HTTP client. `key` is kept out of the message."""
    if isinstance(error, openai.APIStatusError):
        return _from_status(provider, error, key)
    error_class = next(
        (kind for type_, kind in BY_EXCEPTION if isinstance(error, type_)), ErrorClass.TRANSIENT
    )
    if isinstance(error, openai.APIConnectionError):
        return ProviderError(error_class, f"{provider}: {_unreached(error, key)}")
    return ProviderError(error_class, f"{provider}: {type(error).__name__}: {printable(str(error), key)}")


def _unreached(error: openai.APIConnectionError, key: str) -> str:
    """The address that did not answer. The SDK only says "Connection error"."""
    url = error.request.url
    address = f"{url.scheme}://{url.host}" + (f":{url.port}" if url.port else "")
    if isinstance(error, openai.APITimeoutError):
        return f"no answer in time from {address}"
    if isinstance(error.__cause__, httpx2.ConnectError):
        return f"nothing answers at {address}; is the server running? `vantum doctor` tells more"
    reason = printable(str(error.__cause__ or error), key)
    return f"the connection to {address} failed: {reason}; `vantum doctor` tells more"


def error_body(provider: str, body: object, key: str) -> ProviderError:
    """Translate the `error` that a server sent instead of a piece of the answer."""
    fields = error_fields(body)
    code = _code(fields)[:_LONGEST_STATUS]
    status = int(code) if code.isdecimal() else _PHRASES.get(str(fields.get("detail")))
    error_class = _class(fields, status)
    return ProviderError(error_class, f"{provider}: {_reason(fields, key)}", _wait_ms(fields))


def error_fields(body: object) -> Mapping[str, Any]:
    """The fields of an error, out of any lists and objects around it."""
    for _ in range(3):
        if isinstance(body, list) and body:
            body = body[0]
        elif isinstance(body, Mapping) and isinstance(body.get("error"), Mapping | list):
            body = body["error"]
        elif isinstance(body, Mapping) and isinstance(body.get("detail"), Mapping):
            body = body["detail"]
    return body if isinstance(body, Mapping) else {"message": body}


def words_of(fields: Mapping[str, Any]) -> str:
    """All words of an error."""
    detail = fields.get("detail")
    details = (
        [str(each.get("msg", "")) for each in detail if isinstance(each, Mapping)]
        if isinstance(detail, list)
        else [str(detail or "")]
    )
    metadata = fields.get("metadata")  # OpenRouter tells there what its provider said
    raw = str(metadata.get("raw") or "")[:_LONGEST_RAW] if isinstance(metadata, Mapping) else ""
    return " ".join(str(each) for each in (*map(fields.get, _MESSAGES), *details, raw) if each)


def is_too_long(error: openai.APIStatusError) -> bool:
    """Whether the request was refused for its length."""
    fields = error_fields(error.body)
    if str(fields.get("code")) in _TOO_LONG_CODES or str(fields.get("type")) in _TOO_LONG_CODES:
        return True
    return error.status_code in (400, 413, 422) and bool(_TOO_LONG.search(words_of(fields)))


def _from_status(provider: str, error: openai.APIStatusError, key: str) -> ProviderError:
    fields = error_fields(error.body)
    message = f"{provider}: HTTP {error.status_code}: {_reason(fields, key)}"
    if error.status_code == _NOT_FOUND and "/v1/" not in error.request.url.path:
        message += f" (nothing at {error.request.url.path}: is LLM_BASE_URL without its /v1?)"
    wait = retry_after_ms(error.response.headers)
    return ProviderError(
        _class(fields, error.status_code), message, _wait_ms(fields) if wait is None else wait
    )


def _class(fields: Mapping[str, Any], status: int | None) -> ErrorClass:
    """Classify by `code`, `type` and status, in this order.

    For a refused key, an unknown model or an unpaid bill, `type` often says no more than that the request was
    refused.
    """
    if _is_about_text(fields):
        return ErrorClass.REFUSED_TEXT
    by_code, by_type = BY_CODE.get(_code(fields)), BY_CODE.get(str(fields.get("type")))
    by_status = BY_STATUS.get(status) if status is not None else None
    if by_status is not None and by_status.refuses_everybody and fields.get("type") != _UNPAID:
        by_type = None
    return by_code or by_type or by_status or ErrorClass.TRANSIENT


def _code(fields: Mapping[str, Any]) -> str:
    return str(next((fields[name] for name in _CODES if fields.get(name) is not None), None))


def _is_about_text(fields: Mapping[str, Any]) -> bool:
    """Whether the server refuses what the text says."""
    inner, metadata = fields.get("innererror"), fields.get("metadata")
    codes = {str(fields.get("code")), str(fields.get("type"))}
    codes |= {str(inner.get("code"))} if isinstance(inner, Mapping) else set()
    flagged = isinstance(metadata, Mapping) and bool(metadata.get("reasons"))
    return bool(codes & _REFUSED_TEXT) or flagged or bool(_FLAGGED.search(str(fields.get("message") or "")))


def _wait_ms(fields: Mapping[str, Any]) -> int | None:
    """The wait that a body asks for, in Google's field or in words."""
    details = fields.get("details")
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        if isinstance(delay, str) and (match := _SECONDS.fullmatch(delay)):
            return round(float(match[1]) * 1000)
    if match := _WAIT.search(str(fields.get("message") or "")[:2000]):
        return round(float(match[1]) * (1 if match[2].lower() == "ms" else 1000))
    return None


def _reason(fields: Mapping[str, Any], key: str) -> str:
    said = [
        str(fields[name])
        for name in ("type", *_CODES, *_MESSAGES, "detail", "errors")
        if fields.get(name) not in (None, "")
    ]
    return printable(" / ".join(said), key)
