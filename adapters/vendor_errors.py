"""Classification of Deepgram's and Cartesia's errors as `ErrorClass`: one table for each vendor.

An error is classified by what programs are meant to read (HTTP status, close code, error code, type of the
exception), never by the words of a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import trio
from attrs import field, frozen
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from adapters.interfaces import ProviderError
from adapters.printable import printable
from adapters.retry_after import retry_after_ms
from machines.facts import ErrorClass


class UnknownSdkError(Exception):
    """The installed SDK is not the one that the adapter was written for."""


@frozen
class ErrorTable:
    """How one vendor's errors are classified. A code takes precedence over a status or a close code."""

    vendor: str
    by_status: Mapping[int, ErrorClass]
    """By HTTP status, of a refused handshake or inside an error message."""
    by_close_code: Mapping[int, ErrorClass]
    """By WebSocket close code."""
    by_code: Mapping[str, ErrorClass] = field(factory=dict)
    """By the vendor's own code, in an error message or at the beginning of a close reason."""

    def status(self, status: int) -> ErrorClass:
        """The class of an HTTP status. Of those not in the table, 4xx are about the request, all others
        transient."""
        unknown = ErrorClass.REFUSED_REQUEST if 400 <= status < 500 else ErrorClass.TRANSIENT
        return self.by_status.get(status, unknown)


_BY_STATUS: Mapping[int, ErrorClass] = {
    400: ErrorClass.REFUSED_REQUEST,
    401: ErrorClass.AUTH,
    402: ErrorClass.FATAL,
    403: ErrorClass.AUTH,
    404: ErrorClass.FATAL,
    408: ErrorClass.TIMEOUT,
    429: ErrorClass.RATE_LIMIT,
    500: ErrorClass.TRANSIENT,
    502: ErrorClass.TRANSIENT,
    503: ErrorClass.TRANSIENT,
    504: ErrorClass.TIMEOUT,
}

_BY_CLOSE_CODE: Mapping[int, ErrorClass] = {
    1000: ErrorClass.CONNECTION,
    1001: ErrorClass.CONNECTION,
    1002: ErrorClass.REFUSED_REQUEST,
    1003: ErrorClass.REFUSED_REQUEST,
    1005: ErrorClass.CONNECTION,
    1006: ErrorClass.CONNECTION,
    1007: ErrorClass.REFUSED_REQUEST,
    1008: ErrorClass.REFUSED_REQUEST,
    1009: ErrorClass.REFUSED_REQUEST,
    1011: ErrorClass.TRANSIENT,
    1012: ErrorClass.CONNECTION,
    1013: ErrorClass.TRANSIENT,
}
"""RFC 6455, section 7.4.1, and the IANA registry. 1000 is a loss too: nobody asked the vendor to close."""

DEEPGRAM = ErrorTable(
    "deepgram",
    by_status=_BY_STATUS,
    by_close_code=_BY_CLOSE_CODE,
    by_code={
        "DATA-0000": ErrorClass.REFUSED_REQUEST,
        "NET-0000": ErrorClass.TIMEOUT,
        "NET-0001": ErrorClass.TIMEOUT,
        "SchemaError": ErrorClass.REFUSED_REQUEST,
        "UNPARSABLE_CLIENT_MESSAGE": ErrorClass.REFUSED_REQUEST,
        "INTERNAL_SERVER_ERROR": ErrorClass.TRANSIENT,
    },
)
"""developers.deepgram.com/docs/errors and docs/stt-troubleshooting-websocket-data-and-net-errors; SDK 7.17:
`ListenV1Error.variant`, `ListenV2FatalError.code`."""

CARTESIA = ErrorTable(
    "cartesia",
    by_status=_BY_STATUS,
    by_close_code=_BY_CLOSE_CODE,
    by_code={
        "concurrency_limited": ErrorClass.RATE_LIMIT,
        "model_not_found": ErrorClass.FATAL,
        "voice_not_found": ErrorClass.FATAL,
        "quota_exceeded": ErrorClass.FATAL,
    },
)
"""docs.cartesia.ai/use-the-api/api-errors and use-the-api/concurrency-limits-and-timeouts; SDK 4.2:
`websocket_response.Error`."""

BY_EXCEPTION: tuple[tuple[type[BaseException], ErrorClass], ...] = (
    (TimeoutError, ErrorClass.TIMEOUT),
    (trio.TooSlowError, ErrorClass.TIMEOUT),
    (InvalidHandshake, ErrorClass.CONNECTION),
    (trio.BrokenResourceError, ErrorClass.CONNECTION),
    (trio.ClosedResourceError, ErrorClass.CONNECTION),
    (OSError, ErrorClass.CONNECTION),
)
"""The first that matches counts. Trio, `websockets` and the operating system raise these for any vendor."""

