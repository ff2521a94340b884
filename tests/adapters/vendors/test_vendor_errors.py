"""Vendors' errors are classified by status, close code, error code or exception."""

from __future__ import annotations

import pytest
import trio
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from adapters import vendor_errors
from adapters.vendor_errors import CARTESIA, DEEPGRAM, ErrorTable
from machines.facts import ErrorClass

KEY = "0123456789abcdef0123"


@pytest.mark.parametrize("table", [DEEPGRAM, CARTESIA])
@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, ErrorClass.REFUSED_REQUEST),
        (401, ErrorClass.AUTH),
        (403, ErrorClass.AUTH),
        (408, ErrorClass.TIMEOUT),
        (402, ErrorClass.FATAL),
        (404, ErrorClass.FATAL),
        (418, ErrorClass.REFUSED_REQUEST),
        (429, ErrorClass.RATE_LIMIT),
        (500, ErrorClass.TRANSIENT),
        (504, ErrorClass.TIMEOUT),
        (599, ErrorClass.TRANSIENT),
    ],
)
def test_a_status_says_whether_another_attempt_can_help(
    table: ErrorTable, status: int, error_class: ErrorClass
) -> None:
    assert vendor_errors.refused(table, status, {}, "", "").failure.error_class is error_class


@pytest.mark.parametrize(
    ("code", "reason", "error_class"),
    [
        (1011, "NET-0001: nothing came", ErrorClass.TIMEOUT),
        (1011, "NET-0000", ErrorClass.TIMEOUT),
        (1011, "No audio came. See https://dpgr.am/net0001", ErrorClass.TIMEOUT),
        (1011, "", ErrorClass.TRANSIENT),
        (1008, "DATA-0000: no audio", ErrorClass.REFUSED_REQUEST),
        (1006, "", ErrorClass.CONNECTION),
        (4321, "", ErrorClass.TRANSIENT),
    ],
)
def test_a_close_is_classified_by_its_codes(code: int, reason: str, error_class: ErrorClass) -> None:
    assert vendor_errors.closed(DEEPGRAM, code, reason, "").failure.error_class is error_class


def test_the_words_of_a_message_do_not_matter() -> None:
    reason = "timeout network connection unauthorized fatal 429"
    assert vendor_errors.closed(DEEPGRAM, 1011, reason, "").failure.error_class is ErrorClass.TRANSIENT


def test_a_reported_code_takes_precedence_over_its_status() -> None:
    error = vendor_errors.reported(CARTESIA, "concurrency_limited", 400, "", "")
    assert error.failure.error_class is ErrorClass.RATE_LIMIT
    assert (
        vendor_errors.reported(CARTESIA, "new_code", 503, "", "").failure.error_class is ErrorClass.TRANSIENT
    )
    assert vendor_errors.reported(CARTESIA, None, None, "", "").failure.error_class is ErrorClass.TRANSIENT


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (TimeoutError(), ErrorClass.TIMEOUT),
        (trio.TooSlowError(), ErrorClass.TIMEOUT),
        (ConnectionRefusedError(), ErrorClass.CONNECTION),
        (trio.BrokenResourceError(), ErrorClass.CONNECTION),
        (ConnectionClosedError(None, None), ErrorClass.CONNECTION),
        (ConnectionClosedError(None, Close(1011, "keepalive ping timeout")), ErrorClass.TIMEOUT),
        (ConnectionClosedError(None, Close(1002, "")), ErrorClass.TRANSIENT),
        (RuntimeError(), ErrorClass.TRANSIENT),
    ],
)
def test_a_broken_connection_is_classified_by_its_exception(
    error: Exception, error_class: ErrorClass
) -> None:
    assert vendor_errors.broken(DEEPGRAM, error, "").failure.error_class is error_class
