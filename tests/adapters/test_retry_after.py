"""Reading the `Retry-After` headers."""

from __future__ import annotations

import email.utils
import time

import pytest

from adapters.retry_after import retry_after_ms


@pytest.mark.parametrize(
    ("headers", "ms"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3000),
        ({"retry-after": "0.25"}, 250),
        ({"retry-after-ms": "120", "retry-after": "3"}, 120),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3000),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], ms: int | None) -> None:
    assert retry_after_ms(headers) == ms


def test_retry_after_as_a_date_is_counted_from_now() -> None:
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    wait = retry_after_ms({"retry-after": in_a_minute})
    assert wait is not None
    assert 50_000 < wait <= 60_000