BROKEN = (ConnectionClosed, InvalidHandshake, TimeoutError, trio.TooSlowError, OSError)
BROKEN_ON_SENDING = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a `VendorSocket` raises."""

_BY_OUR_CLOSE_CODE: Mapping[int, ErrorClass] = {1011: ErrorClass.TIMEOUT}
"""`websockets` closes with 1011 when no pong came, and with other codes when it cannot read what it gets."""

_CODE = re.compile(r"\b([A-Z]{3,4})-?(\d{4})\b", re.IGNORECASE)
"""Deepgram's code in a close reason: `NET-0001` at its beginning, or `https://dpgr.am/net0001` at its end."""
_PASSING = (ErrorClass.CONNECTION, ErrorClass.TRANSIENT, ErrorClass.TIMEOUT)
_ABNORMAL = 1006


def refused(
    table: ErrorTable, status: int, headers: Mapping[str, str], reason: str, key: str
) -> ProviderError:
    """The error of a connection refused with an HTTP status. `headers` have lower-case names."""
    message = f"{table.vendor}: HTTP {status}: {printable(reason, key)}"
    return ProviderError(table.status(status), message, retry_after_ms(headers))


def closed(table: ErrorTable, code: int, reason: str, key: str) -> ProviderError:
    """The error of a WebSocket that the vendor closed, or that was lost (1006)."""
    named = _CODE.search(reason)
    error_class = table.by_code.get(f"{named[1].upper()}-{named[2]}") if named else None
    message = f"{table.vendor}: closed with {code}: {printable(reason, key)}"
    return ProviderError(error_class or table.by_close_code.get(code, ErrorClass.TRANSIENT), message)


def reported(table: ErrorTable, code: str | None, status: int | None, reason: str, key: str) -> ProviderError:
    """The error that a message of the vendor reports."""
    error_class = table.by_code.get(code) if code else None
    if error_class is None:
        error_class = table.status(status) if status else ErrorClass.TRANSIENT
    said = " ".join(str(part) for part in (code, status) if part) or "error"
    return ProviderError(error_class, f"{table.vendor}: {said}: {printable(reason, key)}")


def broken(table: ErrorTable, error: BaseException, key: str) -> ProviderError:
    """The error of a connection that could not be made, was closed, or broke."""
    if isinstance(error, InvalidStatus):
        headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
        return refused(table, error.response.status_code, headers, _refusal(error), key)
    if isinstance(error, ConnectionClosed):
        return _closed_by_either(table, error, key)
    error_class = next(
        (kind for type_, kind in BY_EXCEPTION if isinstance(error, type_)), ErrorClass.TRANSIENT
    )
    return ProviderError(error_class, f"{table.vendor}: {type(error).__name__}: {printable(str(error), key)}")


def closed_idle(table: ErrorTable, error: BaseException, key: str) -> ProviderError:
    """As `broken`, for a connection on which nothing was asked: if the vendor closes it, it has not failed.

    A connection that was lost, or was closed because of what we did, is one nevertheless.
    """
    failed = broken(table, error, key)
    closed_by_vendor = isinstance(error, ConnectionClosed) and error.rcvd is not None
    if closed_by_vendor and failed.failure.error_class in _PASSING:
        return ProviderError(failed.failure.error_class, failed.failure.message, idle=True)
    return failed


def _refusal(error: InvalidStatus) -> str:
    """The reason for a refused handshake: Deepgram gives it in a header, Cartesia in the body."""
    said = error.response.headers.get("dg-error") or (error.response.body or b"")[:2000]
    return said if isinstance(said, str) else bytes(said).decode(errors="replace")


def _closed_by_either(table: ErrorTable, error: ConnectionClosed, key: str) -> ProviderError:
    if error.rcvd is not None:
        return closed(table, error.rcvd.code, error.rcvd.reason, key)
    if error.sent is not None:
        error_class = _BY_OUR_CLOSE_CODE.get(error.sent.code, ErrorClass.TRANSIENT)
        return ProviderError(
            error_class, f"{table.vendor}: given up with {error.sent.code}: {error.sent.reason}"
        )
    return closed(table, _ABNORMAL, "", key)


def late(table: ErrorTable, what: str) -> ProviderError:
    """The error of a vendor that is late: `what` says what did not come."""
    return ProviderError(ErrorClass.TIMEOUT, f"{table.vendor}: {what}")
